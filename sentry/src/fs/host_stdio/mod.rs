//! Standard input, output and error: files over descriptors that the sandbox was given.
//!
//! * [`HostStream`]: pipes, sockets and character devices; never blocks, readiness comes from the
//!   host through the reactor.
//! * [`HostRegular`]: regular files, which keep the offset they share with processes outside.
//!
//! [`open`] picks the right one. A terminal is a `HostStream` with a terminal's requests around
//! it (`fs::tty`).

mod regular;
mod stream;

use std::os::fd::OwnedFd;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, S_IALLUGO, Stat, major, minor};
use platform::host;

use crate::vfs::{Attributes, DeviceId, File};

pub use regular::HostRegular;
pub use stream::HostStream;

/// Makes a file of a descriptor of the host, and tells the flags it was opened with.
///
/// Errors: those of `fstat(2)`; EINVAL for a directory or a block device.
pub fn open(fd: OwnedFd) -> Result<(Box<dyn File>, OpenFlags), Errno> {
    let kind = FileKind::from_mode(host::fs::stat(&fd)?.mode).unwrap_or(FileKind::CharDevice);
    let kept = OpenFlags::APPEND | OpenFlags::RDWR | OpenFlags::WRONLY;
    let flags = OpenFlags::from_bits_retain(host::fs::status_flags(&fd)? as u32) & kept;
    let file: Box<dyn File> = match kind {
        FileKind::Regular => Box::new(HostRegular::new(fd)?),
        FileKind::Fifo | FileKind::Socket | FileKind::CharDevice => Box::new(HostStream::new(fd)),
        FileKind::Directory | FileKind::BlockDevice | FileKind::Symlink => {
            return Err(Errno::EINVAL);
        }
    };
    Ok((file, flags))
}

/// The host's attributes of an open file, as the guest sees them.
fn attributes_of(stat: &Stat) -> Attributes {
    let device = |number: u64| DeviceId { major: major(number), minor: minor(number) };
    Attributes {
        device: device(stat.dev),
        inode: stat.ino,
        kind: FileKind::from_mode(stat.mode).unwrap_or(FileKind::CharDevice),
        permissions: stat.mode & S_IALLUGO,
        links: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        rdev: device(stat.rdev),
        size: stat.size.max(0) as u64,
        block_size: stat.blksize.clamp(1, i64::from(i32::MAX)) as u32,
        blocks: stat.blocks.max(0) as u64,
        accessed: stat.atime,
        modified: stat.mtime,
        changed: stat.ctime,
        created: None,
    }
}

#[cfg(test)]
mod tests;
