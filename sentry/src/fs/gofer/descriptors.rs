//! Host descriptors of regular files: at most one for reading and one for writing, shared by all
//! who have the file open.
//!
//! An exclusive export keeps them for the next open, up to a budget; a shared one closes them with
//! the last open file, so that the host's files are not kept alive.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use gofer_protocol::OpenFlags;
use linux_abi::Errno;

use super::budget::Answer;
use super::inode::GoferInode;

/// The descriptors of an inode.
#[derive(Default)]
pub(super) struct Descriptors {
    /// Read-only.
    read: Option<Arc<OwnedFd>>,
    write: Option<Writable>,
    /// Open files, those among them that may be written to, and how many of these there were ever.
    opens: u32,
    writers: u32,
    writers_ever: u64,
    /// Whether it was opened since the budget asked last.
    is_used: bool,
    /// Whether the budget counts this inode.
    is_counted: bool,
    /// Whether a shared mapping may be changing the file.
    is_mapped_writable: bool,
}

/// A descriptor to write through.
#[derive(Clone)]
pub(super) struct Writable {
    pub(super) fd: Arc<OwnedFd>,
    /// Not where the host lets the gofer write the file only.
    pub(super) is_readable: bool,
}

impl Descriptors {
    /// The descriptor through which the file may be changing.
    pub(super) fn writable(&self) -> Option<Arc<OwnedFd>> {
        self.write.as_ref().map(|writable| writable.fd.clone())
    }

    pub(super) fn any(&self) -> Option<Arc<OwnedFd>> {
        self.writable().or_else(|| self.read.clone())
    }

    pub(super) fn is_mapped_writable(&self) -> bool {
        self.is_mapped_writable
    }

    pub(super) fn is_open(&self) -> bool {
        self.opens > 0
    }

    /// Whether something may be written to the file, and a number that is another one when that could
    /// have happened in between.
    pub(super) fn writers(&self) -> (bool, u64) {
        (self.writers > 0 || self.is_mapped_writable, self.writers_ever)
    }

    /// Takes the descriptor to write through if nobody else has it, and there is no other.
    pub(super) fn take_only(&mut self) -> Option<OwnedFd> {
        if self.opens > 0 || self.read.is_some() || self.is_mapped_writable {
            return None;
        }
        Arc::into_inner(self.write.take()?.fd)
    }

    fn take_all(&mut self) -> (Option<Arc<OwnedFd>>, Option<Writable>) {
        (self.read.take(), self.write.take())
    }
}

impl GoferInode {
    /// A descriptor to read through.
    ///
    /// Errors: those of opening it: EACCES, ESTALE, …
    pub(super) fn readable_descriptor(&self) -> Result<Arc<OwnedFd>, Errno> {
        let known = {
            let descriptors = &mut self.state.lock().descriptors;
            let written = descriptors.write.as_ref().filter(|writable| writable.is_readable);
            descriptors.read.clone().or_else(|| written.map(|writable| writable.fd.clone()))
        };
        match known {
            Some(fd) => Ok(fd),
            None => self.read_only_descriptor(),
        }
    }

    /// A descriptor that cannot be written through.
    pub(super) fn read_only_descriptor(&self) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(fd) = &self.state.lock().descriptors.read {
            return Ok(fd.clone());
        }
        self.note_opened();
        let fd = self.open_host(OpenFlags::RDONLY)?;
        Ok(self.keep_read_only(fd))
    }

    /// Keeps `fd`, just opened for reading, unless there is one already; answers with the one that
    /// is kept.
    pub(super) fn keep_read_only(&self, fd: OwnedFd) -> Arc<OwnedFd> {
        let fd = Arc::new(fd);
        let kept = self.state.lock().descriptors.read.get_or_insert(fd).clone();
        self.count_descriptors();
        kept
    }

    /// A descriptor to write through.
    ///
    /// Errors: EROFS, EACCES, ESTALE, …
    pub(super) fn writable_descriptor(&self) -> Result<Writable, Errno> {
        if let Some(writable) = &self.state.lock().descriptors.write {
            return Ok(writable.clone());
        }
        let writable = match self.open_host(OpenFlags::RDWR) {
            Ok(fd) => Writable { fd: Arc::new(fd), is_readable: true },
            Err(Errno::EACCES) => {
                let fd = self.open_host(OpenFlags::WRONLY)?;
                Writable { fd: Arc::new(fd), is_readable: false }
            }
            Err(errno) => return Err(errno),
        };
        Ok(self.keep_writable(writable))
    }

    /// Keeps `writable` unless there is one already; answers with the one that is kept.
    pub(super) fn keep_writable(&self, writable: Writable) -> Writable {
        let kept = self.state.lock().descriptors.write.get_or_insert(writable).clone();
        self.count_descriptors();
        kept
    }

    /// Has the gofer open the file.
    fn open_host(&self, flags: OpenFlags) -> Result<OwnedFd, Errno> {
        let named = self.named()?;
        let opened = self.export.call(|client| client.open(named.target(), flags, false))?;
        if !self.recognises(&opened.attr) {
            return Err(Errno::ESTALE);
        }
        Ok(opened.fd)
    }

    fn count_descriptors(&self) {
        let is_new = {
            let descriptors = &mut self.state.lock().descriptors;
            !std::mem::replace(&mut descriptors.is_counted, true)
        };
        if is_new && let Ok(shared) = self.shared() {
            self.export.descriptors.add(&shared, GoferInode::give_descriptors_back);
        }
    }

    /// Closes what no open file uses, unless the inode was used lately.
    fn give_descriptors_back(&self) -> Answer {
        let _closed = {
            let mut state = self.state.lock();
            let descriptors = &mut state.descriptors;
            if std::mem::take(&mut descriptors.is_used) || descriptors.is_mapped_writable {
                return Answer::Keeps;
            }
            descriptors.is_counted = false;
            let closed = descriptors.take_all();
            if closed.1.is_some() {
                state.attributes.outdate_unchanged();
            }
            closed
        };
        Answer::LetGo
    }

    /// Counts an open file, which may be written to if `is_writable`.
    pub(super) fn begin_open(&self, is_writable: bool) {
        self.await_times();
        let descriptors = &mut self.state.lock().descriptors;
        descriptors.opens += 1;
        descriptors.writers += u32::from(is_writable);
        descriptors.writers_ever += u64::from(is_writable);
        descriptors.is_used = true;
    }

    /// An open file is gone.
    pub(super) fn end_open(&self, was_writable: bool) {
        let _closed = {
            let mut state = self.state.lock();
            let descriptors = &mut state.descriptors;
            descriptors.opens -= 1;
            descriptors.writers -= u32::from(was_writable);
            if descriptors.opens > 0 || self.export.is_exclusive() {
                return;
            }
            let closed = descriptors.take_all();
            state.attributes.outdate();
            closed
        };
    }

    /// A shared mapping may be changing the file from now on.
    pub(super) fn note_mapped_writable(&self) {
        self.state.lock().descriptors.is_mapped_writable = true;
    }
}
