//! Giving a process the descriptors 0, 1 and 2.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, FileKind, OpenFlags, Stat};
use platform::host;

use super::{HostRegular, HostStream, HostStreamFile, HostTerminal};
use crate::fs::tty;
use crate::task::Task;
use crate::vfs::{
    File, FileDescription, Location, LookupFlags, NR_OPEN, Opener, anonymous_location_with,
    lookup_at,
};

/// Installs what the process was given as its standard streams. With `is_controlling`, a terminal
/// among them becomes the controlling terminal of the process' session.
///
/// Errors: EINVAL for a directory or a block device; those of looking at the descriptors.
pub fn install(
    task: &Arc<Task>,
    stdio: [Option<OwnedFd>; 3],
    is_controlling: bool,
) -> Result<(), Errno> {
    let mut terminals: Vec<(u64, Arc<HostTerminal>)> = Vec::new();
    for (number, fd) in stdio.into_iter().enumerate() {
        let Some(fd) = fd else { continue };
        let stat = host::fs::stat(&fd)?;
        let flags = open_flags(&fd)?;
        let description = if host::tty::is_terminal(&fd) {
            let known = terminals.iter().find(|(rdev, _)| *rdev == stat.rdev);
            let terminal = match known {
                Some((_, terminal)) => terminal.clone(),
                None => HostTerminal::new(fd, &task.kernel.timers)?,
            };
            terminals.push((stat.rdev, terminal.clone()));
            describe_terminal(task, terminal, flags)
        } else {
            open(task, fd, &stat, flags)?
        };
        task.fds().replace(number as i32, description, false, NR_OPEN)?;
    }
    if let Some((_, terminal)) = terminals.first()
        && is_controlling
    {
        tty::adopt(terminal, task);
    }
    Ok(())
}

/// Access mode and `O_APPEND` of the host's open file.
fn open_flags(fd: &OwnedFd) -> Result<OpenFlags, Errno> {
    let kept = OpenFlags::APPEND | OpenFlags::RDWR | OpenFlags::WRONLY;
    Ok(OpenFlags::from_bits_retain(host::fs::status_flags(fd)? as u32) & kept)
}

/// A description over a descriptor that is no terminal.
fn open(
    task: &Arc<Task>,
    fd: OwnedFd,
    stat: &Stat,
    flags: OpenFlags,
) -> Result<Arc<FileDescription>, Errno> {
    let kind = FileKind::from_mode(stat.mode).unwrap_or(FileKind::CharDevice);
    match kind {
        FileKind::Regular => {
            let file = HostRegular::new(fd)?;
            let offset = file.offset()?;
            let other = file.reopen();
            let again: Opener = Box::new(move |_, _| Ok(Box::new(other.reopen())));
            let description = describe(task, Box::new(file), kind, again, flags);
            description.lock_offset().set(offset);
            Ok(description)
        }
        FileKind::Fifo | FileKind::Socket | FileKind::CharDevice => {
            let stream = Arc::new(HostStream::new(fd, &task.kernel.timers));
            let file = HostStreamFile(stream.clone());
            let again: Opener = Box::new(move |_, _| Ok(Box::new(HostStreamFile(stream.clone()))));
            Ok(describe(task, Box::new(file), kind, again, flags))
        }
        FileKind::Directory | FileKind::BlockDevice | FileKind::Symlink => Err(Errno::EINVAL),
    }
}

/// A description of a terminal, at its name in the container's devpts if there is one mounted.
fn describe_terminal(
    task: &Arc<Task>,
    terminal: Arc<HostTerminal>,
    flags: OpenFlags,
) -> Arc<FileDescription> {
    let file = Box::new(terminal.file());
    if let Some(location) = name_terminal(task, &terminal) {
        return FileDescription::new(file, location, flags);
    }
    let again: Opener = Box::new(move |_, _| Ok(Box::new(terminal.file())));
    describe(task, file, FileKind::CharDevice, again, flags)
}

/// Gives the terminal a name in `/dev/pts`, once.
fn name_terminal(task: &Arc<Task>, terminal: &Arc<HostTerminal>) -> Option<Location> {
    let flags = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let root = lookup_at(task, AT_FDCWD, b"/dev/pts", flags).ok()?;
    let instance = tty::instance_at(&root)?;
    let index = match terminal.index() {
        Some(index) => index,
        None => {
            let credentials = task.credentials();
            let owner = (credentials.fsuid, credentials.fsgid);
            let index = instance.add_terminal(terminal.clone(), owner).ok()?;
            terminal.set_index(index);
            index
        }
    };
    let dentry = root.dentry().lookup(index.to_string().as_bytes()).ok()?;
    Some(root.with_dentry(dentry))
}

/// A description at a place that `again` opens once more (`/dev/stdout`).
fn describe(
    task: &Arc<Task>,
    file: Box<dyn File>,
    kind: FileKind,
    again: Opener,
    flags: OpenFlags,
) -> Arc<FileDescription> {
    let label = match kind {
        FileKind::Fifo => "pipe",
        FileKind::Socket => "socket",
        _ => "[host]",
    };
    // Whoever was given a stream may open it again: the host's owner means nothing in here.
    let location = anonymous_location_with(&task.kernel, label, kind, 0o666, again);
    FileDescription::new(file, location, flags)
}
