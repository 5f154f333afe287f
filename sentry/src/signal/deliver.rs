//! Delivery: what a thread does about its signals before it runs guest code again (Linux: `get_signal`,
//! `handle_signal`).

use std::sync::Arc;

use linux_abi::signal::{SIG_DFL, SIG_IGN, SIGKILL, SIGSTOP, SaFlags, SigAction, SigInfo, SigSet};
use linux_abi::task::signaled_status;

use super::AltStack;
use super::actions::{DefaultAction, default_action};
use super::take::{Next, Taken, action_for, next};
use super::{Immunity, SyscallRestart, force, frame, job_control, mask};
use crate::ptrace;
use crate::task::{Ctx, Task};

/// How the run loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Runs guest code.
    Resume,
    /// Awaits [`stopped`], then delivers again (with the same interrupted call).
    Stop,
    /// Ends the whole process with this wait status.
    Exit { status: i32 },
}

/// Handles all signals that wait for the calling thread.
///
/// The run loop has cleared the attention flag before, and has checked whether the process is
/// ending. `interrupted` says that the trapped system call gave up with a restart code; the call
/// is prepared for going on exactly once, however often this is called for it.
pub async fn deliver(ctx: &mut Ctx, interrupted: &mut Option<SyscallRestart>) -> Delivery {
    loop {
        let taken = match next(&ctx.task) {
            Next::Nothing => {
                if let Some(restart) = still_open(ctx, *interrupted) {
                    restart.without_handler(ctx.thread.registers_mut());
                }
                mask::restore_mask(&ctx.task);
                return Delivery::Resume;
            }
            Next::Killed => return Delivery::Exit { status: signaled_status(SIGKILL, false) },
            Next::Stop => {
                if job_control::join_stop(&ctx.task) {
                    return Delivery::Stop;
                }
                continue;
            }
            Next::Trap => {
                Box::pin(ptrace::group_stop(ctx, interrupted)).await;
                None
            }
            Next::Reported(info) => Box::pin(ptrace::signal_stop(ctx, info, interrupted))
                .await
                .map(|info| action_for(&ctx.task, info)),
            Next::Signal(taken) => Some(taken),
        };
        let enters = taken.as_ref().is_some_and(Taken::has_handler);
        if let Some(exit) = taken.and_then(|taken| act(ctx, &taken, *interrupted)) {
            return exit;
        }
        if ctx.task.tracing.is_traced() {
            if enters {
                Box::pin(ptrace::handler_entered(ctx)).await;
            }
            if ctx.task.must_exit() {
                // The run loop sees to it.
                return Delivery::Resume;
            }
        }
    }
}

/// Does what a signal's action says; `Some` if that is the end.
fn act(ctx: &mut Ctx, taken: &Taken, interrupted: Option<SyscallRestart>) -> Option<Delivery> {
    let Taken { info, action, immunity } = taken;
    match action.handler {
        SIG_IGN => {}
        SIG_DFL => return act_by_default(&ctx.task, info, *immunity),
        _ => {
            if let Some(restart) = still_open(ctx, interrupted) {
                let restarts = action.sa_flags().contains(SaFlags::RESTART);
                restart.with_handler(ctx.thread.registers_mut(), restarts);
            }
            run_handler(ctx, info, action);
        }
    }
    None
}

/// Waits, as part of a stopped process, until there is something to look at: SIGCONT, the end.
pub async fn stopped(ctx: &mut Ctx) {
    let task = ctx.task.clone();
    std::future::poll_fn(move |_| match task.has_attention() {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

/// The interrupted call, unless it has been dealt with already.
fn still_open(ctx: &Ctx, interrupted: Option<SyscallRestart>) -> Option<SyscallRestart> {
    interrupted.filter(|_| ctx.thread.registers().orig_rax != u64::MAX)
}

/// Does what a signal without a handler does; `Some` if that is the end.
fn act_by_default(task: &Arc<Task>, info: &SigInfo, immunity: Immunity) -> Option<Delivery> {
    let signo = info.signo;
    match default_action(signo) {
        DefaultAction::Ignore | DefaultAction::Continue => None,
        _ if immunity.covers_acting(info) => None,
        DefaultAction::Stop => {
            // Nobody could continue a process of an orphaned group: only SIGSTOP stops it.
            if signo == SIGSTOP || !job_control::is_orphaned(&task.group.process_group(), None) {
                job_control::start_stop(task, signo);
            }
            None
        }
        // Divergence: no core file is written, so the status never says that one was.
        DefaultAction::Terminate | DefaultAction::Core => {
            Some(Delivery::Exit { status: signaled_status(signo, false) })
        }
    }
}

/// Makes the thread enter the handler. If its frame cannot be written the thread gets SIGSEGV.
fn run_handler(ctx: &mut Ctx, info: &SigInfo, action: &SigAction) {
    if frame::push(ctx, info, action).is_err() {
        force::force_segv(&ctx.task, info.signo);
        return;
    }
    let mut blocked = action.mask;
    if !action.sa_flags().contains(SaFlags::NODEFER) {
        blocked = blocked.union(SigSet::of(info.signo));
    }
    mask::change_mask(&ctx.task, |own| {
        own.saved_mask = None;
        own.put_mask(own.mask().union(blocked));
        own.change_altstack(AltStack::disarm_if_asked);
    });
}
