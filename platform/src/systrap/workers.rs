//! The kernel's workers, and how they wait such that a wake-up is never lost.
//!
//! A worker waits in `ioctl(NOTIF_RECV)`. A flag alone would leave a gap between testing it and
//! entering the kernel. Here the test and the `syscall` instruction form a window of machine code,
//! and the handler of the wake-up signal moves a thread it finds inside that window to its exit:
//! the signal comes before the window (the flag is seen), inside (the call is skipped), or in the
//! kernel (EINTR).

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use linux_abi::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use parking_lot::RwLock;

use crate::host;
use crate::host::last_errno;
use crate::process::{KICK, Tid, kick};

/// The worker works.
const WORKING: u32 = 0;
/// It is in, or about to enter, the window; a wake-up must send the signal.
const PARKED: u32 = 1;
/// Somebody wants it to return.
const NOTIFIED: u32 = 2;

// fn platform_park_ioctl(fd, request, argument, state) -> ioctl's result or a negated errno
std::arch::global_asm!(
    ".pushsection .text.platform_park_ioctl,\"ax\",@progbits",
    ".balign 16",
    ".hidden platform_park_ioctl",
    ".globl platform_park_ioctl",
    ".type platform_park_ioctl, @function",
    "platform_park_ioctl:",
    ".hidden platform_park_ioctl_begin",
    ".globl platform_park_ioctl_begin",
    "platform_park_ioctl_begin:",
    "cmp dword ptr [rcx], {parked}",
    "jne platform_park_ioctl_exit",
    "mov eax, {ioctl}",
    ".hidden platform_park_ioctl_call",
    ".globl platform_park_ioctl_call",
    "platform_park_ioctl_call:",
    "syscall",
    "ret",
    ".hidden platform_park_ioctl_exit",
    ".globl platform_park_ioctl_exit",
    "platform_park_ioctl_exit:",
    "mov rax, -{eintr}",
    "ret",
    ".size platform_park_ioctl, . - platform_park_ioctl",
    ".popsection",
    parked = const PARKED,
    ioctl = const libc::SYS_ioctl,
    eintr = const libc::EINTR,
);

unsafe extern "C" {
    fn platform_park_ioctl(fd: i32, request: u64, argument: u64, state: *const AtomicU32) -> i64;
    static platform_park_ioctl_begin: u8;
    static platform_park_ioctl_call: u8;
    static platform_park_ioctl_exit: u8;
}

extern "C" fn on_kick(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let begin = (&raw const platform_park_ioctl_begin).addr();
    let call = (&raw const platform_park_ioctl_call).addr();
    let context: *mut libc::ucontext_t = context.cast();
    // SAFETY: the kernel passes the interrupted context, which nobody else uses now.
    let rip = unsafe { &mut (*context).uc_mcontext.gregs[libc::REG_RIP as usize] };
    if (begin..=call).contains(&(*rip as usize)) {
        *rip = (&raw const platform_park_ioctl_exit).addr() as i64;
    }
}

/// [`KICK`], typed.
const KICK_SIGNAL: Signal = Signal::SIGURG;
const _: () = assert!(KICK_SIGNAL as i32 == KICK);
/// `poll(2)` skips it.
const NO_DESCRIPTOR: c_int = -1;

struct Worker {
    tid: Tid,
    state: AtomicU32,
}

thread_local! {
    /// The worker that the calling thread is, and [`Workers::id`].
    static OWN: RefCell<Option<(u64, Arc<Worker>)>> = const { RefCell::new(None) };
}

/// All workers of the platform.
pub(super) struct Workers {
    /// No other list of workers in this process has the same.
    id: u64,
    pid: Tid,
    list: RwLock<Vec<Arc<Worker>>>,
    /// A wake-up that found nobody parked.
    note: AtomicBool,
    wake_ups: AtomicU64,
}

/// The right to wait: the worker's state is [`PARKED`] or [`NOTIFIED`].
#[derive(Clone, Copy)]
pub(super) struct Parked<'a>(&'a Worker);

impl Workers {
    /// Errors: those of `sigaction(2)`.
    pub(super) fn new() -> Result<Workers, Errno> {
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_kick;
        // SAFETY: all zeroes is a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: 1. `action` is live. 2. Its handler is async-signal-safe: it changes the context
        // it is given and nothing else.
        if unsafe { libc::sigaction(KICK, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(last_errno());
        }
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let pid = host::process::pid();
        Ok(Workers {
            id,
            pid,
            list: RwLock::default(),
            note: AtomicBool::new(false),
            wake_ups: AtomicU64::new(0),
        })
    }

    /// Calls `body` with the worker that the calling thread is, or becomes.
    fn with_own(&self, body: impl FnOnce(&Worker)) {
        OWN.with_borrow_mut(|own| match own {
            Some((id, worker)) if *id == self.id => body(worker),
            _ => {
                change_mask(SigmaskHow::SIG_UNBLOCK, &kick_set());
                let tid = host::process::tid();
                let worker = Arc::new(Worker { tid, state: AtomicU32::new(WORKING) });
                self.list.write().push(Arc::clone(&worker));
                body(&own.insert((self.id, worker)).1);
            }
        });
    }

    /// How often one was woken by somebody else than a guest.
    pub(super) fn wake_ups(&self) -> u64 {
        self.wake_ups.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.read().len()
    }

    /// Calls `wait` until it answers `true` or the worker is notified.
    pub(super) fn park(&self, mut wait: impl FnMut(Parked<'_>) -> bool) {
        self.with_own(|worker| {
            worker.state.store(PARKED, Ordering::SeqCst);
            if !self.note.swap(false, Ordering::SeqCst) {
                while worker.state.load(Ordering::SeqCst) == PARKED && !wait(Parked(worker)) {}
            }
            worker.state.store(WORKING, Ordering::SeqCst);
        });
    }

    /// See [`Platform::unpark`].
    ///
    /// [`Platform::unpark`]: crate::contract::Platform::unpark
    pub(super) fn unpark(&self) {
        self.wake_ups.fetch_add(1, Ordering::Relaxed);
        if self.notify_one(|_| true) {
            return;
        }
        self.note.store(true, Ordering::SeqCst);
        // One that parked meanwhile may have missed the note.
        self.notify_one(|_| true);
    }

    /// Makes another worker than the caller return, if one waits.
    pub(super) fn unpark_another(&self, parked: Parked<'_>) {
        self.notify_one(|worker| worker.tid != parked.tid());
    }

    fn notify_one(&self, is_meant: impl Fn(&Worker) -> bool) -> bool {
        let list = self.list.read();
        for worker in list.iter().filter(|worker| is_meant(worker)) {
            let change =
                worker.state.compare_exchange(PARKED, NOTIFIED, Ordering::SeqCst, Ordering::SeqCst);
            if change.is_ok() {
                // A worker that has ended waits no more.
                let _ = kick(self.pid, worker.tid);
                return true;
            }
        }
        false
    }
}

impl Parked<'_> {
    /// `ioctl(2)` unless the worker was notified, and until it is: EINTR then.
    pub(super) fn ioctl(self, fd: impl AsFd, request: u64, argument: u64) -> Result<(), Errno> {
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: 1. The state outlives the call. 2. The routine follows the C ABI. 3. What
        // `argument` points to is right for the request (a private matter of `listener`).
        let result = unsafe { platform_park_ioctl(fd, request, argument, &raw const self.0.state) };
        if result < 0 { Err(Errno::from_raw(-result as i32)) } else { Ok(()) }
    }
}

impl Parked<'_> {
    /// The worker.
    pub(super) fn tid(self) -> Tid {
        self.0.tid
    }

    /// Whether the worker shall return.
    pub(super) fn is_notified(self) -> bool {
        self.0.state.load(Ordering::SeqCst) != PARKED
    }

    /// Waits until a descriptor is ready to read, the worker is notified, or `deadline`; answers
    /// with what the descriptor is ready for. One that has hung up counts as never ready.
    pub(super) fn poll(self, fd: impl AsFd, deadline: Option<Instant>) -> i16 {
        let ready = self.poll_once(fd.as_fd().as_raw_fd(), deadline);
        if ready & libc::POLLHUP == 0 { ready } else { self.poll_once(NO_DESCRIPTOR, deadline) }
    }

    /// Waits until the worker is notified, or `deadline`.
    pub(super) fn sleep_until(self, deadline: Option<Instant>) {
        self.poll_once(NO_DESCRIPTOR, deadline);
    }

    fn poll_once(self, fd: c_int, deadline: Option<Instant>) -> i16 {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let left = deadline.map(|deadline| timespec_until(deadline, Instant::now()));
        let timeout = left.as_ref().map_or(std::ptr::null(), |left| &raw const *left);
        // The kick that follows a notification is let in where the kernel waits, only.
        let open = change_mask(SigmaskHow::SIG_BLOCK, &kick_set());
        if self.0.state.load(Ordering::SeqCst) == PARKED {
            // SAFETY: one live `pollfd`, a live timeout or none, a live mask.
            unsafe { libc::ppoll(&raw mut poll, 1, timeout, &raw const *open.as_ref()) };
        }
        change_mask(SigmaskHow::SIG_SETMASK, &open);
        poll.revents
    }
}

fn timespec_until(deadline: Instant, now: Instant) -> libc::timespec {
    let left = deadline.saturating_duration_since(now);
    let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    libc::timespec { tv_sec, tv_nsec: i64::from(left.subsec_nanos()) }
}

fn kick_set() -> SigSet {
    let mut set = SigSet::empty();
    set.add(KICK_SIGNAL);
    set
}

/// Changes the calling thread's signal mask; answers with the old one.
fn change_mask(how: SigmaskHow, set: &SigSet) -> SigSet {
    set.thread_swap_mask(how).expect("the kernel knows the request")
}
