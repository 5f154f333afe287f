//! The pages of the running program.

use std::ffi::{c_int, c_void};
use std::ops::Range;

/// Segments of a program that nothing writes to.
const RANGES_MAX: usize = 8;

/// Lets go of the pages of the program's code and constants: the host maps those that are used
/// again, out of its cache. For a process that has started and from now on mostly waits: it stops
/// counting what only its start needed.
pub fn let_go() {
    for range in read_only_segments().iter().filter(|range| !range.is_empty()) {
        let address = std::ptr::with_exposed_provenance_mut::<c_void>(range.start);
        // SAFETY: the range is mapped from the program's file, privately, and never written to
        // (the dynamic relocations of a static program concern writable segments only), so that
        // each page reads the same when it is mapped anew.
        unsafe { libc::madvise(address, range.len(), libc::MADV_DONTNEED) };
    }
}

/// The loaded segments of the program that are not writable, in whole pages; empty ranges fill the
/// rest.
fn read_only_segments() -> [Range<usize>; RANGES_MAX] {
    let mut ranges = [const { 0..0 }; RANGES_MAX];
    // SAFETY: the callback takes the array for what it is, and keeps none of its pointers.
    unsafe { libc::dl_iterate_phdr(Some(collect), (&raw mut ranges).cast()) };
    ranges
}

/// Looks at the first object, the program, only.
extern "C" fn collect(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
    const PAGE: usize = 4096;
    let ranges: *mut [Range<usize>; RANGES_MAX] = data.cast();
    // SAFETY: the C library passes a live description.
    let info = unsafe { &*info };
    // SAFETY: `read_only_segments` passes its array, which nobody else uses meanwhile.
    let ranges = unsafe { &mut *ranges };
    // SAFETY: the program's headers are mapped as long as it runs.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let is_read_only = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0
    };
    for (range, header) in ranges.iter_mut().zip(headers.iter().filter(is_read_only)) {
        let start = (info.dlpi_addr + header.p_vaddr) as usize;
        let end = start + header.p_filesz as usize;
        // Pages that the next segment shares are left alone.
        *range =
            start.next_multiple_of(PAGE)..(end / PAGE * PAGE).max(start.next_multiple_of(PAGE));
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_runs_on_after_its_pages_are_gone() {
        let here = code_runs_on_after_its_pages_are_gone as fn() as usize;
        let ranges = read_only_segments();
        assert!(ranges.iter().any(|range| range.contains(&here)), "{ranges:?} {here:#x}");
        let_go();
        assert_eq!(read_only_segments(), ranges);
    }
}
