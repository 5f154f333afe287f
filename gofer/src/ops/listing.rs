//! Read directory.
//!
//! A listing that takes several requests goes on on the directory opened for the first one, so
//! that it stays consistent where offsets mean something only for one open directory. A few such
//! streams are kept; one that was forgotten is opened again and set to the offset.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use gofer_protocol::message::{ReadDirReply, ReadDirRequest, WireDirEntry};
use gofer_protocol::transport::errno;
use gofer_protocol::wire::{Reader, Writer};
use gofer_protocol::{Attr, Name, ReadDirFlags};
use linux_abi::Errno;
use rustix::fs::{FileType, RawDir, RawDirEntry, SeekFrom};

use crate::connection::{Connection, Outcome};
use crate::handle::Handle;

/// Streams that a connection keeps.
const MAX_STREAMS: usize = 24;
/// Bytes asked of the host at a time.
const BUFFER_BYTES: usize = 32 << 10;

/// The unfinished listings of a connection, the least recently used first.
#[derive(Debug, Default)]
pub struct Streams {
    open: Vec<Stream>,
    last_id: u64,
}

#[derive(Debug)]
struct Stream {
    id: u64,
    dir: u64,
    fd: OwnedFd,
}

impl Streams {
    /// Takes a stream of the directory node `dir` out.
    fn take(&mut self, id: u64, dir: u64) -> Option<Stream> {
        let index = self.open.iter().position(|stream| stream.id == id && stream.dir == dir)?;
        Some(self.open.remove(index))
    }

    /// Keeps a stream, forgetting the least recently used one if there are too many.
    fn put(&mut self, stream: Stream) {
        if self.open.len() >= MAX_STREAMS {
            self.open.remove(0);
        }
        self.open.push(stream);
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Connection {
    pub(crate) fn read_dir(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: ReadDirRequest = request.fixed()?;
        request.finish()?;
        let flags = ReadDirFlags::from_bits(fixed.flags).ok_or(Errno::EINVAL)?;
        let dir = self.nodes.get(fixed.dir)?;
        dir.as_dir()?;
        let stream = match self.streams.take(fixed.stream, fixed.dir) {
            Some(stream) => stream,
            None => {
                let fd = dir.open_dir(self.proc_dir)?;
                Stream { id: self.streams.next_id(), dir: fixed.dir, fd }
            }
        };
        rustix::fs::seek(&stream.fd, SeekFrom::Start(fixed.offset)).map_err(errno)?;
        let start = self.response.len();
        let mut reply =
            ReadDirReply { stream: stream.id, offset: fixed.offset, ..Default::default() };
        self.response.fixed(&reply);
        fill(&mut self.response, &mut reply, &dir, &stream.fd, flags)?;
        if reply.is_end != 0 {
            reply.stream = 0;
        } else {
            self.streams.put(stream);
        }
        self.response.replace(start, &reply);
        Ok(None)
    }
}

/// Adds entries until the message is full or the directory ends. An error after the first entry
/// is left for the next request to meet.
pub(super) fn fill(
    response: &mut Writer,
    reply: &mut ReadDirReply,
    dir: &Handle,
    fd: &OwnedFd,
    flags: ReadDirFlags,
) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(fd, &mut buffer);
    while response.has_room_for::<(WireDirEntry, Attr)>() {
        match entries.next() {
            None => {
                reply.is_end = 1;
                break;
            }
            Some(Err(_)) if reply.count > 0 => break,
            Some(Err(error)) => return Err(errno(error)),
            Some(Ok(entry)) => {
                reply.offset = entry.next_entry_cookie();
                // This skips `.` and `..`, and anything no client could name.
                if let Ok(name) = Name::new(entry.file_name().to_bytes()) {
                    add_entry(response, dir, &entry, name, flags)?;
                    reply.count += 1;
                }
            }
        }
    }
    Ok(())
}

fn add_entry(
    response: &mut Writer,
    dir: &Handle,
    entry: &RawDirEntry<'_>,
    name: Name<'_>,
    flags: ReadDirFlags,
) -> Result<(), Errno> {
    let wants_attr = flags.contains(ReadDirFlags::ATTRIBUTES);
    let attr = if wants_attr { dir.entry_attr(name).ok() } else { None };
    response.fixed(&WireDirEntry {
        ino: entry.ino(),
        offset: entry.next_entry_cookie(),
        kind: kind_number(entry.file_type()),
        has_attr: attr.is_some().into(),
    });
    if let Some(attr) = attr {
        response.fixed(&attr);
    }
    response.short_bytes(name.as_bytes())
}

/// The `DT_*` number.
fn kind_number(kind: FileType) -> u32 {
    let number = match kind {
        FileType::RegularFile => libc::DT_REG,
        FileType::Directory => libc::DT_DIR,
        FileType::Symlink => libc::DT_LNK,
        FileType::Fifo => libc::DT_FIFO,
        FileType::Socket => libc::DT_SOCK,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::Unknown => libc::DT_UNKNOWN,
    };
    number.into()
}
