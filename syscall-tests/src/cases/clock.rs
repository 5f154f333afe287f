//! clock_gettime, clock_getres, clock_settime, gettimeofday, time, times, nanosleep,
//! clock_nanosleep.

use crate::support::prelude::*;

fn read_clock(id: i32) -> Duration {
    let mut time: timespec = zeroed();
    sys!(clock_gettime, id, &mut time).must();
    check!((0..1_000_000_000).contains(&time.tv_nsec));
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn spec(time: Duration) -> timespec {
    timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

const CLOCKS: [i32; 8] = [
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
];

case!(clocks_do_not_run_backwards, [clock_gettime], {
    for id in CLOCKS {
        let mut last = read_clock(id);
        for _ in 0..50 {
            let next = read_clock(id);
            check!(next >= last, "clock {id}");
            last = next;
        }
    }
});

case!(clocks_agree, [clock_gettime, gettimeofday, time], {
    let real = read_clock(CLOCK_REALTIME).as_secs_f64();
    let mut tv: timeval = zeroed();
    check_eq!(sys!(gettimeofday, &mut tv, NULL), Ok(0));
    check!((tv.tv_sec as f64 + tv.tv_usec as f64 / 1e6 - real).abs() < 1.0);
    let seconds = sys!(time, NULL).must();
    check!((seconds as f64 - real).abs() < 2.0);
    let mut stored = 0i64;
    check_eq!(sys!(time, &mut stored).must(), stored);
    let coarse = read_clock(CLOCK_REALTIME_COARSE).as_secs_f64();
    check!((coarse - real).abs() < 1.0);
});

case!(the_vdso_and_the_kernel_agree, [clock_gettime], {
    for _ in 0..10 {
        let before = read_clock(CLOCK_MONOTONIC);
        let vdso = crate::support::time::vdso_monotonic();
        let after = read_clock(CLOCK_MONOTONIC);
        check!(before <= vdso && vdso <= after, "{before:?} {vdso:?} {after:?}");
    }
});

case!(clock_errors, [clock_gettime, clock_getres, gettimeofday, time], {
    let mut time: timespec = zeroed();
    check_eq!(sys!(clock_gettime, 99, &mut time), Err(EINVAL));
    check_eq!(sys!(clock_gettime, CLOCK_REALTIME, BAD), Err(EFAULT));
    check_eq!(sys!(clock_getres, 99, &mut time), Err(EINVAL));
    check_eq!(sys!(clock_getres, CLOCK_REALTIME, BAD), Err(EFAULT));
    check_eq!(sys!(clock_getres, CLOCK_REALTIME, NULL), Ok(0));
    check_eq!(sys!(gettimeofday, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(gettimeofday, NULL, NULL), Ok(0));
    check_eq!(sys!(time, BAD), Err(EFAULT));
});

case!(resolution_is_one_nanosecond, [clock_getres], {
    let mut time: timespec = zeroed();
    check_eq!(sys!(clock_getres, CLOCK_MONOTONIC, &mut time), Ok(0));
    check_eq!((time.tv_sec, time.tv_nsec), (0, 1));
    check_eq!(sys!(clock_getres, CLOCK_MONOTONIC_COARSE, &mut time), Ok(0));
    check!(time.tv_nsec >= 1_000_000, "a tick");
});

case!(cpu_clocks_count_work_and_not_sleep, [clock_gettime], {
    let start = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ms(50);
    let slept = read_clock(CLOCK_PROCESS_CPUTIME_ID) - start;
    check!(slept < Duration::from_millis(40), "{slept:?} while asleep");
    let begin = now();
    while now() - begin < Duration::from_millis(50) {}
    let worked = read_clock(CLOCK_PROCESS_CPUTIME_ID) - start;
    check!(worked > Duration::from_millis(5), "{worked:?} at work");
    check!(read_clock(CLOCK_THREAD_CPUTIME_ID) <= read_clock(CLOCK_PROCESS_CPUTIME_ID));
});

case!(cpu_clock_of_another_process, [clock_gettime], {
    let child = fork(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    sleep_ms(60);
    // ~pid << 3 | CPUCLOCK_SCHED: as clock_getcpuclockid makes it.
    let id = !child.pid << 3 | 2;
    check!(read_clock(id) > Duration::ZERO);
    child.end();
    check_eq!(sys!(clock_gettime, id, &mut zeroed::<timespec>()), Err(EINVAL));
});

case!(settime_refuses_bad_requests, [clock_settime, settimeofday], {
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(clock_settime, 99, &bad), Err(EINVAL));
    check_eq!(sys!(clock_settime, CLOCK_MONOTONIC, &spec(Duration::ZERO)), Err(EINVAL));
    check_eq!(sys!(clock_settime, CLOCK_REALTIME, &bad), Err(EINVAL));
    check_eq!(sys!(clock_settime, CLOCK_REALTIME, BAD), Err(EFAULT));
    let bad = timeval { tv_sec: 0, tv_usec: 1_000_000 };
    check_eq!(sys!(settimeofday, &bad, NULL), Err(EINVAL));
    check_eq!(sys!(settimeofday, BAD, NULL), Err(EFAULT));
    as_nobody(|| {
        let time = read_clock(CLOCK_REALTIME);
        check_eq!(sys!(clock_settime, CLOCK_REALTIME, &spec(time)), Err(EPERM));
    });
});

case!(nanosleep_sleeps_long_enough, [nanosleep], {
    for ms in [1, 5, 20] {
        let start = now();
        check_eq!(sys!(nanosleep, &millis(ms), NULL), Ok(0));
        check!(now() - start >= Duration::from_millis(ms as u64));
    }
    check_eq!(sys!(nanosleep, &millis(0), NULL), Ok(0));
});

case!(nanosleep_errors, [nanosleep], {
    let bad = |tv_sec, tv_nsec| timespec { tv_sec, tv_nsec };
    check_eq!(sys!(nanosleep, &bad(0, 1_000_000_000), NULL), Err(EINVAL));
    check_eq!(sys!(nanosleep, &bad(0, -1), NULL), Err(EINVAL));
    check_eq!(sys!(nanosleep, &bad(-1, 0), NULL), Err(EINVAL));
    check_eq!(sys!(nanosleep, BAD, NULL), Err(EFAULT));
    check_eq!(sys!(nanosleep, NULL, NULL), Err(EFAULT));
});

case!(interrupted_nanosleep_tells_what_is_left, [nanosleep, clock_nanosleep], {
    count_signal(SIGALRM, 0);
    let soon =
        |usec| itimerval { it_interval: zeroed(), it_value: timeval { tv_sec: 0, tv_usec: usec } };
    let mut left: timespec = zeroed();
    sys!(setitimer, ITIMER_REAL, &soon(50_000), NULL).must();
    check_eq!(sys!(nanosleep, &millis(5000), &mut left), Err(EINTR));
    check!(left.tv_sec == 4 && left.tv_nsec > 0, "{} s {} ns", left.tv_sec, left.tv_nsec);
    sys!(setitimer, ITIMER_REAL, &soon(50_000), NULL).must();
    check_eq!(sys!(clock_nanosleep, CLOCK_MONOTONIC, 0, &millis(5000), &mut left), Err(EINTR));
    check_eq!(left.tv_sec, 4);
    check_eq!(sys!(nanosleep, &millis(1), BAD), Ok(0), "only used when interrupted");
});

case!(absolute_sleep, [clock_nanosleep], {
    for id in [CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME] {
        let end = read_clock(id) + Duration::from_millis(30);
        check_eq!(sys!(clock_nanosleep, id, TIMER_ABSTIME, &spec(end), NULL), Ok(0));
        check!(read_clock(id) >= end, "clock {id}");
        let past = spec(Duration::from_secs(1));
        check_eq!(sys!(clock_nanosleep, id, TIMER_ABSTIME, &past, NULL), Ok(0));
    }
});

case!(clock_nanosleep_errors, [clock_nanosleep], {
    check_eq!(sys!(clock_nanosleep, 99, 0, &millis(1), NULL), Err(EINVAL));
    check_eq!(sys!(clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, NULL), Err(EFAULT));
    let result = sys!(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &millis(1), NULL);
    check_eq!(result, Err(EOPNOTSUPP));
    let bad = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    check_eq!(sys!(clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, NULL), Err(EINVAL));
});

case!(adjustment_can_be_read_by_anyone, [adjtimex, clock_adjtime], {
    // struct timex, 208 bytes; mode 0 changes nothing.
    as_nobody(|| {
        let mut timex = [0u64; 26];
        let state = sys!(adjtimex, &mut timex).must();
        check!((0..=5).contains(&state), "{state}");
        check!(timex[9] > 1_500_000_000, "the time: {}", timex[9]);
        check_eq!(sys!(clock_adjtime, CLOCK_REALTIME, &mut timex), Ok(state));
        check_eq!(sys!(adjtimex, BAD), Err(EFAULT));
        check_eq!(sys!(clock_adjtime, 99, &mut timex), Err(EINVAL));
        check_eq!(sys!(clock_adjtime, CLOCK_MONOTONIC, &mut timex), Err(EOPNOTSUPP));
        timex[0] = 1; // ADJ_OFFSET
        check_eq!(sys!(adjtimex, &mut timex), Err(EPERM));
    });
});

case!(times_counts_ticks, [times], {
    let mut tms: tms = zeroed();
    let first = sys!(times, &mut tms).must();
    sleep_ms(50);
    let second = sys!(times, NULL).must();
    check!(second - first >= 3, "100 ticks a second");
    check_eq!(sys!(times, BAD), Err(EFAULT));
});
