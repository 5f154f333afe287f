//! The look at a call before it is dispatched (Linux: `__secure_computing`).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIGKILL, SIGSYS, SigInfo};
use linux_abi::task::{AUDIT_ARCH_X86_64, SeccompData, signaled_status};

use super::action::Action;
use super::{Notifier, Reply, Seccomp};
use crate::ptrace::{self, CallEntry};
use crate::signal;
use crate::sync::wait_for;
use crate::syscall::Flow;
use crate::task::{Ctx, ExitReason};

/// Calls of the strict mode: `read`, `write`, `rt_sigreturn`, `exit`.
const STRICT: [u64; 4] = [0, 1, 15, 60];

/// The greatest error number.
const MAX_ERRNO: u16 = 4095;

/// Judges the present call of a filtered task; `None` if it shall be made, else how the task goes
/// on without.
pub async fn screen(ctx: &mut Ctx, number: u64, args: [u64; 6]) -> Option<Flow> {
    match look(ctx, number, args) {
        Look::Allow => None,
        Look::Refuse(flow) => Some(flow),
        Look::AskTracer(message) => ask_tracer(ctx, message).await,
        Look::AskSupervisor(notifier, data) => ask_supervisor(ctx, &notifier, data).await,
    }
}

/// What comes of a judgement.
enum Look {
    Allow,
    Refuse(Flow),
    AskTracer(u16),
    AskSupervisor(Arc<Notifier>, SeccompData),
}

fn look(ctx: &mut Ctx, number: u64, args: [u64; 6]) -> Look {
    let data = SeccompData {
        nr: number as i32,
        arch: AUDIT_ARCH_X86_64,
        instruction_pointer: ctx.thread.registers().rip,
        args,
    };
    match ctx.task.seccomp.with(|state| judge(state, number, &data)) {
        Verdict::Allow => Look::Allow,
        Verdict::Strict => Look::Refuse(Flow::Exit(ExitReason::Thread(killed_by(SIGKILL)))),
        Verdict::Answer { action, logs, notifier } => {
            if logs {
                note(ctx, &data, action);
            }
            match (action, notifier) {
                (Action::UserNotification, Some(notifier)) => Look::AskSupervisor(notifier, data),
                _ => act(ctx, action, number, &data),
            }
        }
    }
}

enum Verdict {
    Allow,
    /// Not one of the few that the strict mode has.
    Strict,
    Answer {
        action: Action,
        logs: bool,
        /// The supervisor of the filter whose answer it is.
        notifier: Option<Arc<Notifier>>,
    },
}

fn judge(state: &Seccomp, number: u64, data: &SeccompData) -> Verdict {
    match state {
        Seccomp::Disabled => Verdict::Allow,
        Seccomp::Strict if STRICT.contains(&u64::from(number as u32)) => Verdict::Allow,
        Seccomp::Strict => Verdict::Strict,
        Seccomp::Filter(filter) if filter.always_allows(number as u32) => Verdict::Allow,
        Seccomp::Filter(filter) => {
            let (answer, whose) = filter.judge(data);
            let logs = whose.is_some_and(|filter| filter.logs);
            let notifier = whose.and_then(|filter| filter.notifier()).cloned();
            match Action::decode(answer) {
                Action::Allow => Verdict::Allow,
                action => {
                    let logs = logs || is_always_logged(action);
                    Verdict::Answer { action, logs, notifier }
                }
            }
        }
    }
}

fn is_always_logged(action: Action) -> bool {
    matches!(action, Action::KillProcess | Action::KillThread | Action::Log)
}

/// Linux: the audit log. Ours is for debugging, and there only with `--strace`.
fn note(ctx: &Ctx, data: &SeccompData, action: Action) {
    let Some(log) = &ctx.task.kernel.strace else { return };
    let SeccompData { nr, instruction_pointer, .. } = data;
    log.write(
        ctx.task.tid(),
        &format!("seccomp: {action:?} call {nr} at {instruction_pointer:#x}"),
    );
}

fn act(ctx: &mut Ctx, action: Action, number: u64, data: &SeccompData) -> Look {
    let flow = match action {
        Action::Allow | Action::Log => return Look::Allow,
        Action::Trace(message) => return Look::AskTracer(message),
        Action::Errno(errno) => {
            let errno = errno.min(MAX_ERRNO);
            // An error of 0 is a success.
            let result = match errno {
                0 => Ok(0),
                errno => Err(Errno::from_raw(i32::from(errno))),
            };
            answer(ctx, result)
        }
        Action::Trap(errno) => {
            ctx.thread.registers_mut().rax = number;
            signal::force_info(
                &ctx.task,
                SigInfo::sigsys(data.instruction_pointer, data.nr, data.arch, errno.into()),
            );
            Flow::Resume
        }
        Action::UserNotification => answer(ctx, Err(Errno::ENOSYS)),
        Action::KillThread if ctx.task.group.threads().len() > 1 => {
            Flow::Exit(ExitReason::Thread(killed_by(SIGSYS)))
        }
        Action::KillThread | Action::KillProcess => {
            Flow::Exit(ExitReason::Group(killed_by(SIGSYS)))
        }
    };
    Look::Refuse(flow)
}

/// Asks the supervisor and waits for the reply. A signal interrupts that as it does a call that can
/// be restarted.
async fn ask_supervisor(
    ctx: &mut Ctx,
    notifier: &Arc<Notifier>,
    data: SeccompData,
) -> Option<Flow> {
    let Some(asked) = notifier.begin(&ctx.task, data) else {
        return Some(answer(ctx, Err(Errno::ENOSYS)));
    };
    let task = ctx.task.clone();
    let reply = {
        let wait = wait_for(&notifier.answered, PollEvents::IN, || asked.reply());
        let mut wait = pin!(wait);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(reply) = wait.as_mut().poll(cx) {
                return Poll::Ready(Some(reply));
            }
            let is_interrupted = match asked.must_wait() {
                true => task.must_exit() || signal::is_killed(&task),
                false => task.must_attend(),
            };
            if is_interrupted { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    match reply {
        None => Some(Flow::Return(Err(Errno::ERESTARTSYS))),
        Some(reply) if reply.continues() => None,
        Some(Reply { value, error: 0, .. }) => Some(answer(ctx, Ok(value as u64))),
        Some(Reply { error, .. }) => Some(answer(ctx, Ok(i64::from(error) as u64))),
    }
}

/// Puts a result in place that is not the kernel's own: even one that looks like a restart code is
/// just a number to the guest.
fn answer(ctx: &mut Ctx, result: Result<u64, Errno>) -> Flow {
    let rax = match result {
        Ok(value) => value,
        Err(errno) => errno.to_return_value(),
    };
    ctx.thread.registers_mut().rax = rax;
    Flow::Resume
}

/// Asks a tracer that wants `PTRACE_EVENT_SECCOMP`; `message` is what it learns with
/// `PTRACE_GETEVENTMSG`. `None` if the call of the registers, which it may have changed, shall be
/// made.
///
/// Without a tracer the call is as if it did not exist.
async fn ask_tracer(ctx: &mut Ctx, message: u16) -> Option<Flow> {
    match Box::pin(ptrace::filtered(ctx, message)).await {
        None => return Some(answer(ctx, Err(Errno::ENOSYS))),
        Some(CallEntry::Skip) => return Some(Flow::Resume),
        Some(CallEntry::Make) => {}
    }
    let (number, args) = ctx.call();
    match look(ctx, number, args) {
        // Nobody is asked twice.
        Look::Allow | Look::AskTracer(_) => None,
        Look::Refuse(flow) => Some(flow),
        Look::AskSupervisor(notifier, data) => ask_supervisor(ctx, &notifier, data).await,
    }
}

fn killed_by(signo: i32) -> u32 {
    signaled_status(signo, false) as u32
}
