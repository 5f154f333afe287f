//! Standard input, output and error: files over descriptors that the sandbox was given.
//!
//! * [`HostStream`]: pipes, sockets and character devices; never blocks, readiness comes from the
//!   host through the reactor.
//! * [`HostRegular`]: regular files, which keep the offset they share with processes outside.
//! * [`HostTerminal`]: a stream with a terminal's requests and job control around it.
//!
//! [`install`] picks the right one for each descriptor of a new process.

mod install;
mod regular;
mod stream;
mod terminal;

use linux_abi::fs::{FileKind, S_IALLUGO, Stat, major, minor};

use crate::vfs::{Attributes, DeviceId};

pub use install::install;
pub use regular::HostRegular;
pub use stream::{HostStream, HostStreamFile};
pub use terminal::{HostTerminal, HostTerminalFile};

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
