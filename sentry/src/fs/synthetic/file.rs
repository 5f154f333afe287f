//! Synthetic regular files.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::{NodeAttributes, NodeSource};
use crate::memory::{IoDest, IoSource};
use crate::sync::{Mutex, Rank};
use crate::vfs::{AttributeChange, Attributes, File, Inode, InodeCommon, IoContext, SeekFrom};

/// What is in a synthetic file. A closure `Fn(&IoContext) -> Result<Vec<u8>, Errno>` is one that
/// can only be read; see [`Writable`]. Called without locks held (but a file offset).
pub trait Content: Send + Sync + 'static {
    /// The whole content at this moment.
    fn generate(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno>;

    /// Takes one write. `data` is at most a page; what lies beyond is not asked for.
    ///
    /// Errors: EIO when the file cannot be written.
    fn write(&self, _data: &[u8], _offset: u64, _io: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EIO)
    }

    /// Whether this opener may open it so, besides the permission bits.
    ///
    /// Errors: EACCES, EPERM.
    fn check_open(&self, _flags: OpenFlags, _io: &IoContext<'_>) -> Result<(), Errno> {
        Ok(())
    }
}

impl<F> Content for F
where
    F: Fn(&IoContext<'_>) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
{
    fn generate(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        self(io)
    }
}

/// Content by two closures: one generates it, one takes a write (all of it or an error).
pub struct Writable<R, W> {
    pub read: R,
    pub write: W,
}

impl<R, W> Content for Writable<R, W>
where
    R: Fn(&IoContext<'_>) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    W: Fn(&[u8], &IoContext<'_>) -> Result<(), Errno> + Send + Sync + 'static,
{
    fn generate(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        (self.read)(io)
    }

    fn write(&self, data: &[u8], _: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        (self.write)(data, io).map(|()| data.len())
    }
}

/// A regular file with generated content.
pub struct SyntheticFile {
    common: InodeCommon,
    attributes: NodeAttributes,
    content: Box<dyn Content>,
}

impl SyntheticFile {
    pub fn new(attributes: NodeAttributes, content: impl Content) -> Arc<SyntheticFile> {
        let common = InodeCommon::default();
        Arc::new(SyntheticFile { common, attributes, content: Box::new(content) })
    }

    /// A file with `permissions`, owned by root.
    pub fn with_mode(
        source: &NodeSource,
        permissions: u32,
        content: impl Content,
    ) -> Arc<SyntheticFile> {
        SyntheticFile::new(source.attributes(FileKind::Regular, permissions), content)
    }

    /// A file (mode 0444) whose content never changes.
    pub fn fixed(source: &NodeSource, text: impl Into<Vec<u8>>) -> Arc<SyntheticFile> {
        let text = text.into();
        SyntheticFile::with_mode(source, 0o444, move |_: &IoContext<'_>| Ok(text.clone()))
    }
}

impl Inode for SyntheticFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    fn open(self: Arc<Self>, flags: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        self.content.check_open(flags, io)?;
        let snapshot = Mutex::new(Rank::FileObject, None);
        Ok(Box::new(GeneratedFile { inode: self, snapshot }))
    }
}

/// An open synthetic file. A read from the start generates the content, later reads go on in it.
struct GeneratedFile {
    inode: Arc<SyntheticFile>,
    snapshot: Mutex<Option<Arc<Vec<u8>>>>,
}

/// Most bytes that one write hands over.
const WRITE_BYTES: usize = 4096;

impl GeneratedFile {
    fn content(&self, offset: u64, io: &IoContext<'_>) -> Result<Arc<Vec<u8>>, Errno> {
        let known = self.snapshot.lock().clone();
        match known {
            Some(known) if offset != 0 => Ok(known),
            _ => {
                let fresh = Arc::new(self.inode.content.generate(io)?);
                *self.snapshot.lock() = Some(fresh.clone());
                Ok(fresh)
            }
        }
    }
}

impl File for GeneratedFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, offset: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        let content = self.content(offset, io)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        dest.put(&content[start..])
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let mut data = vec![0; source.remaining().min(WRITE_BYTES)];
        let got = source.take(&mut data)?;
        let count = self.inode.content.write(&data[..got], offset, io)?;
        *self.snapshot.lock() = None;
        Ok((count, offset + count as u64))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    /// Linux: the size is not known, so nothing is relative to the end.
    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        super::dir::seek_dir(current, from)
    }

    fn truncate(&self, _: u64) -> Result<(), Errno> {
        Ok(())
    }
}
