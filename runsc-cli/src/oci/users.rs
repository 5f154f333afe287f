//! Users and groups of a container's root: home directories, and names for `--user`.
//!
//! The root is untrusted: files are opened below it only, are read up to a limit and must be
//! regular files.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::ConfigError;

/// Longest user or group file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What `--user` says: an id or name, and perhaps another for the group.
#[derive(Debug, PartialEq, Eq)]
pub struct UserSpec {
    pub user: String,
    pub group: Option<String>,
}

impl UserSpec {
    pub fn parse(text: &str) -> UserSpec {
        match text.split_once(':') {
            Some((user, group)) => {
                UserSpec { user: user.to_owned(), group: Some(group.to_owned()) }
            }
            None => UserSpec { user: text.to_owned(), group: None },
        }
    }
}

/// The `/etc/passwd` and `/etc/group` of a root directory.
pub struct RootUsers {
    root: Option<OwnedFd>,
}

impl RootUsers {
    /// Opens `root`; a root that cannot be opened has no users.
    pub fn open(root: &Path) -> RootUsers {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        RootUsers { root: rustix::fs::openat(CWD, root, flags, Mode::empty()).ok() }
    }

    /// Gives the home directory of `uid`, `/` if unknown, as runc does for HOME.
    pub fn home(&self, uid: u32) -> String {
        let passwd = self.read("etc/passwd");
        let home = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(uid)).then(|| fields.get(5).copied())?
        });
        home.filter(|home| home.starts_with('/')).unwrap_or("/").to_owned()
    }

    /// Resolves user and group ids. Without a group it is the user's own from `/etc/passwd`, or 0.
    pub fn resolve(&self, spec: &UserSpec) -> Result<(u32, u32), ConfigError> {
        let passwd = self.read("etc/passwd");
        let entry = |is_it: &dyn Fn(&[&str]) -> bool| {
            passwd.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
                is_it(&fields).then_some((uid, gid))
            })
        };
        let unknown = |kind: &str, name: &str| {
            ConfigError::new("--user", format!("no {kind} {name:?} in the container's root"))
        };
        let (uid, gid): (u32, u32) = match spec.user.parse::<u32>() {
            Ok(uid) => {
                (uid, entry(&|fields| fields[2].parse() == Ok(uid)).map_or(0, |(_, gid)| gid))
            }
            Err(_) => entry(&|fields| fields[0] == spec.user)
                .ok_or_else(|| unknown("user", &spec.user))?,
        };
        let gid = match &spec.group {
            None => gid,
            Some(group) => match group.parse::<u32>() {
                Ok(gid) => gid,
                Err(_) => self.group(group).ok_or_else(|| unknown("group", group))?,
            },
        };
        match uid == u32::MAX || gid == u32::MAX {
            true => Err(ConfigError::new("--user", "4294967295 is not a valid id")),
            false => Ok((uid, gid)),
        }
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.read("etc/group").lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
        })
    }

    fn read(&self, path: &str) -> String {
        let Some(root) = &self.root else {
            return String::new();
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let Ok(fd) = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) else {
            return String::new();
        };
        let file = File::from(fd);
        let mut text = Vec::new();
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("tempdir");
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).expect("mkdir");
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:44::/srv/web:/bin/sh\n";
        std::fs::write(etc.join("passwd"), passwd).expect("write");
        std::fs::write(etc.join("group"), "root:x:0:\nstaff:x:50:web\n").expect("write");
        root
    }

    #[test]
    fn names_and_homes() {
        let root = root();
        let users = RootUsers::open(root.path());
        assert_eq!(users.home(33), "/srv/web");
        assert_eq!(users.home(99), "/");
        let resolve = |text| users.resolve(&UserSpec::parse(text)).map_err(|e| e.to_string());
        assert_eq!(resolve("web"), Ok((33, 44)));
        assert_eq!(resolve("33"), Ok((33, 44)));
        assert_eq!(resolve("7"), Ok((7, 0)));
        assert_eq!(resolve("7:8"), Ok((7, 8)));
        assert_eq!(resolve("web:staff"), Ok((33, 50)));
        assert!(resolve("nobody-here").is_err());
        assert!(resolve("0:nogroup-here").is_err());
        assert!(resolve("4294967295").is_err());
    }

    #[test]
    fn symbolic_links_stay_below_the_root() {
        let root = root();
        let passwd = root.path().join("etc/passwd");
        std::fs::remove_file(&passwd).expect("rm");
        std::os::unix::fs::symlink("/proc/self/environ", &passwd).expect("symlink");
        assert_eq!(RootUsers::open(root.path()).home(0), "/");
    }
}
