//! What the end of threads and programs does to futexes: robust lists, cleared thread numbers.

use crate::support::prelude::*;

const FUTEX_WAITERS: u32 = 0x8000_0000;
const FUTEX_OWNER_DIED: u32 = 0x4000_0000;

/// Size of `struct robust_list_head`.
const HEAD_BYTES: usize = 24;
/// From an entry to its futex.
const OFFSET: usize = 16;

fn at(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

/// Waits for the word to be no longer `value`.
fn wait_while(word: usize, value: u32) {
    let limit = now() + Duration::from_secs(10);
    while peek::<u32>(word) == value {
        check!(now() < limit, "the word stays {value:#x}");
        let _ = sys!(futex, word, FUTEX_WAIT, value, &millis(10_000));
    }
}

/// Puts a list with futexes at `area + 80`, `area + 144`, ... into shared memory and makes it the
/// caller's, who holds them all.
fn hold(area: usize, count: usize, flag: u32) {
    let entry = |index: usize| area + 64 * (index + 1);
    poke(area, [entry(0), OFFSET, 0]);
    for index in 0..count {
        poke(entry(index), if index + 1 == count { area } else { entry(index + 1) });
        poke(entry(index) + OFFSET, gettid() as u32 | flag);
    }
    sys!(set_robust_list, area, HEAD_BYTES).must();
}

fn word(area: usize, index: usize) -> u32 {
    peek(area + 64 * (index + 1) + OFFSET)
}

/// Runs `end` in a process that holds a futex for which another one waits.
fn wakes_the_waiter(end: impl FnOnce(Gate), kill: Option<i32>) {
    let area = shared(PAGE);
    let (held, never) = (Gate::new(), Gate::new());
    let owner = fork(|| {
        hold(area, 1, FUTEX_WAITERS);
        held.open();
        end(never);
    });
    held.wait();
    let waiter = fork(|| {
        let value = owner.pid as u32 | FUTEX_WAITERS;
        wait_while(area + 64 + OFFSET, value);
        check_eq!(word(area, 0), FUTEX_OWNER_DIED | FUTEX_WAITERS);
    });
    settle();
    match kill {
        Some(signal) => owner.kill(signal),
        None => never.open(),
    }
    let _ = owner.wait();
    waiter.ok();
}

case!(robust_waiter_is_woken_by_exit, [set_robust_list, futex], {
    wakes_the_waiter(|go| go.wait(), None);
});

case!(robust_waiter_is_woken_by_exit_of_the_thread, [set_robust_list, exit], {
    wakes_the_waiter(
        |go| {
            go.wait();
            let _ = sys!(exit, 0);
        },
        None,
    );
});

case!(robust_waiter_is_woken_by_a_kill, [set_robust_list, kill], {
    wakes_the_waiter(|_| sleep_ms(20_000), Some(SIGKILL));
    wakes_the_waiter(|_| sleep_ms(20_000), Some(SIGTERM));
    // Also one that computes.
    wakes_the_waiter(
        |_| {
            let end = now() + Duration::from_secs(20);
            while now() < end {
                std::hint::spin_loop();
            }
        },
        Some(SIGKILL),
    );
});

case!(robust_waiter_is_woken_by_execve, [set_robust_list, execve], {
    wakes_the_waiter(
        |go| {
            go.wait();
            let exe = self_exe();
            let args = [exe.as_ptr() as usize, c"list".as_ptr() as usize, 0];
            let null = open(c"/dev/null", O_WRONLY);
            sys!(dup2, null, 1).must();
            let _ = sys!(execve, exe.as_c_str(), &args, &[0usize]);
        },
        None,
    );
});

case!(robust_waiter_is_woken_by_execve_of_another_thread, [set_robust_list, execve], {
    // The owner is a thread that another thread's execve ends.
    let area = shared(PAGE);
    let (held, go) = (Gate::new(), Gate::new());
    let process = fork(|| {
        spawn(move || {
            hold(area, 1, FUTEX_WAITERS);
            held.open();
            let _ = sys!(futex, &AtomicU32::new(0) as *const _ as usize, FUTEX_WAIT, 0, NULL);
        });
        go.wait();
        let exe = self_exe();
        let args = [exe.as_ptr() as usize, c"list".as_ptr() as usize, 0];
        let null = open(c"/dev/null", O_WRONLY);
        sys!(dup2, null, 1).must();
        let _ = sys!(execve, exe.as_c_str(), &args, &[0usize]);
    });
    held.wait();
    let value = word(area, 0);
    let waiter = fork(|| wait_while(area + 64 + OFFSET, value));
    settle();
    go.open();
    process.ok();
    waiter.ok();
    check_eq!(word(area, 0), FUTEX_OWNER_DIED | FUTEX_WAITERS);
});

case!(robust_words_without_waiters_say_so, [set_robust_list], {
    let area = shared(PAGE);
    fork(|| hold(area, 5, 0)).ok();
    for index in 0..5 {
        check_eq!(word(area, index), FUTEX_OWNER_DIED);
    }
});

case!(robust_word_changes_in_one_step, [set_robust_list], {
    let area = shared(PAGE);
    let place = area + 64 + OFFSET;
    for round in 0..60 {
        let flag = if round % 2 == 0 { FUTEX_WAITERS } else { 0 };
        poke(place, 0u32);
        let owner = fork(|| hold(area, 1, flag));
        let held = owner.pid as u32 | flag;
        let mut seen = Vec::new();
        let limit = now() + Duration::from_secs(10);
        while !seen.contains(&(FUTEX_OWNER_DIED | flag)) {
            let value = peek::<u32>(place);
            if !seen.contains(&value) {
                seen.push(value);
            }
            check!(now() < limit, "{seen:x?}");
        }
        owner.ok();
        seen.retain(|&value| value != 0 && value != held);
        check_eq!(seen, [FUTEX_OWNER_DIED | flag]);
    }
});

case!(robust_words_of_others_stay, [set_robust_list], {
    let area = shared(PAGE);
    fork(|| {
        hold(area, 3, 0);
        poke(area + 128 + OFFSET, 1u32);
    })
    .ok();
    check_eq!([0, 1, 2].map(|index| word(area, index)), [FUTEX_OWNER_DIED, 1, FUTEX_OWNER_DIED]);
});

case!(robust_pending_futex_counts, [set_robust_list, futex], {
    // Taken, but not in the list yet; and given up, but nobody woken yet.
    let area = shared(PAGE);
    fork(|| {
        poke(area, [area, OFFSET, area + 64]);
        poke(area + 64 + OFFSET, gettid() as u32);
        sys!(set_robust_list, area, HEAD_BYTES).must();
    })
    .ok();
    check_eq!(word(area, 0), FUTEX_OWNER_DIED);
    poke(area + 64 + OFFSET, 0u32);
    let waiter = fork_asleep(|| {
        check_eq!(sys!(futex, area + 64 + OFFSET, FUTEX_WAIT, 0, &millis(10_000)), Ok(0));
    });
    fork(|| {
        poke(area, [area, OFFSET, area + 64]);
        sys!(set_robust_list, area, HEAD_BYTES).must();
    })
    .ok();
    waiter.ok();
    check_eq!(word(area, 0), 0);
});

case!(robust_list_ends_at_what_cannot_be_written, [set_robust_list], {
    let area = shared(2 * PAGE);
    fork(|| {
        hold(area, 3, 0);
        // The second futex lies in memory that may only be read.
        poke(area + PAGE + 64 + OFFSET, gettid() as u32);
        poke(area + PAGE + 64, area + 192);
        poke(area + 64, area + PAGE + 64);
        sys!(mprotect, area + PAGE, PAGE, PROT_READ).must();
    })
    .ok();
    check_eq!(word(area, 0), FUTEX_OWNER_DIED);
    check!(word(area + PAGE, 0) & FUTEX_OWNER_DIED == 0);
    check!(word(area, 2) & FUTEX_OWNER_DIED == 0, "what comes behind is not looked at");
});

case!(robust_list_may_go_in_a_circle, [set_robust_list], {
    let area = shared(PAGE);
    for (count, back_to) in [(1, 0), (2, 0), (2, 1), (7, 6), (9, 3), (20, 0)] {
        fork(|| {
            hold(area, count, 0);
            // The last one leads to one of them in place of the head.
            poke(area + 64 * count, area + 64 * (back_to + 1));
            // What was about to be taken comes after all others.
            let pending = area + 64 * (count + 1);
            poke(area + 16, pending);
            poke(pending + OFFSET, gettid() as u32);
        })
        .ok();
        for index in 0..=count {
            check_eq!(word(area, index), FUTEX_OWNER_DIED, "{index} of {count}");
        }
    }
});

/// A thread whose number is cleared when it ends.
const CLEARING_THREAD: i32 = CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_CHILD_CLEARTID;

case!(thread_end_wakes_a_joiner, [clone, futex], {
    static TID: AtomicU32 = AtomicU32::new(1);
    extern "C" fn run(_: usize) -> i32 {
        let _ = sys!(nanosleep, &millis(30), NULL);
        0
    }
    for _ in 0..20 {
        TID.store(1, SeqCst);
        clone_on_stack(CLEARING_THREAD, 0, at(&TID), 0, run, 0).must();
        wait_while(at(&TID), 1);
        check_eq!(TID.load(SeqCst), 0);
    }
});

case!(thread_end_wakes_only_those_in_shared_memory, [clone, futex], {
    // The wake-up is one for memory that may be shared: a private wait is another futex.
    static TID: AtomicU32 = AtomicU32::new(1);
    extern "C" fn run(_: usize) -> i32 {
        let _ = sys!(nanosleep, &millis(50), NULL);
        0
    }
    clone_on_stack(CLEARING_THREAD, 0, at(&TID), 0, run, 0).must();
    let result = sys!(futex, at(&TID), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, &millis(250));
    check!(matches!(result, Err(ETIMEDOUT)), "{result:?}");
    check_eq!(TID.load(SeqCst), 0);
});

case!(end_of_a_process_with_shared_memory_clears_the_number, [clone, futex], {
    static TID: AtomicU32 = AtomicU32::new(1);
    extern "C" fn run(_: usize) -> i32 {
        let _ = sys!(nanosleep, &millis(30), NULL);
        0
    }
    for vfork in [0, CLONE_VFORK] {
        TID.store(1, SeqCst);
        let flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD | vfork;
        let pid = clone_on_stack(flags, 0, at(&TID), 0, run, 0).must();
        wait_while(at(&TID), 1);
        check_eq!(TID.load(SeqCst), 0);
        check_eq!(wait_pid(pid as i32, 0), Status::Exited(0));
    }
});

case!(end_of_the_last_thread_clears_nothing, [set_tid_address], {
    let words = words();
    words[0].store(7, SeqCst);
    fork(|| {
        sys!(set_tid_address, at(&words[0])).must();
    })
    .ok();
    check_eq!(words[0].load(SeqCst), 7);
});

case!(number_at_a_bad_address_does_no_harm, [set_tid_address, exit], {
    for addr in [1usize, 8, BAD, usize::MAX, 1 << 47] {
        let done = words();
        spawn(move || {
            sys!(set_tid_address, addr).must();
            done[0].store(1, SeqCst);
            let _ = sys!(exit, 0);
        });
        while done[0].load(SeqCst) == 0 {
            sleep_ms(1);
        }
        settle();
    }
});

fn join_all(threads: &mut Vec<std::thread::JoinHandle<i32>>) {
    for thread in threads.drain(..) {
        let _ = thread.join().ok().must();
    }
}

case!(threads_are_made_and_joined, [clone, futex], {
    let count: u32 = (0..300).map(|index| spawn(move || index % 2).join().ok().must()).sum();
    check_eq!(count, 150);
    let mut threads = Vec::new();
    for round in 0..10 {
        threads.extend((0..20).map(|index| spawn(move || index + round)));
        if round % 3 == 0 {
            join_all(&mut threads);
        }
    }
    join_all(&mut threads);
});

case!(exit_group_beside_waiting_threads, [exit_group, futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    for _ in 0..10 {
        fork(|| {
            for _ in 0..6 {
                spawn(|| sys!(futex, at(&WORD), FUTEX_WAIT, 0, NULL));
            }
            sleep_ms(2);
        })
        .ok();
    }
});
