//! Threads of which only the call is known, and what makes them complete.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use platform::{Fault, HostOp, Spawn, Trap, host};

use super::guest::{CODE, DATA, Guest, READ, getpid_loop};
use super::wakeups::jitter;
use crate::guest_code;

guest_code!(tell_result: "mov ebx, 77", "mov eax, 39", "syscall", "mov rdi, rax", "mov eax, 7", "syscall");
guest_code!(trap_and_tell: "2: mov eax, 27", "syscall", "mov rdi, rax", "mov eax, 7", "syscall", "jmp 2b");
guest_code!(counted_calls: "2: inc rbx", "mov eax, 39", "syscall", "jmp 2b");
guest_code!(call_and_nop: "mov eax, 39", "syscall", "nop", "nop", "mov eax, 7", "syscall");
guest_code!(trap_and_nop: "mov eax, 27", "syscall", "nop", "nop", "mov eax, 7", "syscall");

/// Where [`tell_result`] goes on behind its first call.
const BEHIND: u64 = CODE + 12;

fn assert_delivered(mut guest: Guest, result: u64) {
    assert_eq!(guest.run_to_call(), 7);
    assert_eq!(guest.thread.registers().rdi, result);
    assert_eq!(guest.registers().rbx, 77);
}

pub fn completing_keeps_the_call() {
    let mut guest = Guest::new(tell_result());
    assert_eq!(guest.run_to_call(), 39);
    guest.thread.registers_mut().rax = 1234;
    let registers = guest.registers();
    assert_eq!((registers.rax, registers.orig_rax, registers.rip), (1234, 39, BEHIND));
    assert_eq!((registers.rbx, registers.cs), (77, 0x33));
    // Once is enough.
    assert_eq!(guest.registers(), registers);
    assert_delivered(guest, 1234);
}

pub fn a_complete_thread_can_be_changed() {
    let mut guest = Guest::new(tell_result());
    guest.run_to_call();
    guest.complete().expect("complete");
    let image = guest.thread.fp_state().expect("xsave");
    guest.thread.set_fp_state(&image).expect("xsave");
    guest.thread.reset_fp_state().expect("xsave");
    // Back to the call, as for a restart.
    guest.thread.registers_mut().rip -= 2;
    guest.thread.registers_mut().rax = 40;
    assert_eq!(guest.run_to_call(), 40);
    assert_eq!(guest.registers().rip, BEHIND);
    guest.thread.registers_mut().rax = 5;
    assert_delivered(guest, 5);
}

pub fn operations_of_an_incomplete_thread_keep_the_result() {
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::pwrite(&file, b"contents", 0).expect("pwrite");
    let mut guest = Guest::new(tell_result());
    guest.run_to_call();
    guest.thread.registers_mut().rax = 9;
    let copy = host::fs::dup(file.as_fd()).expect("dup");
    let fd = Some(copy.as_fd());
    let flags = libc::MAP_PRIVATE;
    guest.thread.start_host_op(HostOp::Mmap {
        addr: 0,
        len: 4096,
        prot: READ,
        flags,
        fd,
        offset: 0,
    });
    // It may be closed as soon as the operation has started.
    drop(copy);
    let addr = guest.finish_op().expect("mmap");
    assert_eq!(guest.read_u64(addr), u64::from_le_bytes(*b"contents"));
    assert_eq!(guest.op(HostOp::Munmap { addr, len: 4096 }), Ok(0));
    assert_eq!(guest.op(HostOp::Munmap { addr: 1, len: 4096 }), Err(Errno::EINVAL));
    let registers = guest.registers();
    assert_eq!((registers.rax, registers.orig_rax, registers.rip), (9, 39, BEHIND));
    assert_delivered(guest, 9);
}

pub fn operations_end_in_a_resume() {
    let mut guest = Guest::new(trap_and_tell());
    for round in 0..50 {
        assert_eq!(guest.run_to_call(), 27);
        let (addr, len) = (DATA + u64::from(round % 2 == 0), 4096);
        let interrupter = guest.thread.interrupter();
        if round % 5 == 0 {
            interrupter.interrupt();
        }
        let op = HostOp::Mprotect { addr, len, prot: READ };
        if !guest.thread.resume_with(op) {
            let result = guest.op(op);
            let rax = result.unwrap_or_else(Errno::to_return_value);
            guest.thread.registers_mut().rax = rax;
            guest.thread.resume(platform::ResumeMode::Run);
        }
        let trap = guest.await_trap();
        assert_eq!(trap == Trap::Interrupted, round % 5 == 0, "{trap:?} {round}");
        if trap == Trap::Interrupted {
            assert_eq!(guest.run(), Trap::Syscall);
        }
        let expected = if round % 2 == 0 { Errno::EINVAL.to_return_value() } else { 0 };
        assert_eq!(
            (guest.thread.registers().orig_rax, guest.thread.registers().rdi),
            (7, expected)
        );
        assert!(!guest.thread.resume_with(HostOp::Yield), "not from an incomplete thread");
    }
    guest.run_to_call();
    let all = HostOp::Mlockall { flags: libc::MCL_CURRENT };
    assert!(!guest.thread.resume_with(all));
    assert_eq!(guest.op(all), Ok(0));
}

fn assert_step(trap: Trap, guest: &Guest, rip: u64) {
    assert!(matches!(trap, Trap::Fault(Fault { signo: libc::SIGTRAP, code: 2, .. })), "{trap:?}");
    assert_eq!(guest.thread.registers().rip, rip);
}

pub fn steps_start_and_end_at_calls() {
    let mut guest = Guest::new(getpid_loop());
    for code in [call_and_nop(), trap_and_nop()] {
        // From a call that was not stepped over: one instruction.
        guest = Guest::on(&guest.platform, code);
        guest.run_to_call();
        guest.thread.registers_mut().rax = 3;
        let trap = guest.step();
        assert_step(trap, &guest, CODE + 8);
        assert_eq!(guest.registers().rax, 3);
        // Into a call, then on without steps.
        guest = Guest::on(&guest.platform, code);
        let trap = guest.step();
        assert_step(trap, &guest, CODE + 5);
        assert_eq!(guest.step(), Trap::Syscall);
        assert_eq!(guest.run_to_call(), 7);
        // Into a call, over it, and on with steps.
        guest = Guest::on(&guest.platform, code);
        guest.step();
        assert_eq!(guest.step(), Trap::Syscall);
        guest.thread.registers_mut().rax = 4;
        let trap = guest.step();
        assert_step(trap, &guest, CODE + 7);
        assert_eq!((guest.registers().rax, guest.registers().eflags & 0x100), (4, 0));
        let trap = guest.step();
        assert_step(trap, &guest, CODE + 8);
        // An operation in between changes nothing.
        guest = Guest::on(&guest.platform, code);
        guest.step();
        assert_eq!(guest.step(), Trap::Syscall);
        assert_eq!(guest.op(HostOp::Yield), Ok(0));
        let trap = guest.step();
        assert_step(trap, &guest, CODE + 7);
    }
}

/// Interrupts that come at any moment of a call, its completion, an operation or a spawn: none is
/// lost, none is seen twice, and neither is a call.
pub fn interrupts_race_with_everything() {
    const ROUNDS: u64 = 2000;
    let mut guest = Guest::new(counted_calls());
    let interrupter = guest.thread.interrupter();
    let (asked, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let platform = guest.platform.clone();
    let (asked_there, seen_there) = (Arc::clone(&asked), Arc::clone(&seen));
    let other = std::thread::spawn(move || {
        platform.unbind_helper();
        for round in 1..=ROUNDS {
            jitter(round);
            asked_there.store(round, Ordering::SeqCst);
            interrupter.interrupt();
            while seen_there.load(Ordering::SeqCst) < round {
                std::thread::yield_now();
            }
        }
    });
    let mut calls = 0;
    while seen.load(Ordering::SeqCst) < ROUNDS {
        match guest.run() {
            Trap::Interrupted => {
                assert!(asked.load(Ordering::SeqCst) > seen.load(Ordering::SeqCst), "twice");
                let rip = guest.registers().rip;
                assert!((CODE..CODE + 12).contains(&rip), "{rip:x}");
                seen.fetch_add(1, Ordering::SeqCst);
            }
            Trap::Syscall => {
                calls += 1;
                guest.thread.registers_mut().rax = 0;
                match calls % 5 {
                    0 => assert_eq!(guest.registers().rbx, calls),
                    1 => assert_eq!(guest.op(HostOp::Yield), Ok(0)),
                    2 if calls % 10 == 2 => drop(guest.spawn(Spawn::Thread)),
                    3 if calls % 20 == 3 => drop(guest.spawn(Spawn::CopyMemory)),
                    _ => {}
                }
            }
            other => panic!("{other:?}"),
        }
    }
    other.join().expect("join");
    guest.run_to_call();
    assert_eq!(guest.registers().rbx, calls + 1);
    assert_eq!(guest.space.write(DATA, &[1]), Ok(1));
}
