//! I/O buffers: where a read puts its bytes and where a write takes them from.
//!
//! A file copies straight to and from these. Both remember how far they got, so a blocked
//! operation continues where it stopped.

use linux_abi::Errno;

use super::{UserAddr, UserMemory};

/// One range of guest memory.
#[derive(Clone, Copy, Debug)]
pub struct UserIoVec {
    pub addr: UserAddr,
    pub len: usize,
}

/// Largest piece moved through a kernel buffer at a time.
const CHUNK_BYTES: usize = 256 << 10;

enum DestKind<'a> {
    User {
        memory: &'a UserMemory,
        ranges: Ranges,
    },
    Kernel {
        buffer: &'a mut [u8],
    },
    /// Collects into a vector (splice, sendfile).
    Collect {
        bytes: &'a mut Vec<u8>,
        room: usize,
    },
}

/// Destination of a read.
pub struct IoDest<'a> {
    kind: DestKind<'a>,
    done: usize,
}

enum SourceKind<'a> {
    User { memory: &'a UserMemory, ranges: Ranges },
    Kernel { buffer: &'a [u8] },
}

/// Source of a write.
pub struct IoSource<'a> {
    kind: SourceKind<'a>,
    done: usize,
}

/// A position in an [`IoSource`] to go back to.
#[derive(Clone, Copy, Debug)]
pub struct IoMark {
    index: usize,
    offset: usize,
    done: usize,
}

/// Guest ranges with a position.
struct Ranges {
    list: Vec<UserIoVec>,
    index: usize,
    offset: usize,
}

impl Ranges {
    fn new(list: Vec<UserIoVec>) -> Ranges {
        let mut ranges = Ranges { list, index: 0, offset: 0 };
        ranges.skip_empty();
        ranges
    }

    fn remaining(&self) -> usize {
        let rest: usize = self.list.iter().skip(self.index).map(|range| range.len).sum();
        rest - self.offset
    }

    /// The contiguous range at the position.
    fn current(&self) -> Option<UserIoVec> {
        let range = self.list.get(self.index)?;
        Some(UserIoVec { addr: range.addr.add(self.offset as u64), len: range.len - self.offset })
    }

    /// Cuts what comes after `max` more bytes.
    fn limit(&mut self, max: usize) {
        let mut room = max.saturating_add(self.offset);
        for range in self.list.iter_mut().skip(self.index) {
            range.len = range.len.min(room);
            room -= range.len;
        }
        self.skip_empty();
    }

    /// Moves on by `count` bytes, which lie in the current range.
    fn advance(&mut self, count: usize) {
        self.offset += count;
        self.skip_empty();
    }

    fn skip_empty(&mut self) {
        while self.list.get(self.index).is_some_and(|range| self.offset >= range.len) {
            self.index += 1;
            self.offset = 0;
        }
    }
}

impl<'a> IoDest<'a> {
    pub fn user(memory: &'a UserMemory, ranges: Vec<UserIoVec>) -> IoDest<'a> {
        IoDest { kind: DestKind::User { memory, ranges: Ranges::new(ranges) }, done: 0 }
    }

    pub fn kernel(buffer: &'a mut [u8]) -> IoDest<'a> {
        IoDest { kind: DestKind::Kernel { buffer }, done: 0 }
    }

    /// Appends up to `room` bytes to `bytes`.
    pub fn collect(bytes: &'a mut Vec<u8>, room: usize) -> IoDest<'a> {
        IoDest { kind: DestKind::Collect { bytes, room }, done: 0 }
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> usize {
        match &self.kind {
            DestKind::User { ranges, .. } => ranges.remaining(),
            DestKind::Kernel { buffer } => buffer.len() - self.done,
            DestKind::Collect { room, .. } => room - self.done,
        }
    }

    /// Bytes put so far.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Puts as much of `data` as fits; answers with the number of bytes taken.
    ///
    /// Errors: EFAULT when guest memory is inaccessible and not even one byte was put; a fault
    /// after some bytes is a short count.
    pub fn put(&mut self, data: &[u8]) -> Result<usize, Errno> {
        let mut total = 0;
        match &mut self.kind {
            DestKind::User { memory, ranges } => {
                while let (Some(range), false) = (ranges.current(), total == data.len()) {
                    let want = range.len.min(data.len() - total);
                    match memory.write_partial(range.addr, &data[total..total + want]) {
                        Ok(put) => {
                            ranges.advance(put);
                            total += put;
                            if put < want {
                                break;
                            }
                        }
                        Err(errno) if total == 0 => return Err(errno),
                        Err(_) => break,
                    }
                }
            }
            DestKind::Kernel { buffer } => {
                total = data.len().min(buffer.len() - self.done);
                buffer[self.done..self.done + total].copy_from_slice(&data[..total]);
            }
            DestKind::Collect { bytes, room } => {
                total = data.len().min(*room - self.done);
                bytes.extend_from_slice(&data[..total]);
            }
        }
        self.done += total;
        Ok(total)
    }

    /// Puts what `fill` writes into a buffer of at most `max` bytes, in pieces, until `fill` comes
    /// up short. `fill` gets the number of bytes put so far in this call and the buffer.
    ///
    /// Errors: those of `fill` or [`IoDest::put`] when nothing was put before.
    pub fn fill(
        &mut self,
        max: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let max = max.min(self.remaining());
        let mut total = 0;
        if let DestKind::Kernel { buffer } = &mut self.kind {
            total = fill_all(&mut buffer[self.done..][..max], fill)?;
            self.done += total;
            return Ok(total);
        }
        let mut small = [0_u8; 4096];
        let mut large = if max > small.len() { vec![0; max.min(CHUNK_BYTES)] } else { Vec::new() };
        while total < max {
            let buffer = if large.is_empty() { &mut small[..] } else { &mut large[..] };
            let want = buffer.len().min(max - total);
            let got = match fill(total, &mut buffer[..want]) {
                Ok(got) => got,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            let put = match self.put(&buffer[..got]) {
                Ok(put) => put,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            total += put;
            if put < want {
                break;
            }
        }
        Ok(total)
    }
}

impl<'a> IoSource<'a> {
    pub fn user(memory: &'a UserMemory, ranges: Vec<UserIoVec>) -> IoSource<'a> {
        IoSource { kind: SourceKind::User { memory, ranges: Ranges::new(ranges) }, done: 0 }
    }

    pub fn kernel(buffer: &'a [u8]) -> IoSource<'a> {
        IoSource { kind: SourceKind::Kernel { buffer }, done: 0 }
    }

    /// Bytes not yet taken.
    pub fn remaining(&self) -> usize {
        match &self.kind {
            SourceKind::User { ranges, .. } => ranges.remaining(),
            SourceKind::Kernel { buffer } => buffer.len() - self.done,
        }
    }

    /// Bytes taken so far.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Ends the source after `max` more bytes.
    pub fn limit(&mut self, max: usize) {
        match &mut self.kind {
            SourceKind::User { ranges, .. } => ranges.limit(max),
            SourceKind::Kernel { buffer } => {
                *buffer = &buffer[..buffer.len().min(self.done + max)];
            }
        }
    }

    /// The position now, for [`IoSource::rewind`].
    pub fn mark(&self) -> IoMark {
        let (index, offset) = match &self.kind {
            SourceKind::User { ranges, .. } => (ranges.index, ranges.offset),
            SourceKind::Kernel { .. } => (0, 0),
        };
        IoMark { index, offset, done: self.done }
    }

    /// Goes back to `mark`, which came from this source: what was taken since can be taken again.
    pub fn rewind(&mut self, mark: IoMark) {
        if let SourceKind::User { ranges, .. } = &mut self.kind {
            ranges.index = mark.index;
            ranges.offset = mark.offset;
        }
        self.done = mark.done;
    }

    /// Takes bytes into `buf`; answers with how many (0 only at the end or for an empty `buf`).
    ///
    /// Errors: EFAULT when guest memory is inaccessible and nothing was taken in this call.
    pub fn take(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut total = 0;
        match &mut self.kind {
            SourceKind::User { memory, ranges } => {
                while let (Some(range), false) = (ranges.current(), total == buf.len()) {
                    let want = range.len.min(buf.len() - total);
                    match memory.read_partial(range.addr, &mut buf[total..total + want]) {
                        Ok(got) => {
                            ranges.advance(got);
                            total += got;
                            if got < want {
                                break;
                            }
                        }
                        Err(errno) if total == 0 => return Err(errno),
                        Err(_) => break,
                    }
                }
            }
            SourceKind::Kernel { buffer } => {
                total = buf.len().min(buffer.len() - self.done);
                buf[..total].copy_from_slice(&buffer[self.done..self.done + total]);
            }
        }
        self.done += total;
        Ok(total)
    }

    /// Hands the bytes to `drain` in pieces until it takes less than offered; answers with the
    /// number of bytes that `drain` took. `drain` gets the number of bytes taken before and the piece.
    /// At most `max` bytes. What was copied but not drained is lost to the source, so a caller
    /// that may continue must bound `max` by what it can take.
    ///
    /// Errors: those of `drain` or [`IoSource::take`] when nothing was drained before.
    pub fn drain(
        &mut self,
        max: usize,
        mut drain: impl FnMut(usize, &[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let max = max.min(self.remaining());
        let mut total = 0;
        if let SourceKind::Kernel { buffer } = self.kind {
            total = drain_all(&buffer[self.done..][..max], drain)?;
            self.done += total;
            return Ok(total);
        }
        let mut small = [0_u8; 4096];
        let mut large = if max > small.len() { vec![0; max.min(CHUNK_BYTES)] } else { Vec::new() };
        while total < max {
            let buffer = if large.is_empty() { &mut small[..] } else { &mut large[..] };
            let want = buffer.len().min(max - total);
            let got = match self.take(&mut buffer[..want]) {
                Ok(got) => got,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            let drained = match drain(total, &buffer[..got]) {
                Ok(drained) => drained,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            total += drained;
            if drained < want {
                break;
            }
        }
        Ok(total)
    }
}

/// [`IoDest::fill`] for memory of our own, without a buffer in between.
fn fill_all(
    buffer: &mut [u8],
    mut fill: impl FnMut(usize, &mut [u8]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut total = 0;
    while total < buffer.len() {
        let want = (buffer.len() - total).min(CHUNK_BYTES);
        let got = match fill(total, &mut buffer[total..total + want]) {
            Ok(got) => got,
            Err(errno) if total == 0 => return Err(errno),
            Err(_) => break,
        };
        total += got;
        if got < want {
            break;
        }
    }
    Ok(total)
}

/// [`IoSource::drain`] for memory of our own, without a buffer in between.
fn drain_all(
    buffer: &[u8],
    mut drain: impl FnMut(usize, &[u8]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut total = 0;
    for piece in buffer.chunks(CHUNK_BYTES) {
        let drained = match drain(total, piece) {
            Ok(drained) => drained,
            Err(errno) if total == 0 => return Err(errno),
            Err(_) => break,
        };
        total += drained;
        if drained < piece.len() {
            break;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_destination_takes_what_fits() {
        let mut buffer = [0_u8; 4];
        let mut dest = IoDest::kernel(&mut buffer);
        assert_eq!(dest.put(b"abcdef"), Ok(4));
        assert_eq!(dest.remaining(), 0);
        assert_eq!(&buffer, b"abcd");
    }

    #[test]
    fn rewinding_gives_the_bytes_back() {
        let mut source = IoSource::kernel(b"abcdef");
        let mut buffer = [0; 4];
        source.take(&mut buffer[..2]).unwrap();
        let mark = source.mark();
        source.take(&mut buffer).unwrap();
        source.rewind(mark);
        assert_eq!(source.remaining(), 4);
        assert_eq!(source.take(&mut buffer), Ok(4));
        assert_eq!(&buffer, b"cdef");
    }

    #[test]
    fn fill_stops_at_a_short_piece() {
        let mut bytes = Vec::new();
        let mut dest = IoDest::collect(&mut bytes, 10_000);
        let got = dest.fill(usize::MAX, |done, buf| {
            let left = 5_000 - done;
            let count = left.min(buf.len());
            buf[..count].fill(7);
            Ok(count)
        });
        assert_eq!(got, Ok(5_000));
        assert_eq!(bytes.len(), 5_000);
        let mut buffer = vec![0; CHUNK_BYTES + 5];
        let mut dest = IoDest::kernel(&mut buffer);
        let got = dest.fill(usize::MAX, |done, buf| Ok(buf.len().min(CHUNK_BYTES - done)));
        assert_eq!((got, dest.remaining()), (Ok(CHUNK_BYTES), 5));
        let failed = IoDest::kernel(&mut [0]).fill(1, |_, _| Err(Errno::EIO));
        assert_eq!(failed, Err(Errno::EIO));
    }

    #[test]
    fn drain_hands_over_everything() {
        let data = vec![1_u8; 9_000];
        let mut source = IoSource::kernel(&data);
        let mut seen = 0;
        let drained = source.drain(usize::MAX, |_, piece| {
            seen += piece.len();
            Ok(piece.len())
        });
        assert_eq!(drained, Ok(9_000));
        assert_eq!(seen, 9_000);
        assert_eq!(source.remaining(), 0);
    }
}
