//! Calls by the hotline: a worker watches out for them while a thread makes one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{AddressSpace, HostOp, Identity, Spawn, Trap};

use super::guest::{DATA, DATA_BYTES, Guest};
use crate::guest_code;

const IDENTITY: Identity = Identity { pid: 11, tid: 12, uid: 13, euid: 14, gid: 15, egid: 16 };
const END: u64 = 500;
const READ: u64 = 0;
const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const STAT: u64 = 4;
const OPENAT: u64 = 257;

// Adds up what r12 calls of number r15 answer.
guest_code!(adding: ".fill 128, 1, 0x90",
    "2: mov rax, r15", "syscall", "lea r14, [r14 + rax]", "inc rbx", "dec r12", "jnz 2b",
    "mov eax, 500", "syscall");

/// A guest whose site is patched already.
fn guest() -> Guest {
    let mut guest = Guest::new(adding());
    guest.platform.watch_at_once();
    guest.thread.set_identity(Some(&IDENTITY));
    prepare(&mut guest, CLOSE, 400);
    run_to_end(&mut guest, |_, _| 0);
    guest
}

fn prepare(guest: &mut Guest, number: u64, rounds: u64) {
    guest.complete().expect("complete");
    let registers = guest.thread.registers_mut();
    registers.r12 = rounds;
    registers.r15 = number;
    (registers.r14, registers.rbx) = (0, 0);
    registers.rip = super::guest::CODE;
}

/// Answers all calls until the last; returns how many there were.
fn run_to_end(guest: &mut Guest, mut answer: impl FnMut(&mut Guest, u64) -> u64) -> u64 {
    let mut count = 0;
    loop {
        match guest.run() {
            Trap::Syscall if guest.thread.registers().orig_rax == END => return count,
            Trap::Syscall => {
                let result = answer(guest, count);
                guest.thread.registers_mut().rax = result;
                count += 1;
            }
            Trap::Interrupted => {}
            other => panic!("{other:?} {:x?}", guest.thread.registers()),
        }
    }
}

/// The memory as the present call sees it.
fn memory(guest: &Guest) -> Arc<dyn AddressSpace> {
    guest.thread.memory().expect("of systrap")
}

fn set_arguments(guest: &mut Guest, [rdi, rsi, rdx]: [u64; 3]) {
    let registers = guest.thread.registers_mut();
    (registers.rdi, registers.rsi, registers.rdx) = (rdi, rsi, rdx);
}

pub fn calls_go_by_the_line() {
    const ROUNDS: u64 = 20_000;
    let mut guest = guest();
    let before = guest.platform.line_calls();
    prepare(&mut guest, CLOSE, ROUNDS);
    set_arguments(&mut guest, [7, 8, 9]);
    let calls = run_to_end(&mut guest, |guest, count| {
        let registers = guest.thread.registers();
        assert_eq!((registers.rdi, registers.rsi, registers.rdx), (7, 8, 9));
        assert_eq!(registers.orig_rax, CLOSE);
        assert_eq!(registers.rip, super::guest::CODE + 133);
        count
    });
    assert_eq!(calls, ROUNDS);
    let by_line = guest.platform.line_calls() - before;
    assert!(by_line > ROUNDS / 4, "{by_line}");
    let registers = guest.registers();
    assert_eq!((registers.rbx, registers.r14), (ROUNDS, ROUNDS * (ROUNDS - 1) / 2));
}

/// Interrupts at any moment, and completions in the middle of calls.
pub fn each_call_is_made_once_in_a_storm() {
    const ROUNDS: u64 = 5_000;
    let mut guest = guest();
    let before = guest.platform.line_calls();
    let mut interrupts = 0;
    // On a busy machine.
    let limit = Instant::now() + Duration::from_secs(15);
    for pause in [5, 20, 80].into_iter().cycle() {
        prepare(&mut guest, CLOSE, ROUNDS);
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, target) = (Arc::clone(&stop), guest.thread.interrupter());
        let storm = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                target.interrupt();
                std::thread::sleep(Duration::from_micros(pause));
            }
        });
        let mut calls = 0;
        loop {
            match guest.run() {
                Trap::Syscall if guest.thread.registers().orig_rax == END => break,
                Trap::Syscall => {
                    guest.thread.registers_mut().rax = calls;
                    calls += 1;
                    if calls % 5 == 0 {
                        let ip = guest.thread.registers().rip;
                        let registers = guest.registers();
                        assert_eq!((registers.rax, registers.rip), (calls - 1, ip));
                        assert_eq!((registers.rcx, registers.r11), (ip, registers.eflags));
                        assert_eq!(registers.rbx + registers.r12, ROUNDS);
                    }
                }
                Trap::Interrupted => {
                    interrupts += 1;
                    let registers = *guest.thread.registers();
                    let left_over = registers.rbx + registers.r12 - ROUNDS;
                    assert!(left_over <= 1, "{registers:x?}");
                }
                other => panic!("{other:?} {:x?}", guest.thread.registers()),
            }
        }
        stop.store(true, Ordering::Relaxed);
        storm.join().expect("storm");
        assert_eq!(calls, ROUNDS);
        let registers = guest.registers();
        assert_eq!((registers.rbx, registers.r14), (ROUNDS, ROUNDS * (ROUNDS - 1) / 2));
        let by_line = guest.platform.line_calls() - before;
        if interrupts > 1000 && by_line > 10_000 || Instant::now() > limit {
            assert!(interrupts > 0 && by_line > 0, "{interrupts} {by_line}");
            return;
        }
    }
}

pub fn bytes_go_along_and_come_back() {
    let mut guest = guest();
    for len in [1, 8, 4096, 8192] {
        prepare(&mut guest, WRITE, 300);
        set_arguments(&mut guest, [3, DATA + 5, len]);
        let text: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
        assert_eq!(guest.space.write(DATA + 5, &text), Ok(text.len()));
        run_to_end(&mut guest, |guest, _| {
            let mut found = vec![0; len as usize];
            assert_eq!(memory(guest).read(DATA + 5, &mut found), Ok(found.len()));
            assert!(found == text);
            // Bytes beyond what came along.
            let mut more = [1; 16];
            assert_eq!(memory(guest).read(DATA + 5 + len - 1, &mut more), Ok(16));
            assert_eq!(more[0], text[text.len() - 1]);
            len
        });
        prepare(&mut guest, READ, 300);
        set_arguments(&mut guest, [3, DATA + 4095, len]);
        let mut last = Vec::new();
        run_to_end(&mut guest, |guest, count| {
            let mut before = vec![0; last.len()];
            assert_eq!(guest.space.read(DATA + 4095, &mut before), Ok(last.len()));
            assert!(before == last, "of {count}");
            last = (0..len).map(|at| (at + count) as u8).collect();
            let (one, two) = last.split_at(len as usize / 2);
            assert_eq!(memory(guest).write(DATA + 4095, one), Ok(one.len()));
            assert_eq!(memory(guest).write(DATA + 4095 + one.len() as u64, two), Ok(two.len()));
            if count % 3 == 0 {
                let mut now = vec![0; last.len()];
                assert_eq!(memory(guest).read(DATA + 4095, &mut now), Ok(now.len()));
                assert!(now == last);
            }
            if count % 7 == 0 {
                guest.complete().expect("complete");
            }
            len
        });
    }
    for text in [&b"\0"[..], b"/etc/passwd\0", &[b'a'; 300]] {
        prepare(&mut guest, OPENAT, 200);
        set_arguments(&mut guest, [0, DATA + 100, 0]);
        assert_eq!(guest.space.write(DATA + 100, text), Ok(text.len()));
        run_to_end(&mut guest, |guest, _| {
            let mut found = [0xee; 256];
            let done = memory(guest).read(DATA + 100, &mut found).expect("text");
            assert!(done >= text.len().min(256));
            let len = text.len().min(256);
            assert_eq!(found[..len], text[..len]);
            0
        });
    }
}

/// Bad addresses are for the kernel to refuse, at the byte.
pub fn what_does_not_fit_goes_the_long_way() {
    let mut guest = guest();
    let end = DATA + DATA_BYTES;
    for number in [READ, WRITE, OPENAT, STAT] {
        for (address, len) in
            [(end - 10, 20), (0, 10), (u64::MAX - 3, 10), (DATA, 1 << 40), (DATA, 0)]
        {
            prepare(&mut guest, number, 100);
            set_arguments(&mut guest, [address, address, len]);
            assert_eq!(guest.space.write(end - 10, &[1; 10]), Ok(10));
            run_to_end(&mut guest, |guest, _| {
                let registers = guest.thread.registers();
                assert_eq!((registers.rsi, registers.rdx), (address, len));
                let mut found = [0; 20];
                let read = memory(guest).read(address, &mut found);
                let wrote = memory(guest).write(address, &[1; 20]);
                if address == end - 10 {
                    assert_eq!((read, wrote), (Ok(10), Ok(10)));
                } else if address == DATA {
                    assert_eq!((read, wrote), (Ok(20), Ok(20)));
                } else {
                    assert_eq!((read, wrote), (Err(Errno::EFAULT), Err(Errno::EFAULT)));
                }
                0
            });
        }
    }
}

/// A kernel that cannot answer at once.
pub fn a_long_call_waits_in_the_host() {
    let mut guest = guest();
    prepare(&mut guest, CLOSE, 3000);
    let interrupter = guest.thread.interrupter();
    let calls = run_to_end(&mut guest, |guest, count| {
        if count % 100 == 99 {
            let pause = Instant::now() + Duration::from_millis(3);
            while Instant::now() < pause {
                guest.platform.park(Some(pause));
            }
            if count % 200 == 199 {
                interrupter.interrupt();
            }
            if count % 300 == 299 {
                guest.complete().expect("complete");
            }
        }
        count
    });
    assert_eq!(calls, 3000);
    assert_eq!(guest.registers().r14, 3000 * 2999 / 2);
}

/// Another thread unmaps what a call is about to write.
pub fn memory_that_goes_away_is_efault() {
    let mut guest = guest();
    let mut sibling = guest.spawn(Spawn::Thread);
    prepare(&mut guest, READ, 1000);
    set_arguments(&mut guest, [3, DATA, 16]);
    let before = guest.platform.line_calls();
    let mut is_gone = false;
    let calls = run_to_end(&mut guest, |guest, count| {
        let written = memory(guest).write(DATA, &[count as u8; 16]);
        if is_gone {
            assert_eq!(written, Err(Errno::EFAULT));
            return 0;
        }
        assert_eq!(written, Ok(16));
        if guest.platform.line_calls() - before > 100 {
            sibling.op(HostOp::Munmap { addr: DATA, len: 4096 }).expect("munmap");
            is_gone = true;
        }
        16
    });
    assert_eq!(calls, 1000);
    let done = guest.registers().r14;
    if is_gone {
        // Sixteen for each but the last before that, which is EFAULT if it was by the line.
        assert!(done.is_multiple_of(16) || done.wrapping_add(14).is_multiple_of(16), "{done}");
    }
}

pub fn threads_end_and_fork_at_the_line() {
    let mut guest = guest();
    for kind in [Spawn::CopyMemory, Spawn::Thread] {
        for _ in 0..10 {
            prepare(&mut guest, CLOSE, 400);
            let mut children = Vec::new();
            run_to_end(&mut guest, |guest, count| {
                if count == 300 {
                    children.push(guest.spawn(kind));
                }
                1
            });
            assert_eq!(guest.registers().r14, 400);
            let mut child = children.pop().expect("a child");
            child.thread.set_identity(Some(&IDENTITY));
            if kind == Spawn::CopyMemory {
                child.thread.registers_mut().rax = 1;
                run_to_end(&mut child, |_, _| 1);
                assert_eq!(child.registers().r14, 400);
            }
            prepare(&mut child, CLOSE, u64::MAX);
            if kind == Spawn::Thread {
                // Its parent's segment base makes neither found.
                child.thread.registers_mut().fs_base = DATA;
            }
            // Ends in the middle of a call.
            for _ in 0..500 {
                assert_eq!(child.run_to_call(), CLOSE);
            }
            drop(child);
        }
    }
}
