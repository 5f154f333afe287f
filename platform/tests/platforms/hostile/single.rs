//! Attacks that one thread makes by itself.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{HostOp, Registers, ResumeMode, Spawn, Trap, host};

use super::Arena;
use super::stub::{Random, Stub, interesting};
use crate::cases::guest::{CODE, DATA, DATA_BYTES, Guest, READ, spin};
use crate::guest_code;

guest_code!(ring: "syscall", "mov rdi, rax", "mov eax, 7", "syscall");

const DOORBELL: u64 = 0x4d_5a00;
const UNLISTED: [u64; 6] = [0, 1, 39, 59, 62, 231];

/// Goes to the stub's instruction `at` with these registers.
fn jump(guest: &mut Guest, at: u64, registers: Registers) {
    let bases = Registers { rip: at, rsp: DATA + DATA_BYTES - 64, cs: 0x33, ss: 0x2b, ..registers };
    *guest.thread.registers_mut() = bases;
}

/// A call from the stub's code.
fn call(guest: &mut Guest, at: u64, number: u64, args: [u64; 6]) {
    let [rdi, rsi, rdx, r10, r8, r9] = args;
    let registers = Registers { rax: number, rdi, rsi, rdx, r10, r8, r9, ..Registers::default() };
    jump(guest, at, Registers { eflags: 0x202, ..registers });
}

/// The doorbell's number is a call like any other where it does not come from the stub.
pub fn the_doorbell_is_no_call_of_the_guest() {
    let mut arena = Arena::new();
    for kind in 0..5 {
        let mut guest = Guest::on(&arena.platform, ring());
        guest.thread.registers_mut().rax = DOORBELL;
        guest.thread.registers_mut().rdi = kind;
        assert_eq!(guest.run_to_call(), DOORBELL);
        guest.thread.registers_mut().rax = Errno::ENOSYS.to_return_value();
        assert_eq!(guest.run_to_call(), 7);
        assert_eq!(guest.thread.registers().rdi, Errno::ENOSYS.to_return_value());
    }
    arena.check();
    arena.end();
}

pub fn unlisted_calls_from_the_stub_kill() {
    let mut arena = Arena::new();
    for number in UNLISTED {
        let mut guest = Guest::on(&arena.platform, spin());
        let at = arena.stub.call_and_fault();
        call(&mut guest, at, number, [0; 6]);
        assert_eq!(guest.run(), Trap::Dead);
        arena.check();
    }
    arena.end();
}

pub fn clones_by_the_guest_kill() {
    let mut arena = Arena::new();
    for flags in [0x8011, 0x8111, 0x5_0f00] {
        let mut guest = Guest::on(&arena.platform, spin());
        let at = arena.stub.call_and_fault();
        let mut sibling = guest.spawn(Spawn::Thread);
        sibling.thread.resume(ResumeMode::Run);
        call(&mut guest, at, libc::SYS_clone as u64, [flags, 0, 0, 0, 0, 0]);
        assert_eq!(guest.run(), Trap::Dead);
        assert_eq!(sibling.await_trap(), Trap::Dead);
        Guest::await_host_children(2);
        arena.check();
    }
    arena.end();
}

/// Filters that the sentry has not commanded are none of the guest's business.
pub fn filters_by_the_guest_kill() {
    const CATCH_ALL_OFFSET: u64 = 0x10_0000 + 0x5000 - 0x200;
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let at = arena.stub.call_and_fault();
    let program = guest.space.layout().reserved.start + CATCH_ALL_OFFSET;
    let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
    for args in [[mode, 0, program + 8, 0, 0, 0], [mode, 1, program, 0, 0, 0]] {
        call(&mut guest, at, libc::SYS_seccomp as u64, args);
        let fault = guest.run_to_fault();
        assert_eq!(fault.signo, libc::SIGILL);
        assert_eq!(guest.registers().rax, Errno::EINVAL.to_return_value());
    }
    call(&mut guest, at, libc::SYS_seccomp as u64, [mode, 0, program, 0, 0, 0]);
    assert_eq!(guest.run(), Trap::Dead);
    drop(guest);
    arena.check();
    arena.end();
}

/// The guest could have the host take the stub's window for its heap, and unmap it.
pub fn heaps_placed_by_the_guest_kill() {
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let at = arena.stub.call_and_fault();
    let window = guest.space.layout().reserved.start;
    call(&mut guest, at, libc::SYS_prctl as u64, [libc::PR_SET_MM as u64, 6, window, 0, 0, 0]);
    assert_eq!(guest.run_to_fault().signo, libc::SIGILL);
    assert_eq!(guest.registers().rax, Errno::EINVAL.to_return_value());
    let map = [libc::PR_SET_MM as u64, libc::PR_SET_MM_MAP as u64, window, 104, 0, 0];
    call(&mut guest, at, libc::SYS_prctl as u64, map);
    assert_eq!(guest.run(), Trap::Dead);
    drop(guest);
    arena.check();
    arena.end();
}

/// Waits until a running thread is the host's no more, whose process then has `left` threads.
fn await_silent_end(sibling: &mut Guest, pid: i32, left: usize) {
    let limit = Instant::now() + Duration::from_secs(20);
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    while threads() != left {
        assert!(Instant::now() < limit, "{} threads are left", threads());
        assert_eq!(sibling.is_trapped(), None);
        sibling.platform.park(Some(Instant::now() + Duration::from_millis(5)));
    }
}

pub fn a_silent_exit_is_noticed() {
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let at = arena.stub.call_and_fault();
    let pid = Guest::newest_host_pid();
    // One of several threads: noticed when it is asked to trap.
    for _ in 0..20 {
        let mut sibling = guest.spawn(Spawn::Thread);
        call(&mut sibling, at, libc::SYS_exit as u64, [0; 6]);
        sibling.thread.resume(ResumeMode::Run);
        await_silent_end(&mut sibling, pid, 1);
        sibling.thread.interrupter().interrupt();
        assert_eq!(sibling.await_trap(), Trap::Dead);
        assert_eq!(sibling.bounded_run(ResumeMode::Run), Trap::Dead);
        drop(sibling);
        // One whose handle is dropped.
        let mut sibling = guest.spawn(Spawn::Thread);
        call(&mut sibling, at, libc::SYS_exit as u64, [0; 6]);
        sibling.thread.resume(ResumeMode::Run);
    }
    assert_eq!(guest.op(HostOp::Yield), Ok(0));
    // The leader, while another goes on.
    let mut sibling = guest.spawn(Spawn::Thread);
    call(&mut guest, at, libc::SYS_exit as u64, [0; 6]);
    guest.thread.resume(ResumeMode::Run);
    sibling.run_briefly();
    drop(guest);
    sibling.run_briefly();
    // The last one.
    call(&mut sibling, at, libc::SYS_exit as u64, [0; 6]);
    assert_eq!(sibling.run(), Trap::Dead);
    drop(sibling);
    arena.check();
    arena.end();
}

pub fn a_blocked_kick_ends_in_death() {
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let at = arena.stub.call_and_fault();
    let mut sibling = guest.spawn(Spawn::Thread);
    guest.space.write(DATA, &u64::MAX.to_le_bytes()).expect("write");
    call(&mut sibling, at, libc::SYS_rt_sigprocmask as u64, [0, DATA, 0, 8, 0, 0]);
    // Blocked signals of the thread's own making kill at once; without one it spins.
    assert_eq!(sibling.run(), Trap::Dead);
    assert_eq!(guest.run(), Trap::Dead);
    drop((guest, sibling));
    let mut guest = Guest::on(&arena.platform, spin());
    guest.space.write(DATA, &(1_u64 << (libc::SIGURG - 1)).to_le_bytes()).expect("write");
    call(&mut guest, at, libc::SYS_rt_sigprocmask as u64, [0, DATA, 0, 8, 0, 0]);
    assert!(matches!(guest.run(), Trap::Fault(_)));
    guest.thread.registers_mut().rip = CODE;
    assert_eq!(guest.bounded_run(ResumeMode::Run), Trap::Dead);
    drop(guest);
    arena.check();
    arena.end();
}

pub fn descriptors_are_the_guests_own() {
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let at = arena.stub.call_and_fault();
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::ftruncate(&file, 4096).expect("ftruncate");
    for fd in 0..4 {
        let flags = libc::MAP_SHARED as u64;
        call(&mut guest, at, libc::SYS_mmap as u64, [0, 4096, READ as u64, flags, fd, 0]);
        assert!(matches!(guest.run(), Trap::Fault(_)));
        assert_eq!(guest.thread.registers().rax, Errno::EBADF.to_return_value());
        call(&mut guest, at, libc::SYS_close as u64, [fd, 0, 0, 0, 0, 0]);
        assert!(matches!(guest.run(), Trap::Fault(_)));
        let (addr, len, flags) = (0, 4096, libc::MAP_SHARED);
        let fd = Some(file.as_fd());
        assert!(guest.op(HostOp::Mmap { addr, len, prot: READ, flags, fd, offset: 0 }).is_ok());
    }
    drop(guest);
    arena.check();
    arena.end();
}

/// The window stays, whatever is unmapped through the stub; the guest's memory need not.
pub fn the_window_cannot_be_unmapped() {
    let mut arena = Arena::new();
    let mut guest = Guest::on(&arena.platform, spin());
    let stub = arena.stub.clone();
    let at = stub.call_and_fault();
    let window = guest.space.layout().reserved.clone();
    for (addr, len) in [(stub.slots, 4096), (stub.code, 4096), (0, window.end), (window.start, 1)] {
        for number in [libc::SYS_munmap, libc::SYS_mprotect] {
            call(&mut guest, at, number as u64, [addr, len, 0, 0, 0, 0]);
            assert!(matches!(guest.run(), Trap::Fault(_)));
            assert_eq!(guest.thread.registers().rax, Errno::EINVAL.to_return_value());
        }
    }
    call(&mut guest, at, libc::SYS_munmap as u64, [0, window.start, 0, 0, 0, 0]);
    assert!(matches!(guest.run(), Trap::Fault(_)));
    assert_eq!(guest.thread.registers().rax, 0);
    assert_eq!(guest.op(HostOp::Yield), Ok(0));
    assert_eq!(guest.space.read(CODE, &mut [0]), Err(Errno::EFAULT));
    drop(guest);
    arena.check();
    arena.end();
}

/// Serves what comes, a few times.
fn serve(guest: &mut Guest, random: &mut Random) {
    for _ in 0..4 {
        match guest.bounded_run(ResumeMode::Run) {
            Trap::Dead => return,
            Trap::Syscall => guest.thread.registers_mut().rax = random.below(3),
            _ => return,
        }
    }
}

fn random_registers(random: &mut Random, stub: &Stub) -> Registers {
    let mut value = || interesting(random, stub);
    Registers {
        r15: value(),
        r14: value(),
        r13: value(),
        r12: value(),
        rbp: value(),
        rbx: value(),
        r11: value(),
        r10: value(),
        r9: value(),
        r8: value(),
        rax: value(),
        rcx: value(),
        rdx: value(),
        rsi: value(),
        rdi: value(),
        eflags: 0x202,
        ..Registers::default()
    }
}

/// Every event from every place that calls, with arguments that mean something.
pub fn rings_with_any_arguments() {
    ring_all(7);
}

pub(super) fn ring_all(seed: u64) {
    let mut arena = Arena::new();
    let mut parent = Guest::on(&arena.platform, spin());
    let stub = arena.stub.clone();
    let mut random = Random::new(seed);
    for at in stub.calls() {
        for kind in 0..5 {
            for _ in 0..3 {
                let mut guest = parent.spawn(Spawn::CopyMemory);
                let mut registers = random_registers(&mut random, &stub);
                (registers.rax, registers.rdi) = (DOORBELL, kind);
                jump(&mut guest, at, registers);
                serve(&mut guest, &mut random);
            }
        }
        arena.check();
    }
    drop(parent);
    arena.end();
}

/// Jumps to every byte of the stub's code.
pub fn jumps_into_the_stub() {
    jump_everywhere(11);
}

pub(super) fn jump_everywhere(seed: u64) {
    let mut arena = Arena::new();
    let mut parent = Guest::on(&arena.platform, spin());
    let stub = arena.stub.clone();
    let mut random = Random::new(seed);
    for offset in 0..stub.bytes.len() as u64 {
        let mut guest = parent.spawn(Spawn::CopyMemory);
        let mut registers = random_registers(&mut random, &stub);
        if random.below(2) == 0 {
            registers.rdi = stub.slots;
        }
        jump(&mut guest, stub.code + offset, registers);
        if random.below(2) == 0 {
            guest.thread.registers_mut().rsp = stub.slots + 0x9000;
        }
        serve(&mut guest, &mut random);
        if offset.is_multiple_of(100) {
            arena.check();
        }
    }
    drop(parent);
    arena.end();
}
