//! mqueue: POSIX message queues and the file system that shows them, mq_overview(7).
//!
//! * [`Queues`]: all queues of the sandbox, with the accounting of their sizes.
//! * [`QueueInode`]: one queue. A descriptor of one is an open file of it; the messages go through
//!   system calls of their own, `read` shows a line about the queue.
//!
//! Locks: a queue's state (rank `FileObject`), a directory's names (`Directory`); user accounts are
//! a leaf.

mod accounts;
mod directory;
mod file;
mod queue;

use std::sync::{Arc, OnceLock};

use linux_abi::Errno;
use linux_abi::fs::{MQUEUE_MAGIC, StatFs};

pub use file::QueueFile;
pub use queue::{Notification, QueueInode, QueueSize, Take};

use crate::kernel::Kernel;
use crate::task::Credentials;
use crate::vfs::{Dentry, FileSystem, Inode, Location, Mount, NewNode, NewNodeKind};
use accounts::Accounts;
use directory::QueueDirectory;

/// Limits of the sandbox, as `/proc/sys/fs/mqueue` shows them.
pub const QUEUES_MAX: usize = 256;
pub const MSG_MAX: i64 = 10;
pub const MSGSIZE_MAX: i64 = 8192;
/// Limits for the privileged.
const HARD_MSG_MAX: i64 = 65_536;
const HARD_MSGSIZE_MAX: i64 = 16 << 20;

/// All queues of the sandbox. Every mount of the file system shows the same.
#[derive(Default)]
pub struct Queues {
    accounts: Arc<Accounts>,
    home: OnceLock<Home>,
}

struct Home {
    fs: Arc<QueueFs>,
    /// Where `mq_open` finds its names.
    mount: Arc<Mount>,
}

impl Queues {
    fn home(&self, kernel: &Kernel) -> &Home {
        self.home.get_or_init(|| {
            let device = kernel.vfs.new_device();
            let root = QueueDirectory::new(device, self.accounts.clone());
            let fs = Arc::new(QueueFs { root });
            Home { mount: Mount::internal(fs.clone()), fs }
        })
    }

    /// The directory of all queues.
    pub fn directory(&self, kernel: &Kernel) -> Location {
        let mount = self.home(kernel).mount.clone();
        let root = mount.root().clone();
        Location::new(mount, root)
    }

    /// Makes a queue and gives it `name`.
    ///
    /// # Errors
    /// EEXIST, ENOSPC (too many queues), EINVAL (size), EMFILE (`RLIMIT_MSGQUEUE`, which is `limit`).
    pub fn create(
        &self,
        kernel: &Kernel,
        name: &[u8],
        mode: u32,
        size: QueueSize,
        limit: u64,
        credentials: &Credentials,
    ) -> Result<Arc<Dentry>, Errno> {
        let home = self.home(kernel);
        let root = home.mount.root();
        let change = root.change()?;
        let node = NewNode {
            kind: NewNodeKind::Regular,
            permissions: mode & 0o7777,
            uid: credentials.fsuid,
            gid: credentials.fsgid,
        };
        let inode = home.fs.root.create_queue(name, &node, size, limit, credentials)?;
        Ok(change.added(name, inode))
    }
}

/// The file system of message queues.
struct QueueFs {
    root: Arc<QueueDirectory>,
}

/// The file system for a mount.
pub fn new_mqueue(kernel: &Arc<Kernel>) -> Arc<dyn FileSystem> {
    kernel.queues.home(kernel).fs.clone()
}

impl FileSystem for QueueFs {
    fn name(&self) -> &'static str {
        "mqueue"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> Result<StatFs, Errno> {
        Ok(StatFs {
            kind: MQUEUE_MAGIC as i64,
            bsize: 4096,
            frsize: 4096,
            namelen: 255,
            ..StatFs::default()
        })
    }

    /// Other mounts and `mq_open` change the names.
    fn is_volatile(&self) -> bool {
        true
    }
}
