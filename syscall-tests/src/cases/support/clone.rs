//! `clone`, `clone3` and `vfork`, whose children go on where a C library would not let them.

use super::errno::Errno;
use super::mem::anon;
use super::sys::{Result, sys};
use std::arch::asm;

/// What a child on a stack of its own runs; its result is the exit status of the thread. It
/// shares the parent's thread-local storage: it may make raw syscalls and use atomics, no more.
pub type Entry = extern "C" fn(usize) -> i32;

/// Size of a child's stack.
const STACK: usize = 64 << 10;

/// Makes a stack that starts with the function to call and its argument; returns its top.
fn stack(entry: Entry, arg: usize) -> usize {
    let top = anon(STACK) + STACK - 16;
    super::sys::poke(top, entry as usize);
    super::sys::poke(top + 8, arg);
    top
}

/// Makes a syscall of the clone family whose child starts at the top of a prepared stack.
fn clone_call(number: i64, args: [usize; 5]) -> Result {
    let result: i64;
    // SAFETY: the parent goes on as after any syscall. The child has the stack that `stack`
    // prepared, calls the entry with its argument and ends its thread with what that returns.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "pop rax",
            "pop rdi",
            "call rax",
            "mov edi, eax",
            "mov eax, 60",
            "syscall",
            "2:",
            inlateout("rax") number => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4],
            lateout("rcx") _, lateout("r11") _);
    }
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result) }
}

/// `clone` with a new stack.
pub fn clone_on_stack(
    flags: i32,
    parent_tid: usize,
    child_tid: usize,
    tls: usize,
    entry: Entry,
    arg: usize,
) -> Result {
    let args = [flags as u32 as usize, stack(entry, arg), parent_tid, child_tid, tls];
    clone_call(super::numbers::clone, args)
}

/// The kernel's `struct clone_args`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneArgs {
    /// `CLONE_*`.
    pub flags: u64,
    /// Where to put the pid descriptor.
    pub pidfd: u64,
    /// Where the child puts its thread id.
    pub child_tid: u64,
    /// Where the parent puts the child's thread id.
    pub parent_tid: u64,
    /// Signal at the child's end.
    pub exit_signal: u64,
    /// Lowest address of the stack.
    pub stack: u64,
    /// Size of the stack.
    pub stack_size: u64,
    /// Thread pointer.
    pub tls: u64,
    /// Array of thread ids to use.
    pub set_tid: u64,
    /// Length of that array.
    pub set_tid_size: u64,
    /// Descriptor of a cgroup.
    pub cgroup: u64,
}

/// `clone3` with a new stack.
pub fn clone3_on_stack(mut args: CloneArgs, entry: Entry, arg: usize) -> Result {
    let top = stack(entry, arg);
    args.stack = (top - (STACK - 16)) as u64;
    args.stack_size = (STACK - 16) as u64;
    clone_call(super::numbers::clone3, [&raw const args as usize, size_of::<CloneArgs>(), 0, 0, 0])
}

/// `vfork`; the child sleeps for a moment, stores 1 into the word and ends with the status.
pub fn vfork_store(word: usize, nap: &libc::timespec, status: i32) -> Result {
    let result: i64;
    // SAFETY: the child touches no stack and never returns; the parent goes on as after any
    // syscall.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, 35", // nanosleep
            "mov rdi, r12",
            "xor esi, esi",
            "syscall",
            "mov dword ptr [r13], 1",
            "mov eax, 60",
            "mov edi, r14d",
            "syscall",
            "2:",
            inlateout("rax") super::numbers::vfork => result,
            in("r12") std::ptr::from_ref(nap), in("r13") word, in("r14") status,
            lateout("rcx") _, lateout("r11") _, lateout("rdi") _, lateout("rsi") _);
    }
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result) }
}

/// `clone3` without a stack: like `fork`. Returns 0 in the child.
pub fn clone3_fork(args: &CloneArgs) -> Result {
    sys!(clone3, args, size_of::<CloneArgs>())
}
