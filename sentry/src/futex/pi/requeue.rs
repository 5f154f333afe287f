//! Condition variables with a lock: who is woken gets the lock first, or waits for it.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_OWNER_DIED, FUTEX_WAITERS};
use platform::WordChange;

use super::lock::{Tries, find, unlock};
use super::table::{Owner, Queues, Standing};
use super::waiter::{Place, Queued, Waiter};
use super::{Word, word};
use crate::memory::UserMemory;
use crate::task::{Ctx, Pid};
use crate::time::Sleep;

/// Waits for `condition`, whose word must be `value`, until the caller has the lock of `lock`:
/// `FUTEX_WAIT_REQUEUE_PI` in futex(2).
///
/// Errors: EAGAIN if the word is another one, or when a signal comes while the caller waits for the
/// lock; ETIMEDOUT; EINVAL if both are the same futex; EFAULT; ERESTARTNOINTR.
pub async fn wait_requeue(
    ctx: &Ctx,
    condition: Word,
    value: u32,
    lock: Word,
    sleep: Option<Sleep>,
) -> Result<(), Errno> {
    if condition.key == lock.key {
        return Err(Errno::EINVAL);
    }
    let table = &ctx.task.kernel.futexes.pi;
    let waiter = Waiter::new(&ctx.task, lock, Some(condition.key));
    table.with(|queues| {
        // A guest read under a lock: see the module documentation.
        if waiter.memory.read_value::<u32>(condition.addr.cast())? != value {
            return Err(Errno::EAGAIN);
        }
        queues.add_to_condition(condition.key, &waiter);
        Ok(())
    })?;
    let interrupted = |place| match place {
        Place::Condition => Errno::ERESTARTNOINTR,
        // Linux: the word has changed since, so a restart would answer that.
        Place::Lock => Errno::EAGAIN,
    };
    Queued { table, waiter }.wait(ctx, sleep, interrupted).await
}

/// What is to be moved from where to where.
#[derive(Clone, Copy)]
struct Move {
    condition: Word,
    lock: Word,
    /// What the condition's word must be.
    compared: u32,
    /// How many besides the first.
    more: usize,
}

enum Step {
    Find(Pid),
    /// The caller marks the lock as one that others wait for.
    Mark(WordChange),
    /// The caller takes the lock, to give it to the first who waits for the condition.
    Take(WordChange),
    Done(usize),
}

/// Gives the lock to the first who waits for the condition if it is free, and has that one and up to
/// `more` others wait for it else: `FUTEX_CMP_REQUEUE_PI` in futex(2). Answers with how many
/// do not wait for the condition any more.
///
/// Errors: EAGAIN if the condition's word is not `compared`; EINVAL if both are the same futex, or the
/// first waits for another lock, or as for [`lock`](super::lock()); EDEADLK; ESRCH; EFAULT; ERESTARTNOINTR.
pub async fn requeue(
    ctx: &mut Ctx,
    (condition, lock): (Word, Word),
    compared: u32,
    more: usize,
) -> Result<usize, Errno> {
    if condition.key == lock.key {
        return Err(Errno::EINVAL);
    }
    let mut is_mine = false;
    let result = move_all(ctx, Move { condition, lock, compared, more }, &mut is_mine).await;
    if is_mine {
        // Nobody could be given it.
        let _ = unlock(ctx, lock).await;
    }
    result
}

async fn move_all(ctx: &mut Ctx, what: Move, is_mine: &mut bool) -> Result<usize, Errno> {
    let kernel = ctx.task.kernel.clone();
    let memory = ctx.task.mm().memory().clone();
    let tid = ctx.task.tid();
    let mut owner = Owner::default();
    let mut tries = Tries::default();
    loop {
        let step = kernel.futexes.pi.with(|queues| match *is_mine {
            true => queues.give_first(&memory, what, is_mine),
            false => queues.next_step(&memory, what, tid, &owner),
        })?;
        match step {
            Step::Done(count) => return Ok(count),
            Step::Find(tid) => owner = find(&kernel, tid),
            Step::Mark(change) => {
                ctx.change_word(what.lock.addr, change).await?;
            }
            Step::Take(change) => {
                *is_mine = change.applies(ctx.change_word(what.lock.addr, change).await?);
            }
        }
        tries.again(ctx).await?;
    }
}

impl Queues {
    /// The first who is to be moved, if the condition's word is as it must be.
    ///
    /// Errors: EAGAIN; EINVAL if that one waits for another lock; EFAULT.
    fn first_to_move(&self, memory: &UserMemory, what: Move) -> Result<Option<Arc<Waiter>>, Errno> {
        // A guest read under a lock: see the module documentation.
        if memory.read_value::<u32>(what.condition.addr.cast())? != what.compared {
            return Err(Errno::EAGAIN);
        }
        let first = self.first_of_condition(&what.condition.key);
        match first {
            Some(first) if first.lock.key != what.lock.key => Err(Errno::EINVAL),
            first => Ok(first),
        }
    }

    fn next_step(
        &mut self,
        memory: &UserMemory,
        what: Move,
        caller: Pid,
        owner: &Owner,
    ) -> Result<Step, Errno> {
        let Some(first) = self.first_to_move(memory, what)? else { return Ok(Step::Done(0)) };
        let value = word::read(memory, what.lock.addr)?;
        if word::owner(value) == first.tid {
            return Err(Errno::EDEADLK);
        }
        Ok(match self.standing(&what.lock.key, value, owner)? {
            Standing::Free => Step::Take(word::taking(caller, FUTEX_WAITERS)),
            Standing::Unmarked(owner) => Step::Mark(word::marking(owner)),
            Standing::Unknown(owner) => Step::Find(owner),
            Standing::Held(owner) => Step::Done(self.move_to_lock(
                &what.condition.key,
                &what.lock.key,
                owner,
                what.more.saturating_add(1),
            )?),
        })
    }

    /// Gives the first the lock, which the caller has taken, and moves the others.
    fn give_first(
        &mut self,
        memory: &UserMemory,
        what: Move,
        is_mine: &mut bool,
    ) -> Result<Step, Errno> {
        let Some(first) = self.first_to_move(memory, what)? else { return Ok(Step::Done(0)) };
        let value = word::read(memory, what.lock.addr)?;
        let has_waiters = what.more > 0 || self.first_of_lock(&what.lock.key).is_some();
        let flags = value & FUTEX_OWNER_DIED | if has_waiters { FUTEX_WAITERS } else { 0 };
        word::replace(memory, what.lock.addr, first.tid as u32 | flags)?;
        *is_mine = false;
        self.give(&first);
        let (condition, lock) = (&what.condition.key, &what.lock.key);
        Ok(Step::Done(1 + self.move_to_lock(condition, lock, first.tid, what.more)?))
    }
}
