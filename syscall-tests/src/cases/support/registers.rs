//! Registers across signals: what only assembly can load and look at.

use std::arch::asm;

/// Sends this thread a signal with known values in the vector and general registers, and returns
/// which of them were changed when the handler had returned: 0 for none.
pub fn changed_across_signal(pid: i32, tid: i32, signal: i32) -> u64 {
    let pattern: [u64; 4] = [0x1111_2222_3333_4444, 0x5555, 0xaaaa_bbbb, u64::MAX];
    let mut after = [0u64; 4];
    let mut x87 = [1.5f64, 0.0];
    let changed: u64;
    // SAFETY: loads registers, makes a tgkill, and stores them again; everything touched is
    // declared.
    unsafe {
        asm!(
            "movdqu xmm3, [{pattern}]",
            "movdqu xmm15, [{pattern} + 16]",
            "fld qword ptr [{x87}]",
            "mov r12, 0x1234567",
            "mov r13, 0x89abcde",
            "syscall",
            "xor r12, 0x1234567",
            "xor r13, 0x89abcde",
            "or r12, r13",
            "fstp qword ptr [{x87} + 8]",
            "movdqu [{after}], xmm3",
            "movdqu [{after} + 16], xmm15",
            pattern = in(reg) &raw const pattern,
            after = in(reg) &raw mut after,
            x87 = in(reg) &raw mut x87,
            inlateout("rax") super::numbers::tgkill => _,
            in("rdi") pid, in("rsi") tid, in("rdx") signal,
            out("r12") changed, out("r13") _,
            out("xmm3") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            lateout("rcx") _, lateout("r11") _);
    }
    changed | u64::from(after != pattern) << 62 | u64::from(x87[1] != x87[0]) << 63
}

/// Overwrites vector and x87 registers, as a handler that computes would.
pub fn clobber_vectors() {
    // SAFETY: everything touched is declared.
    unsafe {
        asm!(
            "pxor xmm3, xmm3",
            "pxor xmm15, xmm15",
            "fninit",
            "fldz",
            "fstp st(0)",
            out("xmm3") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _);
    }
}

/// Like `changed_across_signal` for the upper half of a 256-bit register: true if it changed.
///
/// The caller has made sure that the processor has AVX.
pub fn ymm_changed_across_signal(pid: i32, tid: i32, signal: i32) -> bool {
    let pattern: [u64; 4] = [1, 2, 3, 4];
    let mut after = [0u64; 4];
    // SAFETY: as above; the processor has AVX.
    unsafe {
        asm!(
            "vmovdqu ymm7, [{pattern}]",
            "syscall",
            "vmovdqu [{after}], ymm7",
            "vzeroupper",
            pattern = in(reg) &raw const pattern,
            after = in(reg) &raw mut after,
            inlateout("rax") super::numbers::tgkill => _,
            in("rdi") pid, in("rsi") tid, in("rdx") signal,
            out("xmm7") _, lateout("rcx") _, lateout("r11") _);
    }
    after != pattern
}

/// Zeroes the upper halves of all 256-bit registers.
pub fn zero_upper_halves() {
    // SAFETY: the processor has AVX; the upper halves hold nothing of the compiler's here.
    unsafe {
        asm!("vzeroall", out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
        out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
        out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
        out("xmm15") _)
    }
}

/// Executes an undefined instruction.
pub fn undefined_instruction() {
    // SAFETY: the case wants the fault.
    unsafe { asm!("ud2") }
}

/// Divides by zero.
pub fn divide_by_zero() {
    // SAFETY: the case wants the fault.
    unsafe {
        asm!("xor edx, edx", "mov eax, 1", "xor ecx, ecx", "div ecx",
            out("eax") _, out("edx") _, out("ecx") _);
    }
}

/// Executes a breakpoint.
pub fn breakpoint() {
    // SAFETY: the case wants the fault.
    unsafe { asm!("int3") }
}

/// Executes an instruction that only the kernel may.
pub fn privileged_instruction() {
    // SAFETY: the case wants the fault.
    unsafe { asm!("hlt") }
}

/// Reads the byte at an address with an instruction of known length (2: `mov al, [rdi]`).
pub fn load_byte(addr: usize) -> u8 {
    let value: u8;
    // SAFETY: the address is mapped, or the handler steps over the instruction.
    unsafe { asm!("mov al, [rdi]", in("rdi") addr, out("al") value) }
    value
}

/// Makes a syscall through `int 0x80`, the 32-bit way in; returns what it returned.
pub fn int80(number: i32) -> i32 {
    let result: i32;
    // SAFETY: a syscall without pointers.
    unsafe {
        asm!("int 0x80", inlateout("eax") number => result, out("r8") _, out("r9") _,
        out("r10") _, out("r11") _)
    }
    result
}

/// Makes a syscall and returns the registers that only a kernel could have changed: rdi, rsi, rdx,
/// r8, r9, r10 as they were after it.
pub fn registers_after_syscall(number: i64, set: [u64; 6]) -> [u64; 6] {
    let mut got = [0u64; 6];
    let [a, b, c, d, e, f] = &mut got;
    // SAFETY: the callers use syscalls that ignore their arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number => _,
            inlateout("rdi") set[0] => *a, inlateout("rsi") set[1] => *b,
            inlateout("rdx") set[2] => *c, inlateout("r8") set[3] => *d,
            inlateout("r9") set[4] => *e, inlateout("r10") set[5] => *f,
            lateout("rcx") _, lateout("r11") _);
    }
    got
}

/// Calls `rt_sigreturn` with the stack pointer at an address; does not return.
pub fn sigreturn_at(frame: usize) {
    // SAFETY: the case wants what comes of it.
    unsafe {
        asm!("mov rsp, {}", "mov eax, 15", "syscall", "ud2", in(reg) frame, options(noreturn))
    }
}

/// Reads the word at an offset from the GS base.
pub fn load_gs(offset: usize) -> u64 {
    let value: u64;
    // SAFETY: the case has set the base to memory of its own.
    unsafe { asm!("mov {}, gs:[{}]", out(reg) value, in(reg) offset) }
    value
}
