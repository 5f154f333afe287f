//! Executes patched syscall sites in this very process, alone and while other threads do.
//!
//! A small stub answers what jumps to it with the call's number plus [`SERVED`]; what still traps
//! goes to the host's kernel. A SIGTRAP handler follows the patches' redirections.

#[path = "patch/guest.rs"]
mod guest;
#[path = "patch/table.rs"]
mod table;
#[path = "patch/trap.rs"]
mod trap;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guest::{Code, Registers};
use platform::systrap::patch::{Form, Threads};

/// What the stub adds to the number of the call.
const SERVED: u64 = 1000;

const GETPID: u64 = 39;
const MOV_GETPID: [u8; 5] = [0xb8, 39, 0, 0, 0];
const MOV_GETPID_LONG: [u8; 7] = [0x48, 0xc7, 0xc0, 39, 0, 0, 0];
/// `lea rbx, [rbx + 1]`, which leaves flags alone.
const COUNT: [u8; 4] = [0x48, 0x8d, 0x5b, 0x01];
const RET: [u8; 1] = [0xc3];
/// `mov r9, r9; ret`
const MOV_RET: [u8; 4] = [0x4d, 0x89, 0xc9, 0xc3];

/// All registers different, and all flags set that a program may set without consequence.
fn registers() -> Registers {
    let mut registers = Registers::default();
    for (number, register) in registers.all.iter_mut().enumerate() {
        *register = 0x1111_0000_0000 + number as u64;
    }
    registers.all[Registers::RAX] = GETPID;
    registers.all[Registers::FLAGS] = 0xed7;
    registers
}

/// Runs a site natively and patched, and compares everything.
fn same_registers(before: &[u8], behind: &[u8], form: Form) {
    let code = Code::new(before, behind);
    let mut native = registers();
    code.call(code.start(), &mut native);
    assert_eq!(native.all[Registers::RAX], u64::from(std::process::id()));
    assert_eq!(native.all[Registers::RCX], code.site() + 2);

    let patch = code.plan(GETPID);
    assert_eq!(patch.form(), form);
    code.carry_out(&patch.install(Threads::One));
    let mut patched = registers();
    code.call(code.start(), &mut patched);
    assert_eq!(patched.all[Registers::RAX], GETPID + SERVED);
    patched.all[Registers::RAX] = native.all[Registers::RAX];
    assert_eq!(patched, native);

    code.carry_out(&patch.restore(Threads::One));
    let mut restored = registers();
    code.call(code.start(), &mut restored);
    assert_eq!(restored, native);
}

#[test]
fn leading_form_keeps_registers_and_flags() {
    same_registers(&MOV_GETPID, &RET, Form::Leading);
    same_registers(&MOV_GETPID_LONG, &RET, Form::Leading);
    same_registers(&[0x4c, 0x89, 0x5c, 0x24, 0xf8], &RET, Form::Leading);
}

#[test]
fn general_form_keeps_registers_and_flags() {
    same_registers(&[0x90], &[&COUNT[..], &RET[..]].concat(), Form::General);
    same_registers(&[0x90], &MOV_RET, Form::General);
    // `cmp rsi, 127; ret`, then `lea rbx, [rbx + 4096]; ret`
    same_registers(&[0x90], &[0x48, 0x83, 0xfe, 0x7f, 0xc3], Form::General);
    same_registers(&[0x90], &[0x48, 0x8d, 0x9b, 0, 0x10, 0, 0, 0xc3], Form::General);
}

#[test]
fn jumps_to_the_old_second_instruction_reach_its_copy() {
    trap::install_handler();
    let code = Code::new(&[0x90], &[&COUNT[..], &RET[..]].concat());
    let patch = code.plan(GETPID);
    code.carry_out(&patch.install(Threads::Many));
    let mut after = registers();
    code.call(code.site() + 2, &mut after);
    let mut expected = registers();
    expected.all[Registers::RBX] += 1;
    assert_eq!(after, expected);
}

#[test]
fn a_thread_that_waits_in_the_call_goes_on() {
    trap::install_handler();
    let code = Code::new(&[0x90], &[&COUNT[..], &RET[..]].concat());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let (say, hear) = std::sync::mpsc::channel();
    let result = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            say.send(rustix::thread::gettid()).expect("a listener");
            let mut buffer = [0_u8; 1];
            let mut registers = registers();
            registers.all[Registers::RAX] = 0;
            registers.all[Registers::RDI] = reader.as_raw_fd() as u64;
            registers.all[Registers::RSI] = buffer.as_mut_ptr() as u64;
            registers.all[Registers::RDX] = 1;
            code.call(code.site(), &mut registers);
            registers
        });
        trap::wait_until_reading(hear.recv().expect("the thread's id"));
        let patch = code.plan(0);
        code.carry_out(&patch.install(Threads::Many));
        std::io::Write::write_all(&mut &writer, b"x").expect("a byte");
        waiting.join().expect("the thread")
    });
    assert_eq!(result.all[Registers::RAX], 1);
    assert_eq!(result.all[Registers::RBX], registers().all[Registers::RBX] + 1);
}

/// Sets a flag when it is dropped, be it by a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Applies and restores a patch again and again while another thread calls the site's code at each
/// of `entries`: (offset from the site, whether the call is made from there).
fn hammer(before: &[u8], behind: &[u8], entries: &[(i64, bool)], counts: bool) {
    trap::install_handler();
    let code = Code::new(before, behind);
    let stop = AtomicBool::new(false);
    let (native, served) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let calls = || {
            while !stop.load(Ordering::Relaxed) {
                for (offset, is_call) in entries {
                    let mut after = registers();
                    code.call(code.site().wrapping_add_signed(*offset), &mut after);
                    match after.all[Registers::RAX] {
                        GETPID => assert!(!is_call),
                        result if result == GETPID + SERVED => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        result => {
                            assert_eq!(result, u64::from(std::process::id()));
                            native.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    let count = after.all[Registers::RBX] - registers().all[Registers::RBX];
                    assert_eq!(count, u64::from(counts));
                }
            }
        };
        let hammering = scope.spawn(calls);
        let stop_at_end = SetAtEnd(&stop);
        let end = Instant::now() + Duration::from_millis(1500);
        let mut rounds = 0_u64;
        while Instant::now() < end && !hammering.is_finished() {
            let patch = code.plan(GETPID);
            // Each plan takes room for good.
            for _ in 0..80 {
                code.carry_out(&patch.install(Threads::Many));
                trap::pause(rounds % 50);
                code.carry_out(&patch.restore(Threads::Many));
                trap::pause(rounds % 30);
            }
            code.forget(&patch);
            rounds += 1;
        }
        drop(stop_at_end);
        hammering.join().expect("the calls go as they should");
        assert!(rounds > 5, "{rounds}");
    });
    // Both ways were taken.
    assert!(native.into_inner() > 0 && served.into_inner() > 0);
}

#[test]
fn general_form_changes_under_a_running_thread() {
    hammer(&[0x90], &[&COUNT[..], &RET[..]].concat(), &[(0, true), (2, false), (-1, true)], true);
}

#[test]
fn leading_form_changes_under_a_running_thread() {
    hammer(&MOV_GETPID, &RET, &[(-5, true), (0, true)], false);
    hammer(&MOV_GETPID_LONG, &RET, &[(-7, true), (0, true)], false);
}
