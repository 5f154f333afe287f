//! A thread that waits for a lock, or to be moved to one.

use std::sync::Arc;
use std::task::{Poll, Waker};

use linux_abi::Errno;

use super::Word;
use super::table::PiTable;
use crate::futex::FutexKey;
use crate::memory::UserMemory;
use crate::sync::{Mutex, Rank};
use crate::task::{Ctx, Pid, Task};
use crate::time::{Sleep, timeout};

pub(super) struct Waiter {
    pub tid: Pid,
    pub priority: i32,
    /// The lock, as the thread names it.
    pub lock: Word,
    pub memory: UserMemory,
    /// Where it waits to be moved to the lock, if it does not want that at once.
    pub condition: Option<FutexKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How its wait ended: it has the lock, or cannot get it.
    result: Option<Result<(), Errno>>,
    waker: Option<Waker>,
}

impl Waiter {
    pub fn new(task: &Task, lock: Word, condition: Option<FutexKey>) -> Arc<Waiter> {
        let priority = task.sched.lock().priority;
        let memory = task.mm().memory().clone();
        let state = Mutex::new(Rank::Leaf, State::default());
        Arc::new(Waiter { tid: task.tid(), priority, lock, memory, condition, state })
    }

    /// Ends its wait; the waker answered with is to be woken once no lock is held.
    pub fn finish(&self, result: Result<(), Errno>) -> Option<Waker> {
        let mut state = self.state.lock();
        state.result = Some(result);
        state.waker.take()
    }

    pub fn result(&self) -> Option<Result<(), Errno>> {
        self.state.lock().result
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if state.result.is_some() {
            return Poll::Ready(());
        }
        state.waker = Some(waker.clone());
        Poll::Pending
    }
}

/// Where a waiter was when it gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Condition,
    Lock,
}

/// A waiter in a queue, which leaves when this is dropped.
pub(super) struct Queued<'a> {
    pub table: &'a PiTable,
    pub waiter: Arc<Waiter>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.table.leave(&self.waiter);
    }
}

impl Queued<'_> {
    /// Waits until somebody ends the wait, `sleep` is over, or a signal comes.
    ///
    /// Errors: what the wait was ended with; ETIMEDOUT; what `interrupted` says. A lock that was
    /// given is never lost to the last two.
    pub async fn wait(
        self,
        ctx: &Ctx,
        sleep: Option<Sleep>,
        interrupted: impl Fn(Place) -> Errno,
    ) -> Result<(), Errno> {
        let waiter = &self.waiter;
        let ended = std::future::poll_fn(|cx| waiter.poll(cx.waker()));
        let woken = ctx.block(timeout(sleep, ended)).await;
        let place = self.table.leave(waiter);
        match (waiter.result(), place) {
            (Some(result), _) => result,
            (None, Some(place)) if woken.is_err() => Err(interrupted(place)),
            (None, _) => Err(Errno::ETIMEDOUT),
        }
    }
}
