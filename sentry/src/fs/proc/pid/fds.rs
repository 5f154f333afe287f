//! `/proc/[pid]/fd` and `/proc/[pid]/fdinfo`: the open descriptors of a process.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::links::shown;
use crate::fs::proc::subject::{Area, Subject};
use crate::fs::synthetic::{
    Child, ChildCache, Children, NodeAttributes, SyntheticDir, SyntheticFile, SyntheticLink,
};
use crate::task::AccessMode;
use crate::vfs::{FdTable, FileDescription, Inode, IoContext};

/// The directory `fd`: a magic link for each descriptor.
pub(super) fn descriptors(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    directory(subject, attributes, Area::Fd)
}

/// The directory `fdinfo`: a file with offset, flags and more for each descriptor.
pub(super) fn details(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    directory(subject, attributes, Area::FdInfo)
}

fn directory(subject: &Arc<Subject>, attributes: NodeAttributes, area: Area) -> Arc<dyn Inode> {
    let made = ChildCache::default();
    SyntheticDir::new(attributes, Descriptors { subject: subject.clone(), area, made })
}

struct Descriptors {
    subject: Arc<Subject>,
    area: Area,
    /// By number and mode: another mode is another node.
    made: ChildCache<(i32, u32)>,
}

/// A descriptor's name: decimal, no leading zero.
fn parse_fd(name: &[u8]) -> Result<i32, Errno> {
    let is_plain = name == b"0" || !name.starts_with(b"0");
    let text = std::str::from_utf8(name).ok().filter(|_| is_plain);
    let is_decimal = name.iter().all(u8::is_ascii_digit);
    text.filter(|_| is_decimal).and_then(|text| text.parse().ok()).ok_or(Errno::ENOENT)
}

/// The table of the process; none for a zombie.
fn table(subject: &Subject) -> Result<Option<Arc<FdTable>>, Errno> {
    Ok(subject.living_task()?.map(|task| task.fds()))
}

/// What descriptor `fd` is open on now. Errors: ENOENT, ESRCH.
fn description(subject: &Subject, fd: i32) -> Result<Arc<FileDescription>, Errno> {
    table(subject)?.and_then(|table| table.get(fd).ok()).ok_or(Errno::ENOENT)
}

/// Mode of the link: what the descriptor may be used for.
fn link_mode(description: &FileDescription) -> u32 {
    let mut mode = 0;
    if description.is_readable() {
        mode |= 0o500;
    }
    if description.is_writable() {
        mode |= 0o300;
    }
    mode
}

impl Descriptors {
    fn node(&self, fd: i32, mode: u32) -> Arc<dyn Inode> {
        let number = self.subject.number(self.area, fd as u32);
        match self.area {
            Area::Fd => link(&self.subject, number, fd, mode),
            _ => info_file(&self.subject, number, fd),
        }
    }
}

impl Children for Descriptors {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let fd = parse_fd(name)?;
        let description = description(&self.subject, fd).map_err(|_| Errno::ENOENT)?;
        let mode = link_mode(&description);
        Ok(self.made.get_or_make((fd, mode), || self.node(fd, mode)))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let table = table(&self.subject).map_err(|_| Errno::ENOENT)?;
        let open = table.map(|table| table.list()).unwrap_or_default();
        let kind = if self.area == Area::Fd { FileKind::Symlink } else { FileKind::Regular };
        let child = |(fd, _): (i32, _)| Child {
            position: fd as u64,
            name: fd.to_string().into_bytes(),
            inode: self.subject.number(self.area, fd as u32),
            kind,
        };
        Ok(open.into_iter().map(child).collect())
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.find(name).is_ok_and(|found| Arc::ptr_eq(&found, child))
    }
}

fn link(subject: &Arc<Subject>, number: u64, fd: i32, mode: u32) -> Arc<dyn Inode> {
    let attributes = subject.attributes(number, FileKind::Symlink, mode).with_size(64);
    let (reader, follower) = (subject.clone(), subject.clone());
    SyntheticLink::magic(
        attributes,
        move |io: &IoContext<'_>| {
            reader.check_access(AccessMode::ReadAsFile, io)?;
            shown(description(&reader, fd)?.location(), io)
        },
        move |io: &IoContext<'_>| {
            follower.check_access(AccessMode::ReadAsFile, io)?;
            Ok(description(&follower, fd)?.location().clone())
        },
    )
}

fn info_file(subject: &Arc<Subject>, number: u64, fd: i32) -> Arc<dyn Inode> {
    let attributes = subject.attributes(number, FileKind::Regular, 0o444);
    let subject = subject.clone();
    SyntheticFile::new(attributes, move |io: &IoContext<'_>| {
        subject.check_access(AccessMode::ReadAsFile, io)?;
        let table = table(&subject)?.ok_or(Errno::ENOENT)?;
        let description = table.get(fd).map_err(|_| Errno::ENOENT)?;
        let is_cloexec = table.is_cloexec(fd).unwrap_or(false);
        Ok(info(&description, is_cloexec).into_bytes())
    })
}

/// The lines of `fdinfo`, proc_pid_fdinfo(5).
fn info(description: &FileDescription, is_cloexec: bool) -> String {
    let mut flags = description.flags();
    flags.set(OpenFlags::CLOEXEC, is_cloexec);
    let location = description.location();
    let inode = location.dentry().inode().attributes().map(|found| found.inode).unwrap_or(0);
    format!(
        "pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{inode}\n{}",
        description.offset(),
        flags.bits(),
        location.mount().id(),
        description.file().fdinfo(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_names_are_plain_decimals() {
        assert_eq!(parse_fd(b"0"), Ok(0));
        assert_eq!(parse_fd(b"17"), Ok(17));
        for name in [&b""[..], b"-1", b"01", b"x", b"4294967296"] {
            assert_eq!(parse_fd(name), Err(Errno::ENOENT), "{name:?}");
        }
    }
}
