//! futex, set_robust_list, get_robust_list, set_tid_address, futex_waitv.

use crate::support::prelude::*;

fn addr(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

fn wake(word: &AtomicU32, count: i32) -> i64 {
    sys!(futex, addr(word), FUTEX_WAKE, count).must()
}

/// Starts threads that wait on a word while it is 0, and gives them time to get there.
fn waiters(word: &'static AtomicU32, count: usize, op: i32) -> Vec<std::thread::JoinHandle<()>> {
    let threads = (0..count)
        .map(|_| spawn(move || check_eq!(sys!(futex, addr(word), op, 0, NULL), Ok(0))))
        .collect();
    sleep_ms(60);
    threads
}

fn join(threads: Vec<std::thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().ok().must();
    }
}

case!(wait_compares_the_value, [futex], {
    let word = AtomicU32::new(5);
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT, 4, NULL), Err(EAGAIN));
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT_PRIVATE, 4, NULL), Err(EAGAIN));
});

case!(wake_without_waiters_is_zero, [futex], {
    let word = AtomicU32::new(0);
    check_eq!(wake(&word, 1), 0);
    check_eq!(sys!(futex, addr(&word), FUTEX_WAKE_PRIVATE, i32::MAX), Ok(0));
});

case!(wake_wakes_as_many_as_asked, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let threads = waiters(&WORD, 4, FUTEX_WAIT_PRIVATE);
    check_eq!(sys!(futex, addr(&WORD), FUTEX_WAKE_PRIVATE, 1), Ok(1));
    check_eq!(sys!(futex, addr(&WORD), FUTEX_WAKE_PRIVATE, 2), Ok(2));
    check_eq!(sys!(futex, addr(&WORD), FUTEX_WAKE_PRIVATE, 100), Ok(1));
    join(threads);
});

case!(relative_timeout, [futex], {
    let word = AtomicU32::new(0);
    for op in [FUTEX_WAIT, FUTEX_WAIT_PRIVATE] {
        let start = now();
        check_eq!(sys!(futex, addr(&word), op, 0, &millis(40)), Err(ETIMEDOUT));
        check!(now() - start >= Duration::from_millis(40));
    }
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT, 0, &millis(0)), Err(ETIMEDOUT));
});

case!(absolute_timeout_of_wait_bitset, [futex], {
    let word = AtomicU32::new(0);
    let end = now() + Duration::from_millis(40);
    let at = timespec { tv_sec: end.as_secs() as i64, tv_nsec: i64::from(end.subsec_nanos()) };
    let all = FUTEX_BITSET_MATCH_ANY;
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT_BITSET, 0, &at, 0, all), Err(ETIMEDOUT));
    check!(now() >= end);
    let past = timespec { tv_sec: 1, tv_nsec: 0 };
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT_BITSET, 0, &past, 0, all), Err(ETIMEDOUT));
    let realtime = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
    check_eq!(sys!(futex, addr(&word), realtime, 0, &past, 0, all), Err(ETIMEDOUT));
});

case!(errors, [futex], {
    let word = AtomicU32::new(0);
    let at = addr(&word);
    check_eq!(sys!(futex, at + 1, FUTEX_WAIT, 0, NULL), Err(EINVAL), "not aligned");
    check_eq!(sys!(futex, at + 2, FUTEX_WAKE, 1), Err(EINVAL));
    check_eq!(sys!(futex, 8, FUTEX_WAIT, 0, NULL), Err(EFAULT));
    check_eq!(sys!(futex, BAD, FUTEX_WAIT, 0, NULL), Err(EFAULT));
    check_eq!(sys!(futex, at, 99, 0, NULL), Err(ENOSYS));
    check_eq!(sys!(futex, at, FUTEX_WAIT, 0, BAD), Err(EFAULT));
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(futex, at, FUTEX_WAIT, 0, &bad), Err(EINVAL));
    let bad = timespec { tv_sec: -1, tv_nsec: 0 };
    check_eq!(sys!(futex, at, FUTEX_WAIT, 0, &bad), Err(EINVAL));
    check_eq!(sys!(futex, at, FUTEX_WAIT_BITSET, 0, NULL, 0, 0), Err(EINVAL), "no bits");
    check_eq!(sys!(futex, at, FUTEX_WAKE_BITSET, 1, NULL, 0, 0), Err(EINVAL));
    check_eq!(sys!(futex, at, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1), Err(ENOSYS));
    let area = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_eq!(sys!(futex, area, FUTEX_WAIT, 0, NULL), Err(EFAULT));
});

case!(bitset_selects_waiters, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static DONE: AtomicU32 = AtomicU32::new(0);
    let threads: Vec<_> = [1u32, 2]
        .into_iter()
        .map(|bits| {
            spawn(move || {
                check_eq!(sys!(futex, addr(&WORD), FUTEX_WAIT_BITSET, 0, NULL, 0, bits), Ok(0));
                DONE.fetch_or(bits, SeqCst);
            })
        })
        .collect();
    sleep_ms(60);
    check_eq!(sys!(futex, addr(&WORD), FUTEX_WAKE_BITSET, 10, NULL, 0, 4), Ok(0));
    check_eq!(sys!(futex, addr(&WORD), FUTEX_WAKE_BITSET, 10, NULL, 0, 2), Ok(1));
    sleep_ms(30);
    check_eq!(DONE.load(SeqCst), 2);
    check_eq!(wake(&WORD, 10), 1);
    join(threads);
});

case!(requeue_moves_waiters, [futex], {
    static FROM: AtomicU32 = AtomicU32::new(0);
    static TO: AtomicU32 = AtomicU32::new(0);
    let threads = waiters(&FROM, 3, FUTEX_WAIT);
    check_eq!(sys!(futex, addr(&FROM), FUTEX_REQUEUE, 1, 1, addr(&TO)), Ok(2), "woken and moved");
    check_eq!(wake(&FROM, 10), 1);
    check_eq!(wake(&TO, 10), 1);
    join(threads);
});

case!(cmp_requeue_compares_first, [futex], {
    static FROM: AtomicU32 = AtomicU32::new(0);
    static TO: AtomicU32 = AtomicU32::new(0);
    let threads = waiters(&FROM, 2, FUTEX_WAIT);
    let requeue = |value| sys!(futex, addr(&FROM), FUTEX_CMP_REQUEUE, 0, 10, addr(&TO), value);
    check_eq!(requeue(1), Err(EAGAIN));
    check_eq!(requeue(0), Ok(2));
    check_eq!((wake(&FROM, 10), wake(&TO, 10)), (0, 2));
    check_eq!(sys!(futex, addr(&FROM), FUTEX_CMP_REQUEUE, -1, 1, addr(&TO), 0), Err(EINVAL));
    join(threads);
});

case!(wake_op_changes_and_compares, [futex], {
    static ONE: AtomicU32 = AtomicU32::new(0);
    static TWO: AtomicU32 = AtomicU32::new(0);
    let op = |op: u32, arg: u32, cmp: u32, cmparg: u32| op << 28 | cmp << 24 | arg << 12 | cmparg;
    let apply = |code: u32| sys!(futex, addr(&ONE), FUTEX_WAKE_OP, 10, 10, addr(&TWO), code);
    TWO.store(6, SeqCst);
    // Operations: set, add, or, and-not, xor; comparisons: equal, and so on.
    check_eq!(apply(op(1, 4, 0, 6)), Ok(0));
    check_eq!(TWO.swap(6, SeqCst), 10);
    apply(op(2, 9, 0, 0)).must();
    check_eq!(TWO.swap(6, SeqCst), 15);
    apply(op(3, 2, 0, 0)).must();
    check_eq!(TWO.swap(6, SeqCst), 4);
    apply(op(4, 3, 0, 0)).must();
    check_eq!(TWO.swap(6, SeqCst), 5);
    apply(op(8 | 1, 4, 0, 0)).must();
    check_eq!(TWO.swap(0, SeqCst), 22, "the argument is a shift");
    let threads = waiters(&TWO, 1, FUTEX_WAIT);
    check_eq!(apply(op(0, 7, 0, 1)), Ok(0), "the old value 0 is not 1: nobody is woken");
    check_eq!(TWO.swap(0, SeqCst), 7);
    check_eq!(apply(op(0, 7, 0, 0)), Ok(1));
    check_eq!(apply(op(7, 0, 0, 0)), Err(ENOSYS));
    check_eq!(apply(op(0, 0, 9, 0)), Err(ENOSYS));
    join(threads);
});

case!(shared_futex_works_between_processes, [futex], {
    let words = words();
    let child = fork(|| {
        check_eq!(sys!(futex, addr(&words[0]), FUTEX_WAIT, 0, NULL), Ok(0));
    });
    let mut woken = 0;
    for _ in 0..1000 {
        woken = wake(&words[0], 1);
        if woken == 1 {
            break;
        }
        sleep_ms(2);
    }
    check_eq!(woken, 1);
    child.ok();
});

case!(shared_futex_in_a_file_mapping, [futex], {
    create(c"f", &[0; PAGE]);
    let rw = PROT_READ | PROT_WRITE;
    let area = map(PAGE, rw, MAP_SHARED, open(c"f", O_RDWR), 0);
    let child = fork(|| {
        let other = map(PAGE, rw, MAP_SHARED, open(c"f", O_RDWR), 0);
        check_eq!(sys!(futex, other + 8, FUTEX_WAIT, 0, &millis(5000)), Ok(0));
    });
    for _ in 0..1000 {
        if sys!(futex, area + 8, FUTEX_WAKE, 1) == Ok(1) {
            break;
        }
        sleep_ms(2);
    }
    child.ok();
});

case!(private_futexes_of_two_processes_are_apart, [futex, fork], {
    let words = words();
    let child = fork(|| {
        let wait = sys!(futex, addr(&words[0]), FUTEX_WAIT_PRIVATE, 0, &millis(150));
        check_eq!(wait, Err(ETIMEDOUT));
    });
    sleep_ms(50);
    check_eq!(sys!(futex, addr(&words[0]), FUTEX_WAKE_PRIVATE, 10), Ok(0));
    child.ok();
});

case!(anonymous_private_memory_is_apart_after_fork, [futex, fork], {
    let area = anon(PAGE);
    let child = fork(|| {
        check_eq!(sys!(futex, area, FUTEX_WAIT, 0, &millis(150)), Err(ETIMEDOUT));
    });
    sleep_ms(50);
    check_eq!(sys!(futex, area, FUTEX_WAKE, 10), Ok(0));
    child.ok();
});

case!(signal_interrupts_a_wait_with_timeout, [futex], {
    let word = AtomicU32::new(0);
    count_signal(SIGALRM, 0);
    sys!(alarm, 1).must();
    check_eq!(sys!(futex, addr(&word), FUTEX_WAIT, 0, NULL), Err(EINTR));
});

case!(mutex_under_contention, [futex], {
    // A mutex as a C library makes it: 0 free, 1 taken, 2 taken with waiters.
    static LOCK: AtomicU32 = AtomicU32::new(0);
    static COUNT: AtomicU32 = AtomicU32::new(0);
    fn lock() {
        if LOCK.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            while LOCK.swap(2, SeqCst) != 0 {
                let _ = sys!(futex, addr(&LOCK), FUTEX_WAIT_PRIVATE, 2, NULL);
            }
        }
    }
    fn unlock() {
        if LOCK.swap(0, SeqCst) == 2 {
            sys!(futex, addr(&LOCK), FUTEX_WAKE_PRIVATE, 1).must();
        }
    }
    let threads: Vec<_> = (0..4)
        .map(|_| {
            spawn(|| {
                for _ in 0..2000 {
                    lock();
                    let value = COUNT.load(SeqCst);
                    if value.is_multiple_of(64) {
                        std::thread::yield_now();
                    }
                    COUNT.store(value + 1, SeqCst);
                    unlock();
                }
            })
        })
        .collect();
    join(threads);
    check_eq!(COUNT.load(SeqCst), 8000);
});

case!(robust_list_marks_a_dead_owner, [set_robust_list, get_robust_list, futex], {
    const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
    let area = shared(PAGE);
    let child = fork(|| {
        // The list head: next, offset from an entry to its futex, pending; then one entry.
        let entry = area + 64;
        poke(area, [entry, 16usize, 0]);
        poke(entry, area);
        poke(entry + 16, gettid() as u32);
        check_eq!(sys!(set_robust_list, area, 24), Ok(0));
        let (mut head, mut len) = (0usize, 0usize);
        check_eq!(sys!(get_robust_list, 0, &mut head, &mut len), Ok(0));
        check_eq!((head, len), (area, 24));
    });
    child.ok();
    check_eq!(peek::<u32>(area + 80) & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
    check_eq!(sys!(set_robust_list, area, 23), Err(EINVAL));
    check_eq!(sys!(get_robust_list, i32::MAX, &mut 0usize, &mut 0usize), Err(ESRCH));
    check_eq!(sys!(get_robust_list, 0, BAD, &mut 0usize), Err(EFAULT));
});

case!(robust_list_with_a_loop_ends, [set_robust_list], {
    let area = shared(PAGE);
    fork(|| {
        poke(area, [area + 64, 16usize, 0]);
        poke(area + 64, area + 64);
        sys!(set_robust_list, area, 24).must();
    })
    .ok();
    fork(|| {
        sys!(set_robust_list, 8, 24).must();
    })
    .ok();
});

case!(set_tid_address_clears_and_wakes_at_the_end, [set_tid_address, futex], {
    static WORD: AtomicU32 = AtomicU32::new(7);
    let word = words();
    spawn(move || {
        check_eq!(sys!(set_tid_address, addr(&WORD)), Ok(i64::from(gettid())));
        word[0].store(1, SeqCst);
        let _ = sys!(exit, 0);
    });
    while WORD.load(SeqCst) != 0 {
        let _ = sys!(futex, addr(&WORD), FUTEX_WAIT, 7, &millis(2000));
    }
});

case!(waitv_waits_for_any, [futex_waitv], {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Waiter {
        value: u64,
        addr: u64,
        flags: u32,
        reserved: u32,
    }
    let (one, two) = (AtomicU32::new(0), AtomicU32::new(0));
    let waiter = |word| Waiter { value: 0, addr: addr(word) as u64, flags: 2, reserved: 0 };
    let list = [waiter(&one), waiter(&two)];
    let result =
        sys!(futex_waitv, &list, 2, 0, &timespec { tv_sec: 1, tv_nsec: 0 }, CLOCK_MONOTONIC);
    if result == Err(ENOSYS) {
        skip!("no futex_waitv before Linux 5.16");
    }
    check_eq!(result, Err(ETIMEDOUT));
    two.store(1, SeqCst);
    check_eq!(sys!(futex_waitv, &list, 2, 0, NULL, 0), Err(EAGAIN));
    check_eq!(sys!(futex_waitv, &list, 0, 0, NULL, 0), Err(EINVAL));
    check_eq!(sys!(futex_waitv, &list, 129, 0, NULL, 0), Err(EINVAL));
    check_eq!(sys!(futex_waitv, BAD, 1, 0, NULL, 0), Err(EFAULT));
    check_eq!(sys!(futex_waitv, &list, 1, 1, NULL, 0), Err(EINVAL));
});

const FUTEX_WAIT_PRIVATE: i32 = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
const FUTEX_WAKE_PRIVATE: i32 = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;
