//! The stub: the part of the systrap platform that lives in every guest process.
//!
//! Freestanding code without data of its own. The platform copies it into a page of each guest's
//! window, where guest code can read it and jump to any of its instructions, and where all memory
//! it works with can be written by the guest: nothing here protects anybody. What protects the
//! host is the seccomp filter; what protects the sentry is that it trusts nothing it gets.
//!
//! A guest thread enters through [`on_signal`] (a trapped call, a fault, a kick), rings the
//! doorbell, and obeys the sentry's commands until one says to resume. Or it enters through
//! [`fast::enter`], which patched calls jump to, and leaves again by itself.

#![no_std]
#![no_main]

#[path = "../src/systrap/layout.rs"]
#[allow(dead_code, reason = "the sentry uses the rest")]
mod layout;
#[path = "../src/systrap/line.rs"]
#[allow(dead_code, reason = "the sentry uses the rest")]
mod line;
#[path = "../src/systrap/state_words.rs"]
#[allow(dead_code, reason = "the sentry uses the rest")]
mod state_words;
#[path = "../src/systrap/conduit/bytes.rs"]
#[allow(dead_code, reason = "the sentry uses the rest")]
mod bytes;
#[macro_use]
mod access;
mod calls;
mod change;
mod conduit;
mod cpuid;
mod entry;
mod fast;
mod hotline;
mod init;
mod state;
mod word;

use calls::{doorbell, syscall};
use layout::{
    CALLS_MAX, CHANGE_WORD, CONTROL_BYTES, Call, Control, DESCRIPTOR, SLOT_BYTES, STACK_OFFSET, command, event,
};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    entry::crash()
}

/// The handler of every signal that reaches guest code; returning goes on with the guest.
///
/// # Safety
/// Called by the kernel only, on the alternate stack of a slot.
pub(crate) unsafe extern "C" fn on_signal(signo: u64, info: u64, context: u64) {
    // SAFETY: the kernel's promise.
    if unsafe { cpuid::serve(signo, context) } {
        return;
    }
    // SAFETY: as above.
    if unsafe { word::takes(signo, context) } {
        return;
    }
    let slot = context & !(SLOT_BYTES - 1);
    if conduit::defers(slot, signo) {
        return;
    }
    let (fs_base, gs_base) = entry::bases();
    let word = doorbell(event::SIGNAL, [context, info, signo, fs_base, gs_base]);
    // SAFETY: the alternate stack lies in the thread's slot.
    unsafe { obey(slot, context, word) };
}

/// Where a new thread starts, on the small stack of its slot.
///
/// # Safety
/// `slot` is the address of the thread's slot.
pub(crate) unsafe extern "C" fn start_thread(slot: u64) -> ! {
    set_signal_stack(slot, slot + SLOT_BYTES);
    let word = doorbell(event::HELLO, [slot, 0, 0, 0, 0]);
    let control = control(slot);
    // The sentry has put a signal frame there.
    let context = load!((*control).context);
    let [is_process, address, new] = load!((*control).birth);
    if is_process != 0 {
        syscall(calls::SETPGID, [0; 6]);
    }
    if address != 0 {
        // The frame of a fault must lie elsewhere.
        set_signal_stack(slot, context.wrapping_sub(64));
        word::change(address, 0, 0, 0, new);
        set_signal_stack(slot, slot + SLOT_BYTES);
    }
    // SAFETY: the caller's promise.
    unsafe { obey(slot, context, word) };
    entry::sigreturn(context)
}

/// Has signals handled on the slot's stack, from `end` down.
fn set_signal_stack(slot: u64, end: u64) {
    let start = slot + STACK_OFFSET;
    // struct stack_t: ss_sp, ss_flags, ss_size.
    let stack = [start, 0, end.wrapping_sub(start)];
    syscall(calls::SIGALTSTACK, [(&raw const stack) as u64, 0, 0, 0, 0, 0]);
}

fn control(slot: u64) -> *mut Control {
    slot as *mut Control
}

/// Does what the sentry commands until it says to resume.
///
/// # Safety
/// `slot` is the address of the thread's slot, `context` that of the `ucontext` to resume from.
unsafe fn obey(slot: u64, context: u64, mut word: u64) {
    let control = control(slot);
    let mut descriptor = u64::MAX;
    loop {
        let command = load!((*control).command);
        if command != 0 {
            store!((*control).command, 0);
            (descriptor, word) = (word, command);
        }
        let result = match word & 0xff {
            // SAFETY: the slot is mapped.
            command::RESUME => return unsafe { load_bases(control, word) },
            command::CALLS if word & command::THEN_RESUME != 0 => {
                // SAFETY: the slot is mapped.
                let mut result = unsafe { make_calls(control, word, descriptor) };
                let is_told = word & command::UNLESS_FAILED != 0;
                if !is_told || result <= ERRORS {
                    if is_told {
                        result = load!((*control).value);
                    }
                    // SAFETY: the caller's promise.
                    unsafe { ((context + CONTEXT_RAX) as *mut u64).write_volatile(result) };
                    // SAFETY: the slot is mapped.
                    return unsafe { load_bases(control, word) };
                }
                result
            }
            // SAFETY: the slot is mapped.
            command::CALLS => unsafe { make_calls(control, word, descriptor) },
            // SAFETY: the slot is mapped.
            command::SPAWN => unsafe { spawn(slot, descriptor) },
            command::EXIT => entry::exit(word >> command::EXIT_WORD_SHIFT),
            // The sentry is gone.
            _ => entry::exit(0),
        };
        word = doorbell(event::DONE, [result, 0, 0, 0, 0]);
    }
}

/// Where `struct ucontext` has rax.
const CONTEXT_RAX: u64 = 40 + 13 * 8;

/// Loads the segment bases that a command asks for.
///
/// # Safety
/// The control block is mapped.
unsafe fn load_bases(control: *mut Control, word: u64) {
    if word & command::LOAD_FS != 0 {
        // SAFETY: the caller's promise.
        entry::load_fs(unsafe { (&raw const (*control).fs_base).read_volatile() });
    }
    if word & command::LOAD_GS != 0 {
        // SAFETY: the caller's promise.
        entry::load_gs(unsafe { (&raw const (*control).gs_base).read_volatile() });
    }
}

/// Results above this one are negated errnos.
const ERRORS: u64 = -4096_i64 as u64;

/// Makes the commanded calls; the first one's result counts, or if the command says so that of the
/// first that fails, with which it ends.
unsafe fn make_calls(control: *mut Control, word: u64, descriptor: u64) -> u64 {
    let until_error = word & command::UNTIL_ERROR != 0;
    let count = load!((*control).call_count) as usize;
    let mut counts = 0;
    let mut index = 0;
    while index < count && index < CALLS_MAX {
        // SAFETY: the index is within the array.
        let call = unsafe { (&raw const (*control).calls).cast::<Call>().add(index) };
        // SAFETY: the slot is mapped.
        let Call { number, args: [mut a, b, c, d, mut e, f] } = unsafe { call.read_volatile() };
        match number {
            calls::CLOSE if a == DESCRIPTOR => a = descriptor,
            calls::MMAP if e == DESCRIPTOR => e = descriptor,
            _ => {}
        }
        let result = match number {
            CHANGE_WORD => word::change(a, b, c, d, e),
            _ => syscall(number, [a, b, c, d, e, f]),
        };
        let is_last = until_error && result > ERRORS;
        if index == 0 || is_last {
            counts = result;
        }
        if is_last {
            break;
        }
        index += 1;
    }
    counts
}

/// Makes the commanded thread or process.
unsafe fn spawn(slot: u64, descriptor: u64) -> u64 {
    let args = load!((*control(slot)).spawn);
    let channel = if args.channel == DESCRIPTOR { descriptor } else { u64::MAX };
    let first_closed = if args.keeps_others != 0 { channel } else { 0 };
    // SAFETY: the child leaves this stack before it touches it.
    let child = unsafe { entry::clone(args.flags, args.slot, channel, entry::channel(), first_closed) };
    if channel != u64::MAX {
        syscall(calls::CLOSE, [channel, 0, 0, 0, 0, 0]);
    }
    child
}

/// Room for [`start_thread`]'s stack.
const _: () = assert!(size_of::<Control>() as u64 + 2048 <= CONTROL_BYTES);
