//! What guest code keeps of its thread's state, and what it knows of it: words of the thread's slot. The
//! stub's own crate compiles this file too.
//!
//! The alternate signal stack and the place of the list of robust futexes are the thread's: guest code
//! changes them by itself, and the sentry reads them here, while the thread is in a call.
//!
//! So is the mask, but others look at it at any time. Who sends a signal first asks the thread to ask,
//! then looks at the mask; the thread first changes the mask, then looks whether it shall ask. So one
//! of them sees what the other has done.
//!
//! Actions are the sentry's. The stub knows which signals have none, and that it may set for these the
//! default action that a C library's `posix_spawn` sets, which changes nothing but what a later
//! question is answered.

use super::line::{FORETOLD_OFFSET, Foretold};

/// Where [`StateWords`] lie.
pub const STATE_OFFSET: u64 = (FORETOLD_OFFSET + size_of::<Foretold>() as u64).next_multiple_of(64);

/// See the module's description. In each word signal n is bit n - 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct StateWords {
    /// Whether the sentry has to be asked about the mask: a signal may be pending, or the mask is not
    /// here.
    pub must_ask: u64,
    /// Blocked signals.
    pub mask: u64,
    /// Signals with the default action, without flags, or with `SA_RESTORER` as `restored` says.
    pub defaults: u64,
    /// Those for which the stub has set that, with `SA_RESTORER`, ...
    pub restored: u64,
    /// ... and with this `sa_restorer`.
    pub restorer: u64,
    /// The head of the list of robust futexes, 0 for none.
    pub robust_list: u64,
    /// Which one of `stacks` counts.
    pub which: u64,
    pub stacks: [Stack; 2],
}

/// An alternate signal stack, as `sigaltstack(2)` takes it: `stack_t`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Stack {
    pub sp: u64,
    /// In the lower half.
    pub flags: u64,
    pub size: u64,
}

pub const RT_SIGACTION: u32 = 13;
pub const RT_SIGPROCMASK: u32 = 14;
pub const SIGALTSTACK: u32 = 131;
pub const SET_ROBUST_LIST: u32 = 273;

/// Numbers of the calls that the stub may serve by these words.
pub const CALLS: [u32; 4] = [RT_SIGACTION, RT_SIGPROCMASK, SIGALTSTACK, SET_ROBUST_LIST];

/// The bit of a signal.
pub const fn bit(signo: u32) -> u64 {
    1 << (signo - 1)
}

/// SIGKILL and SIGSTOP.
pub const UNBLOCKABLE: u64 = bit(9) | bit(19);
/// Signals for which it means more to set the default action, as those that are pending are
/// forgotten (SIGCHLD, SIGCONT, SIGURG, SIGWINCH), or for which none can be set.
pub const NOT_RESTORED: u64 = UNBLOCKABLE | bit(17) | bit(18) | bit(23) | bit(28);
