//! Futexes of the host: waits that are interrupted, and what the end of threads does to them.

use std::time::{Duration, Instant};

use linux_abi::Errno;
use linux_abi::futex::{
    FUTEX_LOCK_PI, FUTEX_OWNER_DIED, FUTEX_PRIVATE_FLAG, FUTEX_TID_MASK, FUTEX_WAIT, FUTEX_WAITERS,
};
use platform::{HostOp, ResumeMode, Spawn, Trap, WordChange};

use super::guest::{CODE, DATA, Guest, kill, park_until, wait as wait_for};
use crate::guest_code;

// The arguments are in the registers; then exit, so that the result is seen.
guest_code!(wait: "mov eax, 202", "syscall", "mov edi, eax", "mov eax, 39", "syscall");

const SYSCALL: u64 = CODE + 5;
const TIMEOUT: u64 = DATA + 64;
const WAIT: u64 = (FUTEX_WAIT | FUTEX_PRIVATE_FLAG) as u64;

/// A guest that is about to wait for the word at [`DATA`], which is 0.
fn waiter(operation: u64, timeout: u64) -> Guest {
    let mut guest = Guest::new(wait());
    assert!(guest.platform.has_native_futexes());
    let registers = guest.thread.registers_mut();
    (registers.rdi, registers.rsi, registers.rdx, registers.r10) = (DATA, operation, 0, timeout);
    let seconds = 1000_u64;
    assert_eq!(guest.space.write(TIMEOUT, &seconds.to_le_bytes()), Ok(8));
    guest
}

/// Lets it run until it sleeps.
fn fall_asleep(guest: &mut Guest) {
    let interrupter = guest.thread.interrupter();
    assert!(guest.is_trapped().is_none());
    park_until(&*guest.platform.clone(), || interrupter.is_asleep());
    assert!(guest.is_trapped().is_none());
}

fn interrupt(guest: &mut Guest) {
    guest.thread.interrupter().interrupt();
    assert_eq!(guest.await_trap(), Trap::Interrupted);
}

fn store(guest: &Guest, word: u32) {
    assert_eq!(guest.space.write(DATA, &word.to_le_bytes()), Ok(4));
}

fn load(guest: &Guest) -> u32 {
    guest.read_u64(DATA) as u32
}

pub fn waits_do_not_trap_and_are_interrupted() {
    let mut guest = waiter(WAIT, 0);
    for _ in 0..3 {
        guest.thread.resume(ResumeMode::Run);
        fall_asleep(&mut guest);
        interrupt(&mut guest);
        let registers = *guest.thread.registers();
        assert_eq!((registers.rip, registers.rax), (SYSCALL, 202));
        assert_eq!(registers.rcx, SYSCALL + 2);
    }
    store(&guest, 1);
    assert_eq!(guest.run_to_call(), 39);
    assert_eq!(guest.thread.registers().rdi as u32, -libc::EAGAIN as u32);
    drop(guest);
    // A thread wakes another.
    let mut guest = waiter(FUTEX_WAIT as u64, 0);
    let mut other = guest.spawn(Spawn::Thread);
    guest.thread.resume(ResumeMode::Run);
    fall_asleep(&mut guest);
    assert_eq!(other.op(HostOp::FutexWake { addr: DATA }), Ok(1));
    assert_eq!(guest.await_trap(), Trap::Syscall);
    assert_eq!(guest.thread.registers().rdi, 0);
    assert_eq!(other.op(HostOp::FutexWake { addr: DATA }), Ok(0));
    assert_eq!(other.op(HostOp::FutexWake { addr: DATA + 1 }), Err(Errno::EINVAL));
    assert_eq!(other.op(HostOp::FutexWake { addr: 8 }), Err(Errno::EFAULT));
}

/// What a second filter catches is made where it was when told, and looks the same.
pub fn caught_calls_are_made_when_told() {
    let mut guest = waiter(WAIT, 0);
    let platform = guest.platform.clone();
    wait_for(&platform, guest.thread.catch_all()).expect("catch_all");
    wait_for(&platform, guest.thread.catch_all()).expect("nothing to be done");
    for _ in 0..3 {
        assert_eq!(guest.run_to_call(), 202);
        assert_eq!(guest.thread.registers().rip, SYSCALL + 2);
        assert!(guest.thread.resume_call());
        fall_asleep(&mut guest);
        interrupt(&mut guest);
        let registers = *guest.thread.registers();
        assert_eq!((registers.rip, registers.rax), (SYSCALL, 202));
        assert_eq!(registers.rcx, SYSCALL + 2);
    }
    assert_eq!(guest.run_to_call(), 202);
    store(&guest, 1);
    assert!(guest.thread.resume_call());
    assert_eq!(guest.await_trap(), Trap::Interrupted);
    let registers = *guest.thread.registers();
    assert_eq!((registers.rip, registers.rcx), (SYSCALL + 2, SYSCALL + 2));
    assert_eq!(registers.rax, Errno::EAGAIN.to_return_value());
    assert_eq!(guest.run_to_call(), 39);
    assert_eq!(guest.thread.registers().rdi as u32, -libc::EAGAIN as u32);
    // Clones are caught, and a call that was made is not made again.
    let mut child = guest.spawn(Spawn::CopyMemory);
    (child.thread.registers_mut().rip, child.thread.registers_mut().rax) = (SYSCALL, 202);
    assert_eq!(child.run_to_call(), 202);
    child.thread.interrupter().interrupt();
    assert!(!child.thread.resume_call());
}

pub fn waits_with_a_timeout_end_when_interrupted() {
    let mut guest = waiter(WAIT, TIMEOUT);
    guest.thread.resume(ResumeMode::Run);
    fall_asleep(&mut guest);
    interrupt(&mut guest);
    let registers = *guest.thread.registers();
    assert_eq!((registers.rip, registers.rcx), (SYSCALL + 2, SYSCALL + 2));
    assert_eq!(registers.rax, Errno::EINTR.to_return_value());
}

/// A signal from outside, or an interrupt that comes late, is told if it may have ended a wait.
pub fn foreign_signals_do_not_end_waits_unseen() {
    let mut guest = waiter(WAIT, TIMEOUT);
    let pid = Guest::newest_host_pid();
    for signal in [libc::SIGURG, libc::SIGTRAP] {
        guest.thread.resume(ResumeMode::Run);
        fall_asleep(&mut guest);
        kill(pid, signal);
        assert_eq!(guest.await_trap(), Trap::Interrupted, "{signal}");
        assert_eq!(guest.thread.registers().rax, Errno::EINTR.to_return_value());
        let registers = guest.thread.registers_mut();
        (registers.rip, registers.rax) = (SYSCALL, 202);
    }
    drop(guest);
    // The host itself restarts what has no timeout.
    let mut guest = waiter(WAIT, 0);
    let pid = Guest::newest_host_pid();
    guest.thread.resume(ResumeMode::Run);
    for signal in [libc::SIGURG, libc::SIGSTOP, libc::SIGCONT, libc::SIGSEGV] {
        fall_asleep(&mut guest);
        kill(pid, signal);
        guest.platform.park(Some(Instant::now() + Duration::from_millis(20)));
        assert!(guest.is_trapped().is_none());
        if signal == libc::SIGSTOP {
            kill(pid, libc::SIGCONT);
        }
    }
}

pub fn other_operations_trap() {
    let mut guest = waiter(FUTEX_LOCK_PI as u64, 0);
    assert_eq!(guest.run_to_call(), 202);
    guest.thread.registers_mut().rax = Errno::ENOSYS.to_return_value();
    assert_eq!(guest.run_to_call(), 39);
    assert_eq!(guest.thread.registers().rdi as u32, -libc::ENOSYS as u32);
}

pub fn a_word_is_cleared_when_a_thread_ends() {
    let mut guest = waiter(FUTEX_WAIT as u64, 0);
    guest.thread.registers_mut().rdx = 5;
    store(&guest, 5);
    let mut other = guest.spawn(Spawn::Thread);
    // One that the kernel holds, and ...
    guest.thread.resume(ResumeMode::Run);
    fall_asleep(&mut guest);
    assert!(other.thread.clear_at_exit(DATA));
    drop(other);
    assert_eq!(guest.await_trap(), Trap::Syscall);
    assert_eq!((guest.thread.registers().rdi, load(&guest)), (0, 0));
    // ... one in a call, and one that runs.
    for is_running in [false, true] {
        store(&guest, 5);
        let mut other = guest.spawn(Spawn::Thread);
        let registers = other.thread.registers_mut();
        (registers.rip, registers.rdi, registers.rdx) = (CODE, DATA, 5);
        if is_running {
            other.thread.resume(ResumeMode::Run);
            fall_asleep(&mut other);
        } else {
            other.thread.registers_mut().rdx = 6;
            assert_eq!(other.run_to_call(), 39);
        }
        assert!(other.thread.clear_at_exit(DATA));
        drop(other);
        park_until(&*guest.platform.clone(), || load(&guest) == 0);
    }
    // An address that is none does no harm.
    for addr in [1, u64::MAX, 1 << 47, guest.space.layout().reserved.start] {
        let mut other = guest.spawn(Spawn::Thread);
        assert!(other.thread.clear_at_exit(addr));
    }
    assert_eq!(guest.op(HostOp::Yield), Ok(0));
}

pub fn nothing_is_cleared_by_the_last_thread() {
    let mut guest = waiter(WAIT, 0);
    assert!(!guest.thread.clear_at_exit(DATA));
    let other = guest.spawn(Spawn::ShareMemory);
    assert!(!guest.thread.clear_at_exit(DATA));
    drop(other);
}

/// What the end of a robust futex' owner does to its word.
fn death(owner: u32) -> WordChange {
    let mask = FUTEX_TID_MASK;
    WordChange { mask, expected: owner, keep: FUTEX_WAITERS, set: FUTEX_OWNER_DIED }
}

pub fn words_are_changed() {
    let mut guest = Guest::new(wait());
    let mut other = guest.spawn(Spawn::Thread);
    let mut apply = |guest: &Guest, word: u32, change: WordChange| {
        store(guest, word);
        let result = other.op(HostOp::FutexChange { addr: DATA, change });
        assert_eq!(result, Ok(u64::from(word)));
        let new = load(guest);
        assert_eq!(new, if change.applies(word) { change.apply(word) } else { word });
        new
    };
    for owner in [1, 2, 77, 4096, 0x3f_ffff] {
        assert_eq!(apply(&guest, owner, death(owner)), FUTEX_OWNER_DIED);
        let with_waiters = owner | FUTEX_WAITERS;
        assert_eq!(apply(&guest, with_waiters, death(owner)), FUTEX_OWNER_DIED | FUTEX_WAITERS);
        assert_eq!(apply(&guest, owner, death(owner + 1)), owner);
    }
    let exact = |expected, set| WordChange { mask: u32::MAX, expected, keep: 0, set };
    assert_eq!(apply(&guest, 0, exact(0, u32::MAX)), u32::MAX);
    assert_eq!(apply(&guest, u32::MAX, exact(u32::MAX, 0)), 0);
    assert_eq!(apply(&guest, u32::MAX, exact(0, 0)), u32::MAX);
    // What cannot be changed.
    let code = guest.read_u64(CODE) as u32;
    let reserved = guest.space.layout().reserved.start;
    for addr in [8, CODE, 1 << 47, 1 << 63, u64::MAX - 3, reserved, reserved + 4096] {
        let result = guest.op(HostOp::FutexChange { addr, change: exact(code, 0) });
        assert_eq!(result, Err(Errno::EFAULT), "{addr:x}");
    }
    let result = guest.op(HostOp::FutexChange { addr: DATA + 2, change: exact(0, 0) });
    assert_eq!(result, Err(Errno::EINVAL));
    // One that is not to be changed need not be writable.
    let result = guest.op(HostOp::FutexChange { addr: CODE, change: exact(!code, 0) });
    assert_eq!(result, Ok(u64::from(code)));
    assert_eq!(guest.op(HostOp::Yield), Ok(0));
}

pub fn a_changed_word_wakes_who_waits() {
    let mut guest = waiter(FUTEX_WAIT as u64, 0);
    let mut other = guest.spawn(Spawn::Thread);
    store(&guest, 9 | FUTEX_WAITERS);
    guest.thread.registers_mut().rdx = u64::from(9 | FUTEX_WAITERS);
    guest.thread.resume(ResumeMode::Run);
    fall_asleep(&mut guest);
    assert!(other.op(HostOp::FutexChange { addr: DATA, change: death(9) }).is_ok());
    assert!(guest.is_trapped().is_none());
    assert_eq!(other.op(HostOp::FutexWake { addr: DATA }), Ok(1));
    assert_eq!(guest.await_trap(), Trap::Syscall);
    assert_eq!((guest.thread.registers().rdi, load(&guest)), (0, FUTEX_OWNER_DIED | FUTEX_WAITERS));
}
