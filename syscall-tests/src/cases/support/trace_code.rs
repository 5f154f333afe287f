//! Code for tracees: every instruction of it is known to the tracer.

use std::arch::{asm, global_asm};

global_asm!(
    ".globl syscall_cases_place",
    "syscall_cases_place:",
    "nop",
    "nop",
    "mov eax, 1234",
    "ret",
    // A function that makes a system call, of which everything near it is known.
    ".globl syscall_cases_call",
    "syscall_cases_call:",
    "mov eax, edi",
    "syscall",
    "nop",
    "nop",
    "nop",
    "ret",
    ".globl syscall_cases_steps",
    "syscall_cases_steps:",
    "int3",
    "nop",
    "mov eax, 39",
    "syscall",
    "nop",
    "jmp 2f",
    "ud2",
    "2: ret",
);

unsafe extern "C" {
    fn syscall_cases_place() -> i32;
    fn syscall_cases_call(number: i32) -> i32;
    fn syscall_cases_steps();
}

/// Returns 1234, after two `nop`s.
pub fn place() -> i32 {
    // SAFETY: it changes rax only.
    unsafe { syscall_cases_place() }
}

/// Where `place` begins.
pub fn place_address() -> usize {
    syscall_cases_place as *const () as usize
}

/// Makes a system call without arguments; always from the same instruction.
pub fn call(number: i64) -> i32 {
    let result: i32;
    // SAFETY: a system call without arguments.
    unsafe {
        asm!("call {call}", call = sym syscall_cases_call, in("edi") number as i32,
            out("eax") result, out("rcx") _, out("r11") _);
    }
    result
}

/// Where the function begins that makes the system calls of `call`.
pub fn call_address() -> usize {
    syscall_cases_call as *const () as usize
}

/// Stops at a breakpoint, and then makes a getpid.
pub fn steps() -> i32 {
    let result: i32;
    // SAFETY: a breakpoint for the tracer, and a getpid.
    unsafe {
        asm!("call {steps}", steps = sym syscall_cases_steps, out("eax") result, out("rcx") _,
            out("r11") _);
    }
    result
}

/// Where the breakpoint of `steps` is.
pub fn steps_address() -> usize {
    syscall_cases_steps as *const () as usize
}

/// Stops with known values in registers, and answers with what is in them then.
pub fn stop_with(values: [u64; 3]) -> [u64; 3] {
    let [mut a, mut b, mut c] = values;
    // SAFETY: a breakpoint; the tracer goes on behind it.
    unsafe {
        asm!("int3", inout("r12") a, inout("r13") b, inout("r9") c);
    }
    [a, b, c]
}

/// Stops with a value in xmm5 and one in the x87 stack; answers with the first as it is then.
pub fn stop_with_vector(value: u64) -> u64 {
    let result: u64;
    let number = 1.5f64;
    // SAFETY: a breakpoint; everything touched is declared.
    unsafe {
        asm!("movq xmm5, {value}", "fld qword ptr [{number}]", "int3", "fstp st(0)",
            "movq {result}, xmm5",
            value = in(reg) value, number = in(reg) &raw const number, result = lateout(reg) result,
            out("xmm5") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _);
    }
    result
}
