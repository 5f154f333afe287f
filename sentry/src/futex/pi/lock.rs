//! Taking a lock and giving it back.

use std::sync::Arc;
use std::task::Poll;

use linux_abi::Errno;
use linux_abi::futex::FUTEX_WAITERS;
use platform::WordChange;

use super::table::{Owner, PiTable, Queues, Standing};
use super::waiter::{Queued, Waiter};
use super::{Word, word};
use crate::kernel::Kernel;
use crate::memory::UserMemory;
use crate::task::{Ctx, Pid};
use crate::time::Sleep;

/// Whether a thread waits for a lock that is not free.
pub enum Patience {
    None,
    Until(Option<Sleep>),
}

/// What a thread does next to get a lock.
enum Step {
    /// It waits for this owner.
    Wait(Pid),
    /// It looks for the owner.
    Find(Pid),
    /// It changes the word, which ends the call with `end` if that succeeds.
    Change(WordChange, Option<Result<(), Errno>>),
}

/// Takes the lock of `at`, `FUTEX_LOCK_PI` in futex(2).
///
/// Errors: EDEADLK if the caller has it, or its owner waits for the caller; ESRCH if its owner is no
/// more; EINVAL if the word was changed while others wait; EAGAIN without patience; ETIMEDOUT; EFAULT;
/// ERESTARTNOINTR.
pub async fn lock(ctx: &mut Ctx, at: Word, patience: Patience) -> Result<(), Errno> {
    let kernel = ctx.task.kernel.clone();
    let waiter = Waiter::new(&ctx.task, at, None);
    let waits = matches!(patience, Patience::Until(_));
    match (take_or_join(ctx, &waiter, waits).await?, patience) {
        (Joined::Queue, Patience::Until(sleep)) => {
            let queued = Queued { table: &kernel.futexes.pi, waiter };
            queued.wait(ctx, sleep, |_| Errno::ERESTARTNOINTR).await
        }
        _ => Ok(()),
    }
}

/// How [`take_or_join`] ended well.
enum Joined {
    Owner,
    Queue,
}

async fn take_or_join(ctx: &mut Ctx, waiter: &Arc<Waiter>, waits: bool) -> Result<Joined, Errno> {
    let kernel = ctx.task.kernel.clone();
    let mut owner = Owner::default();
    let mut tries = Tries::default();
    loop {
        let step = kernel.futexes.pi.with(|queues| {
            // A guest read under a lock: see the module documentation.
            let value = word::read(&waiter.memory, waiter.lock.addr)?;
            let step = next_step(queues, waiter, value, &owner)?;
            match step {
                Step::Wait(_) if !waits => return Err(Errno::EAGAIN),
                Step::Wait(owner) => queues.add(owner, waiter)?,
                _ => {}
            }
            Ok(step)
        })?;
        match step {
            Step::Wait(_) => return Ok(Joined::Queue),
            Step::Find(tid) => owner = find(&kernel, tid),
            Step::Change(change, end) => {
                let old = ctx.change_word(waiter.lock.addr, change).await?;
                if let Some(end) = end
                    && change.applies(old)
                {
                    return end.map(|()| Joined::Owner);
                }
            }
        }
        tries.again(ctx).await?;
    }
}

fn next_step(queues: &Queues, waiter: &Waiter, value: u32, owner: &Owner) -> Result<Step, Errno> {
    if word::owner(value) == waiter.tid {
        // What was read may never have been.
        let change = WordChange { keep: u32::MAX, set: 0, ..word::marking(waiter.tid) };
        return Ok(Step::Change(change, Some(Err(Errno::EDEADLK))));
    }
    Ok(match queues.standing(&waiter.lock.key, value, owner)? {
        Standing::Held(owner) => Step::Wait(owner),
        Standing::Free => Step::Change(word::taking(waiter.tid, 0), Some(Ok(()))),
        Standing::Unmarked(owner) => Step::Change(word::marking(owner), None),
        Standing::Unknown(owner) => Step::Find(owner),
    })
}

/// Who has the number in a word.
pub(super) fn find(kernel: &Kernel, tid: Pid) -> Owner {
    Owner { tid, task: kernel.tasks.task(tid) }
}

/// How often a word was looked at, which others may change again and again.
#[derive(Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// As many as it takes with nobody in the way.
    const USUAL: u32 = 3;

    /// After more than the usual, lets others go first.
    ///
    /// Errors: ERESTARTNOINTR if the thread is wanted elsewhere.
    pub async fn again(&mut self, ctx: &Ctx) -> Result<(), Errno> {
        self.0 = self.0.saturating_add(1);
        if self.0 <= Tries::USUAL {
            return Ok(());
        }
        if ctx.task.must_attend() {
            return Err(Errno::ERESTARTNOINTR);
        }
        let mut has_yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Ok(())
    }
}

/// Gives back the lock of `at`, or gives it to the first who waits, `FUTEX_UNLOCK_PI` in futex(2).
///
/// Errors: EPERM if it is not the caller's by its word, EINVAL if only by that; EFAULT;
/// ERESTARTNOINTR.
pub async fn unlock(ctx: &mut Ctx, at: Word) -> Result<(), Errno> {
    let kernel = ctx.task.kernel.clone();
    let memory = ctx.task.mm().memory().clone();
    let tid = ctx.task.tid();
    let mut tries = Tries::default();
    while !give_back(&kernel.futexes.pi, &memory, at, tid)? {
        let change = word::giving_back(tid);
        if change.applies(ctx.change_word(at.addr, change).await?) {
            break;
        }
        tries.again(ctx).await?;
    }
    Ok(())
}

/// Gives back a lock whose word others do not change. Answers whether it is one.
fn give_back(table: &PiTable, memory: &UserMemory, at: Word, tid: Pid) -> Result<bool, Errno> {
    table.with(|queues| {
        // A guest read and write under a lock: see the module documentation.
        let value = word::read(memory, at.addr)?;
        if word::owner(value) != tid {
            return Err(Errno::EPERM);
        }
        if let Some(first) = queues.first_of_lock(&at.key) {
            if queues.owner(&at.key) != Some(tid) {
                return Err(Errno::EINVAL);
            }
            // Linux: whether more of them wait or not.
            word::replace(memory, at.addr, first.tid as u32 | FUTEX_WAITERS)?;
            queues.give(&first);
            return Ok(true);
        }
        if value & FUTEX_WAITERS == 0 {
            return Ok(false);
        }
        word::replace(memory, at.addr, 0)?;
        Ok(true)
    })
}
