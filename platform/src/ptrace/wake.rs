//! Blocking in `wait4` such that a wake-up from another thread is never lost.
//!
//! A flag alone would leave a gap between testing it and entering the kernel. Here the test and
//! the `syscall` instruction form a window of machine code, and the handler of the wake-up signal
//! moves a thread it finds inside that window to its exit. So a signal either comes before the
//! window (the flag is seen), inside (the call is skipped), or in the kernel (EINTR). This is the
//! way C libraries make thread cancellation safe. No timeout is needed.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use linux_abi::Errno;

use super::sys::{KICK, Status, Tid};
use crate::host::last_errno;

/// The tracer works; an `unpark` must only leave a note.
const WORKING: u32 = 0;
/// The tracer is in, or about to enter, the window; an `unpark` must send the signal.
const PARKED: u32 = 1;
/// Somebody called `unpark`.
const NOTIFIED: u32 = 2;

/// State of the one tracer thread of this process. A static, because the signal handler needs it.
static STATE: AtomicU32 = AtomicU32::new(WORKING);

// fn platform_park_wait(pid, status, options, state) -> wait4's result or a negated errno
std::arch::global_asm!(
    ".pushsection .text.platform_park_wait,\"ax\",@progbits",
    ".balign 16",
    ".hidden platform_park_wait",
    ".globl platform_park_wait",
    ".type platform_park_wait, @function",
    "platform_park_wait:",
    "xor r10d, r10d",
    ".hidden platform_park_wait_begin",
    ".globl platform_park_wait_begin",
    "platform_park_wait_begin:",
    "cmp dword ptr [rcx], {parked}",
    "jne platform_park_wait_exit",
    "mov eax, {wait4}",
    ".hidden platform_park_wait_call",
    ".globl platform_park_wait_call",
    "platform_park_wait_call:",
    "syscall",
    "ret",
    ".hidden platform_park_wait_exit",
    ".globl platform_park_wait_exit",
    "platform_park_wait_exit:",
    "mov rax, -{eintr}",
    "ret",
    ".size platform_park_wait, . - platform_park_wait",
    ".popsection",
    parked = const PARKED,
    wait4 = const libc::SYS_wait4,
    eintr = const libc::EINTR,
);

unsafe extern "C" {
    fn platform_park_wait(pid: i32, status: *mut i32, options: i32, state: *const AtomicU32)
    -> i64;
    static platform_park_wait_begin: u8;
    static platform_park_wait_call: u8;
    static platform_park_wait_exit: u8;
}

extern "C" fn on_kick(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    STATE.store(NOTIFIED, Ordering::SeqCst);
    let begin = (&raw const platform_park_wait_begin).addr();
    let call = (&raw const platform_park_wait_call).addr();
    let context: *mut libc::ucontext_t = context.cast();
    // SAFETY: the kernel passes the interrupted context, which nobody else uses now.
    let rip = unsafe { &mut (*context).uc_mcontext.gregs[libc::REG_RIP as usize] };
    if (begin..=call).contains(&(*rip as usize)) {
        *rip = (&raw const platform_park_wait_exit).addr() as i64;
    }
}

/// Whether there is a [`Parker`].
static IS_IN_USE: AtomicBool = AtomicBool::new(false);

/// The tracer's side of parking: who it is, and its timer.
pub(super) struct Parker {
    sentry: Tid,
    tracer: Tid,
    timer: Timer,
}

impl Parker {
    /// Makes the calling thread the one that parks.
    ///
    /// Errors: EEXIST while there is another; those of `sigaction(2)` and `timer_create(2)`.
    pub(super) fn new() -> Result<Parker, Errno> {
        if IS_IN_USE.swap(true, Ordering::SeqCst) {
            return Err(Errno::EEXIST);
        }
        let tracer = crate::host::process::tid();
        match install_handler().and_then(|()| Timer::new(tracer)) {
            Ok(timer) => {
                STATE.store(WORKING, Ordering::SeqCst);
                Ok(Parker { sentry: crate::host::process::pid(), tracer, timer })
            }
            Err(error) => {
                IS_IN_USE.store(false, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Announces that the tracer is about to wait; `false` if it was already notified, which is
    /// consumed.
    pub(super) fn begin(&self) -> bool {
        let old = STATE.compare_exchange(WORKING, PARKED, Ordering::SeqCst, Ordering::SeqCst);
        if old.is_err() {
            self.end();
        }
        old.is_ok()
    }

    pub(super) fn end(&self) {
        STATE.store(WORKING, Ordering::SeqCst);
    }

    /// Whether nobody called [`Parker::unpark`] since [`Parker::begin`].
    pub(super) fn is_parked(&self) -> bool {
        STATE.load(Ordering::SeqCst) == PARKED
    }

    /// Makes [`Parker::wait_any`] return at that time.
    pub(super) fn set_deadline(&self, deadline: Instant) -> Result<(), Errno> {
        self.timer.set(deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for the next report about any stub thread.
    ///
    /// Errors: EINTR when notified or the deadline passed; ECHILD without any children.
    pub(super) fn wait_any(&self) -> Result<(Tid, Status), Errno> {
        let mut raw = 0;
        // SAFETY: 1. `raw` and the state outlive the call. 2. The routine follows the C ABI.
        let result =
            unsafe { platform_park_wait(-1, &raw mut raw, libc::__WALL, &raw const STATE) };
        if result < 0 {
            Err(Errno::from_raw(-result as i32))
        } else {
            Ok((result as Tid, Status::from_raw(raw)))
        }
    }

    /// Waits for nothing but a notification or the deadline.
    pub(super) fn wait_notified(&self) {
        use rustix::thread::futex;
        while self.is_parked() {
            // The handler's signal ends this call, and its store changes the word.
            let _ = futex::wait(&STATE, futex::Flags::PRIVATE, PARKED, None);
        }
    }

    /// See [`Platform::unpark`].
    ///
    /// [`Platform::unpark`]: crate::contract::Platform::unpark
    pub(super) fn unpark(&self) {
        if STATE.swap(NOTIFIED, Ordering::SeqCst) == PARKED {
            let _ = super::sys::kick(self.sentry, self.tracer);
        }
    }

    pub(super) fn is_caller_tracer(&self) -> bool {
        crate::host::process::tid() == self.tracer
    }
}

impl Drop for Parker {
    fn drop(&mut self) {
        IS_IN_USE.store(false, Ordering::SeqCst);
    }
}

/// Installs the handler without `SA_RESTART`, and unblocks the signal in the calling thread. Also
/// gives SIGCHLD its default action (ignoring it would reap stubs behind our back), without one
/// signal for every stop.
fn install_handler() -> Result<(), Errno> {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_kick;
    set_action(KICK, handler as usize, libc::SA_SIGINFO | libc::SA_ONSTACK)?;
    set_action(libc::SIGCHLD, libc::SIG_DFL, libc::SA_NOCLDSTOP)?;
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was initialised above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), KICK) };
    // SAFETY: the set is initialised; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}

fn set_action(signal: i32, handler: usize, flags: i32) -> Result<(), Errno> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: 1. `action` is live. 2. Its handler is async-signal-safe: it stores one atomic and
    // changes the context it is given.
    match unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// A POSIX timer that sends the wake-up signal to one thread.
struct Timer(libc::timer_t);

// SAFETY: a timer id is a number to the kernel; any thread may use it.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

impl Timer {
    fn new(target: Tid) -> Result<Timer, Errno> {
        // SAFETY: all zeroes is a valid `sigevent`.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = KICK;
        event.sigev_notify_thread_id = target;
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: `event` and `timer` are live.
        match unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } {
            0 => Ok(Timer(timer)),
            _ => Err(last_errno()),
        }
    }

    fn set(&self, after: Duration) -> Result<(), Errno> {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let value = libc::timespec {
            tv_sec: after.as_secs().min(i64::MAX as u64) as i64,
            // A zero would disarm it.
            tv_nsec: i64::from(after.subsec_nanos()).max(i64::from(after.as_secs() == 0)),
        };
        let setting = libc::itimerspec { it_interval: zero, it_value: value };
        // SAFETY: the timer is ours; `setting` is live.
        match unsafe { libc::timer_settime(self.0, 0, &raw const setting, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(last_errno()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and not used again.
        unsafe { libc::timer_delete(self.0) };
    }
}
