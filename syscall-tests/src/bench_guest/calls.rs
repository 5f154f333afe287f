//! Single calls: the round trip into the kernel, and calls on files.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::Primitive;
use crate::sys::{call, call1, call3};

pub const ALL: &[Primitive] = &[
    ("getpid", getpid),
    ("gettid", gettid),
    ("clock_gettime", clock_gettime),
    ("read_1b", read_1b),
    ("read_4k", read_4k),
    ("write_1b", write_1b),
    ("write_4k", write_4k),
    ("pread_4k", pread_4k),
    ("fstat", fstat),
    ("stat", stat),
    ("open_close", open_close),
    ("creat_unlink", creat_unlink),
    ("futex_wake", futex_wake),
];

fn getpid(count: u32) {
    for _ in 0..count {
        call1(libc::SYS_getpid, 0);
    }
}

fn gettid(count: u32) {
    for _ in 0..count {
        call1(libc::SYS_gettid, 0);
    }
}

fn clock_gettime(count: u32) {
    let mut time = [0_u64; 2];
    for _ in 0..count {
        call3(libc::SYS_clock_gettime, 1, time.as_mut_ptr().addr(), 0);
    }
}

fn read(path: &str, len: usize, count: u32) {
    let file = File::open(path).expect("open");
    let mut buffer = vec![0_u8; len];
    for _ in 0..count {
        let fd = file.as_raw_fd() as usize;
        call3(libc::SYS_read, fd, buffer.as_mut_ptr().addr(), len);
    }
}

fn read_1b(count: u32) {
    read("/dev/zero", 1, count);
}

fn read_4k(count: u32) {
    read("/dev/zero", 4096, count);
}

fn write(len: usize, count: u32) {
    let file = OpenOptions::new().write(true).open("/dev/null").expect("open");
    let buffer = vec![0_u8; len];
    for _ in 0..count {
        call3(libc::SYS_write, file.as_raw_fd() as usize, buffer.as_ptr().addr(), len);
    }
}

fn write_1b(count: u32) {
    write(1, count);
}

fn write_4k(count: u32) {
    write(4096, count);
}

fn pread_4k(count: u32) {
    let file = File::open("/proc/self/exe").expect("open");
    let mut buffer = [0_u8; 4096];
    for _ in 0..count {
        let fd = file.as_raw_fd() as usize;
        call(libc::SYS_pread64, [fd, buffer.as_mut_ptr().addr(), 4096, 4096, 0, 0]);
    }
}

fn fstat(count: u32) {
    let file = File::open("/proc/self/exe").expect("open");
    let mut stat = [0_u8; 144];
    for _ in 0..count {
        call3(libc::SYS_fstat, file.as_raw_fd() as usize, stat.as_mut_ptr().addr(), 0);
    }
}

fn stat(count: u32) {
    let mut stat = [0_u8; 144];
    for _ in 0..count {
        call3(libc::SYS_stat, c"/etc/passwd".as_ptr().addr(), stat.as_mut_ptr().addr(), 0);
    }
}

fn open_close(count: u32) {
    for _ in 0..count {
        let fd = call3(libc::SYS_open, c"/etc/passwd".as_ptr().addr(), 0, 0);
        call1(libc::SYS_close, fd);
    }
}

fn creat_unlink(count: u32) {
    let path = c"/tmp/syscall-bench-file";
    for _ in 0..count {
        let fd = call3(libc::SYS_creat, path.as_ptr().addr(), 0o600, 0);
        call1(libc::SYS_close, fd);
        call1(libc::SYS_unlink, path.as_ptr().addr());
    }
}

fn futex_wake(count: u32) {
    let word = 0_u32;
    for _ in 0..count {
        call3(libc::SYS_futex, (&raw const word).addr(), 129, 1);
    }
}
