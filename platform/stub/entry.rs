//! What cannot be said in Rust: the header, signal returns, clones, segment bases.

use core::arch::{asm, global_asm, naked_asm};

use super::calls::{ARCH_PRCTL, SET_TID_ADDRESS, syscall};
use super::layout::{CHANNEL_BYTES, CHANNEL_OFFSET, CONTROL_BYTES, Header};

// The header of the code: `layout::Header`. The sentry fills in the first two words.
global_asm!(
    ".pushsection .text.header,\"ax\",@progbits",
    ".globl stub_header",
    "stub_header:",
    ".quad 0",
    ".quad 0",
    ".quad {on_signal} - stub_header",
    ".quad {restorer} - stub_header",
    ".quad {init} - stub_header",
    ".quad {fast_enter} - stub_header",
    ".quad stub_fast_switched - stub_header",
    ".quad stub_fast_saved - stub_header",
    ".quad stub_fast_restored - stub_header",
    ".quad stub_change_made - stub_header",
    ".quad stub_change_noted - stub_header",
    ".quad stub_word_changed - stub_header",
    ".quad stub_word_noted - stub_header",
    ".quad stub_fast_last - stub_header",
    ".quad stub_gate - stub_header",
    ".popsection",
    ".pushsection .text.gate,\"ax\",@progbits",
    "stub_gate:",
    "syscall",
    "int3",
    ".popsection",
    on_signal = sym super::on_signal,
    restorer = sym restorer,
    init = sym super::init::run,
    fast_enter = sym super::fast::enter,
);

#[inline(always)]
fn header() -> *const Header {
    let header;
    // SAFETY: takes an address only.
    unsafe { asm!("lea {}, [rip + stub_header]", out(reg) header, options(nomem, nostack)) };
    header
}

fn has_fsgsbase() -> bool {
    // SAFETY: the sentry has filled in the header.
    unsafe { (&raw const (*header()).has_fsgsbase).read_volatile() != 0 }
}

/// Address of the code.
pub(crate) fn code() -> u64 {
    header() as u64
}

/// Address of all slots.
#[inline(always)]
pub(crate) fn channel() -> u64 {
    // SAFETY: the sentry has filled in the header.
    unsafe { (&raw const (*header()).window).read_volatile() + CHANNEL_OFFSET }
}

/// Where a signal handler returns to.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn restorer() {
    naked_asm!("mov eax, 15", "syscall", "ud2")
}

/// Goes on with the guest from a signal frame.
pub(crate) fn sigreturn(context: u64) -> ! {
    // SAFETY: this stack is not used again.
    unsafe {
        asm!("mov rsp, {}", "mov eax, 15", "syscall", "ud2", in(reg) context, options(noreturn))
    }
}

/// Ends the thread. If `word` is not 0, the host then clears the `int` there and wakes one who
/// waits for it.
pub(crate) fn exit(word: u64) -> ! {
    if word != 0 {
        syscall(SET_TID_ADDRESS, [word, 0, 0, 0, 0, 0]);
    }
    // SAFETY: the call does not return.
    unsafe { asm!("xor edi, edi", "mov eax, 60", "syscall", "ud2", options(noreturn)) }
}

/// Raises SIGILL.
pub(crate) fn crash() -> ! {
    // SAFETY: does not return.
    unsafe { asm!("ud2", options(noreturn)) }
}

/// Raises SIGTRAP, and goes on where the handler says.
pub(crate) fn trap() -> ! {
    // SAFETY: the sentry never resumes this context.
    unsafe { asm!("int3", "ud2", options(noreturn)) }
}

/// `clone(2)`. The child leaves the stack at once: with a channel of its own it maps that over its
/// copy of the parent's and closes all descriptors from `first_closed` on; then it starts in its slot.
///
/// # Safety
/// `slot` is the child's slot, `channel_start` the address of all slots.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn clone(
    flags: u64,
    slot: u64,
    channel: u64,
    channel_start: u64,
    first_closed: u64,
) -> u64 {
    naked_asm!(
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov r12, rsi",
        "mov r13, rdx",
        "mov r14, rcx",
        "mov r15, r8",
        "xor esi, esi",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "mov eax, 56",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "ret",
        "2:",
        "cmp r13, -1",
        "je 3f",
        // mmap(channel_start, CHANNEL_BYTES, RW, MAP_SHARED | MAP_FIXED, channel, 0)
        "mov rdi, r14",
        "mov esi, {channel_bytes}",
        "mov edx, 3",
        "mov r10d, 0x11",
        "mov r8, r13",
        "xor r9d, r9d",
        "mov eax, 9",
        "syscall",
        "cmp rax, r14",
        "jne 4f",
        // close_range(first_closed, all, 0)
        "mov rdi, r15",
        "mov esi, -1",
        "xor edx, edx",
        "mov eax, 436",
        "syscall",
        "3:",
        "lea rsp, [r12 + {control_bytes}]",
        "mov rdi, r12",
        "xor ebp, ebp",
        "call {start}",
        "4:",
        "ud2",
        channel_bytes = const CHANNEL_BYTES,
        control_bytes = const CONTROL_BYTES,
        start = sym super::start_thread,
    )
}

const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

/// FS.base and GS.base.
pub(crate) fn bases() -> (u64, u64) {
    let (mut fs_base, mut gs_base): (u64, u64) = (0, 0);
    if has_fsgsbase() {
        // SAFETY: the processor has the instructions.
        unsafe { asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs_base, out(reg) gs_base) };
    } else {
        syscall(ARCH_PRCTL, [ARCH_GET_FS, (&raw mut fs_base) as u64, 0, 0, 0, 0]);
        syscall(ARCH_PRCTL, [ARCH_GET_GS, (&raw mut gs_base) as u64, 0, 0, 0, 0]);
    }
    (fs_base, gs_base)
}

pub(crate) fn load_fs(base: u64) {
    if has_fsgsbase() {
        // SAFETY: the processor has the instruction; the stub does not use FS.
        unsafe { asm!("wrfsbase {}", in(reg) base) };
    } else {
        syscall(ARCH_PRCTL, [ARCH_SET_FS, base, 0, 0, 0, 0]);
    }
}

pub(crate) fn load_gs(base: u64) {
    if has_fsgsbase() {
        // SAFETY: the processor has the instruction; the stub does not use GS.
        unsafe { asm!("wrgsbase {}", in(reg) base) };
    } else {
        syscall(ARCH_PRCTL, [ARCH_SET_GS, base, 0, 0, 0, 0]);
    }
}
