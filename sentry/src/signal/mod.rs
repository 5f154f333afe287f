//! Signals, `signal(7)`.
//!
//! * [`SignalActions`], [`TaskSignals`], [`GroupSignals`]: the state, held by thread group and task.
//! * `send`: from `kill`, a terminal, a timer, a fault (`force`) to the pending queue, and the
//!   choice of the thread to wake.
//! * `take` and `deliver`: the run loop calls [`deliver`] before guest code goes on. It runs
//!   default actions, builds a handler's `frame`, and decides how an interrupted call goes on
//!   (`restart`, and `host_wait` for those that the host interrupts). `sigreturn` is the way back.
//! * `kept`: what guest code sees to by itself.
//! * `immunity`: what does nothing to the first process.
//! * `job_control`: stop and continue, and what parents learn of it.
//!
//! A thread's attention flag ([`Task::has_attention`]) is set only for what it really must handle:
//! a signal that is blocked or ignored sets nothing and interrupts nothing. But it is set after the
//! locks are released, and by then the thread, or another one, may have handled the matter. So a
//! call is given up only for what [`Task::must_attend`] finds.
//!
//! Lock order: the process' [`GroupSignals`], then one thread's [`TaskSignals`] (both
//! `Rank::Signal`; nested by that rule), then the table inside [`SignalActions`]. Thread lists,
//! parents, credentials and limits are looked up before.
//!
//! [`Task::has_attention`]: crate::task::Task::has_attention
//! [`Task::must_attend`]: crate::task::Task::must_attend

mod accounting;
mod actions;
mod altstack;
mod change;
mod deliver;
mod exit;
mod force;
mod fp_state;
mod frame;
mod host_wait;
mod immunity;
mod job_control;
mod kept;
mod mask;
mod pending;
mod permission;
mod restart;
mod send;
mod sigreturn;
mod state;
mod take;
mod trap;
mod wait;

pub use linux_abi::signal::SigInfo;

pub use accounting::{Charge, SignalAccounting};
pub use actions::{DefaultAction, SignalActions, default_action, is_ignoring};
pub use altstack::AltStack;
pub use change::set_action;
pub use deliver::{Delivery, deliver, stopped};
pub use exit::{reset_for_exec, thread_exiting};
pub use force::{force_fault, force_info, force_signal};
pub(crate) use fp_state::{FXSAVE_SIZE, checked_state, with_legacy_state};
pub use host_wait::{Answered, interrupted_wait};
pub use immunity::Immunity;
pub(crate) use job_control::notify_parent;
pub use job_control::{hang_up_orphans, is_orphaned};
pub use kept::{hide_defaults, let_guest, tell_defaults};
pub use mask::{restore_mask, set_mask, set_temporary_mask};
pub use pending::TimerTag;
pub use permission::{check_permission, may_signal};
pub use restart::{RestartBlock, SyscallRestart, set_restart, take_restart};
pub(crate) use send::send_for_timer;
pub use send::{Sent, send_to_group, send_to_process_group, send_to_task};
pub(crate) use sigreturn::USER_FLAGS;
pub use sigreturn::sigreturn;
pub use state::{GroupSignals, StopState, TaskSignals};
pub use take::{is_due, is_killed, pending, take_waited};
pub(crate) use trap::{
    allow_stop, end_traps, has_trap, join_traced, peek, put_back_if_blocked, request_trap,
    set_tracee_mask, take_trap, tracee_mask, trap_at_start, trap_if_stopped,
};
pub use wait::{suspend, wait_for_signal};
