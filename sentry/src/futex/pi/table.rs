//! All priority-inheriting futexes with waiters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use linux_abi::Errno;
use linux_abi::futex::{FUTEX_OWNER_DIED, FUTEX_WAITERS};

use super::waiter::{Place, Waiter};
use super::word;
use crate::futex::FutexKey;
use crate::sync::{Mutex, Rank};
use crate::task::{Pid, Task};

/// Who waits for priority-inheriting futexes of a sandbox.
pub struct PiTable {
    queues: Mutex<Queues>,
    /// How many words somebody waits for.
    words: AtomicUsize,
}

/// A lock that others wait for.
struct Held {
    owner: Pid,
    /// The first gets it.
    queue: Vec<Arc<Waiter>>,
}

#[derive(Default)]
pub(super) struct Queues {
    locks: HashMap<FutexKey, Held>,
    /// Who waits to be moved to a lock, by the word they wait for.
    conditions: HashMap<FutexKey, Vec<Arc<Waiter>>>,
    /// Which lock each thread waits for.
    wanted: HashMap<Pid, FutexKey>,
    /// Who is to be woken once the table is not locked any more.
    wakers: Vec<Waker>,
}

/// Longest chain of locks and owners that is followed (Linux: `max_lock_depth`).
const CHAIN_MAX: usize = 1024;

/// What is known of a lock's owner.
#[derive(Clone, Default)]
pub(super) struct Owner {
    pub tid: Pid,
    pub task: Option<Arc<Task>>,
}

/// How the lock behind a word is to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its owner is known, and cannot give it back unseen.
    Held(Pid),
    /// It is free.
    Free,
    /// This thread may give it back by itself.
    Unmarked(Pid),
    /// It is this thread's, which is to be found first.
    Unknown(Pid),
}

impl Default for PiTable {
    fn default() -> PiTable {
        let queues = Mutex::new(Rank::Futex, Queues::default());
        PiTable { queues, words: AtomicUsize::new(0) }
    }
}

impl PiTable {
    /// Runs `change` with the queues locked, and wakes whom it says.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Queues) -> T) -> T {
        let (result, wakers) = {
            let mut queues = self.queues.lock();
            let result = change(&mut queues);
            let words = queues.locks.len() + queues.conditions.len();
            self.words.store(words, Ordering::Relaxed);
            (result, std::mem::take(&mut queues.wakers))
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Whether anybody waits at all.
    pub fn is_used(&self) -> bool {
        self.words.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody waits for the word of `key`.
    pub fn has_waiters(&self, key: &FutexKey) -> bool {
        self.is_used()
            && self.with(|queues| {
                queues.locks.contains_key(key) || queues.conditions.contains_key(key)
            })
    }

    /// Takes a waiter out of its queue. `None` if its wait was over.
    pub(super) fn leave(&self, waiter: &Arc<Waiter>) -> Option<Place> {
        self.with(|queues| queues.remove(waiter))
    }

    /// A thread that leaves its memory, and `ends` or not, gives the locks that others wait for to
    /// the first of them, who learns that the owner died (Linux: `exit_pi_state_list`).
    pub fn release_all(&self, task: &Task, ends: bool) {
        self.with(|queues| {
            if ends {
                task.has_left_futexes.store(true, Ordering::Relaxed);
            }
            let tid = task.tid();
            let is_owned = |held: &Held| held.owner == tid;
            let owned: Vec<FutexKey> = queues
                .locks
                .iter()
                .filter(|(_, held)| is_owned(held))
                .map(|(key, _)| *key)
                .collect();
            for key in owned {
                queues.bequeath(&key);
            }
        });
    }

    /// A thread's number changes (`execve` of a thread that is not the leader).
    pub fn renumber(&self, old: Pid, new: Pid) {
        self.with(|queues| {
            for held in queues.locks.values_mut().filter(|held| held.owner == old) {
                held.owner = new;
            }
        });
    }
}

impl Queues {
    /// What a lock's word and what is known say about it. `value` is what was read under the lock.
    ///
    /// Errors: EINVAL if the word does not fit what is known; ESRCH if its owner is no more.
    pub fn standing(&self, key: &FutexKey, value: u32, owner: &Owner) -> Result<Standing, Errno> {
        let tid = word::owner(value);
        if let Some(held) = self.locks.get(key) {
            // The owner may have given up the word, and not yet what is ours.
            let is_given_up = tid == 0 && value & FUTEX_OWNER_DIED != 0;
            let fits = is_given_up || tid == held.owner;
            return if fits { Ok(Standing::Held(held.owner)) } else { Err(Errno::EINVAL) };
        }
        if tid == 0 {
            return Ok(Standing::Free);
        }
        if value & FUTEX_WAITERS == 0 {
            return Ok(Standing::Unmarked(tid));
        }
        if owner.tid != tid {
            return Ok(Standing::Unknown(tid));
        }
        let lives = |task: &Arc<Task>| !task.has_left_futexes.load(Ordering::Relaxed);
        match owner.task.as_ref().is_some_and(lives) {
            true => Ok(Standing::Held(tid)),
            false => Err(Errno::ESRCH),
        }
    }

    /// The owner of a lock that somebody waits for.
    pub fn owner(&self, key: &FutexKey) -> Option<Pid> {
        self.locks.get(key).map(|held| held.owner)
    }

    /// Lets a thread wait for a lock that is `owner`'s.
    ///
    /// Errors: EDEADLK if that waits for the thread.
    pub fn add(&mut self, owner: Pid, waiter: &Arc<Waiter>) -> Result<(), Errno> {
        self.check_chain(owner, waiter.tid)?;
        let key = waiter.lock.key;
        let held = self.locks.entry(key).or_insert(Held { owner, queue: Vec::new() });
        insert(&mut held.queue, waiter.clone());
        self.wanted.insert(waiter.tid, key);
        Ok(())
    }

    /// Follows what `owner` waits for.
    ///
    /// Errors: EDEADLK if that ends at `tid`, or not at all.
    fn check_chain(&self, owner: Pid, tid: Pid) -> Result<(), Errno> {
        let mut at = owner;
        for _ in 0..CHAIN_MAX {
            if at == tid {
                break;
            }
            let held = self.wanted.get(&at).and_then(|key| self.locks.get(key));
            let Some(held) = held else { return Ok(()) };
            at = held.owner;
        }
        Err(Errno::EDEADLK)
    }

    /// Lets a thread wait to be moved to a lock.
    pub fn add_to_condition(&mut self, condition: FutexKey, waiter: &Arc<Waiter>) {
        insert(self.conditions.entry(condition).or_default(), waiter.clone());
    }

    /// Who is moved next.
    pub fn first_of_condition(&self, condition: &FutexKey) -> Option<Arc<Waiter>> {
        self.conditions.get(condition).and_then(|queue| queue.first().cloned())
    }

    /// Moves up to `count` threads from a condition to a lock that is `owner`'s. Answers with how many.
    ///
    /// Errors: EINVAL if one waits for another lock; EDEADLK as for [`Queues::add`].
    pub fn move_to_lock(
        &mut self,
        condition: &FutexKey,
        lock: &FutexKey,
        owner: Pid,
        count: usize,
    ) -> Result<usize, Errno> {
        let mut moved = 0;
        while moved < count
            && let Some(waiter) = self.first_of_condition(condition)
        {
            if waiter.lock.key != *lock {
                return Err(Errno::EINVAL);
            }
            self.check_chain(owner, waiter.tid)?;
            self.remove(&waiter);
            self.add(owner, &waiter)?;
            moved += 1;
        }
        Ok(moved)
    }

    /// Gives a lock to a thread, whose number the word has already.
    pub fn give(&mut self, waiter: &Arc<Waiter>) {
        self.remove(waiter);
        if let Some(held) = self.locks.get_mut(&waiter.lock.key) {
            held.owner = waiter.tid;
        }
        self.finish(waiter, Ok(()));
    }

    /// Who gets a lock next.
    pub fn first_of_lock(&self, key: &FutexKey) -> Option<Arc<Waiter>> {
        self.locks.get(key).and_then(|held| held.queue.first().cloned())
    }

    /// Gives a lock whose owner is no more to the first who can take it.
    fn bequeath(&mut self, key: &FutexKey) {
        while let Some(heir) = self.first_of_lock(key) {
            let value = heir.tid as u32 | FUTEX_WAITERS | FUTEX_OWNER_DIED;
            match word::replace(&heir.memory, heir.lock.addr, value) {
                Ok(()) => return self.give(&heir),
                Err(errno) => {
                    self.remove(&heir);
                    self.finish(&heir, Err(errno));
                }
            }
        }
    }

    fn finish(&mut self, waiter: &Waiter, result: Result<(), Errno>) {
        self.wakers.extend(waiter.finish(result));
    }

    fn remove(&mut self, waiter: &Arc<Waiter>) -> Option<Place> {
        let key = waiter.lock.key;
        if let Some(held) = self.locks.get_mut(&key)
            && take(&mut held.queue, waiter)
        {
            if held.queue.is_empty() {
                self.locks.remove(&key);
            }
            self.wanted.remove(&waiter.tid);
            return Some(Place::Lock);
        }
        let condition = waiter.condition?;
        let queue = self.conditions.get_mut(&condition)?;
        let was_there = take(queue, waiter);
        if queue.is_empty() {
            self.conditions.remove(&condition);
        }
        was_there.then_some(Place::Condition)
    }
}

/// Puts a waiter behind all who go first.
fn insert(queue: &mut Vec<Arc<Waiter>>, waiter: Arc<Waiter>) {
    let place = queue.partition_point(|other| other.priority >= waiter.priority);
    queue.insert(place, waiter);
}

fn take(queue: &mut Vec<Arc<Waiter>>, waiter: &Arc<Waiter>) -> bool {
    let place = queue.iter().position(|other| Arc::ptr_eq(other, waiter));
    place.map(|place| queue.remove(place)).is_some()
}
