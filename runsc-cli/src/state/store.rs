//! The state root and its entries.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{CONTROL_SOCKET, Record, StateError};
use crate::id;

const RECORD: &str = "state.json";
const NEW_RECORD: &str = "state.json.new";

/// The state root (`--root`).
pub struct Store {
    path: PathBuf,
}

/// A container's directory.
#[derive(Debug)]
pub struct Entry {
    pub path: PathBuf,
    pub id: String,
    /// The directory; holds the container's lock.
    directory: File,
}

impl Store {
    /// Takes the directory of the command line, else the default for the caller.
    pub fn new(root: Option<&Path>) -> Store {
        let path = match (root, rustix::process::geteuid().is_root()) {
            (Some(root), _) => root.to_owned(),
            (None, true) => "/run/runsc-rs".into(),
            (None, false) => match std::env::var_os("XDG_RUNTIME_DIR") {
                Some(base) => PathBuf::from(base).join("runsc-rs"),
                None => format!("/tmp/runsc-rs-{}", rustix::process::geteuid().as_raw()).into(),
            },
        };
        Store { path }
    }

    /// Makes the entry of a new container, locked, with its first record. Abandoned entries are
    /// removed on the way.
    ///
    /// # Errors
    /// [`StateError::AlreadyExists`], or what the file system says.
    pub fn create(&self, record: &Record) -> Result<Entry, StateError> {
        self.make_root()?;
        let root_lock = self.lock_root()?;
        self.sweep(&root_lock);
        let path = self.path.join(&record.id);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(StateError::AlreadyExists(record.id.clone()));
            }
            result => result.map_err(|source| StateError::Io { path: path.clone(), source })?,
        }
        let entry = Entry::open(path, record.id.clone())?;
        entry.lock()?;
        entry.save(record)?;
        Ok(entry)
    }

    /// Opens the entry of a container, locked.
    pub fn open(&self, id: &str) -> Result<(Entry, Record), StateError> {
        loop {
            let entry = self.find(id)?;
            entry.lock()?;
            // The entry may have been removed, and made anew, while we waited.
            if entry.is_current() {
                let record = entry.load()?;
                return Ok((entry, record));
            }
        }
    }

    /// Reads a container's record without waiting for a lock.
    pub fn read(&self, id: &str) -> Result<(Entry, Record), StateError> {
        let entry = self.find(id)?;
        let record = entry.load()?;
        Ok((entry, record))
    }

    /// Finds the entry of a container, neither locked nor read.
    pub fn find(&self, id: &str) -> Result<Entry, StateError> {
        let missing = || StateError::NoSuchContainer(id.to_owned());
        id::check(id).map_err(|_| missing())?;
        match Entry::open(self.path.join(id), id.to_owned()) {
            Err(StateError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(missing())
            }
            result => result,
        }
    }

    /// Every readable record, sorted by id. Abandoned entries are removed.
    pub fn list(&self) -> Result<Vec<Record>, StateError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let root_lock = self.lock_root()?;
        self.sweep(&root_lock);
        let mut records: Vec<Record> =
            self.ids()?.iter().filter_map(|id| self.read(id).ok()).map(|(_, r)| r).collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// Removes abandoned entries.
    pub fn sweep_all(&self) -> Result<(), StateError> {
        if !self.path.exists() {
            return Ok(());
        }
        let root_lock = self.lock_root()?;
        self.sweep(&root_lock);
        Ok(())
    }

    fn make_root(&self) -> Result<(), StateError> {
        let make = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            // Somebody else's directory could be exchanged under us.
            match fs::metadata(&self.path)?.uid() {
                uid if uid == rustix::process::geteuid().as_raw() || uid == 0 => Ok(()),
                uid => {
                    Err(io::Error::other(format!("belongs to user {uid}; choose another --root")))
                }
            }
        };
        make().map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    fn lock_root(&self) -> Result<File, StateError> {
        let lock = || {
            let directory = File::open(&self.path)?;
            directory.lock()?;
            Ok(directory)
        };
        lock().map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    fn ids(&self) -> Result<Vec<String>, StateError> {
        let error = |source| StateError::Io { path: self.path.clone(), source };
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if id::check(&name).is_ok() && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ids.push(name);
            }
        }
        Ok(ids)
    }

    /// Removes entries whose creator died before the container existed. The root lock is held
    /// from making a directory until its first record is written, so one without is such an entry.
    fn sweep(&self, _root_lock: &File) {
        for id in self.ids().unwrap_or_default() {
            let Ok(entry) = Entry::open(self.path.join(&id), id) else {
                continue;
            };
            let is_abandoned = match entry.load() {
                Ok(record) => record.is_abandoned(),
                Err(StateError::NoSuchContainer(_)) => true,
                Err(_) => false,
            };
            if is_abandoned && matches!(entry.directory.try_lock(), Ok(())) {
                if let Ok(Record { cgroup: Some(cgroup), .. }) = entry.load() {
                    cgroup.remove();
                }
                let _ = entry.remove();
            }
        }
    }
}

impl Entry {
    fn open(path: PathBuf, id: String) -> Result<Entry, StateError> {
        let open = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(&path);
        match open {
            Ok(directory) => Ok(Entry { path, id, directory }),
            Err(source) => Err(StateError::Io { path, source }),
        }
    }

    /// Takes the lock; false if the entry was removed meanwhile.
    pub fn lock_current(&self) -> Result<bool, StateError> {
        self.lock()?;
        Ok(self.is_current())
    }

    fn is_current(&self) -> bool {
        match (self.directory.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// Takes the container's lock; it is held until the entry is dropped.
    pub fn lock(&self) -> Result<(), StateError> {
        self.directory.lock().map_err(|source| self.error(source))
    }

    /// Gives the lock up before the entry is dropped.
    pub fn unlock(&self) {
        let _ = self.directory.unlock();
    }

    pub fn load(&self) -> Result<Record, StateError> {
        match fs::read(self.path.join(RECORD)) {
            // Not there yet, or the entry was removed while we waited for its lock.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StateError::NoSuchContainer(self.id.clone()))
            }
            Err(source) => Err(self.error(source)),
            Ok(text) => serde_json::from_slice(&text).map_err(|error| StateError::Damaged {
                id: self.id.clone(),
                problem: error.to_string(),
            }),
        }
    }

    /// Writes the record so that a reader sees the old or the new one, whole.
    pub fn save(&self, record: &Record) -> Result<(), StateError> {
        let write = || -> io::Result<()> {
            let new = self.path.join(NEW_RECORD);
            let mut file = File::options().write(true).create(true).truncate(true).open(&new)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            fs::rename(&new, self.path.join(RECORD))
        };
        write().map_err(|source| self.error(source))
    }

    /// Short path of the control socket through the open directory: a socket's path must not
    /// exceed 107 bytes, the state root's may.
    pub fn control_socket(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}/{CONTROL_SOCKET}", self.directory.as_raw_fd()).into()
    }

    /// Removes the entry with all its files. The caller holds its lock.
    pub fn remove(&self) -> Result<(), StateError> {
        // The record goes last but for the directory, so that an interrupted removal is repeated.
        for name in [CONTROL_SOCKET, NEW_RECORD, RECORD] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.error(error)),
                _ => {}
            }
        }
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.error(error)),
            _ => Ok(()),
        }
    }

    fn error(&self, source: io::Error) -> StateError {
        StateError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
