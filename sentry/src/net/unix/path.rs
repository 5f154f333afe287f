//! Socket nodes in the file system.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{AT_FDCWD, FileKind};

use super::UnixAddress;
use super::name::Endpoint;
use crate::task::Task;
use crate::vfs::{
    Last, LookupFlags, NewNodeKind, Parent, Want, check_inode, create_entry, lookup_at, parent_at,
};

/// Permissions of a new socket node before the umask.
const NODE_PERMISSIONS: u32 = 0o777;

/// Makes a socket node at `path` that leads to `endpoint`.
///
/// Errors: EADDRINUSE when there is something; else those of `mknod(2)`.
pub(super) fn create(path: &[u8], endpoint: &Arc<Endpoint>, task: &Arc<Task>) -> Result<(), Errno> {
    let Parent { at, last, has_slash } = parent_at(task, AT_FDCWD, path)?;
    let Last::Name(name) = last else { return Err(Errno::EADDRINUSE) };
    match at.dentry().lookup(&name) {
        Ok(_) => return Err(Errno::EADDRINUSE),
        Err(Errno::ENOENT) if has_slash => return Err(Errno::ENOENT),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    at.check_writable()?;
    let permissions = NODE_PERMISSIONS & !task.fs().umask();
    let made = create_entry(&task.credentials(), &at, &name, NewNodeKind::Socket, permissions);
    let node = made.map_err(|errno| match errno {
        Errno::EEXIST => Errno::EADDRINUSE,
        other => other,
    })?;
    node.inode().common().socket().set(endpoint);
    Ok(())
}

/// The endpoint that `address` leads to.
///
/// Errors: ECONNREFUSED when no socket is bound there; EACCES (no right to write to the node) and
/// the other errors of a walk; EINVAL for no address.
pub(super) fn find(address: &UnixAddress, task: &Arc<Task>) -> Result<Arc<Endpoint>, Errno> {
    let path = match address {
        UnixAddress::Unnamed => return Err(Errno::EINVAL),
        UnixAddress::Abstract(name) => return task.kernel.network.abstract_names.find(name),
        UnixAddress::Path(path) => path,
    };
    let place = lookup_at(task, AT_FDCWD, path, LookupFlags::FOLLOW)?;
    let inode = place.inode();
    check_inode(&*inode, &task.credentials(), Want::WRITE)?;
    if place.kind() != FileKind::Socket {
        return Err(Errno::ECONNREFUSED);
    }
    inode.common().socket().get().ok_or(Errno::ECONNREFUSED)
}
