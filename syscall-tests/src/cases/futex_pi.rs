//! Priority-inheriting futexes: taking locks, waiting for them, giving them back.

use crate::support::prelude::*;

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const LOCK: i32 = FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG;
const LOCK2: i32 = 13 | FUTEX_PRIVATE_FLAG;
const TRYLOCK: i32 = FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG;
const UNLOCK: i32 = FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG;
/// The number of no thread: above what Linux allows.
const NOBODY: u32 = 0x3fff_fff0;

fn at(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

fn own() -> u32 {
    gettid() as u32
}

fn lock(word: &AtomicU32) {
    check_eq!(sys!(futex, at(word), LOCK, 0, NULL), Ok(0));
    check_eq!(word.load(SeqCst) & !(WAITERS | OWNER_DIED), own());
}

fn unlock(word: &AtomicU32) {
    check_eq!(sys!(futex, at(word), UNLOCK), Ok(0));
}

/// Takes the lock and gives it back as the C library does.
fn with_lock(word: &AtomicU32, body: impl FnOnce()) {
    let own = own();
    if word.compare_exchange(0, own, SeqCst, SeqCst).is_err() {
        lock(word);
    }
    body();
    if word.compare_exchange(own, 0, SeqCst, SeqCst).is_err() {
        unlock(word);
    }
}

/// Waits until the word has `bits`.
fn until(word: &AtomicU32, bits: u32) {
    let limit = now() + Duration::from_secs(10);
    while word.load(SeqCst) & bits != bits {
        check!(now() < limit, "the word stays {:#x}", word.load(SeqCst));
        sleep_ms(1);
    }
}

fn moment(clock: i32, in_ms: i64) -> timespec {
    let mut time = millis(0);
    sys!(clock_gettime, clock, &mut time).must();
    let ns = time.tv_nsec + in_ms % 1000 * 1_000_000;
    timespec {
        tv_sec: time.tv_sec + in_ms / 1000 + ns / 1_000_000_000,
        tv_nsec: ns % 1_000_000_000,
    }
}

case!(pi_lock_holds_the_thread_number, [futex], {
    let word = AtomicU32::new(0);
    for op in [LOCK, LOCK2, TRYLOCK, FUTEX_LOCK_PI, 13, FUTEX_TRYLOCK_PI] {
        check_eq!(sys!(futex, at(&word), op, 0, NULL), Ok(0));
        check_eq!(word.load(SeqCst), own());
        for op in [LOCK, LOCK2, TRYLOCK] {
            check_eq!(sys!(futex, at(&word), op, 0, NULL), Err(EDEADLK));
        }
        check_eq!(word.load(SeqCst), own());
        let op = UNLOCK & !FUTEX_PRIVATE_FLAG | op & FUTEX_PRIVATE_FLAG;
        check_eq!(sys!(futex, at(&word), op), Ok(0));
        check_eq!(word.load(SeqCst), 0);
        check_eq!(sys!(futex, at(&word), op), Err(EPERM));
    }
});

case!(pi_errors, [futex], {
    let word = AtomicU32::new(0);
    for op in [LOCK, LOCK2, TRYLOCK, FUTEX_LOCK_PI] {
        check_eq!(sys!(futex, at(&word) + 2, op, 0, NULL), Err(EINVAL), "not aligned");
        check_eq!(sys!(futex, BAD, op, 0, NULL), Err(EFAULT));
        check_eq!(sys!(futex, 8, op, 0, NULL), Err(EFAULT));
    }
    check_eq!(sys!(futex, BAD, UNLOCK), Err(EFAULT));
    check_eq!(sys!(futex, 8, FUTEX_UNLOCK_PI), Err(EFAULT));
    check_eq!(sys!(futex, at(&word), UNLOCK), Err(EPERM));
    for op in [LOCK, TRYLOCK, UNLOCK] {
        check_eq!(sys!(futex, at(&word), op | FUTEX_CLOCK_REALTIME, 0, NULL), Err(ENOSYS));
    }
    for op in [LOCK, LOCK2] {
        check_eq!(sys!(futex, at(&word), op, 0, BAD), Err(EFAULT));
        for bad in [(0, 1_000_000_000), (-1, 0), (0, -1)] {
            let bad = timespec { tv_sec: bad.0, tv_nsec: bad.1 };
            check_eq!(sys!(futex, at(&word), op, 0, &bad), Err(EINVAL));
        }
    }
    let area = map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_eq!(sys!(futex, area, LOCK, 0, NULL), Err(EFAULT), "read-only");
    check_eq!(word.load(SeqCst), 0);
});

case!(pi_owner_that_does_not_exist, [futex], {
    let word = AtomicU32::new(0);
    for (value, after) in [
        (NOBODY, NOBODY | WAITERS),
        (NOBODY | WAITERS, NOBODY | WAITERS),
        (NOBODY | OWNER_DIED, NOBODY | WAITERS | OWNER_DIED),
    ] {
        for op in [LOCK, TRYLOCK] {
            word.store(value, SeqCst);
            check_eq!(sys!(futex, at(&word), op, 0, NULL), Err(ESRCH));
            check_eq!(word.load(SeqCst), after);
            check_eq!(sys!(futex, at(&word), UNLOCK), Err(EPERM));
        }
    }
});

case!(pi_lock_of_a_dead_owner_is_free, [futex], {
    let word = AtomicU32::new(0);
    for (value, after) in
        [(OWNER_DIED, OWNER_DIED), (OWNER_DIED | WAITERS, OWNER_DIED), (WAITERS, 0)]
    {
        for op in [LOCK, TRYLOCK] {
            word.store(value, SeqCst);
            check_eq!(sys!(futex, at(&word), op, 0, NULL), Ok(0));
            check_eq!(word.load(SeqCst), after | own());
            unlock(&word);
            check_eq!(word.load(SeqCst), 0);
        }
    }
});

case!(pi_unlock_of_a_marked_word_without_waiters, [futex], {
    let word = AtomicU32::new(own() | WAITERS);
    unlock(&word);
    check_eq!(word.load(SeqCst), 0);
    word.store(own() | WAITERS | OWNER_DIED, SeqCst);
    unlock(&word);
    check_eq!(word.load(SeqCst), 0);
});

case!(pi_trylock_does_not_wait_and_marks, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let owner = own();
    spawn(move || {
        check_eq!(sys!(futex, at(&WORD), TRYLOCK), Err(EAGAIN));
        check_eq!(WORD.load(SeqCst), owner | WAITERS);
        check_eq!(sys!(futex, at(&WORD), UNLOCK), Err(EPERM));
    })
    .join()
    .ok()
    .must();
    unlock(&WORD);
    check_eq!(WORD.load(SeqCst), 0);
});

case!(pi_lock_is_handed_over, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    for op in [LOCK, LOCK2] {
        lock(&WORD);
        let waiter = spawn(move || {
            NUMBER.store(own(), SeqCst);
            check_eq!(sys!(futex, at(&WORD), op, 0, NULL), Ok(0));
            check_eq!(WORD.load(SeqCst), own() | WAITERS);
            settle();
            check_eq!(WORD.load(SeqCst), own() | WAITERS, "nobody takes it from here");
            unlock(&WORD);
        });
        until(&WORD, WAITERS);
        settle();
        unlock(&WORD);
        let after = WORD.load(SeqCst);
        check!(after == 0 || after == NUMBER.load(SeqCst) | WAITERS, "{after:#x}");
        check_eq!(sys!(futex, at(&WORD), UNLOCK), Err(EPERM));
        waiter.join().ok().must();
        check_eq!(WORD.load(SeqCst), 0);
    }
});

case!(pi_waiters_get_the_lock_in_their_order, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static NEXT: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let threads: Vec<_> = (0..4)
        .map(|index| {
            spawn_asleep(move || {
                lock(&WORD);
                check_eq!(NEXT.fetch_add(1, SeqCst), index);
                unlock(&WORD);
            })
        })
        .collect();
    unlock(&WORD);
    threads.into_iter().for_each(|thread| thread.join().ok().must());
    check_eq!(WORD.load(SeqCst), 0);
});

case!(pi_waiters_of_higher_priority_go_first, [futex, sched_setscheduler], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static NEXT: AtomicU32 = AtomicU32::new(0);
    need_cap("CAP_SYS_NICE", 23);
    lock(&WORD);
    let threads: Vec<_> = [(0, 3), (1, 2), (5, 0), (5, 1)]
        .map(|(priority, place)| {
            spawn_asleep(move || {
                let policy = if priority == 0 { SCHED_OTHER } else { SCHED_FIFO };
                sys!(sched_setscheduler, 0, policy, &priority).must();
                lock(&WORD);
                check_eq!(NEXT.fetch_add(1, SeqCst), place, "priority {priority}");
                unlock(&WORD);
            })
        })
        .into_iter()
        .collect();
    unlock(&WORD);
    threads.into_iter().for_each(|thread| thread.join().ok().must());
});

case!(pi_lock_excludes, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static SUM: AtomicU64 = AtomicU64::new(0);
    const ROUNDS: u64 = 1500;
    let threads: Vec<_> = (0..4)
        .map(|index| {
            spawn(move || {
                for round in 0..ROUNDS {
                    with_lock(&WORD, || {
                        let sum = SUM.load(std::sync::atomic::Ordering::Relaxed);
                        if (round + index) % 64 == 0 {
                            let _ = sys!(sched_yield);
                        }
                        SUM.store(sum + 1, std::sync::atomic::Ordering::Relaxed);
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().ok().must());
    check_eq!(SUM.load(SeqCst), 4 * ROUNDS);
    check_eq!(WORD.load(SeqCst), 0);
});

case!(pi_lock_excludes_processes, [futex, fork], {
    // At different addresses.
    let words = words();
    let file = sys!(memfd_create, c"lock", 0).must();
    sys!(ftruncate, file, PAGE).must();
    const ROUNDS: u32 = 400;
    let children: Vec<_> = (0..4)
        .map(|index| {
            fork(|| {
                let _gap = anon((index + 1) * PAGE);
                let area = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file as i32, 0);
                let own = own();
                let word = word_at(area);
                for _ in 0..ROUNDS {
                    if word.compare_exchange(0, own, SeqCst, SeqCst).is_err() {
                        check_eq!(sys!(futex, area, FUTEX_LOCK_PI, 0, NULL), Ok(0));
                        check_eq!(word.load(SeqCst) & !WAITERS, own);
                    }
                    let sum = words[0].load(SeqCst);
                    let _ = sys!(sched_yield);
                    words[0].store(sum + 1, SeqCst);
                    if word.compare_exchange(own, 0, SeqCst, SeqCst).is_err() {
                        check_eq!(sys!(futex, area, FUTEX_UNLOCK_PI), Ok(0));
                    }
                }
            })
        })
        .collect();
    children.into_iter().for_each(|child| child.ok());
    check_eq!(words[0].load(SeqCst), 4 * ROUNDS);
});

case!(pi_lock_with_a_timeout, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let owner = own();
    spawn(move || {
        let cases = [
            (LOCK, CLOCK_REALTIME),
            (LOCK2, CLOCK_MONOTONIC),
            (LOCK2 | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME),
        ];
        for (op, clock) in cases {
            let start = now();
            let end = moment(clock, 60);
            check_eq!(sys!(futex, at(&WORD), op, 0, &end), Err(ETIMEDOUT));
            let took = now() - start;
            check!(took >= Duration::from_millis(59) && took < Duration::from_secs(5), "{took:?}");
            let past = timespec { tv_sec: 1, tv_nsec: 0 };
            check_eq!(sys!(futex, at(&WORD), op, 0, &past), Err(ETIMEDOUT));
            check_eq!(WORD.load(SeqCst), owner | WAITERS, "who gives up leaves the mark");
        }
    })
    .join()
    .ok()
    .must();
    unlock(&WORD);
    check_eq!(WORD.load(SeqCst), 0);
    // A free lock needs no time.
    let past = timespec { tv_sec: 1, tv_nsec: 0 };
    check_eq!(sys!(futex, at(&WORD), LOCK, 0, &past), Ok(0));
    unlock(&WORD);
});

case!(pi_lock_in_time, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let waiters = [(LOCK, CLOCK_REALTIME), (LOCK2, CLOCK_MONOTONIC)].map(|(op, clock)| {
        spawn(move || {
            check_eq!(sys!(futex, at(&WORD), op, 0, &moment(clock, 10_000)), Ok(0));
            check_eq!(WORD.load(SeqCst) & !WAITERS, own());
            unlock(&WORD);
        })
    });
    settle();
    unlock(&WORD);
    waiters.into_iter().for_each(|waiter| waiter.join().ok().must());
});

case!(pi_lock_goes_on_after_a_signal, [futex], {
    // With or without SA_RESTART, and a timeout is an absolute one.
    static WORD: AtomicU32 = AtomicU32::new(0);
    static NUMBER: AtomicI32 = AtomicI32::new(0);
    for flags in [0, SA_RESTART] {
        count_signal(SIGUSR1, flags);
        let before = counted(SIGUSR1);
        lock(&WORD);
        let waiter = spawn(|| {
            NUMBER.store(gettid(), SeqCst);
            lock(&WORD);
            unlock(&WORD);
            let _ = sys!(futex, at(&WORD), TRYLOCK);
            unlock(&WORD);
        });
        until(&WORD, WAITERS);
        for _ in 0..3 {
            settle();
            sys!(tgkill, getpid(), NUMBER.load(SeqCst), SIGUSR1).must();
        }
        settle();
        check_eq!(counted(SIGUSR1), before + 3);
        check!(!waiter.is_finished());
        unlock(&WORD);
        waiter.join().ok().must();
        check_eq!(WORD.load(SeqCst), 0);
    }
});

case!(pi_handler_runs_before_the_timeout, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    count_signal(SIGUSR1, 0);
    lock(&WORD);
    let (pid, owner) = (getpid(), own());
    let waiter = spawn(move || {
        let own = gettid();
        let helper = spawn(move || {
            settle();
            sys!(tgkill, pid, own, SIGUSR1).must();
        });
        let start = now();
        let result = sys!(futex, at(&WORD), LOCK, 0, &moment(CLOCK_REALTIME, 150));
        check_eq!(result, Err(ETIMEDOUT));
        check!(now() - start >= Duration::from_millis(149));
        check_eq!(counted(SIGUSR1), 1);
        helper.join().ok().must();
    });
    waiter.join().ok().must();
    check_eq!(WORD.load(SeqCst), owner | WAITERS);
});

case!(pi_deadlocks_are_found, [futex], {
    static WORDS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
    lock(&WORDS[0]);
    // Each has one and waits for the one before.
    let threads: Vec<_> = [1, 2]
        .map(|index| {
            let thread = spawn(move || {
                lock(&WORDS[index]);
                lock(&WORDS[index - 1]);
                unlock(&WORDS[index - 1]);
                unlock(&WORDS[index]);
            });
            until(&WORDS[index - 1], WAITERS);
            settle();
            thread
        })
        .into_iter()
        .collect();
    check_eq!(sys!(futex, at(&WORDS[2]), LOCK, 0, NULL), Err(EDEADLK));
    check_eq!(sys!(futex, at(&WORDS[1]), LOCK, 0, NULL), Err(EDEADLK));
    unlock(&WORDS[0]);
    threads.into_iter().for_each(|thread| thread.join().ok().must());
});

case!(pi_word_that_does_not_fit_is_refused, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let own = own();
    let waiter = spawn(|| {
        lock(&WORD);
        unlock(&WORD);
    });
    until(&WORD, WAITERS);
    settle();
    let stranger = spawn(wait_for_signals);
    let other = spawn(gettid).join().ok().must() as u32;
    for value in [other | WAITERS, NOBODY, 0, WAITERS] {
        WORD.store(value, SeqCst);
        spawn(|| {
            check_eq!(sys!(futex, at(&WORD), LOCK, 0, NULL), Err(EINVAL));
            check_eq!(sys!(futex, at(&WORD), TRYLOCK), Err(EINVAL));
        })
        .join()
        .ok()
        .must();
        check_eq!(WORD.load(SeqCst), value);
        check_eq!(sys!(futex, at(&WORD), UNLOCK), Err(EPERM));
    }
    // The word says that it is another one's, who is not known to have it.
    spawn(|| {
        WORD.store(gettid() as u32 | WAITERS, SeqCst);
        check_eq!(sys!(futex, at(&WORD), UNLOCK), Err(EINVAL));
    })
    .join()
    .ok()
    .must();
    WORD.store(own | WAITERS, SeqCst);
    unlock(&WORD);
    waiter.join().ok().must();
    drop(stranger);
});

case!(pi_private_and_shared_waits_do_not_meet, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    lock(&WORD);
    let waiter = spawn(|| {
        // The kernel does not know of the owner's unlock by the other name.
        let end = moment(CLOCK_REALTIME, 200);
        check_eq!(sys!(futex, at(&WORD), FUTEX_LOCK_PI, 0, &end), Err(ETIMEDOUT));
    });
    until(&WORD, WAITERS);
    settle();
    unlock(&WORD);
    check_eq!(WORD.load(SeqCst), 0);
    waiter.join().ok().must();
});

case!(pi_word_that_another_thread_scribbles_on, [futex], {
    // Whatever happens, calls end and nobody else is hurt.
    static WORD: AtomicU32 = AtomicU32::new(0);
    static DONE: AtomicU32 = AtomicU32::new(0);
    let scribbler = spawn(|| {
        let mut value = 1_u32;
        while DONE.load(SeqCst) == 0 {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tid = if value & 0x100 == 0 { getpid() as u32 } else { value >> 20 };
            let flags = value & (WAITERS | OWNER_DIED);
            WORD.store(if value & 0x600 == 0 { 0 } else { tid | flags }, SeqCst);
        }
    });
    let threads: Vec<_> = (0..3)
        .map(|_| {
            spawn(|| {
                for _ in 0..100 {
                    let end = moment(CLOCK_REALTIME, 1);
                    let _ = sys!(futex, at(&WORD), LOCK, 0, &end);
                    let _ = sys!(futex, at(&WORD), TRYLOCK);
                    let _ = sys!(futex, at(&WORD), UNLOCK);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().ok().must());
    DONE.store(1, SeqCst);
    scribbler.join().ok().must();
});
