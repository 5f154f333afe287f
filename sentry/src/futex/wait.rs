//! Waiting for a futex, or for one of several.

use std::future::poll_fn;
use std::sync::Arc;

use linux_abi::Errno;

use super::FutexKey;
use super::table::FutexTable;
use super::waiter::{Wait, Waiter};
use crate::memory::{UserAddr, UserMemory};
use crate::task::Ctx;
use crate::time::{Sleep, timeout};

/// A futex to wait for: its word must still hold `value` when the thread joins the queue.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub key: FutexKey,
    pub addr: UserAddr,
    pub value: u32,
    /// Only wake-ups with one of these bits count.
    pub bitset: u32,
}

/// Which futex woke the thread, by its position in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken(pub usize);

/// The places of one thread in queues. Leaves them when dropped.
struct Queued<'a> {
    table: &'a FutexTable,
    waiters: Vec<Arc<Waiter>>,
}

impl Queued<'_> {
    /// Leaves all queues. Answers with the position of the last futex that had woken the thread.
    fn leave(&mut self) -> Option<usize> {
        let mut woken = None;
        for waiter in self.waiters.drain(..) {
            if !self.table.cancel(&waiter) {
                woken = Some(waiter.index);
            }
        }
        woken
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits until one of `futexes` is woken, `sleep` is over, or a signal comes.
///
/// Errors: EAGAIN when a word holds another value, EFAULT when it cannot be read, ETIMEDOUT,
/// ERESTARTSYS. A wake-up that has happened is never lost to one of these.
pub async fn wait(ctx: &Ctx, futexes: &[Expected], sleep: Option<Sleep>) -> Result<Woken, Errno> {
    let table = &ctx.task.kernel.futexes;
    let wait = Wait::new();
    let mut queued = Queued { table, waiters: Vec::with_capacity(futexes.len()) };
    for (index, expected) in futexes.iter().enumerate() {
        if let Err(errno) = join(table, ctx.memory(), &wait, index, expected, &mut queued) {
            return queued.leave().map(Woken).ok_or(errno);
        }
    }
    let woken = ctx.block(timeout(sleep, poll_fn(|cx| wait.poll(cx.waker())))).await;
    let last = queued.leave();
    match (woken, last) {
        (_, Some(index)) | (Ok(Some(index)), None) => Ok(Woken(index)),
        (Ok(None), None) => Err(Errno::ETIMEDOUT),
        (Err(errno), None) => Err(errno),
    }
}

/// Compares the word and joins the queue in one step.
fn join(
    table: &FutexTable,
    memory: &UserMemory,
    wait: &Arc<Wait>,
    index: usize,
    expected: &Expected,
    queued: &mut Queued<'_>,
) -> Result<(), Errno> {
    let waiter = Waiter::new(wait, index, expected.key, expected.bitset);
    let _announced = table.announce(&expected.key);
    let mut locked = table.lock(&expected.key);
    // A guest read under a lock: see the module documentation.
    if memory.read_value::<u32>(expected.addr.cast())? != expected.value {
        return Err(Errno::EAGAIN);
    }
    locked.add(expected.key, waiter.clone());
    queued.waiters.push(waiter);
    Ok(())
}
