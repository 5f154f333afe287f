//! Waiting for signals: `sigtimedwait(2)`, `sigsuspend(2)`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use linux_abi::Errno;
use linux_abi::signal::{SigInfo, SigSet};

use super::mask::{change_mask, set_temporary_mask};
use super::take::take_waited;
use crate::task::{Ctx, Task};
use crate::time::{Sleep, timeout};

/// Unblocks the signals of a set while the thread waits for them; they count as blocked still, so
/// their actions do not matter.
struct Waiting<'a>(&'a Arc<Task>);

impl<'a> Waiting<'a> {
    fn begin(task: &'a Arc<Task>, set: SigSet) -> Waiting<'a> {
        change_mask(task, |own| {
            own.waiting_mask = Some(own.mask());
            own.put_mask(own.mask().difference(set));
        });
        Waiting(task)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        change_mask(self.0, |own| {
            if let Some(mask) = own.waiting_mask.take() {
                own.put_mask(mask);
            }
        });
    }
}

/// Takes a signal of `set`, waiting for one until `sleep` is over.
///
/// Errors: EAGAIN when none came in time; EINTR when another signal must be handled.
pub async fn wait_for_signal(
    ctx: &Ctx,
    set: SigSet,
    sleep: Option<Sleep>,
) -> Result<SigInfo, Errno> {
    let task = &ctx.task;
    let waited = {
        let _waiting = Waiting::begin(task, set);
        let arrival = poll_fn(|_| match take_waited(task, set) {
            Some(info) => Poll::Ready(info),
            // Whoever sends one to a thread that does not block it wakes the thread.
            None => Poll::Pending,
        });
        ctx.block(timeout(sleep, arrival)).await
    };
    match waited {
        Ok(Some(info)) => Ok(info),
        Ok(None) => Err(Errno::EAGAIN),
        Err(_) => take_waited(task, set).ok_or(Errno::EINTR),
    }
}

/// Waits until a signal is handled, with another mask if one is given.
///
/// Errors: always ERESTARTNOHAND: EINTR once a handler has run.
pub async fn suspend(ctx: &Ctx, mask: Option<SigSet>) -> Errno {
    if let Some(mask) = mask {
        set_temporary_mask(&ctx.task, mask);
    }
    // Ends by interruption only.
    let _ = ctx.block(std::future::pending::<()>()).await;
    Errno::ERESTARTNOHAND
}
