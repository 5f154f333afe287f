//! The bytes in a pipe, in page-sized slots as Linux keeps them.
//!
//! The slots matter to a program: they decide when a pipe is full, which small writes share a
//! page, and where a packet ends. The bytes themselves lie in one ring.

use std::collections::VecDeque;

use linux_abi::Errno;

use crate::memory::{ByteRing, IoDest, IoSource};

/// Bytes a slot holds.
pub const SLOT_BYTES: usize = 4096;
/// Slots of a new pipe (`PIPE_DEF_BUFFERS`).
pub const DEFAULT_SLOTS: usize = 16;
/// Largest size in bytes without `CAP_SYS_RESOURCE` (`/proc/sys/fs/pipe-max-size`).
pub const MAX_SIZE: usize = 1 << 20;

/// One page of a pipe: `consumed` bytes are gone, `len` are left.
#[derive(Clone, Copy, Debug)]
struct Slot {
    consumed: usize,
    len: usize,
    is_packet: bool,
}

/// The contents of a pipe.
#[derive(Debug)]
pub struct PipeBuffer {
    bytes: ByteRing,
    slots: VecDeque<Slot>,
    max_slots: usize,
}

impl Default for PipeBuffer {
    fn default() -> PipeBuffer {
        PipeBuffer { bytes: ByteRing::new(), slots: VecDeque::new(), max_slots: DEFAULT_SLOTS }
    }
}

impl PipeBuffer {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether no slot is free: the pipe is not ready for writing.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= self.max_slots
    }

    /// Capacity in bytes (`F_GETPIPE_SZ`).
    pub fn capacity(&self) -> usize {
        self.max_slots * SLOT_BYTES
    }

    /// Whether there are no packets in it.
    pub fn is_plain(&self) -> bool {
        self.slots.iter().all(|slot| !slot.is_packet)
    }

    /// Takes all bytes out.
    pub fn take_all(&mut self) -> Vec<u8> {
        self.slots.clear();
        self.bytes.take_all()
    }

    /// Sets the capacity to `bytes`, rounded up to a power of two of pages (`F_SETPIPE_SZ`).
    ///
    /// Errors: EINVAL for zero or more than 2 GiB; EPERM for growing beyond [`MAX_SIZE`] without
    /// `privileged`; EBUSY when more slots are in use.
    pub fn set_capacity(&mut self, bytes: u64, privileged: bool) -> Result<usize, Errno> {
        if bytes == 0 || bytes > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let slots = (bytes as usize).div_ceil(SLOT_BYTES).next_power_of_two();
        if slots > self.max_slots && slots * SLOT_BYTES > MAX_SIZE && !privileged {
            return Err(Errno::EPERM);
        }
        if slots < self.slots.len() {
            return Err(Errno::EBUSY);
        }
        self.max_slots = slots;
        Ok(self.capacity())
    }

    /// Bytes that a write of whole pages has room for.
    pub fn room(&self) -> usize {
        self.max_slots.saturating_sub(self.slots.len()) * SLOT_BYTES
    }

    /// Appends all of `bytes`, even beyond the capacity.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.push(bytes);
        self.account(bytes.len(), 0, false);
    }

    /// Appends a packet, which fits into a slot, even beyond the capacity.
    pub fn push_packet(&mut self, bytes: &[u8]) {
        self.bytes.push(bytes);
        self.account(bytes.len(), 0, true);
    }

    /// Gives bytes back that were read last.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.bytes.push_front(bytes);
        for piece in bytes.rchunks(SLOT_BYTES) {
            self.slots.push_front(Slot { consumed: 0, len: piece.len(), is_packet: false });
        }
    }

    /// Takes as much from `source` as there is room for. Up to `PIPE_BUF` bytes go in whole or
    /// not at all (pipe(7)). With `packets`, each slot is one packet.
    ///
    /// Errors: EAGAIN (no room), EFAULT.
    pub fn write(&mut self, source: &mut IoSource<'_>, packets: bool) -> Result<usize, Errno> {
        let merge = self.merge_room(source.remaining());
        let room = merge + self.room();
        if room == 0 {
            return Err(Errno::EAGAIN);
        }
        let written = self.bytes.fill_from(source, room)?;
        self.account(written, merge, packets);
        Ok(written)
    }

    /// Moves bytes to `dest`; a packet ends the read, and what does not fit of it is dropped.
    ///
    /// Errors: EAGAIN (empty), EFAULT.
    pub fn read(&mut self, dest: &mut IoDest<'_>) -> Result<usize, Errno> {
        if self.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let want = self.readable(dest.remaining());
        let moved = self.bytes.drain_to(dest, want)?;
        self.consume(moved);
        Ok(moved)
    }

    /// Appends up to `max` bytes of `from`, which keeps them (`tee`). Answers with how many.
    pub fn copy_from(&mut self, from: &PipeBuffer, max: usize) -> usize {
        let mut offset = 0;
        for slot in &from.slots {
            if offset == max || self.is_full() {
                break;
            }
            let count = slot.len.min(max - offset);
            self.bytes.push_from(&from.bytes, offset, count);
            self.slots.push_back(Slot { consumed: 0, len: count, ..*slot });
            offset += count;
        }
        offset
    }

    /// Moves up to `max` bytes of `from` here (`splice` between pipes), whole slots where possible.
    pub fn move_from(&mut self, from: &mut PipeBuffer, max: usize) -> usize {
        let moved = self.copy_from(from, max);
        from.bytes.discard(moved);
        from.consume_exactly(moved);
        moved
    }

    /// How many of `total` bytes fit behind those of the last slot. Linux: only the odd bytes
    /// beyond whole pages, and only if all of them fit.
    fn merge_room(&self, total: usize) -> usize {
        let odd = total % SLOT_BYTES;
        match self.slots.back() {
            Some(last) if !last.is_packet && last.consumed + last.len + odd <= SLOT_BYTES => odd,
            _ => 0,
        }
    }

    /// Distributes `written` new bytes over slots, the first `merge` of them to the last slot.
    fn account(&mut self, written: usize, merge: usize, packets: bool) {
        let merged = written.min(merge);
        if let Some(last) = self.slots.back_mut() {
            last.len += merged;
        }
        let mut rest = written - merged;
        while rest > 0 {
            let len = rest.min(SLOT_BYTES);
            self.slots.push_back(Slot { consumed: 0, len, is_packet: packets });
            rest -= len;
        }
    }

    /// How many bytes a read of `room` bytes gets: up to the end of the first packet.
    fn readable(&self, room: usize) -> usize {
        let mut total = 0;
        for slot in &self.slots {
            total += slot.len;
            if slot.is_packet {
                break;
            }
        }
        total.min(room)
    }

    /// Takes `count` read bytes off the slots; the rest of a packet goes with them.
    fn consume(&mut self, count: usize) {
        let mut plain = 0;
        let packet = self.slots.iter().find(|slot| {
            let is_before = !slot.is_packet && plain + slot.len <= count;
            plain += if is_before { slot.len } else { 0 };
            !is_before
        });
        let lost = match packet {
            Some(slot) if slot.is_packet && plain < count => slot.len - (count - plain),
            _ => 0,
        };
        self.bytes.discard(lost);
        self.consume_exactly(count + lost);
    }

    fn consume_exactly(&mut self, count: usize) {
        let mut rest = count;
        while let Some(slot) = self.slots.front_mut() {
            if slot.len > rest {
                slot.len -= rest;
                slot.consumed += rest;
                return;
            }
            rest -= slot.len;
            self.slots.pop_front();
            if rest == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(buffer: &mut PipeBuffer, len: usize) -> Result<usize, Errno> {
        let data = vec![1; len];
        buffer.write(&mut IoSource::kernel(&data), false)
    }

    fn read(buffer: &mut PipeBuffer, len: usize) -> Result<usize, Errno> {
        let mut data = vec![0; len];
        buffer.read(&mut IoDest::kernel(&mut data))
    }

    #[test]
    fn small_writes_share_a_page() {
        let mut buffer = PipeBuffer::default();
        for _ in 0..65536 {
            assert_eq!(write(&mut buffer, 1), Ok(1));
        }
        assert_eq!(write(&mut buffer, 1), Err(Errno::EAGAIN));
        assert!(buffer.is_full());
    }

    #[test]
    fn atomic_write_needs_a_free_slot() {
        let mut buffer = PipeBuffer::default();
        assert_eq!(write(&mut buffer, 65536), Ok(65536));
        assert_eq!(read(&mut buffer, 1), Ok(1));
        assert_eq!(write(&mut buffer, 1), Err(Errno::EAGAIN));
        assert_eq!(read(&mut buffer, 4095), Ok(4095));
        assert_eq!(write(&mut buffer, 4096), Ok(4096));
        assert!(buffer.is_full());
    }

    #[test]
    fn large_write_is_partial() {
        let mut buffer = PipeBuffer::default();
        assert_eq!(write(&mut buffer, 100_000), Ok(65536));
        assert_eq!(buffer.len(), 65536);
        assert_eq!(read(&mut buffer, 100_000), Ok(65536));
        assert!(buffer.is_empty());
    }

    #[test]
    fn packets_end_a_read_and_lose_their_rest() {
        let mut buffer = PipeBuffer::default();
        let mut packet = |len: usize| {
            let data = vec![1; len];
            buffer.write(&mut IoSource::kernel(&data), true).unwrap();
        };
        packet(100);
        packet(10);
        packet(10);
        assert_eq!(read(&mut buffer, 50), Ok(50));
        assert_eq!(read(&mut buffer, 50), Ok(10));
        assert_eq!(buffer.len(), 10);
    }

    #[test]
    fn capacity_rounds_up_and_protects_contents() {
        let mut buffer = PipeBuffer::default();
        assert_eq!(buffer.set_capacity(5000, false), Ok(8192));
        assert_eq!(buffer.set_capacity(1, false), Ok(4096));
        assert_eq!(buffer.set_capacity(0, false), Err(Errno::EINVAL));
        assert_eq!(buffer.set_capacity(2 << 20, false), Err(Errno::EPERM));
        assert_eq!(buffer.set_capacity(2 << 20, true), Ok(2 << 20));
        assert_eq!(write(&mut buffer, 10_000), Ok(10_000));
        assert_eq!(buffer.set_capacity(4096, true), Err(Errno::EBUSY));
    }

    #[test]
    fn tee_keeps_and_splice_moves() {
        let mut from = PipeBuffer::default();
        let mut to = PipeBuffer::default();
        write(&mut from, 5000).unwrap();
        assert_eq!(to.copy_from(&from, 4500), 4500);
        assert_eq!(from.len(), 5000);
        assert_eq!(to.move_from(&mut from, 10_000), 5000);
        assert!(from.is_empty());
        assert_eq!(to.len(), 9500);
    }
}
