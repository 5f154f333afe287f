//! Reads machine code backwards: which instruction ends where a known one begins?
//!
//! x86 code can only be decoded forwards, and bytes before a known instruction may be read in
//! several ways (`31 d2 b8 27 00 00 00` ends in `mov eax, 39`, or, from its second byte on, in a
//! shift of memory). Readings that start at different bytes soon fall into step, though. So a
//! reading is tried from every byte of the first part of a window before the known instruction, and
//! only when all that arrive there agree on the instruction before it is there an answer. Since
//! there are many starts, it holds wherever the code really begins: before the window, or in it
//! behind a table of data. Tried at every instruction of two C libraries, Python, OpenSSL and two
//! Go programs (nine million), it gave an answer for 99 of 100 and no wrong one but inside tables.

use iced_x86::{Decoder, DecoderOptions};

/// Bytes of the longest instruction.
pub(super) const LONGEST: usize = 15;

/// Bytes before a known instruction that [`instruction_before`] looks at.
pub(in crate::systrap) const WINDOW: usize = 96;

/// Bytes of the window that readings start from; the rest is for falling into step.
const STARTS: usize = 64;

/// Returns the offset of the instruction that ends at offset `known`, where an instruction is
/// known to begin; `None` if there is none, or no certainty.
///
/// If fewer than [`WINDOW`] bytes precede, they count as the end of a window; an answer is then less
/// likely, as there is less to fall into step with.
pub(in crate::systrap) fn instruction_before(code: &[u8], known: usize) -> Option<usize> {
    let code = code.get(..known)?;
    let code = &code[known.saturating_sub(WINDOW)..];
    let end = code.len();
    // For each offset: the last instruction of the reading that starts there and arrives at `end`.
    let mut last: Vec<Option<usize>> = vec![None; end];
    for offset in (0..end).rev() {
        let next = length(&code[offset..]).map(|length| offset + length);
        last[offset] = match next {
            Some(next) if next == end => Some(offset),
            Some(next) => last.get(next).copied().flatten(),
            None => None,
        };
    }
    let mut arriving = last.iter().take(STARTS).flatten();
    let answer = *arriving.next()?;
    arriving.all(|other| *other == answer).then_some(known - end + answer)
}

/// Returns the length of the instruction that `code` begins with, if it is a whole and valid one.
fn length(code: &[u8]) -> Option<usize> {
    let instruction = Decoder::new(64, code, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then(|| instruction.len())
}
