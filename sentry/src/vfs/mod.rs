//! The virtual file system: what every file system and every kind of open file has in common.
//!
//! * [`Inode`]: a file system object; implemented by each file system under `fs`.
//! * [`File`]: the behaviour of an *open* object; what `read`, `write`, `ioctl`, `poll` act on.
//! * [`FileDescription`]: an open file as Linux means it: a [`File`], its place in the tree, status flags, offset.
//! * [`Dentry`], [`Mount`], [`Location`]: names and the mount tree. `walk` resolves paths.
//! * [`FdTable`]: a process' descriptor table.
//! * [`Vfs`]: what all of it shares in a sandbox.
//!
//! All of it is synchronous: an operation that cannot go on answers EAGAIN, and the system call
//! layer waits on [`File::wait_queue`]. Only opening a FIFO waits inside the open.

mod anonymous;
mod attributes;
mod common;
mod deferred;
mod dentry;
mod description;
mod entries;
mod fd_table;
mod file;
mod fs_context;
mod inode;
mod location;
pub mod locks;
mod mount;
mod open;
pub mod permission;
mod self_served;
mod simple_attributes;
mod state;
mod superblock;
#[cfg(test)]
pub(crate) mod testing;
mod walk;
mod watch;

pub use anonymous::{Opener, anonymous_location, anonymous_location_of, anonymous_location_with};
pub use attributes::{AttributeChange, Attributes, DeviceId, TimeChange};
pub use common::{InodeCommon, Slot};
pub use deferred::Deferred;
pub use dentry::{Change, Dentry, getcwd_path, is_same_inode, path_of};
pub use description::{Access, AsyncOwner, AsyncTarget, FileDescription, OffsetGuard};
pub use entries::{
    RenameEnd, create_entry, link_entry, remove_directory, remove_file, rename_entry,
};
pub use fd_table::{FdTable, NR_OPEN, Reservation};
pub use file::{DirEntry, File, IoContext, MapRequest, MapSource, Pacing, SeekFrom};
pub use fs_context::FsContext;
pub use inode::{FileSystem, Inode, NewNode, NewNodeKind, XattrFlags};
pub use location::Location;
pub use locks::LockOwner;
pub use mount::{BindRequest, Mount, MountInfo, MountNamespace, MountOptions};
pub use open::{OpenRequest, Opened, open_at, open_for_exec, open_path, open_place};
pub use permission::{Want, check_inode, mode_without_privileges};
pub use self_served::{Conduits, SelfServed};
pub use simple_attributes::{SimpleAttributes, apply_change, new_atime, now};
pub use state::{DeviceNumbers, Vfs};
pub use superblock::Superblock;
pub use walk::{
    Component, Last, LookupFlags, Parent, PathContext, chdir, lookup_at, lookup_fd, parent_at,
    path_context,
};
pub use watch::{Watcher, Watches, notify, notify_entry, notify_inode};
