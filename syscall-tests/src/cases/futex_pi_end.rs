//! Priority-inheriting futexes whose owner ends, and the locks of the C library that are made of them.

use crate::support::prelude::*;
use crate::support::pthread::{Condition, Mutex};

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
/// Size of `struct robust_list_head`.
const HEAD_BYTES: usize = 24;
/// From an entry to its futex.
const OFFSET: usize = 16;

fn own() -> u32 {
    gettid() as u32
}

fn lock(at: usize) {
    check_eq!(sys!(futex, at, FUTEX_LOCK_PI, 0, NULL), Ok(0));
}

/// A process that takes the lock at `at` and ends by `end` when told to; and one that waits for it,
/// which must find `expected` beside its number.
fn owner_ends(prepare: impl Fn(usize), end: impl Fn(), kill: bool) {
    let area = shared(PAGE);
    let at = area + 64 + OFFSET;
    let (held, go) = (Gate::new(), Gate::new());
    let owner = fork(|| {
        prepare(area);
        lock(at);
        held.open();
        if kill {
            wait_for_signals();
        }
        go.wait();
        end();
    });
    held.wait();
    let waiters: Vec<_> = (0..2)
        .map(|index| {
            fork_asleep(|| {
                lock(at);
                // The second gets it from the first.
                let died = if index == 0 { OWNER_DIED } else { 0 };
                check_eq!(peek::<u32>(at), own() | WAITERS | died);
                check_eq!(sys!(futex, at, FUTEX_UNLOCK_PI), Ok(0));
            })
        })
        .collect();
    if kill {
        owner.kill(SIGKILL);
    } else {
        go.open();
    }
    let _ = owner.wait();
    waiters.into_iter().for_each(|waiter| waiter.ok());
    check_eq!(peek::<u32>(at), 0);
}

fn robust(area: usize) {
    poke(area, [(area + 64) | 1, OFFSET, 0]);
    poke(area + 64, area);
    sys!(set_robust_list, area, HEAD_BYTES).must();
}

fn execute() {
    let exe = self_exe();
    let args = [exe.as_ptr() as usize, c"list".as_ptr() as usize, 0];
    let null = open(c"/dev/null", O_WRONLY);
    sys!(dup2, null, 1).must();
    let _ = sys!(execve, exe.as_c_str(), &args, &[0usize]);
}

case!(pi_lock_of_a_process_that_ends, [futex, exit_group], {
    owner_ends(|_| {}, || {}, false);
    owner_ends(robust, || {}, false);
});

case!(pi_lock_of_a_process_that_is_killed, [futex, kill], {
    owner_ends(|_| {}, || {}, true);
    owner_ends(robust, || {}, true);
});

case!(pi_lock_of_a_program_that_ends_by_execve, [futex, execve], {
    owner_ends(|_| {}, execute, false);
    owner_ends(robust, execute, false);
});

case!(pi_lock_of_a_thread_that_ends, [futex, exit], {
    let area = shared(PAGE);
    let at = area + 64 + OFFSET;
    for prepare in [|_| {}, robust as fn(usize)] {
        spawn(move || {
            prepare(area);
            lock(at);
            spawn(move || {
                lock(at);
                check_eq!(peek::<u32>(at), own() | WAITERS | OWNER_DIED);
                check_eq!(sys!(futex, at, FUTEX_UNLOCK_PI), Ok(0));
            });
            settle();
            sys!(set_robust_list, area, HEAD_BYTES).must();
            let _ = sys!(exit, 0);
        });
        let limit = now() + Duration::from_secs(10);
        sleep_ms(50);
        while peek::<u32>(at) != 0 {
            check!(now() < limit, "{:#x}", peek::<u32>(at));
            sleep_ms(1);
        }
        poke(area, [area, OFFSET, 0]);
    }
});

case!(pi_lock_of_a_dead_owner_without_waiters, [futex, set_robust_list], {
    // With a list it can be taken; without, nobody knows how.
    let area = shared(PAGE);
    let at = area + 64 + OFFSET;
    fork(|| {
        robust(area);
        lock(at);
    })
    .ok();
    check_eq!(peek::<u32>(at), OWNER_DIED);
    lock(at);
    check_eq!(peek::<u32>(at), own() | OWNER_DIED);
    check_eq!(sys!(futex, at, FUTEX_UNLOCK_PI), Ok(0));
    let owner = fork(|| lock(at));
    let pid = owner.pid as u32;
    owner.ok();
    check_eq!(peek::<u32>(at), pid);
    check_eq!(sys!(futex, at, FUTEX_LOCK_PI, 0, NULL), Err(ESRCH));
    check_eq!(sys!(futex, at, FUTEX_TRYLOCK_PI), Err(ESRCH));
});

case!(pi_owner_that_is_a_zombie, [futex], {
    let area = shared(PAGE);
    let owner = fork_asleep(|| lock(area));
    check_eq!(peek::<u32>(area), owner.pid as u32);
    check_eq!(sys!(futex, area, FUTEX_LOCK_PI, 0, NULL), Err(ESRCH));
    owner.ok();
});

case!(pi_waiters_that_are_killed, [futex, kill], {
    let area = shared(PAGE);
    lock(area);
    let waiter = || {
        fork_asleep(|| {
            lock(area);
            check_eq!(sys!(futex, area, FUTEX_UNLOCK_PI), Ok(0));
        })
    };
    let (one, two, three) = (waiter(), waiter(), waiter());
    one.end();
    three.end();
    check_eq!(peek::<u32>(area), own() | WAITERS);
    check_eq!(sys!(futex, area, FUTEX_UNLOCK_PI), Ok(0));
    two.ok();
    check_eq!(peek::<u32>(area), 0);
});

case!(pi_waiter_whose_memory_goes_away, [futex, munmap], {
    let area = shared(PAGE);
    lock(area);
    let waiter = fork(|| {
        let thread = spawn(move || sys!(futex, area, FUTEX_LOCK_PI, 0, NULL));
        settle();
        sys!(munmap, area, PAGE).must();
        check!(matches!(thread.join().ok().must(), Ok(0) | Err(EFAULT)));
    });
    sleep_ms(120);
    check_eq!(sys!(futex, area, FUTEX_UNLOCK_PI), Ok(0));
    waiter.ok();
});

/// Counts at `sum` under the mutex.
fn add(mutex: Mutex, sum: usize, rounds: usize) {
    for _ in 0..rounds {
        check_eq!(mutex.lock(), 0);
        poke(sum, peek::<usize>(sum) + 1);
        mutex.unlock();
    }
}

case!(inheriting_mutexes_exclude, [futex], {
    let area = shared(PAGE);
    for (is_shared, is_robust) in [(false, false), (true, false), (false, true), (true, true)] {
        poke(area + 256, 0usize);
        let mutex = Mutex::inheriting(area, is_shared, is_robust);
        let threads: Vec<_> = (0..4).map(|_| spawn(move || add(mutex, area + 256, 1000))).collect();
        threads.into_iter().for_each(|thread| thread.join().ok().must());
        check_eq!(peek::<usize>(area + 256), 4000);
    }
});

case!(inheriting_mutexes_exclude_processes, [futex, fork], {
    let area = shared(PAGE);
    for is_robust in [false, true] {
        poke(area + 256, 0usize);
        let mutex = Mutex::inheriting(area, true, is_robust);
        let children: Vec<_> = (0..3).map(|_| fork(|| add(mutex, area + 256, 300))).collect();
        children.into_iter().for_each(|child| child.ok());
        check_eq!(peek::<usize>(area + 256), 900);
    }
});

case!(inheriting_mutex_whose_owner_dies, [futex, set_robust_list], {
    let area = shared(PAGE);
    let mutex = Mutex::inheriting(area, true, true);
    for by_kill in [false, true] {
        let held = Gate::new();
        let owner = fork(|| {
            check_eq!(mutex.lock(), 0);
            held.open();
            sleep_ms(if by_kill { 20_000 } else { 100 });
        });
        held.wait();
        let waiter = fork(|| {
            check_eq!(mutex.lock(), libc::EOWNERDEAD);
            mutex.make_consistent();
            mutex.unlock();
        });
        settle();
        if by_kill {
            owner.kill(SIGKILL);
        }
        let _ = owner.wait();
        waiter.ok();
        check_eq!(mutex.lock(), 0);
        mutex.unlock();
    }
    // A thread.
    spawn(move || check_eq!(mutex.lock(), 0)).join().ok().must();
    check_eq!(mutex.lock(), libc::EOWNERDEAD);
    mutex.unlock();
    check_eq!(mutex.lock(), libc::ENOTRECOVERABLE);
});

case!(inheriting_mutex_in_a_storm_of_kills, [futex, kill], {
    let area = shared(PAGE);
    let mutex = Mutex::inheriting(area, true, true);
    let work = || {
        fork(|| {
            loop {
                if mutex.lock() == libc::EOWNERDEAD {
                    mutex.make_consistent();
                }
                poke(area + 256, peek::<usize>(area + 256) + 1);
                if peek::<usize>(area + 256).is_multiple_of(8) {
                    let _ = sys!(sched_yield);
                }
                mutex.unlock();
            }
        })
    };
    let mut workers: Vec<_> = (0..4).map(|_| work()).collect();
    for round in 0..60 {
        sleep_ms(round as i64 % 4);
        workers.remove(round % 4).end();
        workers.push(work());
    }
    let before = peek::<usize>(area + 256);
    let limit = now() + Duration::from_secs(10);
    while peek::<usize>(area + 256) < before + 50 {
        check!(now() < limit, "nobody gets on");
        sleep_ms(1);
    }
    workers.into_iter().for_each(|worker| worker.end());
    let result = mutex.lock();
    check!(matches!(result, 0 | libc::EOWNERDEAD), "{result}");
});

case!(inheriting_mutex_in_time, [futex], {
    let area = shared(PAGE);
    let mutex = Mutex::inheriting(area, false, false);
    check_eq!(mutex.lock(), 0);
    spawn(move || {
        let start = now();
        let mut end = millis(0);
        sys!(clock_gettime, CLOCK_REALTIME, &mut end).must();
        end.tv_sec += 1;
        check_eq!(mutex.timed_lock(&end), libc::ETIMEDOUT);
        check!(now() - start >= Duration::from_millis(990));
        check_eq!(mutex.try_lock(), libc::EBUSY);
    })
    .join()
    .ok()
    .must();
    mutex.unlock();
    check_eq!(mutex.try_lock(), 0);
    mutex.unlock();
});

case!(inheriting_mutex_with_a_condition, [futex], {
    static CONDITION: Condition = Condition::new();
    let area = shared(PAGE);
    let mutex = Mutex::inheriting(area, false, false);
    let ready = area + 256;
    let threads: Vec<_> = (0..3)
        .map(|_| {
            spawn(move || {
                check_eq!(mutex.lock(), 0);
                while peek::<usize>(ready) == 0 {
                    CONDITION.wait(mutex);
                }
                poke(ready, peek::<usize>(ready) - 1);
                mutex.unlock();
            })
        })
        .collect();
    settle();
    for round in 0..3 {
        check_eq!(mutex.lock(), 0);
        poke(ready, peek::<usize>(ready) + 1);
        if round == 0 {
            CONDITION.signal();
        } else {
            CONDITION.broadcast();
        }
        mutex.unlock();
    }
    threads.into_iter().for_each(|thread| thread.join().ok().must());
    check_eq!(peek::<usize>(ready), 0);
});
