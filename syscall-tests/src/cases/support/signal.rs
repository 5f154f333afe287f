//! Signal handlers, masks and what a handler is given.

use super::check::Must;
use super::sys::{sys, zeroed};
use std::arch::global_asm;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The kernel's `siginfo_t`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SigInfo {
    /// `si_signo`.
    pub signo: i32,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    pad: i32,
    fields: [u64; 14],
}

impl SigInfo {
    /// `si_pid` of a signal from a process, or of `SIGCHLD`.
    pub fn pid(&self) -> i32 {
        self.fields[0] as i32
    }

    /// `si_uid` of a signal from a process, or of `SIGCHLD`.
    pub fn uid(&self) -> u32 {
        (self.fields[0] >> 32) as u32
    }

    /// `si_value` of a signal from `rt_sigqueueinfo`, or of a timer.
    pub fn value(&self) -> u64 {
        self.fields[1]
    }

    /// `si_status` of `SIGCHLD`.
    pub fn status(&self) -> i32 {
        self.fields[1] as i32
    }

    /// `si_timerid` of a timer's signal.
    pub fn timer_id(&self) -> i32 {
        self.fields[0] as i32
    }

    /// `si_overrun` of a timer's signal.
    pub fn overrun(&self) -> i32 {
        (self.fields[0] >> 32) as i32
    }

    /// `si_addr` of a fault.
    pub fn addr(&self) -> usize {
        self.fields[0] as usize
    }

    /// Makes what `rt_sigqueueinfo` takes.
    pub fn queued(signo: i32, code: i32, pid: i32, uid: u32, value: u64) -> SigInfo {
        let mut info: SigInfo = zeroed();
        (info.signo, info.code) = (signo, code);
        info.fields[0] = u64::from(pid as u32) | u64::from(uid) << 32;
        info.fields[1] = value;
        info
    }
}

/// The kernel's `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KSigaction {
    /// `SIG_DFL`, `SIG_IGN` or a function.
    pub handler: usize,
    /// `SA_*`.
    pub flags: u64,
    /// Where a handler returns to.
    pub restorer: usize,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// A handler: what the kernel passes on the frame.
pub type Handler = fn(&SigInfo, &mut libc::ucontext_t);

const SA_RESTORER: u64 = 0x0400_0000;

static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];
static COUNTS: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];

global_asm!(
    ".globl syscall_cases_restorer",
    "syscall_cases_restorer:",
    "mov $15, %eax",
    "syscall",
    options(att_syntax)
);

unsafe extern "C" {
    fn syscall_cases_restorer();
}

extern "C" fn entry(signo: i32, info: *const SigInfo, context: *mut libc::ucontext_t) {
    let handler = HANDLERS[signo as usize].load(Ordering::SeqCst);
    // SAFETY: only `on_masked` stores into the table, and only values of this type.
    let handler: Handler = unsafe { std::mem::transmute(handler) };
    // SAFETY: the kernel put the information on the signal frame.
    let info = unsafe { &*info };
    // SAFETY: the context is on the frame too, and nothing else refers to it.
    let context = unsafe { &mut *context };
    handler(info, context);
}

/// Returns the action for `on_masked`, without installing it.
pub fn action(flags: i32, mask: u64) -> KSigaction {
    KSigaction {
        handler: entry as *const () as usize,
        flags: flags as u32 as u64 | libc::SA_SIGINFO as u64 | SA_RESTORER,
        restorer: syscall_cases_restorer as *const () as usize,
        mask,
    }
}

/// Installs a handler with a mask.
#[track_caller]
pub fn on_masked(signal: i32, flags: i32, mask: u64, handler: Handler) {
    HANDLERS[signal as usize].store(handler as usize, Ordering::SeqCst);
    sys!(rt_sigaction, signal, &action(flags, mask), 0, 8).must();
}

/// Installs a handler; `SA_SIGINFO` is implied.
#[track_caller]
pub fn on(signal: i32, flags: i32, handler: Handler) {
    on_masked(signal, flags, 0, handler);
}

/// Installs a handler that counts its calls.
#[track_caller]
pub fn count_signal(signal: i32, flags: i32) {
    on(signal, flags, |info, _| {
        COUNTS[info.signo as usize].fetch_add(1, Ordering::SeqCst);
    });
}

/// Returns how often the handler of `count_signal` ran.
pub fn counted(signal: i32) -> u32 {
    COUNTS[signal as usize].load(Ordering::SeqCst)
}

#[track_caller]
fn set(signal: i32, handler: usize) {
    let action = KSigaction { handler, flags: 0, restorer: 0, mask: 0 };
    sys!(rt_sigaction, signal, &action, 0, 8).must();
}

/// Ignores a signal.
#[track_caller]
pub fn ignore(signal: i32) {
    set(signal, libc::SIG_IGN);
}

/// Gives a signal its default action.
#[track_caller]
pub fn default_action(signal: i32) {
    set(signal, libc::SIG_DFL);
}

/// Returns the mask of these signals.
pub fn mask_of(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |mask, signal| mask | 1 << (signal - 1))
}

/// Blocks signals; returns the mask as it was.
#[track_caller]
pub fn block(signals: &[i32]) -> u64 {
    let mut old = 0u64;
    sys!(rt_sigprocmask, libc::SIG_BLOCK, &mask_of(signals), &mut old, 8).must();
    old
}

/// Sets the signal mask; returns it as it was.
#[track_caller]
pub fn set_mask(mask: u64) -> u64 {
    let mut old = 0u64;
    sys!(rt_sigprocmask, libc::SIG_SETMASK, &mask, &mut old, 8).must();
    old
}

/// Returns the mask of pending signals.
#[track_caller]
pub fn pending() -> u64 {
    let mut mask = 0u64;
    sys!(rt_sigpending, &mut mask, 8).must();
    mask
}

/// Sends the calling thread a signal.
#[track_caller]
pub fn raise(signal: i32) {
    let (pid, tid) = (super::process::getpid(), super::process::gettid());
    sys!(tgkill, pid, tid, signal).must();
}

/// Sends `SIGALRM` every so many microseconds from now on, to a handler that counts
/// ([`counted`]).
#[track_caller]
pub fn storm(micros: i64, flags: i32) {
    count_signal(libc::SIGALRM, flags);
    set_interval(micros);
}

/// Ends the storm, of which there must have been something: whoever was faster waits for that.
#[track_caller]
pub fn calm() {
    let limit = super::time::now() + std::time::Duration::from_secs(5);
    while counted(libc::SIGALRM) == 0 {
        super::check::check!(super::time::now() < limit, "no storm");
    }
    set_interval(0);
}

#[track_caller]
fn set_interval(micros: i64) {
    let interval = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    sys!(setitimer, libc::ITIMER_REAL, &timer, 0).must();
}
