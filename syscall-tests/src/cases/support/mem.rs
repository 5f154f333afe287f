//! Mappings, and accesses that are meant to fault.

use super::check::Must;
use super::files::pipe;
use super::process::fork;
use super::signal::on;
use super::sys::{self, peek, poke, sys};
use std::sync::atomic::{AtomicI32, Ordering};

/// Size of a page.
pub const PAGE: usize = 4096;

/// Maps memory at an address the kernel chooses.
#[track_caller]
pub fn map(len: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> usize {
    sys!(mmap, 0, len, prot, flags, fd, offset).must() as usize
}

/// Maps private anonymous memory, readable and writable.
#[track_caller]
pub fn anon(len: usize) -> usize {
    map(len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
}

/// Maps anonymous memory shared with the processes to be forked.
#[track_caller]
pub fn shared(len: usize) -> usize {
    map(len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
}

/// The signal that an access got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Signal number.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub addr: usize,
}

/// Where the handler of `fault_of` reports to.
static FAULT_FD: AtomicI32 = AtomicI32::new(-1);

/// Runs the function in a child and returns the fault signal it got, if it got one.
#[track_caller]
pub fn fault_of(body: impl FnOnce()) -> Option<Fault> {
    let (read, write) = pipe();
    let child = fork(|| {
        FAULT_FD.store(write, Ordering::Relaxed);
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
            on(signal, 0, |info, _| {
                let report = [info.signo as u64, info.code as u64, info.addr() as u64];
                let _ = sys!(write, FAULT_FD.load(Ordering::Relaxed), &report, 24);
                sys::exit(0);
            });
        }
        body();
    });
    sys!(close, write).must();
    let mut report = [0u64; 3];
    let count = sys!(read, read, &mut report, 24).must();
    sys!(close, read).must();
    child.ok();
    (count == 24).then(|| Fault {
        signal: report[0] as i32,
        code: report[1] as i32,
        addr: report[2] as usize,
    })
}

/// Returns the fault that reading the byte at an address gives.
#[track_caller]
pub fn read_fault(addr: usize) -> Option<Fault> {
    fault_of(|| {
        std::hint::black_box(peek::<u8>(addr));
    })
}

/// Returns the fault that writing the byte at an address gives.
#[track_caller]
pub fn write_fault(addr: usize) -> Option<Fault> {
    fault_of(|| poke(addr, 1u8))
}
