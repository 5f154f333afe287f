//! getrlimit, setrlimit, prlimit64, getrusage.

use crate::support::prelude::*;

const ALL: [u32; 16] = [
    RLIMIT_CPU,
    RLIMIT_FSIZE,
    RLIMIT_DATA,
    RLIMIT_STACK,
    RLIMIT_CORE,
    RLIMIT_RSS,
    RLIMIT_NPROC,
    RLIMIT_NOFILE,
    RLIMIT_MEMLOCK,
    RLIMIT_AS,
    RLIMIT_LOCKS,
    RLIMIT_SIGPENDING,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_RTPRIO,
    RLIMIT_RTTIME,
];

fn get(resource: u32) -> (u64, u64) {
    let mut limit: rlimit = zeroed();
    sys!(getrlimit, resource, &mut limit).must();
    (limit.rlim_cur, limit.rlim_max)
}

fn set(resource: u32, soft: u64, hard: u64) -> Result<i64, Errno> {
    sys!(setrlimit, resource, &rlimit { rlim_cur: soft, rlim_max: hard })
}

case!(every_limit_can_be_read_and_set_to_itself, [getrlimit, setrlimit], {
    for resource in ALL {
        let (soft, hard) = get(resource);
        check!(soft <= hard, "limit {resource}");
        check_eq!(set(resource, soft, hard), Ok(0), "limit {resource}");
    }
});

case!(errors, [getrlimit, setrlimit, prlimit64], {
    let mut limit: rlimit = zeroed();
    check_eq!(sys!(getrlimit, 16, &mut limit), Err(EINVAL));
    check_eq!(sys!(setrlimit, 16, &limit), Err(EINVAL));
    check_eq!(sys!(getrlimit, RLIMIT_NOFILE, BAD), Err(EFAULT));
    check_eq!(sys!(setrlimit, RLIMIT_NOFILE, BAD), Err(EFAULT));
    check_eq!(set(RLIMIT_NOFILE, 20, 10), Err(EINVAL), "soft above hard");
    check_eq!(sys!(prlimit64, i32::MAX, RLIMIT_NOFILE, NULL, &mut limit), Err(ESRCH));
    check_eq!(sys!(prlimit64, 0, 16, NULL, &mut limit), Err(EINVAL));
});

case!(hard_limit_only_goes_down_for_ordinary_users, [setrlimit], {
    as_nobody(|| {
        check_eq!(set(RLIMIT_CORE, 0, 1000), Ok(0));
        check_eq!(set(RLIMIT_CORE, 500, 1000), Ok(0));
        check_eq!(set(RLIMIT_CORE, 0, 1001), Err(EPERM));
        check_eq!(set(RLIMIT_CORE, 0, 500), Ok(0));
        check_eq!(get(RLIMIT_CORE), (0, 500));
    });
});

case!(inherited_by_children_and_shared_by_threads, [setrlimit, fork], {
    sys!(setrlimit, RLIMIT_CORE, &rlimit { rlim_cur: 1, rlim_max: 2 }).must();
    fork(|| {
        check_eq!(get(RLIMIT_CORE), (1, 2));
        set(RLIMIT_CORE, 0, 0).must();
    })
    .ok();
    check_eq!(get(RLIMIT_CORE), (1, 2));
    spawn(|| set(RLIMIT_CORE, 0, 2).must()).join().ok().must();
    check_eq!(get(RLIMIT_CORE), (0, 2));
});

case!(prlimit_sets_and_returns_the_old_limit, [prlimit64], {
    let gate = Gate::new();
    let child = fork(|| {
        gate.wait();
        check_eq!(get(RLIMIT_NOFILE), (64, 128));
    });
    let new = rlimit { rlim_cur: 64, rlim_max: 128 };
    let mut old: rlimit = zeroed();
    check_eq!(sys!(prlimit64, child.pid, RLIMIT_NOFILE, &new, &mut old), Ok(0));
    check_eq!((old.rlim_cur, old.rlim_max), get(RLIMIT_NOFILE));
    gate.open();
    child.ok();
    check_eq!(sys!(prlimit64, 0, RLIMIT_NOFILE, NULL, &mut old), Ok(0));
});

case!(prlimit_of_another_user_is_eperm, [prlimit64], {
    need_root();
    let parent = getpid();
    as_nobody(|| {
        let mut old: rlimit = zeroed();
        check_eq!(sys!(prlimit64, parent, RLIMIT_NOFILE, NULL, &mut old), Err(EPERM));
    });
});

case!(cpu_limit_sends_sigxcpu_then_kills, [setrlimit], {
    let child = fork(|| {
        set(RLIMIT_CPU, 1, 3).must();
        count_signal(SIGXCPU, 0);
        while counted(SIGXCPU) == 0 {}
        exit(33);
    });
    check_eq!(child.wait(), Status::Exited(33));
});

case!(rusage_counts_this_process_and_thread, [getrusage], {
    let start = now();
    while now() - start < Duration::from_millis(60) {}
    let mut usage: rusage = zeroed();
    check_eq!(sys!(getrusage, RUSAGE_SELF, &mut usage), Ok(0));
    let total = |u: &rusage| {
        (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1_000_000
            + u.ru_utime.tv_usec
            + u.ru_stime.tv_usec
    };
    check!(total(&usage) > 5_000, "{} µs", total(&usage));
    check!(usage.ru_maxrss > 100, "{} KiB", usage.ru_maxrss);
    let mut thread: rusage = zeroed();
    check_eq!(sys!(getrusage, RUSAGE_THREAD, &mut thread), Ok(0));
    check!(total(&thread) > 5_000);
    check_eq!(sys!(getrusage, RUSAGE_CHILDREN, &mut usage), Ok(0));
    check_eq!(total(&usage), 0);
    check_eq!(sys!(getrusage, 99, &mut usage), Err(EINVAL));
    check_eq!(sys!(getrusage, RUSAGE_SELF, BAD), Err(EFAULT));
});
