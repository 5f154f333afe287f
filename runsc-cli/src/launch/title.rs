//! What `ps` shows of a process that executes nothing.

use std::fs;
use std::ops::Range;

/// Where `/proc/[pid]/stat` has the place of the arguments, behind the name (proc(5): fields 48, 49).
const ARGUMENTS_START: usize = 48 - 3;

/// Puts `words` in the place of this process' arguments, as far as there is room. To be called while
/// the host's `/proc` is visible; without it they stay as they are.
///
/// `std::env::args` must not be used any more.
pub fn set(words: &[&str]) {
    let Some(place) = arguments() else { return };
    let text = words.iter().flat_map(|word| word.bytes().chain([0]));
    // The last byte tells the kernel where they end.
    let bytes = text.take(place.len() - 1).chain(std::iter::repeat(0));
    for (at, byte) in place.zip(bytes) {
        let at = std::ptr::with_exposed_provenance_mut::<u8>(at);
        // SAFETY: the kernel has put the arguments there, on this process' first stack, and tells of no
        // other place. Nobody reads them now, as the caller sees to.
        unsafe { at.write_volatile(byte) };
    }
}

/// Where the kernel has put the arguments.
fn arguments() -> Option<Range<usize>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(ARGUMENTS_START);
    let mut next = || fields.next()?.parse::<usize>().ok();
    let (start, end) = (next()?, next()?);
    (start != 0 && start < end).then_some(start..end)
}
