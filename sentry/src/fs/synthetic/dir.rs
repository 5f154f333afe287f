//! Synthetic directories.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::{Child, Children, FixedChildren, NodeAttributes, NodeSource};
use crate::sync::{Mutex, Rank};
use crate::vfs::{
    AttributeChange, Attributes, DirEntry, File, Inode, InodeCommon, IoContext, NewNode, SeekFrom,
};

/// A directory with made-up entries. Nothing can be created or removed in it.
pub struct SyntheticDir {
    common: InodeCommon,
    attributes: NodeAttributes,
    children: Box<dyn Children>,
}

impl SyntheticDir {
    pub fn new(attributes: NodeAttributes, children: impl Children) -> Arc<SyntheticDir> {
        let common = InodeCommon::default();
        Arc::new(SyntheticDir { common, attributes, children: Box::new(children) })
    }

    /// A directory (mode 0555) with entries that never change.
    pub fn fixed(source: &NodeSource, children: FixedChildren) -> Arc<SyntheticDir> {
        SyntheticDir::new(source.attributes(FileKind::Directory, 0o555), children)
    }
}

impl Inode for SyntheticDir {
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
        let listing = Mutex::new(Rank::FileObject, Arc::default());
        Ok(Box::new(DirFile { dir: self, listing }))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        self.children.find(name)
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.children.is_still(name, child)
    }

    /// Errors: ENOENT for every new name, as proc and sysfs answer.
    fn create(&self, _: &[u8], _: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        Err(Errno::ENOENT)
    }
}

/// An open synthetic directory. The entries are those at the last read from the start.
struct DirFile {
    dir: Arc<SyntheticDir>,
    listing: Mutex<Arc<Vec<Child>>>,
}

/// Positions below this one are those of `.` and `..`.
const DOTS: u64 = 2;

impl DirFile {
    /// The entries; listed anew for a read from the start, without the lock held.
    fn entries(&self, position: u64, io: &IoContext<'_>) -> Result<Arc<Vec<Child>>, Errno> {
        if position <= DOTS {
            let fresh = Arc::new(self.dir.children.list(io)?);
            *self.listing.lock() = fresh;
        }
        Ok(self.listing.lock().clone())
    }
}

impl File for DirFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(
        &self,
        _: &mut crate::memory::IoDest<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<usize, Errno> {
        Err(Errno::EISDIR)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        seek_dir(current, from)
    }

    fn read_dir(
        &self,
        position: u64,
        parent_inode: u64,
        io: &IoContext<'_>,
        sink: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<u64, Errno> {
        let entries = self.entries(position, io)?;
        let own = self.dir.attributes.number();
        let dots = [(&b"."[..], own), (&b".."[..], parent_inode)];
        let mut at = position;
        for (index, (name, inode)) in dots.into_iter().enumerate().skip(position as usize) {
            let next = index as u64 + 1;
            let entry =
                DirEntry { name: Cow::Borrowed(name), inode, kind: FileKind::Directory, next };
            if !sink(entry) {
                return Ok(at);
            }
            at = next;
        }
        let first = entries.partition_point(|child| child.position + DOTS < at);
        for child in &entries[first..] {
            let next = child.position + DOTS + 1;
            let name = child.name.clone();
            if !sink(DirEntry { name: name.into(), inode: child.inode, kind: child.kind, next }) {
                return Ok(at);
            }
            at = next;
        }
        Ok(at)
    }
}

/// `lseek` on a directory whose positions are opaque: from the start or relative only.
pub(crate) fn seek_dir(current: u64, from: SeekFrom) -> Result<u64, Errno> {
    let target = match from {
        SeekFrom::Start(offset) => Some(offset),
        SeekFrom::Current(offset) => (current as i64).checked_add(offset),
        SeekFrom::End(_) | SeekFrom::Data(_) | SeekFrom::Hole(_) => None,
    };
    target.and_then(|offset| u64::try_from(offset).ok()).ok_or(Errno::EINVAL)
}
