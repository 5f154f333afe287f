//! The directory of all message queues.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::task::{CAP_SYS_RESOURCE, RLIMIT_MSGQUEUE};

use super::accounts::Accounts;
use super::{QUEUES_MAX, QueueInode, QueueSize};
use crate::sync::{Mutex, Rank};
use crate::task::{Credentials, current};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, DirEntry, File, Inode, InodeCommon, IoContext, NewNode,
    NewNodeKind, SeekFrom, SimpleAttributes,
};

/// The root: readable and writable by everybody, sticky.
pub(super) struct QueueDirectory {
    common: InodeCommon,
    attributes: SimpleAttributes,
    device: DeviceId,
    accounts: Arc<Accounts>,
    names: Mutex<BTreeMap<Vec<u8>, Arc<QueueInode>>>,
    last_inode: AtomicU64,
}

impl QueueDirectory {
    pub fn new(device: DeviceId, accounts: Arc<Accounts>) -> Arc<QueueDirectory> {
        Arc::new(QueueDirectory {
            common: InodeCommon::default(),
            attributes: SimpleAttributes::new(device, 1, FileKind::Directory, 0o1777),
            device,
            accounts,
            names: Mutex::new(Rank::FileObject, BTreeMap::new()),
            last_inode: AtomicU64::new(1),
        })
    }

    /// Makes a queue. Errors: as [`super::Queues::create`].
    pub fn create_queue(
        &self,
        name: &[u8],
        node: &NewNode<'_>,
        size: QueueSize,
        limit: u64,
        credentials: &Credentials,
    ) -> Result<Arc<dyn Inode>, Errno> {
        let is_privileged = credentials.has(CAP_SYS_RESOURCE);
        let mut names = self.names.lock();
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if names.len() >= QUEUES_MAX && !is_privileged {
            return Err(Errno::ENOSPC);
        }
        size.check(is_privileged)?;
        let charge = self.accounts.charge(credentials.uid, size.bytes(), limit)?;
        let number = self.last_inode.fetch_add(1, Ordering::Relaxed) + 1;
        let attributes =
            SimpleAttributes::new(self.device, number, FileKind::Regular, node.permissions)
                .owned_by(node.uid, node.gid);
        let queue = QueueInode::new(attributes, size, charge);
        names.insert(name.to_vec(), queue.clone());
        Ok(queue)
    }
}

impl Inode for QueueDirectory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::Directory
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if change.size.is_some() {
            return Err(Errno::EISDIR);
        }
        self.attributes.change(change)
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Ok(Box::new(DirectoryFile(self)))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let found = self.names.lock().get(name).cloned();
        found.map(|queue| queue as Arc<dyn Inode>).ok_or(Errno::ENOENT)
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.lookup(name).is_ok_and(|found| Arc::ptr_eq(&found, child))
    }

    /// A queue of the default size, for the calling task.
    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        if node.kind != NewNodeKind::Regular {
            return Err(Errno::EPERM);
        }
        let task = current().ok_or(Errno::EPERM)?;
        let limit = task.group.soft_limit(RLIMIT_MSGQUEUE as usize);
        self.create_queue(name, node, QueueSize::default(), limit, &task.credentials())
    }

    fn unlink(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<(), Errno> {
        let removed = self.names.lock().remove(name).ok_or(Errno::ENOENT)?;
        removed.unlinked();
        Ok(())
    }
}

struct DirectoryFile(Arc<QueueDirectory>);

impl File for DirectoryFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        let target = match from {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => (current as i64).checked_add(offset),
            _ => None,
        };
        target.and_then(|offset| u64::try_from(offset).ok()).ok_or(Errno::EINVAL)
    }

    /// A position is the inode number before the entry: numbers only grow.
    fn read_dir(
        &self,
        position: u64,
        parent_inode: u64,
        _: &IoContext<'_>,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<u64, Errno> {
        const DOTS: u64 = 2;
        let mut entries = vec![(0, b".".to_vec(), 1), (1, b"..".to_vec(), parent_inode)];
        let queues = self.0.names.lock().clone();
        let listed = queues.into_iter().map(|(name, queue)| {
            let number = queue.number();
            (number + DOTS, name, number)
        });
        entries.extend(listed);
        entries.sort_by_key(|(place, ..)| *place);
        let mut at = position;
        for (place, name, inode) in entries.into_iter().filter(|(place, ..)| *place >= position) {
            let kind = if place < DOTS { FileKind::Directory } else { FileKind::Regular };
            if !sink(DirEntry { name: name.into(), inode, kind, next: place + 1 }) {
                break;
            }
            at = place + 1;
        }
        Ok(at)
    }
}
