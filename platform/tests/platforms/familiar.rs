//! Sites of a file that were patched in one process are patched together in the next.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use platform::{HostOp, Identity, Trap, host};

use super::guest::{CODE, Guest};
use super::kind::{AnyPlatform, new_platform};
use crate::guest_code;

const IDENTITY: Identity = Identity { pid: 11, tid: 12, uid: 13, euid: 14, gid: 15, egid: 16 };
const END: u64 = 500;
/// So often that there is a streak of quick calls among them, even beside other work.
const OFTEN: u64 = 20_000;
/// Where the instructions are that a jump would take the place of.
const FIRST: u64 = CODE + 128;
const SECOND: u64 = CODE + 160;
const JUMP: u8 = 0xe9;
const MOV_EAX: u8 = 0xb8;

// close(2) r12 times from one place, then stat(2) r13 times from another.
guest_code!(two_places: ".fill 128, 1, 0x90",
    "2: mov eax, 3", "syscall", "dec r12", "jnz 2b",
    ".fill 20, 1, 0x90",
    "3: mov eax, 4", "syscall", "dec r13", "jnz 3b",
    "mov eax, 500", "syscall");

fn file_with(code: &[u8]) -> OwnedFd {
    let file = host::fs::memfd_create("code").expect("memfd");
    host::fs::pwrite(&file, code, 0).expect("pwrite");
    file
}

/// A process that has mapped the file, after so many calls from the two places; and what is there in
/// truth.
fn after(
    platform: &Arc<dyn AnyPlatform>,
    file: &OwnedFd,
    [first, second]: [u64; 2],
) -> (Guest, [u8; 2]) {
    let mut guest = Guest::blank(platform);
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE;
    let prot = libc::PROT_READ | libc::PROT_EXEC;
    let fd = Some(file.as_fd());
    guest.op(HostOp::Mmap { addr: CODE, len: 4096, prot, flags, fd, offset: 0 }).expect("mmap");
    guest.thread.set_identity(Some(&IDENTITY));
    let registers = guest.thread.registers_mut();
    (registers.rip, registers.r12, registers.r13) = (CODE, first, second);
    loop {
        match guest.run() {
            Trap::Syscall if guest.thread.registers().orig_rax == END => break,
            Trap::Syscall => guest.thread.registers_mut().rax = 0,
            Trap::Interrupted => {}
            other => panic!("{other:?} {:x?}", guest.thread.registers()),
        }
    }
    let memory = File::open(format!("/proc/{}/mem", Guest::newest_host_pid())).expect("memory");
    let byte = |address| {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, address).expect("read");
        byte[0]
    };
    let bytes = [byte(FIRST), byte(SECOND)];
    (guest, bytes)
}

pub fn sites_of_a_file_are_patched_together() {
    if std::thread::available_parallelism().expect("processors").get() == 1 {
        // Calls are never watched.
        return;
    }
    let platform = new_platform();
    let file = file_with(two_places());
    let (_one, bytes) = after(&platform, &file, [OFTEN, 1]);
    assert_eq!(bytes, [JUMP, MOV_EAX], "nobody knows of the second");
    let (_other, bytes) = after(&platform, &file, [1, OFTEN]);
    assert_eq!(bytes, [JUMP, JUMP], "the first is known");
    let (guest, bytes) = after(&platform, &file, [OFTEN, 1]);
    assert_eq!(bytes, [JUMP, JUMP]);
    let mut seen = [0; 8];
    guest.space.read(SECOND, &mut seen).expect("read");
    assert_eq!(seen[..7], [MOV_EAX, 4, 0, 0, 0, 0x0f, 0x05], "patches do not show");
    // The same name of a file means nothing, if it is another or has other code now.
    let (_guest, bytes) = after(&platform, &file_with(two_places()), [OFTEN, 1]);
    assert_eq!(bytes, [JUMP, MOV_EAX]);
    // mov eax, 5
    host::fs::pwrite(&file, &[5], SECOND + 1 - CODE).expect("pwrite");
    let (_guest, bytes) = after(&platform, &file, [OFTEN, 1]);
    assert_eq!(bytes, [JUMP, MOV_EAX]);
}
