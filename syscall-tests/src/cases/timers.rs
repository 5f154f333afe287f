//! alarm, getitimer, setitimer, timer_create and its family.

use crate::support::prelude::*;

fn real(value_ms: i64, interval_ms: i64) -> itimerval {
    let val = |ms: i64| timeval { tv_sec: ms / 1000, tv_usec: ms % 1000 * 1000 };
    itimerval { it_interval: val(interval_ms), it_value: val(value_ms) }
}

fn spec(value_ms: i64, interval_ms: i64) -> itimerspec {
    itimerspec { it_interval: millis(interval_ms), it_value: millis(value_ms) }
}

fn wait_for(signal: i32, count: u32) {
    let start = now();
    while counted(signal) < count {
        check!(now() - start < Duration::from_secs(5), "only {} signals", counted(signal));
        sleep_ms(1);
    }
}

/// The kernel's `struct sigevent`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Event {
    value: u64,
    signo: i32,
    notify: i32,
    tid: i32,
    pad: [i32; 11],
}

fn event(notify: i32, signo: i32, value: u64) -> Event {
    Event { value, signo, notify, tid: 0, pad: [0; 11] }
}

fn create_timer(clock: i32, event: &Event) -> i32 {
    let mut id = -1i32;
    sys!(timer_create, clock, event, &mut id).must();
    id
}

case!(alarm_sends_sigalrm, [alarm], {
    count_signal(SIGALRM, 0);
    check_eq!(sys!(alarm, 1), Ok(0));
    let start = now();
    check_eq!(sys!(pause), Err(EINTR));
    let took = now() - start;
    check!(took >= Duration::from_millis(900), "{took:?}");
    check_eq!(counted(SIGALRM), 1);
});

case!(alarm_returns_what_was_left, [alarm], {
    check_eq!(sys!(alarm, 100), Ok(0));
    let left = sys!(alarm, 0).must();
    check!(left == 99 || left == 100, "{left}");
    check_eq!(sys!(alarm, 0), Ok(0), "cancelled");
});

case!(alarm_and_itimer_real_are_one_timer, [alarm, getitimer, setitimer], {
    sys!(alarm, 100).must();
    let mut value: itimerval = zeroed();
    sys!(getitimer, ITIMER_REAL, &mut value).must();
    check!(value.it_value.tv_sec >= 99 && value.it_interval.tv_sec == 0);
    sys!(setitimer, ITIMER_REAL, &real(0, 0), &mut value).must();
    check_eq!(sys!(alarm, 0), Ok(0));
});

case!(interval_timer_repeats, [setitimer], {
    count_signal(SIGALRM, 0);
    sys!(setitimer, ITIMER_REAL, &real(10, 10), NULL).must();
    wait_for(SIGALRM, 3);
    sys!(setitimer, ITIMER_REAL, &real(0, 0), NULL).must();
    let after = counted(SIGALRM);
    sleep_ms(50);
    check_eq!(counted(SIGALRM), after, "disarmed");
});

case!(virtual_and_profiling_timers_count_cpu_time, [setitimer], {
    for (which, signal) in [(ITIMER_VIRTUAL, SIGVTALRM), (ITIMER_PROF, SIGPROF)] {
        count_signal(signal, 0);
        sys!(setitimer, which, &real(20, 0), NULL).must();
        sleep_ms(80);
        check_eq!(counted(signal), 0, "asleep");
        let start = now();
        while counted(signal) == 0 {
            check!(now() - start < Duration::from_secs(5), "timer {which} never fired");
        }
    }
});

case!(itimer_errors, [getitimer, setitimer], {
    let mut value: itimerval = zeroed();
    check_eq!(sys!(getitimer, 3, &mut value), Err(EINVAL));
    check_eq!(sys!(setitimer, 3, &value, NULL), Err(EINVAL));
    check_eq!(sys!(setitimer, -1, &value, NULL), Err(EINVAL));
    check_eq!(sys!(getitimer, ITIMER_REAL, BAD), Err(EFAULT));
    check_eq!(sys!(setitimer, ITIMER_REAL, BAD, NULL), Err(EFAULT));
    value.it_value.tv_usec = 1_000_000;
    check_eq!(sys!(setitimer, ITIMER_REAL, &value, NULL), Err(EINVAL));
    value.it_value.tv_usec = -1;
    check_eq!(sys!(setitimer, ITIMER_REAL, &value, NULL), Err(EINVAL));
});

case!(timer_signals_with_its_value, [timer_create, timer_settime, timer_delete], {
    static VALUE: AtomicU64 = AtomicU64::new(0);
    static CODE: AtomicI32 = AtomicI32::new(0);
    count_signal(40, 0);
    on(40, 0, |info, _| {
        VALUE.store(info.value(), SeqCst);
        CODE.store(info.code, SeqCst);
    });
    let id = create_timer(CLOCK_MONOTONIC, &event(SIGEV_SIGNAL, 40, 0xdead_beef_1234));
    check_eq!(sys!(timer_settime, id, 0, &spec(10, 0), NULL), Ok(0));
    let start = now();
    while CODE.load(SeqCst) == 0 && now() - start < Duration::from_secs(5) {
        sleep_ms(1);
    }
    check_eq!((CODE.load(SeqCst), VALUE.load(SeqCst)), (-2, 0xdead_beef_1234));
    check_eq!(sys!(timer_delete, id), Ok(0));
    check_eq!(sys!(timer_delete, id), Err(EINVAL));
});

case!(timer_without_event_sends_sigalrm_with_its_id, [timer_create, timer_settime], {
    static ID: AtomicI32 = AtomicI32::new(-1);
    let mut id = -1i32;
    sys!(timer_create, CLOCK_REALTIME, NULL, &mut id).must();
    on(SIGALRM, 0, |info, _| ID.store(info.value() as i32, SeqCst));
    sys!(timer_settime, id, 0, &spec(5, 0), NULL).must();
    check_eq!(sys!(pause), Err(EINTR));
    check_eq!(ID.load(SeqCst), id);
});

case!(timer_gettime_counts_down, [timer_create, timer_gettime, timer_settime], {
    let id = create_timer(CLOCK_MONOTONIC, &event(SIGEV_SIGNAL, SIGUSR1, 0));
    let mut value: itimerspec = zeroed();
    check_eq!(sys!(timer_gettime, id, &mut value), Ok(0));
    check_eq!((value.it_value.tv_sec, value.it_value.tv_nsec), (0, 0), "not armed");
    sys!(timer_settime, id, 0, &spec(100_000, 5000), NULL).must();
    sys!(timer_gettime, id, &mut value).must();
    check_eq!(value.it_value.tv_sec, 99);
    check_eq!(value.it_interval.tv_sec, 5);
    let mut old: itimerspec = zeroed();
    sys!(timer_settime, id, 0, &spec(0, 0), &mut old).must();
    check_eq!(old.it_value.tv_sec, 99);
    sys!(timer_gettime, id, &mut value).must();
    check_eq!((value.it_value.tv_sec, value.it_value.tv_nsec), (0, 0));
});

case!(absolute_timer, [timer_create, timer_settime], {
    count_signal(SIGUSR1, 0);
    let id = create_timer(CLOCK_MONOTONIC, &event(SIGEV_SIGNAL, SIGUSR1, 0));
    let end = now() + Duration::from_millis(30);
    let at = timespec { tv_sec: end.as_secs() as i64, tv_nsec: i64::from(end.subsec_nanos()) };
    let value = itimerspec { it_interval: zeroed(), it_value: at };
    sys!(timer_settime, id, TIMER_ABSTIME, &value, NULL).must();
    wait_for(SIGUSR1, 1);
    check!(now() >= end);
    let past = itimerspec { it_interval: zeroed(), it_value: timespec { tv_sec: 1, tv_nsec: 0 } };
    sys!(timer_settime, id, TIMER_ABSTIME, &past, NULL).must();
    wait_for(SIGUSR1, 2);
});

case!(overruns_are_counted, [timer_create, timer_getoverrun], {
    block(&[SIGUSR1]);
    let id = create_timer(CLOCK_MONOTONIC, &event(SIGEV_SIGNAL, SIGUSR1, 0));
    sys!(timer_settime, id, 0, &spec(5, 5), NULL).must();
    sleep_ms(80);
    let mut info: SigInfo = zeroed();
    sys!(rt_sigtimedwait, &mask_of(&[SIGUSR1]), &mut info, &millis(1000), 8).must();
    check!(info.overrun() >= 3, "one signal, and {} more expirations", info.overrun());
    check_eq!(info.timer_id(), id);
    let overrun = sys!(timer_getoverrun, id).must();
    check_eq!(overrun, i64::from(info.overrun()));
});

case!(timer_to_a_thread, [timer_create], {
    const SIGEV_THREAD_ID: i32 = 4;
    block(&[SIGUSR1]);
    let mut to_thread = event(SIGEV_THREAD_ID, SIGUSR1, 0);
    to_thread.tid = gettid();
    let id = create_timer(CLOCK_MONOTONIC, &to_thread);
    sys!(timer_settime, id, 0, &spec(1, 0), NULL).must();
    spawn(|| {
        sleep_ms(30);
        check_eq!(pending(), 0);
    })
    .join()
    .ok()
    .must();
    check_eq!(pending(), mask_of(&[SIGUSR1]));
    to_thread.tid = i32::MAX;
    check_eq!(sys!(timer_create, CLOCK_MONOTONIC, &to_thread, &mut 0i32), Err(EINVAL));
});

case!(cpu_time_timer, [timer_create, timer_settime], {
    count_signal(SIGUSR1, 0);
    let id = create_timer(CLOCK_PROCESS_CPUTIME_ID, &event(SIGEV_SIGNAL, SIGUSR1, 0));
    sys!(timer_settime, id, 0, &spec(20, 0), NULL).must();
    let start = now();
    while counted(SIGUSR1) == 0 {
        check!(now() - start < Duration::from_secs(5), "never fired");
    }
});

case!(timer_errors, [timer_create, timer_settime, timer_gettime, timer_getoverrun], {
    let mut id = 0i32;
    let mut value = spec(1, 0);
    check_eq!(sys!(timer_create, 99, NULL, &mut id), Err(EINVAL));
    check_eq!(sys!(timer_create, CLOCK_MONOTONIC, BAD, &mut id), Err(EFAULT));
    check_eq!(sys!(timer_create, CLOCK_MONOTONIC, NULL, BAD), Err(EFAULT));
    check_eq!(
        sys!(timer_create, CLOCK_MONOTONIC, &event(SIGEV_SIGNAL, 65, 0), &mut id),
        Err(EINVAL)
    );
    check_eq!(sys!(timer_create, CLOCK_MONOTONIC, &event(99, 0, 0), &mut id), Err(EINVAL));
    check_eq!(sys!(timer_settime, 12345, 0, &value, NULL), Err(EINVAL));
    check_eq!(sys!(timer_gettime, 12345, &mut value), Err(EINVAL));
    check_eq!(sys!(timer_getoverrun, 12345), Err(EINVAL));
    sys!(timer_create, CLOCK_MONOTONIC, NULL, &mut id).must();
    check_eq!(sys!(timer_settime, id, 0, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(timer_settime, id, 0, NULL, NULL), Err(EINVAL));
    check_eq!(sys!(timer_gettime, id, BAD), Err(EFAULT));
    value.it_value.tv_nsec = 1_000_000_000;
    check_eq!(sys!(timer_settime, id, 0, &value, NULL), Err(EINVAL));
});

case!(children_have_no_timers_and_exec_deletes_them, [timer_create, fork], {
    let id = create_timer(CLOCK_MONOTONIC, &event(SIGEV_NONE, 0, 0));
    fork(|| check_eq!(sys!(timer_delete, id), Err(EINVAL))).ok();
    check_eq!(sys!(timer_delete, id), Ok(0));
});
