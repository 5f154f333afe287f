//! Futex waits that signals and stops interrupt: which go on, and what the others return.

use crate::support::prelude::*;

const WAIT: i32 = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
const WAKE: i32 = FUTEX_WAKE | FUTEX_PRIVATE_FLAG;
const WAIT_UNTIL: i32 = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
const ANY: u32 = FUTEX_BITSET_MATCH_ANY as u32;

fn at(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word) as usize
}

/// A monotonic time as the absolute timeouts take it.
fn moment(at: Duration) -> timespec {
    timespec { tv_sec: at.as_secs() as i64, tv_nsec: i64::from(at.subsec_nanos()) }
}

/// The element of `futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    addr: u64,
    flags: u32,
    reserved: u32,
}

fn waiter(word: &AtomicU32) -> Waiter {
    Waiter { value: 0, addr: at(word) as u64, flags: 2 | 128, reserved: 0 }
}

/// Sends the calling thread a signal soon, and calls `after` a while later.
fn signal_soon(signal: i32, after: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    let (pid, tid) = (getpid(), gettid());
    spawn(move || {
        sleep_ms(40);
        sys!(tgkill, pid, tid, signal).must();
        sleep_ms(40);
        after();
    })
}

/// Makes the site of all calls one that a kernel may want to treat in a special way.
fn heat() {
    for _ in 0..200 {
        let _ = getpid();
    }
}

case!(handler_without_restart_gives_eintr, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    count_signal(SIGUSR1, 0);
    for round in 1..=3 {
        let helper = signal_soon(SIGUSR1, || {});
        check_eq!(sys!(futex, at(&WORD), WAIT, 0, NULL), Err(EINTR));
        check_eq!(counted(SIGUSR1), round);
        helper.join().ok().must();
        heat();
    }
});

case!(handler_with_restart_goes_on, [futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    count_signal(SIGUSR1, SA_RESTART);
    for _ in 0..2 {
        let helper = signal_soon(SIGUSR1, || {
            check_eq!(sys!(futex, at(&WORD), WAKE, 1), Ok(1));
        });
        check_eq!(sys!(futex, at(&WORD), WAIT, 0, NULL), Ok(0));
        helper.join().ok().must();
        heat();
    }
    check_eq!(counted(SIGUSR1), 2);
});

case!(any_handler_ends_a_wait_with_timeout, [futex], {
    let word = AtomicU32::new(0);
    for flags in [0, SA_RESTART] {
        count_signal(SIGUSR1, flags);
        heat();
        let helper = signal_soon(SIGUSR1, || {});
        check_eq!(sys!(futex, at(&word), WAIT, 0, &millis(5000)), Err(EINTR));
        helper.join().ok().must();
        let helper = signal_soon(SIGUSR1, || {});
        let until = moment(now() + Duration::from_secs(5));
        check_eq!(sys!(futex, at(&word), WAIT_UNTIL, 0, &until, 0, ANY), Err(EINTR));
        helper.join().ok().must();
    }
    check_eq!(counted(SIGUSR1), 4);
});

case!(handler_sees_a_changed_word_and_wait_ends, [futex], {
    // A restarted call compares again.
    static WORD: AtomicU32 = AtomicU32::new(0);
    on(SIGUSR1, SA_RESTART, |_, _| WORD.store(1, SeqCst));
    let helper = signal_soon(SIGUSR1, || {});
    check_eq!(sys!(futex, at(&WORD), WAIT, 0, NULL), Err(EAGAIN));
    helper.join().ok().must();
});

case!(ignored_and_blocked_signals_do_not_interrupt, [futex], {
    let word = AtomicU32::new(0);
    ignore(SIGUSR1);
    let helper = signal_soon(SIGUSR1, || {});
    check_eq!(sys!(futex, at(&word), WAIT, 0, &millis(100)), Err(ETIMEDOUT));
    helper.join().ok().must();
    block(&[SIGUSR2]);
    let helper = signal_soon(SIGUSR2, || {});
    check_eq!(sys!(futex, at(&word), WAIT, 0, &millis(100)), Err(ETIMEDOUT));
    helper.join().ok().must();
    check_eq!(pending(), mask_of(&[SIGUSR2]));
});

case!(stopping_is_no_interruption, [futex, kill], {
    let words = words();
    let child = fork(|| {
        words[1].store(1, SeqCst);
        check_eq!(sys!(futex, at(&words[0]), FUTEX_WAIT, 0, NULL), Ok(0));
    });
    for _ in 0..3 {
        settle();
        child.kill(SIGSTOP);
        check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
        child.kill(SIGCONT);
    }
    settle();
    while sys!(futex, at(&words[0]), FUTEX_WAKE, 1) != Ok(1) {
        sleep_ms(1);
    }
    child.ok();
});

case!(stopping_is_no_end_of_a_wait_with_timeout, [futex, kill], {
    let word = AtomicU32::new(0);
    for is_absolute in [false, true] {
        let child = fork(|| {
            heat();
            let start = now();
            let end = start + Duration::from_millis(200);
            let result = match is_absolute {
                false => sys!(futex, at(&word), WAIT, 0, &millis(200)),
                true => sys!(futex, at(&word), WAIT_UNTIL, 0, &moment(end), 0, ANY),
            };
            check_eq!(result, Err(ETIMEDOUT));
            check!(now() >= end);
        });
        sleep_ms(40);
        child.kill(SIGSTOP);
        check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
        child.kill(SIGCONT);
        child.ok();
    }
});

case!(absolute_timeout_ends_while_stopped, [futex, kill], {
    let word = AtomicU32::new(0);
    let child = fork(|| {
        let end = now() + Duration::from_millis(120);
        let result = sys!(futex, at(&word), WAIT_UNTIL, 0, &moment(end), 0, ANY);
        check_eq!(result, Err(ETIMEDOUT));
        check!(now() < end + Duration::from_millis(1500));
    });
    sleep_ms(40);
    child.kill(SIGSTOP);
    check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
    sleep_ms(150);
    child.kill(SIGCONT);
    child.ok();
});

case!(wake_while_stopped_is_seen, [futex, kill], {
    let words = words();
    let child = fork(|| {
        let result = sys!(futex, at(&words[0]), FUTEX_WAIT, 0, NULL);
        check!(matches!(result, Ok(0) | Err(EAGAIN)), "{result:?}");
    });
    settle();
    child.kill(SIGSTOP);
    check_eq!(child.wait_stop(), Status::Stopped(SIGSTOP));
    words[0].store(1, SeqCst);
    sys!(futex, at(&words[0]), FUTEX_WAKE, 1).must();
    child.kill(SIGCONT);
    child.ok();
});

case!(fatal_signals_end_waits, [futex, kill], {
    let word = AtomicU32::new(0);
    for signal in [SIGTERM, SIGKILL] {
        let child = fork(|| {
            spawn(|| sleep_ms(10_000));
            let _ = sys!(futex, at(&word), WAIT, 0, NULL);
        });
        settle();
        child.kill(signal);
        check_eq!(child.wait(), Status::Signaled(signal));
    }
});

case!(exit_of_another_thread_ends_waits, [futex, exit_group], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let child = fork(|| {
        for _ in 0..3 {
            spawn(|| sys!(futex, at(&WORD), WAIT, 0, NULL));
        }
        settle();
        let _ = sys!(exit_group, 7);
    });
    check_eq!(child.wait(), Status::Exited(7));
});

case!(waitv_goes_on_or_gives_eintr, [futex_waitv], {
    static WORDS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    let list = [waiter(&WORDS[0]), waiter(&WORDS[1])];
    if sys!(futex_waitv, &list, 2, 0, &millis(0), CLOCK_MONOTONIC) == Err(ENOSYS) {
        skip!("no futex_waitv before Linux 5.16");
    }
    count_signal(SIGUSR1, 0);
    let helper = signal_soon(SIGUSR1, || {});
    check_eq!(sys!(futex_waitv, &list, 2, 0, NULL, 0), Err(EINTR));
    helper.join().ok().must();
    count_signal(SIGUSR2, SA_RESTART);
    let helper = signal_soon(SIGUSR2, || {
        check_eq!(sys!(futex, at(&WORDS[1]), WAKE, 1), Ok(1));
    });
    check_eq!(sys!(futex_waitv, &list, 2, 0, NULL, 0), Ok(1), "the index of what was woken");
    helper.join().ok().must();
    let helper = signal_soon(SIGUSR2, || {});
    let end = now() + Duration::from_millis(150);
    let result = sys!(futex_waitv, &list, 2, 0, &moment(end), CLOCK_MONOTONIC);
    check_eq!(result, Err(ETIMEDOUT), "an absolute timeout is no reason for EINTR");
    check!(now() >= end);
    helper.join().ok().must();
    check_eq!((counted(SIGUSR1), counted(SIGUSR2)), (1, 2));
});

case!(waits_of_all_kinds_see_each_other, [futex_waitv, futex], {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let list = [waiter(&WORD)];
    if sys!(futex_waitv, &list, 1, 0, &millis(0), CLOCK_MONOTONIC) == Err(ENOSYS) {
        skip!("no futex_waitv before Linux 5.16");
    }
    let threads = [
        spawn(|| sys!(futex_waitv, &[waiter(&WORD)], 1, 0, NULL, 0)),
        spawn(|| sys!(futex, at(&WORD), WAIT, 0, NULL)),
        spawn(|| sys!(futex, at(&WORD), WAIT_UNTIL, 0, NULL, 0, ANY)),
    ];
    let mut woken = 0;
    while woken < 3 {
        woken += sys!(futex, at(&WORD), WAKE, 10).must();
        sleep_ms(1);
    }
    for thread in threads {
        check_eq!(thread.join().ok().must(), Ok(0));
    }
});

case!(interrupted_calls_before_a_wait_are_not_taken_for_it, [futex, poll], {
    // The same site, EINTR as the result, and arguments like those of a wait with a timeout.
    count_signal(SIGUSR1, 0);
    let mut nothing = 0u32;
    for _ in 0..10 {
        let (pid, tid) = (getpid(), gettid());
        let helper = spawn(move || {
            sleep_ms(10);
            for _ in 0..20 {
                sys!(tgkill, pid, tid, SIGUSR1).must();
                sys!(sched_yield).must();
            }
        });
        let result = sys!(poll, &mut nothing, 0, 3000, 1);
        check_eq!(result, Err(EINTR));
        helper.join().ok().must();
    }
});

case!(nothing_is_lost_in_a_storm_of_signals, [futex], {
    // Two threads hand a turn to each other; a third one interrupts both.
    static TURN: AtomicU32 = AtomicU32::new(0);
    static DONE: AtomicU32 = AtomicU32::new(0);
    fn play(own: u32, rounds: u32) {
        for round in 0..rounds {
            while TURN.load(SeqCst) != own {
                let result = match round % 3 {
                    0 => sys!(futex, at(&TURN), WAIT, 1 - own, NULL),
                    1 => sys!(futex, at(&TURN), WAIT, 1 - own, &millis(20_000)),
                    _ => {
                        let until = moment(now() + Duration::from_secs(20));
                        sys!(futex, at(&TURN), WAIT_UNTIL, 1 - own, &until, 0, ANY)
                    }
                };
                let is_known = matches!(result, Ok(0) | Err(EAGAIN | EINTR));
                check!(is_known, "round {round}: {result:?}");
            }
            TURN.store(1 - own, SeqCst);
            sys!(futex, at(&TURN), WAKE, 1).must();
        }
        DONE.fetch_add(1, SeqCst);
    }
    count_signal(SIGUSR1, SA_RESTART);
    count_signal(SIGUSR2, 0);
    const ROUNDS: u32 = 1500;
    let (pid, tids) = (getpid(), words());
    let players = [0, 1].map(|own| {
        spawn(move || {
            tids[own].store(gettid() as u32, SeqCst);
            play(own as u32, ROUNDS);
        })
    });
    let mut sent = 0u32;
    while DONE.load(SeqCst) < 2 {
        for tid in &tids[..2] {
            let signal = if sent.is_multiple_of(2) { SIGUSR1 } else { SIGUSR2 };
            // One may have ended.
            let _ = sys!(tgkill, pid, tid.load(SeqCst), signal);
            sent += 1;
        }
        sys!(sched_yield).must();
    }
    for player in players {
        player.join().ok().must();
    }
    check!(counted(SIGUSR1) + counted(SIGUSR2) > 0);
});

case!(a_waiting_thread_sleeps, [futex, read], {
    let words = words();
    let child = fork(|| {
        let _ = sys!(futex, at(&words[0]), FUTEX_WAIT, 0, NULL);
    });
    let name = format!("/proc/{}/stat", child.pid);
    let state = || {
        let text = std::fs::read_to_string(&name).must();
        text.rsplit_once(") ").must().1.chars().next().must()
    };
    let limit = now() + Duration::from_secs(5);
    while state() != 'S' && now() < limit {
        sleep_ms(5);
    }
    check_eq!(state(), 'S');
    child.end();
});
