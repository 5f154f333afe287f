//! Tracing of guest threads by other guest threads, `ptrace(2)`.
//!
//! Nothing here asks the host: at a stop the tracee's registers are copied into its [`Tracing`],
//! where the tracer reads and changes them, and are loaded again when it lets the tracee go.
//!
//! * [`Tracing`]: what a task knows of its tracer, its stop and its own tracees.
//! * `relation`: who traces whom: attach, inherit, detach, and the end of a tracer.
//! * `stop`: the tracee's side of a stop; `events` and `signals`: the occasions for one.
//! * `requests`: the tracer's side, with `memory`, `registers`, `regset` and `facts`.
//! * `wait`: what a tracer learns by `wait4`; `burial`: tracees that have ended.
//!
//! A tracee is in the list of its tracer exactly as long as its flags say that it is traced; both
//! change under the task tree's lock. Lock order: the tree, then one [`Tracing`]'s state, then signals.

mod burial;
mod events;
mod facts;
mod memory;
mod registers;
mod regset;
mod relation;
mod requests;
mod signals;
mod stop;
mod wait;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::task::PtraceOptions;

pub(crate) use burial::{bury, forget_leader, release_tracees, tell_of_end};
pub(crate) use events::{
    Birth, CallEntry, call_entered, call_left, cloned, cloning, executed, exiting, filtered,
    vfork_done,
};
pub(crate) use relation::{inherit, may_gain_privileges, trace_me};
pub(crate) use requests::{attach, request};
pub(crate) use signals::{group_stop, handler_entered, signal_stop};
pub(crate) use wait::{Seen, take_news};

use crate::sync::{Mutex, Rank};
use crate::task::{Pid, Task};
use stop::Stop;

bitflags::bitflags! {
    /// What a tracee looks at while it runs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct TraceFlags: u32 {
        const TRACED = 1;
        /// By `PTRACE_SEIZE`.
        const SEIZED = 2;
        /// Stops at each system call (`PTRACE_SYSCALL`).
        const CALLS = 4;
        /// Stops instead of making a system call (`PTRACE_SYSEMU`).
        const EMULATION = 8;
        /// Stops after one instruction.
        const STEP = 16;
    }
}

/// The part of a task in tracing, as a tracee and as a tracer.
pub struct Tracing {
    /// [`TraceFlags`]; changed only with `state` locked.
    flags: AtomicU32,
    state: Mutex<State>,
    /// Those whom the task traces.
    tracees: Mutex<Vec<Arc<Task>>>,
}

/// What a tracee's tracer has a say in.
#[derive(Default)]
struct State {
    tracer: Weak<Task>,
    /// Whether the tracer had CAP_SYS_PTRACE when it began.
    is_tracer_capable: bool,
    options: PtraceOptions,
    /// `PTRACE_GETEVENTMSG`.
    message: u64,
    stop: Option<Stop>,
    /// The tracee has ended, with this wait status, and waits to be waited for.
    ended: Option<u32>,
}

impl Default for Tracing {
    fn default() -> Tracing {
        Tracing {
            flags: AtomicU32::new(0),
            state: Mutex::new(Rank::Tracing, State::default()),
            tracees: Mutex::new(Rank::Leaf, Vec::new()),
        }
    }
}

impl Tracing {
    fn flags(&self) -> TraceFlags {
        TraceFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.flags().contains(TraceFlags::TRACED)
    }

    pub(crate) fn is_seized(&self) -> bool {
        self.flags().contains(TraceFlags::SEIZED)
    }

    /// Whether the tracee executes one instruction at a time.
    pub(crate) fn steps(&self) -> bool {
        self.flags().contains(TraceFlags::STEP)
    }

    fn set_flags(&self, flags: TraceFlags) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }

    fn options(&self) -> PtraceOptions {
        self.state.lock().options
    }

    pub(crate) fn tracer(&self) -> Option<Arc<Task>> {
        if self.is_traced() { self.state.lock().tracer.upgrade() } else { None }
    }

    /// The number of the tracer, 0 for none (`TracerPid`).
    pub(crate) fn tracer_tid(&self) -> Pid {
        self.tracer().map_or(0, |tracer| tracer.tid())
    }

    /// Whether the tracee is in a stop of its tracer's (`t` in `/proc/[pid]/stat`).
    pub(crate) fn is_in_stop(&self) -> bool {
        self.is_traced() && self.state.lock().stop.as_ref().is_some_and(Stop::holds)
    }

    /// Those whom the task traces.
    pub(crate) fn tracees(&self) -> Vec<Arc<Task>> {
        self.tracees.lock().clone()
    }
}
