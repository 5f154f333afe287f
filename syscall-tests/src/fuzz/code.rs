//! Machine code that no compiler would make, and signal handlers that damage their frames.

use crate::pointers::{PAGE, map, number, wild, word_at};
use crate::rng::Rng;
use crate::support::sys::{exit, poke, poke_bytes, sys};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

// The end of a handler, as the C library would provide it.
std::arch::global_asm!(
    ".globl fuzz_restorer",
    ".hidden fuzz_restorer",
    "fuzz_restorer:",
    "mov eax, 15",
    "syscall",
    "ud2"
);

unsafe extern "C" {
    fn fuzz_restorer();
}

/// Where the handlers' random numbers come from.
static SCRIBBLE: AtomicU64 = AtomicU64::new(1);

/// Returns the address to return from a handler to.
pub fn restorer_address() -> u64 {
    fuzz_restorer as *const () as u64
}

/// Returns the address of a handler.
pub fn handler_address(rng: &Rng) -> u64 {
    type Handler = extern "C" fn(i32, usize, usize);
    let handlers: [Handler; 5] = [nothing, nothing, nothing, scribbling, calling];
    rng.pick(&handlers) as usize as u64
}

/// Returns the address of a handler that changes nothing, or 1 (`SIG_IGN`).
pub fn harmless_handler(rng: &Rng) -> u64 {
    let handlers: [extern "C" fn(i32, usize, usize); 2] = [nothing, calling];
    if rng.one_in(4) { 1 } else { rng.pick(&handlers) as usize as u64 }
}

extern "C" fn nothing(_: i32, _: usize, _: usize) {}

/// Changes a word of the frame: registers, the mask, the floating-point state.
extern "C" fn scribbling(_: i32, _: usize, context: usize) {
    let rng = Rng::new(SCRIBBLE.fetch_add(1, Relaxed));
    // `ucontext`: the registers are words 5 to 27, the mask is word 37; then comes the XSAVE area,
    // which word 28 points to.
    let at = match rng.below(4) {
        0 => word_at(context + 28 * 8) as usize + rng.below(640) / 8 * 8,
        _ => context + rng.below(40) * 8,
    };
    let value = match rng.below(4) {
        0 => wild(&rng) as u64,
        1 => word_at(at) ^ 1 << rng.below(64),
        _ => number(&rng),
    };
    poke(at, value);
}

/// Makes calls in the handler that concern the frame.
extern "C" fn calling(_: i32, _: usize, _: usize) {
    let _ = sys!(sigaltstack, 0, 0);
    let _ = sys!(gettid);
}

/// Signals that wake a thread out of a call.
pub const WAKING: [i32; 6] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGCHLD, libc::SIGWINCH, 34, 40];

/// Makes the calling process survive what wakes it.
pub fn install_wake_handlers() {
    let handler: extern "C" fn(i32, usize, usize) = nothing;
    let action = [handler as usize as u64, 0x0400_0004, restorer_address(), 0];
    for signal in WAKING {
        let _ = sys!(rt_sigaction, signal, &action[..], 0, 8);
    }
}

/// Runs random machine code until it ends the process.
pub fn run_garbage(rng: &Rng) -> ! {
    let page = map(2 * PAGE);
    let mut at = page;
    while at < page + PAGE - 16 {
        let piece = piece(rng);
        poke_bytes(at, piece);
        at += piece.len();
        for _ in 0..rng.below(4) {
            poke_bytes(at, &[rng.next() as u8]);
            at += 1;
        }
    }
    let prot = libc::PROT_READ | libc::PROT_EXEC;
    let _ = sys!(mprotect, page, PAGE, if rng.one_in(4) { prot | libc::PROT_WRITE } else { prot });
    let _ = sys!(alarm, 1);
    for _ in 0..4 {
        let start = if rng.one_in(8) { wild(rng) } else { page + rng.below(PAGE - 64) };
        let registers = [number(rng), number(rng), number(rng)];
        enter(start, registers, rng.below(460) as u64);
    }
    exit(0)
}

fn enter(start: usize, [first, second, third]: [u64; 3], number: u64) {
    // SAFETY: this process is disposable; nobody relies on what the code leaves of it.
    unsafe {
        std::arch::asm!("call {}", in(reg) start, inout("rax") number => _, in("rdi") first,
            in("rsi") second, in("rdx") third, clobber_abi("C"));
    }
}

/// Instructions with a meaning to kernels.
fn piece(rng: &Rng) -> &'static [u8] {
    const PIECES: &[&[u8]] = &[
        b"\x0f\x05",                                         // syscall
        b"\x0f\x05",                                         // syscall
        b"\xb8\x27\x00\x00\x00\x0f\x05",                     // getpid
        b"\xb8\x38\x00\x00\x00\x0f\x05",                     // clone
        b"\xb8\x0f\x00\x00\x00\x0f\x05",                     // rt_sigreturn
        b"\xcd\x80",                                         // int 0x80
        b"\x0f\x34",                                         // sysenter
        b"\xcc",                                             // int3
        b"\xcd\x03",                                         // int 3
        b"\xcd\x04",                                         // int 4
        b"\xf1",                                             // int1
        b"\x0f\x0b",                                         // ud2
        b"\xf4",                                             // hlt
        b"\xfa",                                             // cli
        b"\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d",             // pushf; or [rsp], TF; popf
        b"\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d",             // the same with AC
        b"\x9c\x81\x0c\x24\x00\x44\x00\x00\x9d",             // the same with DF and NT
        b"\x6a\x23\x68\x00\x00\x40\x00\x48\xcb",             // push 0x23; push 0x400000; retfq
        b"\x48\xcf",                                         // iretq
        b"\x0f\x01\xd0",                                     // xgetbv
        b"\x0f\x31",                                         // rdtsc
        b"\x0f\xa2",                                         // cpuid
        b"\xf3\x48\x0f\xae\xd0",                             // wrfsbase rax
        b"\xf3\x48\x0f\xae\xd8",                             // wrgsbase rax
        b"\x8e\xd8",                                         // mov ds, eax
        b"\x8e\xe8",                                         // mov gs, eax
        b"\x31\xc9\xf7\xf1",                                 // xor ecx, ecx; div ecx
        b"\xe4\x60",                                         // in al, 0x60
        b"\x48\xb8\x00\x00\x60\xff\xff\xff\xff\xff\xff\xd0", // call the vsyscall page
        b"\x48\x31\xe4\x0f\x05",                             // xor rsp, rsp; syscall
        b"\xb8\x01\x00\x00\x40\x0f\x05",                     // x32 call
        b"\xeb\xfe",                                         // jmp to itself
        b"\xc3",                                             // ret
        b"\x90",                                             // nop
    ];
    rng.pick(PIECES)
}
