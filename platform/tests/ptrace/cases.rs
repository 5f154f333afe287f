//! The cases; each runs in a process of its own.

use std::time::Instant;

use platform::{AddressSpace, Trap};

use crate::guest::{CODE, Guest};

pub const ALL: &[(&str, fn())] = &[("syscall_traps_with_registers", syscall_traps_with_registers)];

pub const BENCHMARKS: &[(&str, fn())] = &[("getpid_round_trip", getpid_round_trip)];

/// `mov eax, 39; syscall; jmp` back: an endless loop of getpid.
const GETPID_LOOP: &[u8] = &[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];

fn syscall_traps_with_registers() {
    let mut guest = Guest::new(GETPID_LOOP);
    guest.thread.registers_mut().rdi = 7;
    for _ in 0..3 {
        assert_eq!(guest.run(), Trap::Syscall);
        let registers = guest.thread.registers_mut();
        assert_eq!((registers.orig_rax, registers.rip, registers.rdi), (39, CODE + 7, 7));
        assert_eq!(registers.rax, -38_i64 as u64);
        registers.rax = 1234;
    }
    let _: &dyn AddressSpace = &*guest.space;
}

fn getpid_round_trip() {
    const ROUNDS: u32 = 200_000;
    let mut guest = Guest::new(GETPID_LOOP);
    for round in 0..2 {
        let start = Instant::now();
        for pid in 0..ROUNDS {
            guest.run();
            guest.thread.registers_mut().rax = u64::from(pid);
        }
        if round == 1 {
            println!("getpid round trip: {:?}", start.elapsed() / ROUNDS);
        }
    }
}
