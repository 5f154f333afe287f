//! `/proc/[pid]/mem`: the process' memory as a file.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use crate::fs::proc::subject::Subject;
use crate::fs::synthetic::NodeAttributes;
use crate::memory::{IoDest, IoSource, UserAddr};
use crate::mm::Mm;
use crate::task::AccessMode;
use crate::vfs::{AttributeChange, Attributes, File, Inode, InodeCommon, IoContext, SeekFrom};

/// The node of `subject`'s memory.
pub(super) fn node(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let common = InodeCommon::default();
    Arc::new(MemNode { common, attributes, subject: subject.clone() })
}

struct MemNode {
    common: InodeCommon,
    attributes: NodeAttributes,
    subject: Arc<Subject>,
}

impl Inode for MemNode {
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

    /// Errors: EACCES for who may not trace the process, ESRCH.
    fn open(self: Arc<Self>, _: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        self.subject.check_access(AccessMode::AttachAsFile, io)?;
        let mm = self.subject.living_task()?.map(|task| task.mm());
        Ok(Box::new(MemFile { mm }))
    }
}

/// Bytes moved at once.
const PIECE: usize = 64 << 10;

/// Open memory: that of the moment of the open, whatever the process executes later.
struct MemFile {
    mm: Option<Arc<Mm>>,
}

impl File for MemFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// Errors: EIO where nothing readable is mapped.
    fn read(&self, dest: &mut IoDest<'_>, offset: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        let Some(mm) = &self.mm else { return Ok(0) };
        let wanted = dest.remaining();
        let mut buffer = vec![0; wanted.min(PIECE)];
        let mut done = 0;
        while done < wanted {
            let piece = &mut buffer[..(wanted - done).min(PIECE)];
            let addr = UserAddr(offset.wrapping_add(done as u64));
            let got = match mm.memory().read_partial(addr, piece) {
                Ok(got) => got,
                Err(_) if done > 0 => break,
                Err(_) => return Err(Errno::EIO),
            };
            done += dest.put(&piece[..got])?;
            if got < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Writes even where the process itself may not. Errors: EIO where nothing is mapped.
    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let Some(mm) = &self.mm else { return Ok((0, offset)) };
        let mut data = vec![0; source.remaining().min(PIECE)];
        let got = source.take(&mut data)?;
        let written = mm.memory().write_forced(UserAddr(offset), &data[..got]);
        let done = written.map_err(|_| Errno::EIO)?;
        Ok((done, offset + done as u64))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    /// Any address is an offset, also one that is negative as a number.
    fn seek(&self, current: u64, from: SeekFrom, _: u64) -> Result<u64, Errno> {
        match from {
            SeekFrom::Start(offset) => Ok(offset as u64),
            SeekFrom::Current(offset) => Ok(current.wrapping_add_signed(offset)),
            _ => Err(Errno::EINVAL),
        }
    }
}
