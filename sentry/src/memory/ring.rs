//! A growing ring of bytes between an [`IoSource`] and an [`IoDest`].
//!
//! Pipes, stream sockets and terminals keep their bytes here: one copy in, one copy out. The
//! owner decides how many bytes may be in it; the ring only grows to hold them.

use linux_abi::Errno;

use super::{IoDest, IoSource};

/// Smallest allocation, in bytes.
const MIN_CAPACITY: usize = 4096;

/// Bytes in the order they came.
#[derive(Debug, Default)]
pub struct ByteRing {
    /// Its length is zero or a power of two.
    buffer: Vec<u8>,
    /// Index of the oldest byte.
    head: usize,
    len: usize,
}

impl ByteRing {
    pub const fn new() -> ByteRing {
        ByteRing { buffer: Vec::new(), head: 0, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes all bytes out.
    pub fn take_all(&mut self) -> Vec<u8> {
        let (len, mut bytes) = (self.len, Vec::new());
        // Into a vector goes all that is there.
        let moved = self.drain_to(&mut IoDest::collect(&mut bytes, len), len);
        debug_assert_eq!(moved, Ok(len));
        bytes
    }

    /// Takes up to `max` bytes from `source`; answers with how many.
    ///
    /// Errors: EFAULT when the source is inaccessible and nothing was taken.
    pub fn fill_from(&mut self, source: &mut IoSource<'_>, max: usize) -> Result<usize, Errno> {
        let want = max.min(source.remaining());
        self.reserve(want);
        let mut total = 0;
        while total < want {
            let (start, end) = self.free_span(want - total);
            let got = match source.take(&mut self.buffer[start..end]) {
                Ok(got) => got,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            self.len += got;
            total += got;
            if got < end - start {
                break;
            }
        }
        Ok(total)
    }

    /// Moves up to `max` of the oldest bytes to `dest`; answers with how many.
    ///
    /// Errors: EFAULT when the destination is inaccessible and nothing was moved.
    pub fn drain_to(&mut self, dest: &mut IoDest<'_>, max: usize) -> Result<usize, Errno> {
        let moved = self.peek_to(0, dest, max)?;
        self.discard(moved);
        Ok(moved)
    }

    /// Copies up to `max` bytes behind the first `skip` to `dest` and keeps them.
    ///
    /// Errors: EFAULT when the destination is inaccessible and nothing was copied.
    pub fn peek_to(&self, skip: usize, dest: &mut IoDest<'_>, max: usize) -> Result<usize, Errno> {
        let mut total = 0;
        for span in self.spans(skip, max) {
            let put = match dest.put(span) {
                Ok(put) => put,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            };
            total += put;
            if put < span.len() {
                break;
            }
        }
        Ok(total)
    }

    /// Appends all of `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (start, end) = self.free_span(rest.len());
            let (now, later) = rest.split_at(end - start);
            self.buffer[start..end].copy_from_slice(now);
            self.len += now.len();
            rest = later;
        }
    }

    /// Puts `bytes` in front of all others.
    pub fn push_front(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        if bytes.is_empty() {
            return;
        }
        self.head = self.head.wrapping_sub(bytes.len()) & self.mask();
        self.len += bytes.len();
        let first = bytes.len().min(self.buffer.len() - self.head);
        self.buffer[self.head..self.head + first].copy_from_slice(&bytes[..first]);
        self.buffer[..bytes.len() - first].copy_from_slice(&bytes[first..]);
    }

    /// Appends up to `max` bytes that follow the first `skip` of `other`, which keeps them.
    pub fn push_from(&mut self, other: &ByteRing, skip: usize, max: usize) -> usize {
        let mut total = 0;
        for span in other.spans(skip, max) {
            self.push(span);
            total += span.len();
        }
        total
    }

    /// Drops up to `count` of the oldest bytes.
    pub fn discard(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        self.head = if self.len == 0 { 0 } else { (self.head + count) & self.mask() };
    }

    /// Drops the newest bytes so that `len` are left.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        *self = ByteRing::new();
    }

    /// The one or two contiguous pieces of the bytes `skip..skip + max`.
    fn spans(&self, skip: usize, max: usize) -> impl Iterator<Item = &[u8]> {
        let skip = skip.min(self.len);
        let want = max.min(self.len - skip);
        let start = if self.buffer.is_empty() { 0 } else { (self.head + skip) & self.mask() };
        let first = want.min(self.buffer.len() - start);
        let spans = [&self.buffer[start..start + first], &self.buffer[..want - first]];
        spans.into_iter().filter(|span| !span.is_empty())
    }

    /// The next contiguous free piece of at most `max` bytes. There is one.
    fn free_span(&self, max: usize) -> (usize, usize) {
        let start = (self.head + self.len) & self.mask();
        let end = if start < self.head { self.head } else { self.buffer.len() };
        (start, end.min(start + max))
    }

    fn mask(&self) -> usize {
        self.buffer.len() - 1
    }

    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.buffer.len() {
            return;
        }
        let mut grown = vec![0; needed.next_power_of_two().max(MIN_CAPACITY)];
        let mut at = 0;
        for span in self.spans(0, self.len) {
            grown[at..at + span.len()].copy_from_slice(span);
            at += span.len();
        }
        self.buffer = grown;
        self.head = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(ring: &mut ByteRing, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        ring.drain_to(&mut IoDest::collect(&mut bytes, max), max).unwrap();
        bytes
    }

    #[test]
    fn bytes_leave_in_order_across_the_wrap() {
        let mut ring = ByteRing::new();
        let data: Vec<u8> = (0..3000_u32).map(|value| value as u8).collect();
        for _ in 0..5 {
            ring.push(&data);
            assert_eq!(drain(&mut ring, 3000), data);
            ring.push(&data[..100]);
            ring.push(&data);
            assert_eq!(drain(&mut ring, 100), &data[..100]);
            assert_eq!(drain(&mut ring, 3000), data);
        }
    }

    #[test]
    fn growing_keeps_the_order() {
        let mut ring = ByteRing::new();
        ring.push(&[1; 4000]);
        ring.discard(3000);
        ring.push(&[2; 3000]);
        ring.push(&[3; 5000]);
        assert_eq!(ring.len(), 9000);
        let all = drain(&mut ring, 10_000);
        assert_eq!(all[..1000], [1; 1000]);
        assert_eq!(all[1000..4000], [2; 3000]);
        assert_eq!(all[4000..], [3; 5000]);
    }

    #[test]
    fn bytes_go_back_to_the_front() {
        let mut ring = ByteRing::new();
        ring.push(&[9; 4000]);
        ring.discard(2);
        ring.push_front(b"abcdef");
        assert_eq!(drain(&mut ring, 7), b"abcdef\x09");
        assert_eq!(ring.len(), 3997);
    }

    #[test]
    fn peek_skips_and_keeps() {
        let mut ring = ByteRing::new();
        ring.push(b"abcdef");
        let mut bytes = Vec::new();
        assert_eq!(ring.peek_to(2, &mut IoDest::collect(&mut bytes, 3), 10), Ok(3));
        assert_eq!(bytes, b"cde");
        assert_eq!(ring.len(), 6);
    }

    #[test]
    fn fill_takes_no_more_than_allowed() {
        let mut ring = ByteRing::new();
        let data = [5_u8; 100];
        let mut source = IoSource::kernel(&data);
        assert_eq!(ring.fill_from(&mut source, 60), Ok(60));
        assert_eq!(source.remaining(), 40);
        assert_eq!(ring.fill_from(&mut source, 60), Ok(40));
        assert_eq!(ring.len(), 100);
    }
}
