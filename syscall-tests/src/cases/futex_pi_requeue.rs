//! Condition variables whose waiters are moved to a priority-inheriting futex.

use crate::support::prelude::*;

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const LOCK: i32 = FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG;
const UNLOCK: i32 = FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG;
const WAIT: i32 = FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG;
const REQUEUE: i32 = FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG;
const ALL: i32 = i32::MAX;

fn at(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

fn own() -> u32 {
    gettid() as u32
}

/// A condition's word, its lock's, and how many waited to the end.
struct Condition {
    word: AtomicU32,
    lock: AtomicU32,
    done: AtomicU32,
}

impl Condition {
    const fn new() -> Condition {
        Condition { word: AtomicU32::new(0), lock: AtomicU32::new(0), done: AtomicU32::new(0) }
    }

    fn requeue(&self, value: u32, more: i32) -> Result<i64, Errno> {
        sys!(futex, at(&self.word), REQUEUE, 1, more, at(&self.lock), value)
    }

    fn lock(&self) {
        check_eq!(sys!(futex, at(&self.lock), LOCK, 0, NULL), Ok(0));
    }

    fn unlock(&self) {
        check_eq!(sys!(futex, at(&self.lock), UNLOCK), Ok(0));
    }

    /// Starts threads that wait until they have the lock, and then give it back.
    fn waiters(&'static self, count: usize) -> Vec<std::thread::JoinHandle<()>> {
        let value = self.word.load(SeqCst);
        (0..count)
            .map(|_| {
                spawn_asleep(move || {
                    let result = sys!(futex, at(&self.word), WAIT, value, NULL, at(&self.lock));
                    check_eq!(result, Ok(0));
                    check_eq!(self.lock.load(SeqCst) & !(WAITERS | OWNER_DIED), own());
                    self.done.fetch_add(1, SeqCst);
                    self.unlock();
                })
            })
            .collect()
    }
}

fn join(threads: Vec<std::thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().ok().must());
}

fn in_ms(clock: i32, ms: i64) -> timespec {
    let mut time = millis(0);
    sys!(clock_gettime, clock, &mut time).must();
    let ns = time.tv_nsec + ms * 1_000_000;
    timespec { tv_sec: time.tv_sec + ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}

case!(requeue_gives_a_free_lock_to_one, [futex], {
    static COND: Condition = Condition::new();
    for (more, mark) in [(0, 0), (ALL, WAITERS)] {
        let thread = spawn_asleep(move || {
            let result = sys!(futex, at(&COND.word), WAIT, 0, NULL, at(&COND.lock));
            check_eq!(result, Ok(0));
            check_eq!(COND.lock.load(SeqCst), own() | mark);
            COND.unlock();
        });
        check_eq!(COND.requeue(0, more), Ok(1));
        thread.join().ok().must();
        check_eq!(COND.lock.load(SeqCst), 0);
    }
});

case!(requeue_of_many_to_a_free_lock, [futex], {
    static COND: Condition = Condition::new();
    let threads = COND.waiters(4);
    check_eq!(COND.requeue(0, 1), Ok(2));
    wait_for(|| COND.done.load(SeqCst) >= 2);
    settle();
    check_eq!(COND.done.load(SeqCst), 2);
    check_eq!(COND.requeue(0, ALL), Ok(2));
    join(threads);
    check_eq!(COND.lock.load(SeqCst), 0);
    check_eq!(COND.requeue(0, ALL), Ok(0), "nobody waits any more");
    check_eq!(COND.lock.load(SeqCst), 0);
});

case!(requeue_to_a_lock_that_the_caller_has, [futex], {
    static COND: Condition = Condition::new();
    let threads = COND.waiters(4);
    COND.lock();
    check_eq!(COND.requeue(0, 0), Ok(1));
    check_eq!(COND.lock.load(SeqCst), own() | WAITERS);
    check_eq!(COND.requeue(0, ALL), Ok(3));
    settle();
    check_eq!(COND.done.load(SeqCst), 0);
    COND.unlock();
    join(threads);
    check_eq!((COND.done.load(SeqCst), COND.lock.load(SeqCst)), (4, 0));
});

case!(requeue_to_a_lock_that_another_has, [futex], {
    static COND: Condition = Condition::new();
    static GO: AtomicU32 = AtomicU32::new(0);
    let threads = COND.waiters(2);
    let owner = spawn(|| {
        COND.lock();
        GO.store(1, SeqCst);
        while GO.load(SeqCst) == 1 {
            sleep_ms(1);
        }
        COND.unlock();
    });
    while GO.load(SeqCst) == 0 {
        sleep_ms(1);
    }
    check_eq!(COND.requeue(0, ALL), Ok(2));
    settle();
    check_eq!(COND.done.load(SeqCst), 0);
    GO.store(2, SeqCst);
    join(threads);
    owner.join().ok().must();
    check_eq!(COND.lock.load(SeqCst), 0);
});

case!(requeue_errors, [futex], {
    static COND: Condition = Condition::new();
    static OTHER: AtomicU32 = AtomicU32::new(0);
    let (word, lock) = (at(&COND.word), at(&COND.lock));
    check_eq!(sys!(futex, word, WAIT, 1, NULL, lock), Err(EAGAIN));
    check_eq!(sys!(futex, word, WAIT, 0, NULL, word), Err(EINVAL));
    check_eq!(sys!(futex, word + 1, WAIT, 0, NULL, lock), Err(EINVAL));
    check_eq!(sys!(futex, word, WAIT, 0, NULL, lock + 2), Err(EINVAL));
    check_eq!(sys!(futex, BAD, WAIT, 0, NULL, lock), Err(EFAULT));
    check_eq!(sys!(futex, word, REQUEUE, 1, 0, word, 0), Err(EINVAL));
    check_eq!(sys!(futex, word, REQUEUE, 2, 0, lock, 0), Err(EINVAL), "one is woken");
    check_eq!(sys!(futex, word, REQUEUE, 0, 0, lock, 0), Err(EINVAL));
    check_eq!(sys!(futex, word, REQUEUE, 1, -1, lock, 0), Err(EINVAL));
    check_eq!(sys!(futex, word, REQUEUE, 1, 0, lock, 1), Err(EAGAIN));
    check_eq!(sys!(futex, BAD, REQUEUE, 1, 0, lock, 0), Err(EFAULT));
    check_eq!(COND.requeue(0, 0), Ok(0));
    let threads = COND.waiters(1);
    check_eq!(sys!(futex, word, REQUEUE, 1, 0, at(&OTHER), 0), Err(EINVAL), "another lock");
    check_eq!(OTHER.load(SeqCst), 0);
    COND.lock.store(0x3fff_fff0, SeqCst);
    check_eq!(COND.requeue(0, 0), Err(ESRCH));
    COND.lock.store(0, SeqCst);
    check_eq!(COND.requeue(0, 0), Ok(1));
    join(threads);
});

case!(requeue_wait_with_a_timeout, [futex], {
    static COND: Condition = Condition::new();
    let (word, lock) = (at(&COND.word), at(&COND.lock));
    for (op, clock) in [(WAIT, CLOCK_MONOTONIC), (WAIT | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME)] {
        let start = now();
        check_eq!(sys!(futex, word, op, 0, &in_ms(clock, 50), lock), Err(ETIMEDOUT));
        check!(now() - start >= Duration::from_millis(49));
    }
    check_eq!(COND.requeue(0, ALL), Ok(0));
    // It passes while the lock is waited for.
    COND.lock();
    let waiter = spawn_asleep(move || {
        let result = sys!(futex, word, WAIT, 0, &in_ms(CLOCK_MONOTONIC, 1000), lock);
        check_eq!(result, Err(ETIMEDOUT));
    });
    check_eq!(COND.requeue(0, ALL), Ok(1));
    waiter.join().ok().must();
    check_eq!(COND.lock.load(SeqCst), own() | WAITERS);
    COND.unlock();
    check_eq!(COND.lock.load(SeqCst), 0);
});

case!(requeue_wait_and_signals, [futex], {
    static COND: Condition = Condition::new();
    static NUMBER: AtomicI32 = AtomicI32::new(0);
    count_signal(SIGUSR1, 0);
    let waiter = |expected: Result<i64, Errno>| {
        spawn_asleep(move || {
            NUMBER.store(gettid(), SeqCst);
            let result = sys!(futex, at(&COND.word), WAIT, 0, NULL, at(&COND.lock));
            check_eq!(result, expected);
        })
    };
    let signal = || sys!(tgkill, getpid(), NUMBER.load(SeqCst), SIGUSR1).must();
    // It goes on waiting for the condition.
    let thread = waiter(Ok(0));
    signal();
    wait_for(|| counted(SIGUSR1) > 0);
    await_sleep(NUMBER.load(SeqCst));
    check_eq!(counted(SIGUSR1), 1);
    check_eq!(COND.requeue(0, 0), Ok(1));
    thread.join().ok().must();
    COND.lock.store(0, SeqCst);
    // Unless that has changed.
    let thread = waiter(Err(EAGAIN));
    COND.word.store(1, SeqCst);
    signal();
    thread.join().ok().must();
    COND.word.store(0, SeqCst);
    // It does not go on waiting for the lock.
    COND.lock();
    let thread = waiter(Err(EAGAIN));
    check_eq!(COND.requeue(0, 0), Ok(1));
    signal();
    thread.join().ok().must();
    check_eq!(counted(SIGUSR1), 3);
    COND.unlock();
    check_eq!(COND.lock.load(SeqCst), 0);
});

case!(plain_wakes_of_inheriting_waits_are_refused, [futex], {
    static COND: Condition = Condition::new();
    let threads = COND.waiters(1);
    let wake = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;
    check_eq!(sys!(futex, at(&COND.word), wake, 1), Err(EINVAL));
    COND.lock();
    check_eq!(COND.requeue(0, 0), Ok(1));
    check_eq!(sys!(futex, at(&COND.lock), wake, 1), Err(EINVAL));
    COND.unlock();
    join(threads);
});

case!(conditions_in_a_storm, [futex], {
    // A queue of tickets, as a C library would make one.
    static COND: Condition = Condition::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    const COUNT: u32 = 200;
    let threads: Vec<_> = (0..3)
        .map(|_| {
            spawn(|| {
                for _ in 0..COUNT {
                    COND.lock();
                    while TICKETS.load(SeqCst) == 0 {
                        let value = COND.word.load(SeqCst);
                        COND.unlock();
                        match sys!(futex, at(&COND.word), WAIT, value, NULL, at(&COND.lock)) {
                            Ok(0) => {}
                            other => {
                                check_eq!(other, Err(EAGAIN));
                                COND.lock();
                            }
                        }
                    }
                    TICKETS.fetch_sub(1, SeqCst);
                    COND.unlock();
                }
            })
        })
        .collect();
    for _ in 0..3 * COUNT {
        COND.lock();
        TICKETS.fetch_add(1, SeqCst);
        let value = COND.word.fetch_add(1, SeqCst) + 1;
        check!(matches!(COND.requeue(value, 0), Ok(0 | 1)));
        COND.unlock();
    }
    join(threads);
    check_eq!((TICKETS.load(SeqCst), COND.lock.load(SeqCst)), (0, 0));
});
