//! Waiting on a socket, with its own timeouts.

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use super::super::poll::Deadline;
use crate::net::Socket;
use crate::sync::wait_for;
use crate::task::Ctx;
use crate::vfs::FileDescription;

/// How long an operation may wait.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    deadline: Deadline,
    has_timeout: bool,
}

impl Patience {
    /// That of a description: not at all, for the socket's timeout, or for ever.
    pub(super) fn of(
        ctx: &Ctx,
        description: &FileDescription,
        timeout_ns: Option<i64>,
    ) -> Patience {
        if description.is_nonblocking() && !ctx.has_waited() {
            return Patience::none();
        }
        match timeout_ns {
            Some(ns) => Patience { deadline: Deadline::in_nanoseconds(ns), has_timeout: true },
            None => Patience { deadline: Deadline::Never, has_timeout: false },
        }
    }

    /// Does not wait.
    pub(super) fn none() -> Patience {
        Patience { deadline: Deadline::Now, has_timeout: false }
    }

    /// Whether it may wait at all.
    pub(super) fn may_wait(self) -> bool {
        self.deadline != Deadline::Now
    }
}

/// Repeats `attempt` whenever `events` come up, until it does something else than EAGAIN.
///
/// Errors: EAGAIN when patience is at its end. ERESTARTSYS when interrupted, EINTR with a timeout
/// (signal(7): such calls are not restarted).
pub(super) async fn try_until<T>(
    ctx: &Ctx,
    socket: &dyn Socket,
    events: PollEvents,
    patience: Patience,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut once = || match attempt() {
        Err(Errno::EAGAIN) => None,
        result => Some(result),
    };
    if let Some(result) = once() {
        return result;
    }
    if !patience.may_wait() {
        return Err(Errno::EAGAIN);
    }
    let waited = wait_for(socket.common().queue(), events, once);
    match ctx.block(patience.deadline.limit(&ctx.task.kernel.timers, waited)).await {
        Ok(Some(result)) => result,
        Ok(None) => Err(Errno::EAGAIN),
        Err(_) if patience.has_timeout => Err(Errno::EINTR),
        Err(errno) => Err(errno),
    }
}
