//! File bytes on our heap, in sparse blocks.

use std::collections::BTreeMap;

use linux_abi::Errno;

use super::limits::PAGE_BYTES;
use crate::memory::{IoDest, IoSource};

/// Bytes of a block. A block may be shorter; what is missing reads as zeros.
pub(super) const BLOCK_BYTES: u64 = 64 << 10;

const ZEROS: [u8; 4096] = [0; 4096];

/// Sparse bytes by block number.
#[derive(Default)]
pub(super) struct Heap {
    blocks: BTreeMap<u64, Vec<u8>>,
    pages: u64,
}

fn pages_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(PAGE_BYTES)
}

impl Heap {
    /// Pages in use.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.blocks.iter().map(|(index, block)| (index * BLOCK_BYTES, block.as_slice()))
    }

    /// The block that `offset` lies in, made at least `len` bytes long.
    fn block(&mut self, offset: u64, len: usize) -> &mut Vec<u8> {
        let block = self.blocks.entry(offset / BLOCK_BYTES).or_default();
        if block.len() < len {
            self.pages += pages_of(len) - pages_of(block.len());
            block.resize(len, 0);
        }
        block
    }

    pub(super) fn read(
        &self,
        dest: &mut IoDest<'_>,
        offset: u64,
        max: usize,
    ) -> Result<usize, Errno> {
        let mut done = 0;
        while done < max && dest.remaining() > 0 {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES) as usize;
            let block = self.blocks.get(&(at / BLOCK_BYTES)).map_or(&[][..], Vec::as_slice);
            let piece = match block.get(within..) {
                Some(data) if !data.is_empty() => data,
                // Up to the next block: a hole.
                _ => &ZEROS[..ZEROS.len().min(BLOCK_BYTES as usize - within)],
            };
            let piece = &piece[..piece.len().min(max - done)];
            match dest.put(piece) {
                Ok(put) => {
                    done += put;
                    if put < piece.len() {
                        break;
                    }
                }
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    pub(super) fn write(
        &mut self,
        source: &mut IoSource<'_>,
        offset: u64,
        max: usize,
    ) -> Result<usize, Errno> {
        let mut done = 0;
        while done < max && source.remaining() > 0 {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES) as usize;
            let room = BLOCK_BYTES as usize - within;
            let want = room.min(max - done).min(source.remaining());
            let block = self.block(at, within + want);
            match source.take(&mut block[within..within + want]) {
                Ok(got) => {
                    done += got;
                    if got < want {
                        break;
                    }
                }
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Pages that a write of `start..end` adds.
    pub(super) fn pages_to_add(&self, start: u64, end: u64) -> u64 {
        let indices = start / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        let grown = indices.map(|index| {
            let have = self.blocks.get(&index).map_or(0, Vec::len);
            let need = (end - index * BLOCK_BYTES).min(BLOCK_BYTES) as usize;
            pages_of(need).saturating_sub(pages_of(have))
        });
        grown.sum()
    }

    /// Gives `start..end` its memory.
    pub(super) fn reserve(&mut self, start: u64, end: u64) {
        for index in start / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let need = (end - index * BLOCK_BYTES).min(BLOCK_BYTES) as usize;
            let _ = self.block(index * BLOCK_BYTES, need);
        }
    }

    /// Drops what lies at and beyond `size`.
    pub(super) fn cut(&mut self, size: u64) {
        drop(self.blocks.split_off(&size.div_ceil(BLOCK_BYTES)));
        let within = (size % BLOCK_BYTES) as usize;
        if within != 0
            && let Some(block) = self.blocks.get_mut(&(size / BLOCK_BYTES))
        {
            block.truncate(within);
            block.shrink_to_fit();
        }
        self.recount();
    }

    /// Makes `start..end` read as zeros; whole blocks are freed.
    pub(super) fn punch(&mut self, start: u64, end: u64) {
        let whole = start.div_ceil(BLOCK_BYTES)..end / BLOCK_BYTES;
        self.blocks.retain(|index, _| !whole.contains(index));
        for (index, block) in self.blocks.range_mut(start / BLOCK_BYTES..=end / BLOCK_BYTES) {
            let base = index * BLOCK_BYTES;
            let from = start.saturating_sub(base).min(block.len() as u64) as usize;
            let to = end.saturating_sub(base).min(block.len() as u64) as usize;
            block[from..to.max(from)].fill(0);
        }
        self.recount();
    }

    fn recount(&mut self) {
        self.pages = self.blocks.values().map(|block| pages_of(block.len())).sum();
    }

    /// The first data, or the first hole, at or after `offset` and before `size`; `size` itself
    /// counts as a hole.
    pub(super) fn seek(&self, offset: u64, size: u64, wants_hole: bool) -> Option<u64> {
        let mut at = offset;
        while at < size {
            let index = at / BLOCK_BYTES;
            let filled = self.blocks.get(&index).map_or(0, |block| block.len() as u64);
            let data_end = index * BLOCK_BYTES + filled.next_multiple_of(PAGE_BYTES);
            let is_data = at < data_end;
            if is_data != wants_hole {
                return Some(at);
            }
            at = if is_data {
                data_end
            } else {
                // The next block that has anything.
                self.blocks.range(index + 1..).next().map_or(size, |(next, _)| next * BLOCK_BYTES)
            };
        }
        wants_hole.then_some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(heap: &Heap, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        heap.read(&mut IoDest::collect(&mut bytes, len), offset, len).unwrap();
        bytes
    }

    #[test]
    fn writes_across_blocks_and_holes_read_back() {
        let mut heap = Heap::default();
        let data: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let at = 3 * BLOCK_BYTES - 1000;
        assert_eq!(heap.write(&mut IoSource::kernel(&data), at, usize::MAX), Ok(data.len()));
        assert_eq!(read(&heap, at, data.len()), data);
        assert_eq!(read(&heap, 0, 5000), vec![0; 5000]);
        assert_eq!(heap.pages_to_add(at, at + data.len() as u64), 0);
        assert_eq!(heap.seek(0, 1 << 30, false), Some(2 * BLOCK_BYTES));
        assert_eq!(heap.seek(0, 1 << 30, true), Some(0));
    }

    #[test]
    fn cutting_and_punching_free_pages() {
        let mut heap = Heap::default();
        let data = vec![7; 3 * BLOCK_BYTES as usize];
        heap.write(&mut IoSource::kernel(&data), 0, usize::MAX).unwrap();
        assert_eq!(heap.pages(), 48);
        heap.punch(100, 2 * BLOCK_BYTES + 100);
        assert_eq!(heap.pages(), 32);
        assert_eq!(read(&heap, 99, 2), [7, 0]);
        assert_eq!(read(&heap, 2 * BLOCK_BYTES + 99, 2), [0, 7]);
        heap.cut(50);
        assert_eq!(heap.pages(), 1);
        heap.reserve(0, 5000);
        assert_eq!(read(&heap, 49, 3), [7, 0, 0]);
    }
}
