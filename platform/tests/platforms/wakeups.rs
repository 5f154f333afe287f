//! Interrupts, unparking, deadlines, signals from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use platform::{ResumeMode, Trap};

use super::guest::{CODE, Guest, getpid_loop, kill, spin};
use super::kind::{Kind, new_platform};

/// A few instructions' worth of delay that differs each time.
pub fn jitter(round: u64) {
    for _ in 0..(round * 7919) % 613 {
        std::hint::spin_loop();
    }
}

pub fn a_spinning_thread_is_interrupted() {
    let mut guest = Guest::new(spin());
    let interrupter = guest.thread.interrupter();
    let platform = guest.platform.clone();
    let other = std::thread::spawn(move || {
        platform.unbind_helper();
        std::thread::sleep(Duration::from_millis(20));
        interrupter.interrupt();
        interrupter.interrupt();
    });
    assert_eq!(guest.run(), Trap::Interrupted);
    other.join().expect("join");
    let registers = *guest.thread.registers();
    assert!((CODE..CODE + 5).contains(&registers.rip) && registers.rbx > 0);
    assert_eq!(registers.orig_rax, u64::MAX);
    assert!(guest.thread.cpu_time_ns().0 > 1_000_000);
}

pub fn an_interrupt_of_a_trapped_thread_waits() {
    let mut guest = Guest::new(getpid_loop());
    guest.run_to_call();
    let interrupter = guest.thread.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    let before = *guest.thread.registers();
    assert_eq!(guest.op(platform::HostOp::Yield), Ok(0));
    assert_eq!(guest.run(), Trap::Interrupted);
    assert_eq!(guest.thread.registers().rip, before.rip);
    assert_eq!(guest.run_to_call(), 39);
    // Also when the wish comes from this very thread while the guest is about to run.
    guest.thread.resume(ResumeMode::Run);
    interrupter.interrupt();
    let first = guest.await_trap();
    let second = guest.run();
    assert!([first, second].contains(&Trap::Interrupted), "{first:?} {second:?}");
}

pub fn interrupts_are_never_lost() {
    const ROUNDS: u64 = 3000;
    let mut guest = Guest::new(getpid_loop());
    let interrupter = guest.thread.interrupter();
    let asked = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(AtomicU64::new(0));
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
    let mut calls = 0_u64;
    while seen.load(Ordering::SeqCst) < ROUNDS {
        match guest.run() {
            Trap::Interrupted => {
                seen.fetch_add(1, Ordering::SeqCst);
                assert!(seen.load(Ordering::SeqCst) <= asked.load(Ordering::SeqCst));
            }
            Trap::Syscall => {
                calls += 1;
                guest.thread.registers_mut().rax = calls;
                if calls.is_multiple_of(3) {
                    assert_eq!(guest.op(platform::HostOp::Yield), Ok(0));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    other.join().expect("join");
}

pub fn unpark_before_park_is_kept() {
    let platform = new_platform();
    platform.unpark();
    platform.unpark();
    platform.park(None);
    // Both were for that one.
    let start = Instant::now();
    platform.park(Some(start + Duration::from_millis(30)));
    assert!(start.elapsed() >= Duration::from_millis(30));
}

pub fn unparks_are_never_lost() {
    const ROUNDS: u64 = 20_000;
    let platform = new_platform();
    let ball = Arc::new(AtomicU64::new(0));
    let (platform_there, ball_there) = (platform.clone(), Arc::clone(&ball));
    let other = std::thread::spawn(move || {
        platform_there.unbind_helper();
        for round in 0..ROUNDS {
            while ball_there.load(Ordering::SeqCst) != 2 * round {
                std::thread::yield_now();
            }
            jitter(round);
            ball_there.store(2 * round + 1, Ordering::SeqCst);
            platform_there.unpark();
        }
    });
    for round in 0..ROUNDS {
        while ball.load(Ordering::SeqCst) != 2 * round + 1 {
            platform.park(None);
        }
        jitter(round * 3);
        ball.store(2 * round + 2, Ordering::SeqCst);
    }
    other.join().expect("join");
}

pub fn a_deadline_ends_parking() {
    let mut guest = Guest::new(spin());
    guest.thread.resume(ResumeMode::Run);
    for _ in 0..3 {
        let start = Instant::now();
        let mut parks = 0;
        while start.elapsed() < Duration::from_millis(25) {
            guest.platform.park(Some(start + Duration::from_millis(25)));
            parks += 1;
        }
        assert!(parks < 5 && start.elapsed() < Duration::from_secs(2));
    }
    guest.platform.park(Some(Instant::now()));
    assert!(guest.is_trapped().is_none());
}

pub fn foreign_signals_are_swallowed() {
    let mut guest = Guest::new(getpid_loop());
    let pid = Guest::newest_host_pid();
    let stop = Arc::new(AtomicBool::new(false));
    let (platform, stop_there) = (guest.platform.clone(), Arc::clone(&stop));
    let signals = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGURG,
        libc::SIGTRAP,
        libc::SIGSEGV,
        libc::SIGTSTP,
        libc::SIGSTOP,
        libc::SIGCONT,
        libc::SIGRTMIN(),
        libc::SIGSYS,
    ];
    let other = std::thread::spawn(move || {
        platform.unbind_helper();
        for signal in signals.iter().cycle() {
            if stop_there.load(Ordering::SeqCst) {
                break;
            }
            kill(pid, *signal);
            std::thread::yield_now();
        }
    });
    // Only a tracer keeps stubs from really stopping, which takes a while.
    let rounds = if Kind::is_systrap() { 500 } else { 5000 };
    for round in 0..rounds {
        assert_eq!(guest.run_to_call(), 39);
        guest.thread.registers_mut().rax = round;
        if round.is_multiple_of(5) {
            let mut child = guest.spawn(platform::Spawn::CopyMemory);
            assert_eq!(child.run_to_call(), 39);
        }
    }
    stop.store(true, Ordering::SeqCst);
    other.join().expect("join");
}

pub fn stop_and_continue_are_swallowed() {
    let mut guest = Guest::new(spin());
    let pid = Guest::newest_host_pid();
    guest.thread.resume(ResumeMode::Run);
    for signal in [libc::SIGSTOP, libc::SIGCONT, libc::SIGTSTP, libc::SIGCONT] {
        kill(pid, signal);
        guest.platform.park(Some(Instant::now() + Duration::from_millis(10)));
        assert!(guest.is_trapped().is_none());
    }
    let before = guest.thread.cpu_time_ns().0;
    // On a busy machine it has to wait for its turn.
    let limit = Instant::now() + Duration::from_secs(10);
    while guest.thread.cpu_time_ns().0 <= before {
        assert!(Instant::now() < limit, "it still runs");
        guest.platform.park(Some(Instant::now() + Duration::from_millis(50)));
    }
    guest.thread.interrupter().interrupt();
    assert_eq!(guest.await_trap(), Trap::Interrupted);
}
