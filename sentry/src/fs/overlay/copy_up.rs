//! Stores: unnamed files of the upper file system that hold what of an object has changed.
//!
//! An object goes from no store through one with its metadata to one with its content too, and
//! never back. Only regular files have content; all others are done with metadata.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::Core;
use super::inode::OverlayInode;
use crate::memory::{IoDest, IoSource};
use crate::vfs::{
    AttributeChange, File, Inode, IoContext, NewNode, NewNodeKind, SeekFrom, TimeChange, XattrFlags,
};

/// Bytes copied at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// An I/O context of nobody.
const OURS: IoContext<'static> = IoContext { task: None, flags: OpenFlags::NOATIME };

impl Core {
    /// An empty store. Errors: ENOSPC.
    pub(super) fn new_store(
        &self,
        permissions: u32,
        uid: u32,
        gid: u32,
    ) -> Result<Arc<dyn Inode>, Errno> {
        let kind = NewNodeKind::Regular;
        self.upper.root().create_unnamed(&NewNode { kind, permissions, uid, gid })
    }
}

impl OverlayInode {
    pub(super) fn has_content(&self) -> bool {
        self.has_content.load(Ordering::Acquire)
    }

    /// The store, made now if there is none: with the metadata of the lower object.
    ///
    /// Errors: ENOSPC and those of reading the lower object.
    pub(super) fn store(&self) -> Result<&Arc<dyn Inode>, Errno> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let _copy_up = self.copy_up.lock();
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = self.copy_metadata()?;
        let store = self.store.get_or_init(|| store);
        self.keep();
        Ok(store)
    }

    /// Has the table keep an inode that now differs from its lower object.
    fn keep(&self) {
        if let (Some(lower), Some(this)) = (&self.lower, self.this.upgrade())
            && self.links() > 0
        {
            self.core.table.keep(lower.key, this);
            self.release_if_gone();
        }
    }

    fn copy_metadata(&self) -> Result<Arc<dyn Inode>, Errno> {
        let lower = self.top_lower().ok_or(Errno::EIO)?;
        let from = lower.attributes()?;
        let store = self.core.new_store(from.permissions, from.uid, from.gid)?;
        for name in lower.xattr_list().unwrap_or_default() {
            match lower.xattr_get(&name) {
                Ok(value) => match store.xattr_set(&name, &value, XattrFlags::Any) {
                    // What the upper file system does not keep.
                    Ok(()) | Err(Errno::EOPNOTSUPP) => {}
                    Err(errno) => return Err(errno),
                },
                Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        let is_regular = self.kind() == FileKind::Regular;
        let size = (is_regular && from.size > 0).then_some(from.size);
        store.set_attributes(&AttributeChange {
            size,
            accessed: Some(TimeChange::To(from.accessed)),
            modified: Some(TimeChange::To(from.modified)),
            ..AttributeChange::default()
        })?;
        Ok(store)
    }

    /// The store with the first `wanted` bytes of the content (or all, if that is less); the rest
    /// is about to be cut off.
    ///
    /// Errors: as [`OverlayInode::store`].
    pub(super) fn store_with_content(&self, wanted: u64) -> Result<&Arc<dyn Inode>, Errno> {
        let store = self.store()?;
        if self.has_content() {
            return Ok(store);
        }
        let _copy_up = self.copy_up.lock();
        if self.has_content() {
            return Ok(store);
        }
        let before = store.attributes()?;
        let copied = self.copy_content(store, before.size.min(wanted));
        if copied.is_err() {
            // Gives back what is used; a later attempt starts anew.
            let size = |size| AttributeChange { size: Some(size), ..AttributeChange::default() };
            store.set_attributes(&size(0))?;
            store.set_attributes(&size(before.size))?;
        }
        store.set_attributes(&AttributeChange {
            accessed: Some(TimeChange::To(before.accessed)),
            modified: Some(TimeChange::To(before.modified)),
            ..AttributeChange::default()
        })?;
        copied?;
        self.has_content.store(true, Ordering::Release);
        Ok(store)
    }

    /// Copies the first `len` bytes, leaving holes as they are.
    fn copy_content(&self, store: &Arc<dyn Inode>, len: u64) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        let lower = self.top_lower().ok_or(Errno::EIO)?;
        let from = lower.clone().open(OpenFlags::empty(), &OURS)?;
        let to = store.clone().open(OpenFlags::RDWR, &OURS)?;
        let mut buffer = vec![0; len.min(CHUNK_BYTES) as usize];
        let mut at = 0;
        while at < len {
            let data = match from.seek(0, SeekFrom::Data(at as i64), len) {
                Ok(data) => data.max(at),
                // Nothing but a hole is left.
                Err(Errno::ENXIO) => return Ok(()),
                Err(errno) => return Err(errno),
            };
            if data >= len {
                return Ok(());
            }
            let hole = from.seek(0, SeekFrom::Hole(data as i64), len).unwrap_or(len);
            let end = hole.clamp(data + 1, len);
            copy_range(&*from, &*to, data, end, &mut buffer)?;
            at = end;
        }
        Ok(())
    }
}

/// Copies `start..end`, or less if the file ends before.
fn copy_range(
    from: &dyn File,
    to: &dyn File,
    start: u64,
    end: u64,
    buffer: &mut [u8],
) -> Result<(), Errno> {
    let mut at = start;
    while at < end {
        let want = (buffer.len() as u64).min(end - at) as usize;
        let got = from.read(&mut IoDest::kernel(&mut buffer[..want]), at, &OURS)?;
        if got == 0 {
            return Ok(());
        }
        let mut source = IoSource::kernel(&buffer[..got]);
        while source.remaining() > 0 {
            let (count, end) = to.write(&mut source, at, &OURS)?;
            if count == 0 {
                return Err(Errno::ENOSPC);
            }
            at = end;
        }
    }
    Ok(())
}
