//! `poll`, `ppoll`, and what they share with `select` and `epoll_wait`: deadlines, temporary
//! signal masks, waiting for any of several files.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use linux_abi::Errno;
use linux_abi::poll::{PollEvents, PollFd};
use linux_abi::signal::SigSet;
use linux_abi::task::RLIMIT_NOFILE;
use linux_abi::time::{NSEC_PER_SEC, Timespec};

use super::SysResult;
use crate::memory::UserPtr;
use crate::signal::{RestartBlock, restore_mask, set_restart, set_temporary_mask};
use crate::task::Ctx;
use crate::time::{TimerClock, Timers, timeout};
use crate::vfs::FileDescription;

/// When waiting ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// Without waiting.
    Now,
    /// At this reading of the monotonic clock.
    At(i64),
    Never,
}

impl Deadline {
    /// A negative number waits for ever.
    pub(super) fn in_milliseconds(ms: i32) -> Deadline {
        if ms < 0 { Deadline::Never } else { Deadline::in_nanoseconds(i64::from(ms) * 1_000_000) }
    }

    /// Errors: EINVAL for what is no time.
    pub(super) fn in_timespec(time: Timespec) -> Result<Deadline, Errno> {
        if !time.is_valid() {
            return Err(Errno::EINVAL);
        }
        Ok(Deadline::in_nanoseconds(time.to_nanos()))
    }

    pub(super) fn in_nanoseconds(ns: i64) -> Deadline {
        match ns {
            0 => Deadline::Now,
            _ => Deadline::At(TimerClock::Monotonic.now_ns().saturating_add(ns)),
        }
    }

    /// What is left, for calls that tell.
    pub(super) fn remaining(self) -> Timespec {
        match self {
            Deadline::Now | Deadline::Never => Timespec::default(),
            Deadline::At(end_ns) => {
                let left = end_ns.saturating_sub(TimerClock::Monotonic.now_ns());
                Timespec::from_nanos(left.max(0))
            }
        }
    }

    /// The result of `future`, or `None` at the deadline.
    pub(super) async fn limit<F: Future>(
        self,
        timers: &Arc<Timers>,
        future: F,
    ) -> Option<F::Output> {
        let sleep = match self {
            Deadline::Never => None,
            Deadline::Now => Some(timers.sleep_until(TimerClock::Monotonic, 0)),
            Deadline::At(end_ns) => Some(timers.sleep_until(TimerClock::Monotonic, end_ns)),
        };
        timeout(sleep, future).await
    }
}

/// Sets a temporary signal mask if one is given. Errors: EINVAL (its size), EFAULT.
pub(super) fn apply_mask(ctx: &Ctx, mask: UserPtr<SigSet>, size: usize) -> Result<(), Errno> {
    let Some(mask) = mask.non_null() else { return Ok(()) };
    if size != size_of::<SigSet>() {
        return Err(Errno::EINVAL);
    }
    let mask = ctx.memory().read_value(mask)?;
    set_temporary_mask(&ctx.task, mask);
    Ok(())
}

/// A file that is waited for, and the events that matter.
pub(super) type Watched = (Arc<FileDescription>, PollEvents);

/// Waits until `check` answers with something, trying again when any of `watched` changes.
///
/// Errors: ERESTARTNOHAND when interrupted. `Ok(None)` at the deadline.
pub(super) async fn wait_any<T>(
    ctx: &Ctx,
    watched: &[Watched],
    deadline: Deadline,
    mut check: impl FnMut() -> Option<T>,
) -> Result<Option<T>, Errno> {
    if let Some(found) = check() {
        return Ok(Some(found));
    }
    if deadline == Deadline::Now {
        // Linux: a signal that a temporary mask lets in counts even if there is no time to wait.
        return if ctx.task.must_attend() { Err(Errno::ERESTARTNOHAND) } else { Ok(None) };
    }
    let mut subscriptions: Vec<_> = watched
        .iter()
        .filter_map(|(file, events)| Some((file.file().wait_queue()?.subscription(), *events)))
        .collect();
    let changed = std::future::poll_fn(move |cx| {
        for (subscription, events) in &mut subscriptions {
            subscription.arm(*events, cx.waker());
        }
        match check() {
            Some(found) => Poll::Ready(found),
            None => Poll::Pending,
        }
    });
    let waited = ctx.block(deadline.limit(&ctx.task.kernel.timers, changed)).await;
    for (file, _) in watched {
        if let (Some(conduits), Some(queue)) = (file.file().conduits(), file.file().wait_queue()) {
            conduits.stop_watching(queue, 0);
        }
    }
    waited.map_err(|_| Errno::ERESTARTNOHAND)
}

/// One descriptor of a `poll` call.
struct Entry {
    file: Option<Arc<FileDescription>>,
    wanted: PollEvents,
    /// Whether the descriptor is not negative.
    counts: bool,
}

impl Entry {
    fn ready(&self) -> PollEvents {
        match &self.file {
            Some(file) => file.file().readiness() & self.wanted,
            None if self.counts => PollEvents::NVAL,
            None => PollEvents::empty(),
        }
    }
}

/// Waits for the descriptors at `fds` and fills in what they are ready for.
///
/// Errors: EINVAL (too many), EFAULT, ERESTARTNOHAND.
async fn poll_until(ctx: &Ctx, fds: UserPtr<PollFd>, count: u32, deadline: Deadline) -> SysResult {
    if u64::from(count) > ctx.task.group.soft_limit(RLIMIT_NOFILE as usize) {
        return Err(Errno::EINVAL);
    }
    let mut list = ctx.memory().read_array(fds, count as usize)?;
    let table = ctx.task.fds();
    let entries: Vec<Entry> = list
        .iter()
        .map(|entry| Entry {
            file: table.get_usable(entry.fd).ok(),
            wanted: PollEvents::from_bits_retain(entry.events) | PollEvents::ERR | PollEvents::HUP,
            counts: entry.fd >= 0,
        })
        .collect();
    drop(table);
    let watched: Vec<Watched> =
        entries.iter().filter_map(|entry| Some((entry.file.clone()?, entry.wanted))).collect();
    let check = || {
        let ready: Vec<PollEvents> = entries.iter().map(Entry::ready).collect();
        ready.iter().any(|events| !events.is_empty()).then_some(ready)
    };
    let found = wait_any(ctx, &watched, deadline, check).await?;
    let found = found.unwrap_or_else(|| vec![PollEvents::empty(); list.len()]);
    for (entry, events) in list.iter_mut().zip(&found) {
        entry.revents = events.bits();
    }
    ctx.memory().write_array(fds, &list)?;
    Ok(found.iter().filter(|events| !events.is_empty()).count())
}

/// `poll(2)`. Errors: EINVAL, EFAULT, EINTR; goes on with the rest of its time after a stop.
pub async fn poll(ctx: &mut Ctx, fds: UserPtr<PollFd>, count: u32, timeout_ms: i32) -> SysResult {
    poll_restartable(ctx, fds, count, Deadline::in_milliseconds(timeout_ms)).await
}

/// `poll` until `deadline`; also what `restart_syscall` goes on with.
pub(super) async fn poll_restartable(
    ctx: &Ctx,
    fds: UserPtr<PollFd>,
    count: u32,
    deadline: Deadline,
) -> SysResult {
    match (poll_until(ctx, fds, count, deadline).await, deadline) {
        (Err(Errno::ERESTARTNOHAND), Deadline::At(deadline_ns)) => {
            let block = RestartBlock::Poll { fds: fds.addr().0, count, deadline_ns };
            Err(set_restart(&ctx.task, block))
        }
        (result, _) => result,
    }
}

/// `ppoll(2)`; the time that is left is written back. Errors: EINVAL, EFAULT, EINTR.
pub async fn ppoll(
    ctx: &mut Ctx,
    fds: UserPtr<PollFd>,
    count: u32,
    time: UserPtr<Timespec>,
    mask: UserPtr<SigSet>,
    mask_size: usize,
) -> SysResult {
    let deadline = match time.non_null() {
        Some(time) => Deadline::in_timespec(ctx.memory().read_value(time)?)?,
        None => Deadline::Never,
    };
    apply_mask(ctx, mask, mask_size)?;
    let result = poll_until(ctx, fds, count, deadline).await;
    let left = deadline.remaining();
    let write = || match time.non_null() {
        Some(time) => ctx.memory().write_value(time, &left),
        None => Ok(()),
    };
    finish(ctx, result, write)
}

/// Ends a call with a temporary mask and a timeout that is written back.
///
/// Linux (`poll_select_finish`): a timeout that cannot be written makes the call not restartable,
/// and is no error otherwise.
pub(super) fn finish(
    ctx: &Ctx,
    result: SysResult,
    write_remaining: impl FnOnce() -> Result<(), Errno>,
) -> SysResult {
    let is_interrupted = result == Err(Errno::ERESTARTNOHAND);
    if !is_interrupted {
        restore_mask(&ctx.task);
    }
    match write_remaining() {
        Err(_) if is_interrupted => Err(Errno::EINTR),
        _ => result,
    }
}

/// Nanoseconds of a time whose fraction may be larger than a second. Errors: EINVAL.
pub(super) fn normalised(sec: i64, usec: i64) -> Result<i64, Errno> {
    let sec = sec.saturating_add(usec / 1_000_000);
    let nsec = (usec % 1_000_000) * 1_000;
    if sec < 0 || nsec < 0 {
        return Err(Errno::EINVAL);
    }
    Ok(sec.saturating_mul(NSEC_PER_SEC).saturating_add(nsec))
}
