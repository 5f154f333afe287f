//! The fast entry: patched calls come here by a jump, and those that only concern the thread itself
//! are served here.
//!
//! The thread may be kicked at any instruction, and then its registers are needed as they were at
//! the call. They all lie in its [`Fast`] block as soon as [`enter`] has saved them, and nothing
//! that is done here does harm if it is done again, or it is noted that it was done ([`hotline`],
//! [`change`], [`conduit`]): so the sentry puts the thread back before the call, or behind it. It knows the block by rcx or, between `stub_fast_switched` and `stub_fast_restored`, by the
//! stack pointer. A fault here (a bad pointer of the guest's) takes the slow way, a real call.
//!
//! Vector registers hold values of the guest and no code here touches them; a test looks at every
//! instruction. String instructions run only while the direction flag is clear.

use core::arch::naked_asm;
use core::mem::offset_of;

use super::access::put;
use super::calls::{self, syscall};
use super::layout::change as change_state;
use super::layout::{
    FAST_OFFSET, FAST_STACK, Fast, HOTLINE_OFFSET, Hotline, Identity, PLAIN_OFFSET, Plain,
    REPORTS_OFFSET, Saved, info, line, served,
};
use super::state_words::{STATE_OFFSET, StateWords};
use super::{change, conduit, entry, hotline, state};

/// Where a trampoline jumps to: `rcx` is the address of the thread's [`Fast`] block, `r11` that of
/// the trampoline's data, everything else is as the guest has it. Continues where [`serve`] says,
/// with `r11` as a system call leaves it.
///
/// # Safety
/// Not to be called.
#[unsafe(naked)]
#[unsafe(link_section = ".text.fast")]
pub(crate) unsafe extern "C" fn enter() {
    naked_asm!(
        "mov [rcx + {info}], r11",
        "mov qword ptr [rcx + {change}], {none}",
        "mov [rcx + {rax}], rax",
        "mov [rcx + {rbx}], rbx",
        "mov [rcx + {rdx}], rdx",
        "mov [rcx + {rsi}], rsi",
        "mov [rcx + {rdi}], rdi",
        "mov [rcx + {rbp}], rbp",
        "mov [rcx + {rsp}], rsp",
        "mov [rcx + {r8}], r8",
        "mov [rcx + {r9}], r9",
        "mov [rcx + {r10}], r10",
        "mov [rcx + {r12}], r12",
        "mov [rcx + {r13}], r13",
        "mov [rcx + {r14}], r14",
        "mov [rcx + {r15}], r15",
        "lea rsp, [rcx + {stack}]",
        ".globl stub_fast_switched",
        "stub_fast_switched:",
        "pushfq",
        "pop [rcx + {flags}]",
        // A new turn: what the line says of the last one is over.
        "add dword ptr [rcx + {turn}], {one_turn}",
        ".globl stub_fast_saved",
        "stub_fast_saved:",
        "mov rdi, rcx",
        "call {serve}",
        "lea rcx, [rsp - {stack}]",
        "mov [rcx + {target}], rax",
        "mov rdx, [rcx + {rdx}]",
        "mov rsi, [rcx + {rsi}]",
        "mov rdi, [rcx + {rdi}]",
        "mov r8, [rcx + {r8}]",
        "mov r9, [rcx + {r9}]",
        "mov r10, [rcx + {r10}]",
        "mov r11, [rcx + {flags}]",
        // Arithmetic flags; the others have not changed. `add` makes OF of bit 0, then the rest
        // comes from ah.
        "mov eax, r11d",
        "mov ah, al",
        "bt r11d, 11",
        "setc al",
        "add al, 0x7f",
        "sahf",
        "mov rax, [rcx + {result}]",
        "mov rsp, [rcx + {rsp}]",
        ".globl stub_fast_restored",
        "stub_fast_restored:",
        "jmp [rcx + {target}]",
        turn = const offset_of!(Fast, turn),
        one_turn = const line::TURN,
        change = const offset_of!(Fast, change),
        none = const change_state::NONE,
        info = const offset_of!(Fast, info),
        rax = const offset_of!(Fast, saved) + offset_of!(Saved, rax),
        rbx = const offset_of!(Fast, saved) + offset_of!(Saved, rbx),
        rdx = const offset_of!(Fast, saved) + offset_of!(Saved, rdx),
        rsi = const offset_of!(Fast, saved) + offset_of!(Saved, rsi),
        rdi = const offset_of!(Fast, saved) + offset_of!(Saved, rdi),
        rbp = const offset_of!(Fast, saved) + offset_of!(Saved, rbp),
        rsp = const offset_of!(Fast, saved) + offset_of!(Saved, rsp),
        r8 = const offset_of!(Fast, saved) + offset_of!(Saved, r8),
        r9 = const offset_of!(Fast, saved) + offset_of!(Saved, r9),
        r10 = const offset_of!(Fast, saved) + offset_of!(Saved, r10),
        r12 = const offset_of!(Fast, saved) + offset_of!(Saved, r12),
        r13 = const offset_of!(Fast, saved) + offset_of!(Saved, r13),
        r14 = const offset_of!(Fast, saved) + offset_of!(Saved, r14),
        r15 = const offset_of!(Fast, saved) + offset_of!(Saved, r15),
        flags = const offset_of!(Fast, saved) + offset_of!(Saved, flags),
        target = const offset_of!(Fast, target),
        result = const offset_of!(Fast, result),
        stack = const FAST_STACK,
        serve = sym serve,
    )
}

/// Serves a call if it is one of those that can be; answers with the address to continue at.
///
/// # Safety
/// Called by [`enter`] with a filled-in block.
#[unsafe(link_section = ".text.fast")]
unsafe extern "C" fn serve(fast: *mut Fast) -> u64 {
    let info = load!((*fast).info);
    let (result, way) = match answer(fast) {
        Some(result) => (result, info::RESUME),
        None => (load!((*fast).saved.rax), info::SLOW),
    };
    // SAFETY: the caller's promise.
    unsafe { (&raw mut (*fast).result).write_volatile(result) };
    load!(*((info + way) as *const u64))
}

/// The call's result, `None` if the sentry has to serve it.
#[inline(always)]
fn answer(fast: *mut Fast) -> Option<u64> {
    // Only the lower half counts, as on the host.
    let number = load!((*fast).saved.rax) as u32;
    let result = match number {
        served::GETPID => Some(load!((*fast).identity.pid)),
        served::GETTID => Some(load!((*fast).identity.tid)),
        served::GETUID => Some(load!((*fast).identity.uid)),
        served::GETEUID => Some(load!((*fast).identity.euid)),
        served::GETGID => Some(load!((*fast).identity.gid)),
        served::GETEGID => Some(load!((*fast).identity.egid)),
        served::CLOCK_GETTIME => clock_gettime(fast),
        served::GETTIMEOFDAY => gettimeofday(fast),
        served::TIME => time(fast),
        served::GETCPU => {
            let args = [load!((*fast).saved.rdi), load!((*fast).saved.rsi), 0, 0, 0, 0];
            Some(syscall(calls::GETCPU, args))
        }
        served::SCHED_YIELD => Some(syscall(calls::SCHED_YIELD, [0; 6])),
        _ => {
            let made = change::call(fast, number).or_else(|| conduit::call(fast, number));
            let made = made.or_else(|| hotline::foretold_call(fast, number));
            let made = made.or_else(|| state::call(fast, number));
            match made.or_else(|| hotline::known(fast, number)) {
                None => return hotline::call(fast, number),
                made => made,
            }
        }
    };
    store!((*fast).served, load!((*fast).served) + 1);
    result
}

const DIRECTION_FLAG: u64 = 1 << 10;

const CLOCK_REALTIME: u64 = 0;
const CLOCK_REALTIME_COARSE: u64 = 5;

/// Clocks that are the same for all processes: real time, monotonic, raw, both coarse ones, and
/// since boot.
const CLOCKS: u32 = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;

#[inline(always)]
fn clock_gettime(fast: *mut Fast) -> Option<u64> {
    let clock = load!((*fast).saved.rdi) as u32;
    if clock > 31 || CLOCKS >> clock & 1 == 0 {
        return None;
    }
    Some(read_clock(fast, clock.into(), load!((*fast).saved.rsi)))
}

/// Reads one of [`CLOCKS`].
#[inline(always)]
fn read_clock(fast: *mut Fast, clock: u64, place: u64) -> u64 {
    let plain = (entry::channel() + PLAIN_OFFSET) as *const Plain;
    let function = load!((*plain).clock_gettime);
    if function == 0 || load!((*fast).saved.flags) & DIRECTION_FLAG != 0 {
        return syscall(calls::CLOCK_GETTIME, [clock, place, 0, 0, 0, 0]);
    }
    // SAFETY: the sentry says that this is such a function, which touches no vector registers. (The
    // guest may say something else, and harms itself.)
    let function: unsafe extern "C" fn(u64, u64) -> i32 = unsafe { core::mem::transmute(function) };
    // Should it make a call after all, that is this one.
    store!((*fast).change, change_state::ASKING);
    // SAFETY: as above; a bad place is a fault like any other here.
    let result = unsafe { function(clock, place) };
    store!((*fast).change, change_state::NONE);
    i64::from(result) as u64
}

/// The host's time of day in seconds and nanoseconds.
#[inline(always)]
fn host_time(fast: *mut Fast, clock: u64) -> Option<[u64; 2]> {
    let mut time = core::mem::MaybeUninit::<[u64; 2]>::uninit();
    let place = time.as_mut_ptr();
    if read_clock(fast, clock, place as u64) != 0 {
        return None;
    }
    Some([load!((*place)[0]), load!((*place)[1])])
}

#[inline(always)]
fn gettimeofday(fast: *mut Fast) -> Option<u64> {
    // Without a time zone only.
    if load!((*fast).saved.rsi) != 0 {
        return None;
    }
    let place = load!((*fast).saved.rdi);
    if place != 0 {
        let [seconds, nanos] = host_time(fast, CLOCK_REALTIME)?;
        put(place, seconds);
        put(place.wrapping_add(8), nanos / 1000);
    }
    Some(0)
}

#[inline(always)]
fn time(fast: *mut Fast) -> Option<u64> {
    let [seconds, _] = host_time(fast, CLOCK_REALTIME_COARSE)?;
    let place = load!((*fast).saved.rdi);
    if place != 0 {
        put(place, seconds);
    }
    Some(seconds)
}

/// The arguments of the guest's call.
#[inline(always)]
pub(crate) fn arguments(fast: *mut Fast) -> [u64; 6] {
    [
        load!((*fast).saved.rdi),
        load!((*fast).saved.rsi),
        load!((*fast).saved.rdx),
        load!((*fast).saved.r10),
        load!((*fast).saved.r8),
        load!((*fast).saved.r9),
    ]
}

/// Room for the stack of [`serve`].
const _: () =
    assert!(STATE_OFFSET - FAST_OFFSET + size_of::<StateWords>() as u64 + 2048 <= FAST_STACK);
const _: () = assert!(size_of::<Hotline>() as u64 <= REPORTS_OFFSET - HOTLINE_OFFSET);
const _: () = assert!(size_of::<Fast>() as u64 <= HOTLINE_OFFSET - FAST_OFFSET);
const _: () = assert!(size_of::<Identity>() == 48);
