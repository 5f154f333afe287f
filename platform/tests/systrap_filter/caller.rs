//! A process under the filter that makes given calls from given places.

use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use platform::filter::systrap::{Layout, program};

pub const WINDOW: u64 = 0x7ea5_0000_0000;
pub const CODE: Range<u64> = WINDOW + 0x1_0000..WINDOW + 0x1_1000;
pub const CHANNEL: Range<u64> = WINDOW + 0x10_0000..WINDOW + 0x11_0000;
pub const CONDUITS: Range<u64> = WINDOW + 0x20_0000..WINDOW + 0x28_0000;
pub const CONDUIT_BYTES: u64 = 0x1_1000;
/// The same code, outside of the window.
const GUEST_CODE: u64 = 0x7ea4_0000_0000;
/// 16 pages for arguments and results.
pub const SCRATCH: u64 = 0x7ea4_0010_0000;
const SCRATCH_BYTES: usize = 0x1_0000;
/// Room for the outcomes of one process.
const MAX_CALLS: usize = 2048;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Address of a function that takes the number and the address of the arguments.
    from: u64,
    number: i64,
    args: [u64; 6],
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Returned(i64),
    /// It raised SIGSYS.
    Trapped,
}

/// A call from outside of the stub's window.
pub fn guest(number: i64, args: [u64; 6]) -> Call {
    Call { from: GUEST_CODE, number, args }
}

/// A call from the stub's code.
pub fn stub(number: i64, args: [u64; 6]) -> Call {
    Call { from: CODE.start, number, args }
}

/// `getpid` of the 32-bit interface.
pub const INTERRUPT_0X80: Call = Call { from: GUEST_CODE + 0x40, number: 20, args: [0; 6] };
/// `time` of the vsyscall page; its argument is no address.
pub const VSYSCALL_TIME: Call = Call { from: 0xffff_ffff_ff60_0400, number: 0, args: [0; 6] };
/// Where a signal handler returns to.
const RETURN_FROM_SIGNAL: u64 = CODE.start + 0x60;

std::arch::global_asm!(
    ".pushsection .text.caller,\"ax\",@progbits",
    ".hidden caller_begin",
    ".globl caller_begin",
    ".balign 64",
    "caller_begin:",
    "mov rax, rdi",
    "mov rdi, [rsi]",
    "mov rdx, [rsi + 16]",
    "mov r10, [rsi + 24]",
    "mov r8, [rsi + 32]",
    "mov r9, [rsi + 40]",
    "mov rsi, [rsi + 8]",
    "syscall",
    "ret",
    ".org caller_begin + 0x40",
    "mov eax, edi",
    "int 0x80",
    "movsxd rax, eax",
    "ret",
    ".org caller_begin + 0x60",
    "mov eax, {rt_sigreturn}",
    "syscall",
    ".org caller_begin + 0x80",
    ".popsection",
    rt_sigreturn = const libc::SYS_rt_sigreturn,
);
const CALLER_BYTES: usize = 0x80;

unsafe extern "C" {
    static caller_begin: u8;
}

/// Maps memory at a place that is free, for this process and all its children.
fn map(addr: u64, len: usize, flags: libc::c_int) {
    let flags = flags | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the place is checked to be free.
    let mapped = unsafe { libc::mmap(addr as *mut _, len, prot, flags, -1, 0) };
    assert_eq!(mapped.addr() as u64, addr);
}

/// Maps what all processes need, once.
fn prepare() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        for addr in [CODE.start, GUEST_CODE] {
            map(addr, 4096, libc::MAP_PRIVATE);
            let code = &raw const caller_begin;
            // SAFETY: both are that long and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(code, addr as *mut u8, CALLER_BYTES) };
            let prot = libc::PROT_READ | libc::PROT_EXEC;
            // SAFETY: the page was just mapped.
            assert_eq!(unsafe { libc::mprotect(addr as *mut _, 4096, prot) }, 0);
        }
        map(CHANNEL.start, (CHANNEL.end - CHANNEL.start) as usize, libc::MAP_SHARED);
        map(SCRATCH, SCRATCH_BYTES, libc::MAP_PRIVATE);
    });
}

/// A file of the size of the channel memory, which all processes inherit.
pub fn channel_file() -> u64 {
    static FILE: OnceLock<std::os::fd::OwnedFd> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = platform::host::fs::memfd_create("channel").expect("memfd");
        let len = (CHANNEL.end - CHANNEL.start) as usize;
        platform::host::fs::pwrite(&file, &vec![0; len], 0).expect("pwrite");
        file
    });
    file.as_raw_fd() as u64
}

/// What a process tells: how many calls it made, and what they returned.
struct Report {
    done: AtomicUsize,
    trapped: [AtomicBool; MAX_CALLS],
    values: [AtomicI64; MAX_CALLS],
}

/// Makes the calls one after another in a process of their own. Tells what became of those that
/// came back, and the signal that ended the process, if one did.
pub fn run(calls: &[Call]) -> (Vec<Outcome>, Option<i32>) {
    run_with(calls, false)
}

/// The same with native futexes or without.
pub fn run_with(calls: &[Call], has_native_futexes: bool) -> (Vec<Outcome>, Option<i32>) {
    assert!(calls.len() <= MAX_CALLS);
    prepare();
    let catch_all = CODE.end - 0x200;
    let layout = Layout {
        window: WINDOW,
        code: CODE,
        channel: CHANNEL,
        conduits: CONDUITS,
        conduit_bytes: CONDUIT_BYTES,
        catch_all,
        has_native_futexes,
    };
    let filter = program(&layout).expect("a valid layout");
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let len = size_of::<Report>();
    // SAFETY: a new mapping.
    let report = unsafe { libc::mmap(std::ptr::null_mut(), len, 3, flags, -1, 0) };
    assert_ne!(report, libc::MAP_FAILED);
    // SAFETY: it is that long, filled with zeros, which are valid, and never unmapped.
    let report: &'static Report = unsafe { &*report.cast() };
    // SAFETY: the child makes system calls and touches atomics only.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        confine(&filter);
        make(calls, report);
    }
    assert!(pid > 0, "fork");
    let (status, signal) = wait(pid);
    let done = report.done.load(Ordering::Relaxed);
    assert!(status.is_none_or(|status| status == 0 && done == calls.len()), "{status:?}");
    let outcome = |index: usize| match report.trapped[index].load(Ordering::Relaxed) {
        true => Outcome::Trapped,
        false => Outcome::Returned(report.values[index].load(Ordering::Relaxed)),
    };
    ((0..done).map(outcome).collect(), signal)
}

/// Waits for a child; its status or its signal.
pub fn wait(pid: i32) -> (Option<i32>, Option<i32>) {
    let mut status = 0;
    // SAFETY: writes to `status`.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    (libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), signal)
}

/// Whether SIGSYS was raised since this was last cleared.
static TRAPPED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_trap(_signal: i32) {
    TRAPPED.store(true, Ordering::Relaxed);
}

/// `struct sigaction` of the kernel.
#[repr(C)]
struct KernelAction {
    handler: extern "C" fn(i32),
    flags: u64,
    restorer: u64,
    mask: u64,
}

/// Installs a handler for SIGSYS, which returns by the stub's code, and the filter.
fn confine(filter: &[u8]) {
    const SA_RESTORER: u64 = 0x0400_0000;
    let action = KernelAction {
        handler: on_trap,
        flags: SA_RESTORER,
        restorer: RETURN_FROM_SIGNAL,
        mask: 0,
    };
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let prog = libc::sock_fprog {
        len: (filter.len() / 8) as u16,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: describes a live limit.
    let mut failed = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) } != 0;
    let (number, signal, action) = (libc::SYS_rt_sigaction, libc::SIGSYS, &raw const action);
    // SAFETY: describes a live action; the restorer is the stub's code.
    failed |= unsafe { libc::syscall(number, signal, action, 0, 8) } != 0;
    // SAFETY: takes numbers only.
    failed |= unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0;
    // SAFETY: `prog` describes a live program; the kernel takes unaligned addresses.
    failed |= unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const prog) } != 0;
    if failed {
        // SAFETY: ends this process.
        unsafe { libc::_exit(1) };
    }
}

/// Makes the calls and ends the process, under the filter.
fn make(calls: &[Call], report: &Report) -> ! {
    for (index, call) in calls.iter().enumerate() {
        TRAPPED.store(false, Ordering::Relaxed);
        let value = make_one(call);
        report.values[index].store(value, Ordering::Relaxed);
        report.trapped[index].store(TRAPPED.load(Ordering::Relaxed), Ordering::Relaxed);
        report.done.store(index + 1, Ordering::Relaxed);
    }
    make_one(&stub(libc::SYS_exit, [0; 6]));
    std::process::abort()
}

fn make_one(call: &Call) -> i64 {
    // SAFETY: all places from which calls are made hold functions of this type.
    let function: extern "C" fn(i64, *const u64) -> i64 = unsafe { std::mem::transmute(call.from) };
    function(call.number, call.args.as_ptr())
}
