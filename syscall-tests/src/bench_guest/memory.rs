//! Memory: mapping, touching, faults.

use crate::Primitive;
use crate::sys::{call, call3};

pub const ALL: &[Primitive] = &[
    ("mmap_munmap", mmap_munmap),
    ("mmap_touch", mmap_touch),
    ("page_fault", page_fault),
    ("mprotect", mprotect),
];

const PAGE: usize = 4096;

fn map(len: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    call(libc::SYS_mmap, [0, len, prot as usize, flags as usize, usize::MAX, 0])
}

fn touch(address: usize) {
    let page = std::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: the page was just mapped readable and writable and is used by nobody else.
    unsafe { page.write_volatile(1) };
}

fn mmap_munmap(count: u32) {
    for _ in 0..count {
        let address = map(PAGE);
        call3(libc::SYS_munmap, address, PAGE, 0);
    }
}

fn mmap_touch(count: u32) {
    for _ in 0..count {
        let address = map(PAGE);
        touch(address);
        call3(libc::SYS_munmap, address, PAGE, 0);
    }
}

/// One fault, in blocks of 256 pages so that the mapping itself does not count.
fn page_fault(count: u32) {
    const PAGES: usize = 256;
    let len = PAGES * PAGE;
    let address = map(len);
    call3(libc::SYS_madvise, address, len, libc::MADV_NOHUGEPAGE as usize);
    for index in 0..count as usize {
        if index.is_multiple_of(PAGES) {
            call3(libc::SYS_madvise, address, len, libc::MADV_DONTNEED as usize);
        }
        touch(address + index % PAGES * PAGE);
    }
    call3(libc::SYS_munmap, address, len, 0);
}

fn mprotect(count: u32) {
    let address = map(PAGE);
    for index in 0..count {
        let prot = if index % 2 == 0 { libc::PROT_READ } else { libc::PROT_WRITE };
        call3(libc::SYS_mprotect, address, PAGE, prot as usize);
    }
    call3(libc::SYS_munmap, address, PAGE, 0);
}
