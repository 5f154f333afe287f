//! What is in `/dev`.

use std::sync::Arc;

use linux_abi::Errno;

use super::{MEMORY, TTY};
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::kernel::Kernel;
use crate::vfs::{DeviceId, FileSystem, Inode, NewNode, NewNodeKind};

/// Character devices by name, all readable and writable by everybody (devices.txt of Linux).
const NODES: [(&str, u32, u32); 6] = [
    ("null", MEMORY, 3),
    ("zero", MEMORY, 5),
    ("full", MEMORY, 7),
    ("random", MEMORY, 8),
    ("urandom", MEMORY, 9),
    ("tty", TTY, 0),
];

/// Links that programs expect (OCI runtime specification, "Dev symbolic links").
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Places to mount something on.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];

/// The file system for `/dev`.
///
/// # Errors
/// Those of making nodes in a tmpfs.
pub fn new_dev(kernel: &Arc<Kernel>) -> Result<Arc<dyn FileSystem>, Errno> {
    let options = TmpfsOptions { size: Some(64 << 10), mode: 0o755, ..TmpfsOptions::default() };
    let fs = Tmpfs::new(kernel, &options);
    let root = fs.root();
    for (name, major, minor) in NODES {
        let kind = NewNodeKind::CharDevice(DeviceId { major, minor });
        make(&root, name, kind, 0o666)?;
    }
    for (name, target) in LINKS {
        make(&root, name, NewNodeKind::Symlink(target.as_bytes()), 0o777)?;
    }
    for name in DIRECTORIES {
        make(&root, name, NewNodeKind::Directory, 0o755)?;
    }
    Ok(fs)
}

fn make(
    root: &Arc<dyn Inode>,
    name: &str,
    kind: NewNodeKind<'_>,
    permissions: u32,
) -> Result<(), Errno> {
    let node = NewNode { kind, permissions, uid: 0, gid: 0 };
    root.create(name.as_bytes(), &node).map(drop)
}
