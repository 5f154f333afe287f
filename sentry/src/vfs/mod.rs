//! The virtual file system: what every file system and every kind of open file has in common.
//!
//! * [`Inode`]: a file system object; implemented by each file system under `fs`.
//! * [`File`]: the behaviour of an *open* object; what `read`, `write`, `ioctl`, `poll` act on.
//! * [`FileDescription`]: an open file as Linux means it: a [`File`], its place in the tree, status flags, offset.
//! * [`Dentry`], [`Mount`], [`Location`]: names and the mount tree. `walk` resolves paths.
//! * [`FdTable`]: a process' descriptor table.
//!
//! All of it is synchronous: an operation that cannot go on answers EAGAIN, and the system call
//! layer waits on [`File::wait_queue`]. Only opening a FIFO waits inside the open.

mod attributes;
mod common;
mod description;
mod file;
mod inode;
mod location;

pub use attributes::{AttributeChange, Attributes, DeviceId, TimeChange};
pub use common::InodeCommon;
pub use description::FileDescription;
pub use file::{DirEntry, File, IoContext, MapRequest, MapSource, SeekFrom};
pub use inode::{FileSystem, Inode, NewNode, NewNodeKind, XattrFlags};
pub use location::{FdTable, FsContext, Location};
