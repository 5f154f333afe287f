//! File systems and their objects.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags, StatFs};

use super::{AttributeChange, Attributes, DeviceId, File, InodeCommon, IoContext, Location};

/// A mounted file system instance.
pub trait FileSystem: Send + Sync {
    /// Name as in `/proc/filesystems`.
    fn name(&self) -> &'static str;

    fn root(&self) -> Arc<dyn Inode>;

    fn statfs(&self) -> Result<StatFs, Errno>;

    /// File-system specific options as `/proc/mounts` shows them (without ro/rw), e.g. `size=4k`.
    fn options(&self) -> String {
        String::new()
    }

    /// What `/proc/mounts` shows as the device.
    fn source(&self) -> String {
        self.name().to_owned()
    }

    /// Whether names may change behind our back (a shared bind mount, `/proc`): cached names are
    /// then revalidated with [`Inode::is_still`] on each walk.
    fn is_volatile(&self) -> bool {
        false
    }

    /// The sandbox has started; what only that needed may be let go of.
    fn settle(&self) {}

    /// Waits until everything that was asked of the host is done: the sandbox is about to end, or
    /// somebody wants to be sure (`syncfs(2)`).
    fn finish(&self) {}

    /// The sandbox ends, and nothing is asked for any more.
    fn end(&self) {}
}

/// What [`Inode::create`] makes.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    pub kind: NewNodeKind<'a>,
    /// Permission bits after the umask.
    pub permissions: u32,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewNodeKind<'a> {
    Regular,
    Directory,
    Symlink(&'a [u8]),
    Fifo,
    Socket,
    CharDevice(DeviceId),
    BlockDevice(DeviceId),
}

/// `XATTR_CREATE`, `XATTR_REPLACE` or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrFlags {
    Any,
    Create,
    Replace,
}

/// A file system object.
///
/// One object is one `Arc`: a file system answers equal inodes with the same allocation, because
/// locks, watches and pipes hang on [`Inode::common`]. Permissions, read-only mounts, sticky bits
/// and name validity are the caller's (VFS) business. Names are single components, never empty, `.` or `..`.
pub trait Inode: Any + Send + Sync {
    fn as_any(&self) -> &dyn Any;

    /// State that the VFS keeps for every inode.
    fn common(&self) -> &InodeCommon;

    fn kind(&self) -> FileKind;

    fn attributes(&self) -> Result<Attributes, Errno>;

    /// Those of a regular file or directory without `ioctl`s of its own, if nobody has to be
    /// asked for them, and they change by nothing but system calls of the sandbox.
    fn attributes_at_hand(&self) -> Option<Attributes> {
        None
    }

    /// Attributes of which those count that decide who may do what: kind, permissions and owners.
    /// All others may be out of date.
    fn ownership(&self) -> Result<Attributes, Errno> {
        self.attributes()
    }

    /// Whether no name leads to it any more.
    fn is_nameless(&self) -> Result<bool, Errno> {
        Ok(self.attributes()?.links == 0)
    }

    /// Errors: EROFS, EPERM, EFBIG, ENOSPC; EISDIR or EINVAL for a size on what has none.
    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno>;

    /// Opens an object of the file system itself (regular file, directory, or a special file of
    /// a synthetic file system). Device nodes, FIFOs and sockets are opened by the VFS instead.
    /// `O_TRUNC` and `O_CREAT` are already done.
    fn open(self: Arc<Self>, flags: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno>;

    /// Finds a child. Errors: ENOENT, ENOTDIR, EIO.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        Err(Errno::ENOTDIR)
    }

    /// A hint before several lookups in a chain: finds as many of `names`, one below the other,
    /// as is possible in one step. The result is a (maybe empty) prefix; it stops before a symlink's target.
    /// With `opens` the last of `names` will be opened for reading next; what that needs may be
    /// fetched along.
    fn lookup_chain(&self, _names: &[&[u8]], _opens: bool) -> Vec<Arc<dyn Inode>> {
        Vec::new()
    }

    /// Whether `child`, found earlier as `name`, still is what this directory holds there.
    fn is_still(&self, _name: &[u8], _child: &Arc<dyn Inode>) -> bool {
        true
    }

    /// Makes a child. Errors: EEXIST, EROFS, ENOSPC, EPERM (kind not supported).
    fn create(&self, _name: &[u8], _node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        Err(Errno::EPERM)
    }

    /// Makes an unnamed regular file (`O_TMPFILE`). Errors: EOPNOTSUPP.
    fn create_unnamed(&self, _node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives `target` (same file system) another name here. Errors: EEXIST, EPERM, EMLINK.
    fn link(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    /// Removes a name that is not a directory. Errors: ENOENT, EROFS.
    fn unlink(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    /// Removes an empty directory. Errors: ENOTEMPTY, ENOENT, EROFS.
    fn rmdir(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    /// Moves a name within one file system; type compatibility and ancestry are checked by the VFS.
    /// Errors: ENOTEMPTY, EEXIST (NOREPLACE), EINVAL (flags not supported), EXDEV.
    fn rename(
        &self,
        _old_name: &[u8],
        _new_parent: &Arc<dyn Inode>,
        _new_name: &[u8],
        _flags: RenameFlags,
    ) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    /// The target of a symbolic link. Errors: EINVAL.
    fn readlink(&self, _io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    /// Where a "magic" link of proc leads without a path (`/proc/self/fd/3`, `exe`, `cwd`).
    /// `None`: an ordinary link, resolve its text.
    fn magic_target(&self, _io: &IoContext<'_>) -> Option<Result<Location, Errno>> {
        None
    }

    /// Errors: ENODATA, EOPNOTSUPP.
    fn xattr_get(&self, _name: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Errors: EEXIST, ENODATA, ENOSPC, EOPNOTSUPP.
    fn xattr_set(&self, _name: &[u8], _value: &[u8], _flags: XattrFlags) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn xattr_list(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(Vec::new())
    }

    /// Errors: ENODATA, EOPNOTSUPP.
    fn xattr_remove(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
}
