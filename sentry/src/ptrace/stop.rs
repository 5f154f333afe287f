//! The tracee's side of a stop (Linux: `ptrace_stop`).

use std::sync::Arc;
use std::task::Poll;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{CLD_STOPPED, SIG_IGN, SIGCHLD, SaFlags, SigInfo};
use platform::Registers;

use super::TraceFlags;
use crate::signal::{self, SyscallRestart};
use crate::task::{Ctx, Task};

/// A stop, from when it is told to the tracer until the tracee has left it.
pub(super) struct Stop {
    /// What `wait4` shows: a signal, with an event in the second byte.
    pub code: i32,
    /// `wait4` has not shown it yet.
    pub is_unreported: bool,
    /// `PTRACE_GETSIGINFO`; none at a group stop of a tracee that was not seized.
    pub info: Option<SigInfo>,
    pub registers: Registers,
    /// The floating-point state in XSAVE format, if the tracee's thread lives.
    pub fp_state: Vec<u8>,
    pub is_fp_changed: bool,
    /// The tracer waits for the end of the group stop (`PTRACE_LISTEN`).
    pub is_listening: bool,
    /// Set when the tracer lets the tracee go: a signal for it, or 0.
    pub end: Option<i32>,
}

impl Stop {
    /// Whether the tracer holds the tracee in it.
    pub fn holds(&self) -> bool {
        self.end.is_none()
    }
}

/// What a stop is about.
pub(super) struct Report {
    pub code: i32,
    pub info: Option<SigInfo>,
    /// `CLD_TRAPPED`, or `CLD_STOPPED` for a group stop.
    pub why: i32,
    pub message: Option<u64>,
    /// The tracee is on its way out, its process with it (`true`) or not; the present end does not
    /// end the stop.
    pub last: Option<bool>,
}

/// How a tracee has left a stop.
pub(super) struct Leave {
    /// A signal for it, or 0.
    pub signo: i32,
    /// The facts that the tracer has left.
    pub info: Option<SigInfo>,
}

/// Stops the calling task until its tracer lets it go. `restart` is what becomes of an interrupted
/// system call, which the tracer sees, and may change, in the registers.
///
/// `None` when there was no stop: the task is not traced any more, or is to die.
pub(super) async fn stop(
    ctx: &mut Ctx,
    report: Report,
    restart: &mut Option<SyscallRestart>,
) -> Option<Leave> {
    let task = ctx.task.clone();
    if !task.tracing.is_traced() || has_to_die(&task, report.last) {
        return None;
    }
    ctx.thread.complete().await.ok()?;
    let fp_state = ctx.thread.fp_state().unwrap_or_default();
    let mut registers = *ctx.thread.registers();
    if let Some(restart) = *restart {
        registers.rax = restart.to_errno().to_return_value();
    }
    let Report { code, info, why, message, last } = report;
    let tracer = {
        let mut state = task.tracing.state.lock();
        if !task.tracing.is_traced() {
            return None;
        }
        state.message = message.unwrap_or(state.message);
        state.stop = Some(Stop {
            code,
            is_unreported: true,
            info,
            registers,
            fp_state,
            is_fp_changed: false,
            is_listening: false,
            end: None,
        });
        state.tracer.upgrade()
    };
    if let Some(tracer) = tracer {
        tell_tracer(&task, &tracer, why, code);
    }
    std::future::poll_fn(|_| match may_leave(&task, last) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
    let stop = task.tracing.state.lock().stop.take()?;
    load(ctx, &stop, registers, restart);
    ctx.refresh_identity();
    if task.tracing.flags().intersects(TraceFlags::CALLS | TraceFlags::EMULATION) {
        // Futexes too. Where the host refuses, those go unseen.
        let _ = ctx.thread.catch_all().await;
    }
    Some(Leave { signo: stop.end.unwrap_or(0), info: stop.info })
}

/// Whether the end of the task does not let it stop.
fn has_to_die(task: &Arc<Task>, last: Option<bool>) -> bool {
    match last {
        None | Some(false) => signal::is_killed(task) || task.must_exit(),
        // Linux: a process that ends gets no signals.
        Some(true) => false,
    }
}

fn may_leave(task: &Arc<Task>, last: Option<bool>) -> bool {
    let (has_end, is_listening) = {
        let state = task.tracing.state.lock();
        let Some(stop) = &state.stop else { return true };
        (stop.end.is_some(), stop.is_listening)
    };
    has_end || has_to_die(task, last) || (is_listening && signal::has_trap(task))
}

/// Takes over what the tracer has changed.
fn load(ctx: &mut Ctx, stop: &Stop, shown: Registers, restart: &mut Option<SyscallRestart>) {
    if stop.is_fp_changed {
        // The image was checked when the tracer set it.
        let _ = ctx.thread.set_fp_state(&stop.fp_state);
    }
    if stop.registers == shown {
        return;
    }
    let mut wanted = stop.registers;
    // Linux: only a task behind a system call can have one that is made again.
    let is_behind_call = wanted.orig_rax as i32 != -1;
    *restart = if is_behind_call { SyscallRestart::of_result(wanted.rax) } else { None };
    if restart.is_some() {
        wanted.rax = Errno::EINTR.to_return_value();
    }
    *ctx.thread.registers_mut() = wanted;
}

/// SIGCHLD for the tracer, and a wake-up for its `wait4` (Linux: `do_notify_parent_cldstop`).
fn tell_tracer(tracee: &Arc<Task>, tracer: &Arc<Task>, why: i32, code: i32) {
    let action = tracer.group.actions.read().get(SIGCHLD);
    if action.handler != SIG_IGN && !action.sa_flags().contains(SaFlags::NOCLDSTOP) {
        let status = match (why, tracee.group.signals.lock().stop_signal()) {
            (CLD_STOPPED, Some(signo)) => signo,
            _ => code & 0x7f,
        };
        let (user, system) = crate::time::process_cpu_ticks(&tracee.group);
        let uid = tracee.credentials().uid;
        let info = SigInfo::child(why, tracee.tid(), uid, status, user, system);
        // SIGCHLD is a standard signal: it never fails for lack of room.
        let _ = signal::send_to_group(&tracer.group, info);
    }
    tracer.group.child_events.notify(PollEvents::IN);
}
