//! Memory that guest threads change without a word to the kernel.

use std::ops::Range;
use std::time::Duration;

use platform::{HostOp, Identity, Registers, Spawn, Trap};

use super::guest::{CODE, Guest, RW};
use super::patching::Storm;
use crate::guest_code;

const IDENTITY: Identity = Identity { pid: 11, tid: 12, uid: 13, euid: 14, gid: 15, egid: 16 };
/// The call that ends a guest's code.
const END: u64 = 500;

// Maps a page, protects it, drops and unmaps it; the results but the first are gathered in r14.
guest_code!(pages: ".fill 128, 1, 0x90",
    "2: xor edi, edi", "mov esi, 4096", "mov edx, 3", "mov r10d, 0x22", "mov r8, -1",
    "xor r9d, r9d", "mov eax, 9", "syscall",
    "mov rdi, rax", "mov byte ptr [rdi + 5], 7", "cmp byte ptr [rdi + 6], 0", "jne 3f",
    "mov edx, 1", "mov eax, 10", "syscall", "or r14, rax",
    "mov edx, 4", "mov eax, 28", "syscall", "or r14, rax",
    "cmp byte ptr [rdi + 5], 0", "jne 3f",
    "mov edx, 8192", "mov r10d, 1", "mov eax, 25", "syscall", "mov rdi, rax",
    "mov esi, 8192", "mov eax, 11", "syscall", "or r14, rax",
    "inc rbx", "dec r12", "jnz 2b", "mov eax, 500", "syscall",
    "3: ud2");

/// All that a guest can map.
fn everything(guest: &Guest) -> Range<u64> {
    guest.space.layout().user.clone()
}

fn guest() -> Guest {
    let mut guest = Guest::new(pages());
    guest.thread.set_identity(Some(&IDENTITY));
    guest.space.set_plain_range(everything(&guest));
    guest
}

fn start(guest: &mut Guest, rounds: u64) {
    guest.complete().expect("complete");
    let registers = guest.thread.registers_mut();
    (registers.r12, registers.r14, registers.rbx, registers.rip) = (rounds, 0, 0, CODE);
}

/// Makes the calls that trap until the end; returns how many there were.
fn run_to_end(guest: &mut Guest) -> u64 {
    let mut trapped = 0;
    loop {
        match guest.run() {
            Trap::Syscall => {}
            Trap::Interrupted => continue,
            other => panic!("{other:?} at {:x?}", guest.thread.registers()),
        }
        let Registers { orig_rax, rdi: addr, rsi: len, rdx, r10, .. } = *guest.thread.registers();
        let (prot, flags) = (rdx as i32, r10 as i32);
        let op = match orig_rax {
            END => return trapped,
            9 => HostOp::Mmap { addr, len, prot, flags, fd: None, offset: 0 },
            10 => HostOp::Mprotect { addr, len, prot },
            11 => HostOp::Munmap { addr, len },
            25 => HostOp::Mremap { addr, old_len: len, new_len: rdx, flags, new_addr: 0 },
            28 => HostOp::Madvise { addr, len, advice: prot },
            other => panic!("call {other}"),
        };
        let result = guest.op(op).expect("operation");
        guest.thread.registers_mut().rax = result;
        trapped += 1;
    }
}

fn check(guest: &mut Guest, rounds: u64) {
    let Registers { rbx, r14, .. } = guest.registers();
    assert_eq!((rbx, r14), (rounds, 0));
}

/// How much of the address space there is, less what patches may take.
fn mapped(guest: &Guest) -> u64 {
    let maps = guest.space.mappings().expect("maps");
    maps.iter().map(|mapping| mapping.range.end - mapping.range.start).sum()
}

pub fn memory_is_changed_without_a_word() {
    let mut guest = guest();
    let before = mapped(&guest);
    start(&mut guest, 100);
    let trapped = run_to_end(&mut guest);
    assert!((10..300).contains(&trapped), "{trapped}");
    check(&mut guest, 100);
    start(&mut guest, 1000);
    assert_eq!(run_to_end(&mut guest), 0);
    check(&mut guest, 1000);
    assert_eq!(mapped(&guest), before);
}

/// Only new memory where the kernel keeps account of what there is.
pub fn memory_that_is_accounted_for_is_not_changed() {
    let mut guest = guest();
    start(&mut guest, 100);
    run_to_end(&mut guest);
    guest.space.set_plain_range(0..0);
    start(&mut guest, 20);
    assert_eq!(run_to_end(&mut guest), 60);
    check(&mut guest, 20);
    guest.space.set_plain_range(0x10_0000..0x20_0000);
    start(&mut guest, 20);
    assert_eq!(run_to_end(&mut guest), 60);
    // A copy and a thread have the same range, each its own or the same.
    guest.space.set_plain_range(everything(&guest));
    let mut copy = guest.spawn(Spawn::CopyMemory);
    copy.thread.set_identity(Some(&IDENTITY));
    start(&mut copy, 20);
    assert_eq!(run_to_end(&mut copy), 0);
    copy.space.set_plain_range(0..0);
    start(&mut copy, 20);
    assert_eq!(run_to_end(&mut copy), 60);
    start(&mut guest, 20);
    assert_eq!(run_to_end(&mut guest), 0);
    // Without an identity all traps that guest code does not ask of the host.
    guest.thread.set_identity(None);
    start(&mut guest, 20);
    assert_eq!(run_to_end(&mut guest), 60);
}

/// No call is made twice, and none is left out.
pub fn no_change_is_made_twice() {
    const ROUNDS: u64 = 20_000;
    let mut guest = guest();
    start(&mut guest, 100);
    run_to_end(&mut guest);
    let before = mapped(&guest);
    for _ in 0..5 {
        start(&mut guest, ROUNDS);
        let storm = Storm::new(guest.thread.interrupter(), Duration::from_micros(30));
        let trapped = run_to_end(&mut guest);
        drop(storm);
        // One that is about to be made may take the slow way.
        assert!(trapped < ROUNDS, "{trapped}");
        check(&mut guest, ROUNDS);
        assert_eq!(mapped(&guest), before);
    }
}

/// Memory with patches in it is none that the guest may change by itself.
pub fn patches_are_left_out() {
    let mut guest = guest();
    start(&mut guest, 100);
    run_to_end(&mut guest);
    // The code's own page, by the patched site of `munmap`.
    let at = pages().windows(7).position(|code| code == [0xb8, 11, 0, 0, 0, 0x0f, 0x05]);
    guest.complete().expect("complete");
    let registers = guest.thread.registers_mut();
    registers.rip = CODE + at.expect("munmap") as u64;
    (registers.rdi, registers.rsi) = (CODE, 4096);
    assert_eq!(guest.run_to_call(), 11);
    guest.map(0x90_0000, 4096, RW);
    assert_eq!(guest.op(HostOp::Munmap { addr: CODE, len: 4096 }), Ok(0));
}
