//! sched_*, getcpu, getpriority, setpriority, membarrier, ioprio, rseq.

use crate::support::prelude::*;

case!(yield_returns, [sched_yield], {
    for _ in 0..100 {
        check_eq!(sys!(sched_yield), Ok(0));
    }
});

case!(affinity_can_be_read_and_narrowed, [sched_getaffinity, sched_setaffinity], {
    let mut mask = [0u64; 16];
    let size = sys!(sched_getaffinity, 0, 128, &mut mask).must();
    check!(size > 0 && size % 8 == 0 && mask[0] != 0, "{size} bytes");
    let first = 1u64 << mask.iter().find(|w| **w != 0).must().trailing_zeros();
    check_eq!(sys!(sched_setaffinity, 0, 8, &first), Ok(0));
    let mut now = [0u64; 16];
    sys!(sched_getaffinity, 0, 128, &mut now).must();
    check_eq!(now[0], first);
    fork(|| {
        let mut child = [0u64; 16];
        sys!(sched_getaffinity, 0, 128, &mut child).must();
        check_eq!(child[0], first, "inherited");
    })
    .ok();
    for _ in 0..20 {
        let mut cpu = 99u32;
        sys!(getcpu, &mut cpu, NULL, NULL).must();
        check_eq!(cpu, first.trailing_zeros());
        sys!(sched_yield).must();
    }
});

case!(affinity_errors, [sched_getaffinity, sched_setaffinity], {
    let mut mask = [0u64; 16];
    check_eq!(sys!(sched_getaffinity, 0, 4, &mut mask), Err(EINVAL), "not whole words");
    check_eq!(sys!(sched_getaffinity, 0, 128, BAD), Err(EFAULT));
    check_eq!(sys!(sched_getaffinity, i32::MAX, 128, &mut mask), Err(ESRCH));
    check_eq!(sys!(sched_setaffinity, 0, 128, &[0u64; 16]), Err(EINVAL), "no processor");
    check_eq!(sys!(sched_setaffinity, 0, 8, BAD), Err(EFAULT));
    check_eq!(sys!(sched_setaffinity, i32::MAX, 8, &1u64), Err(ESRCH));
});

case!(getcpu_takes_null, [getcpu], {
    let (mut cpu, mut node) = (u32::MAX, u32::MAX);
    check_eq!(sys!(getcpu, &mut cpu, &mut node, NULL), Ok(0));
    check!(cpu < 4096 && node < 1024);
    check_eq!(sys!(getcpu, NULL, NULL, NULL), Ok(0));
    check_eq!(sys!(getcpu, BAD, NULL, NULL), Err(EFAULT));
});

case!(nice_values, [getpriority, setpriority], {
    // The kernel's getpriority returns 20 - nice.
    check_eq!(sys!(getpriority, PRIO_PROCESS, 0), Ok(20));
    check_eq!(sys!(setpriority, PRIO_PROCESS, 0, 5), Ok(0));
    check_eq!(sys!(getpriority, PRIO_PROCESS, 0), Ok(15));
    check_eq!(sys!(setpriority, PRIO_PROCESS, 0, 100), Ok(0), "clamped");
    check_eq!(sys!(getpriority, PRIO_PROCESS, 0), Ok(1));
    fork(|| check_eq!(sys!(getpriority, PRIO_PROCESS, 0), Ok(1))).ok();
    check_eq!(sys!(getpriority, 9, 0), Err(EINVAL));
    check_eq!(sys!(setpriority, 9, 0, 0), Err(EINVAL));
    check_eq!(sys!(getpriority, PRIO_PROCESS, i32::MAX), Err(ESRCH));
    check!(sys!(getpriority, PRIO_PGRP, 0).is_ok() && sys!(getpriority, PRIO_USER, 0).is_ok());
});

case!(nice_cannot_be_lowered_without_privilege, [setpriority], {
    as_nobody(|| {
        sys!(setrlimit, RLIMIT_NICE, &rlimit { rlim_cur: 0, rlim_max: 0 }).must();
        check_eq!(sys!(setpriority, PRIO_PROCESS, 0, 3), Ok(0));
        check_eq!(sys!(setpriority, PRIO_PROCESS, 0, 2), Err(EACCES));
    });
    need_root();
    let parent = getpid();
    as_nobody(|| check_eq!(sys!(setpriority, PRIO_PROCESS, parent, 10), Err(EPERM)));
});

case!(policies, [sched_setscheduler, sched_getscheduler, sched_getparam, sched_setparam], {
    check_eq!(sys!(sched_getscheduler, 0), Ok(i64::from(SCHED_OTHER)));
    check_eq!(sys!(sched_setscheduler, 0, SCHED_BATCH, &0i32), Ok(0));
    check_eq!(sys!(sched_getscheduler, 0), Ok(i64::from(SCHED_BATCH)));
    let mut priority = 9i32;
    check_eq!(sys!(sched_getparam, 0, &mut priority), Ok(0));
    check_eq!(priority, 0);
    check_eq!(sys!(sched_setparam, 0, &0i32), Ok(0));
    check_eq!(sys!(sched_setparam, 0, &5i32), Err(EINVAL));
    check_eq!(sys!(sched_setscheduler, 0, SCHED_OTHER, &5i32), Err(EINVAL));
    check_eq!(sys!(sched_setscheduler, 0, 77, &0i32), Err(EINVAL));
    check_eq!(sys!(sched_setscheduler, 0, SCHED_FIFO, &0i32), Err(EINVAL));
    check_eq!(sys!(sched_setscheduler, 0, SCHED_OTHER, NULL), Err(EINVAL));
    check_eq!(sys!(sched_setscheduler, 0, SCHED_OTHER, BAD), Err(EFAULT));
    check_eq!(sys!(sched_getscheduler, i32::MAX), Err(ESRCH));
    check_eq!(sys!(sched_getscheduler, -1), Err(EINVAL));
    check_eq!(sys!(sched_getparam, 0, NULL), Err(EINVAL));
    as_nobody(|| {
        sys!(setrlimit, RLIMIT_RTPRIO, &rlimit { rlim_cur: 0, rlim_max: 0 }).must();
        check_eq!(sys!(sched_setscheduler, 0, SCHED_FIFO, &1i32), Err(EPERM));
    });
});

case!(priority_ranges, [sched_get_priority_max, sched_get_priority_min, sched_rr_get_interval], {
    for (policy, low, high) in [(SCHED_OTHER, 0, 0), (SCHED_FIFO, 1, 99), (SCHED_RR, 1, 99)] {
        check_eq!(sys!(sched_get_priority_min, policy), Ok(low));
        check_eq!(sys!(sched_get_priority_max, policy), Ok(high));
    }
    check_eq!(sys!(sched_get_priority_max, 77), Err(EINVAL));
    check_eq!(sys!(sched_get_priority_min, 77), Err(EINVAL));
    let mut interval: timespec = zeroed();
    check_eq!(sys!(sched_rr_get_interval, 0, &mut interval), Ok(0));
    check_eq!(sys!(sched_rr_get_interval, i32::MAX, &mut interval), Err(ESRCH));
    check_eq!(sys!(sched_rr_get_interval, 0, BAD), Err(EFAULT));
});

/// The first version of the kernel's `struct sched_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Attr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    times: [u64; 3],
}

case!(attributes, [sched_setattr, sched_getattr], {
    let mut attr: Attr = zeroed();
    check_eq!(sys!(sched_getattr, 0, &mut attr, 48, 0), Ok(0));
    check_eq!((attr.size, attr.policy, attr.nice), (48, 0, 0));
    attr.nice = 7;
    check_eq!(sys!(sched_setattr, 0, &attr, 0), Ok(0));
    check_eq!(sys!(getpriority, PRIO_PROCESS, 0), Ok(13));
    check_eq!(sys!(sched_setattr, 0, &attr, 1), Err(EINVAL));
    check_eq!(sys!(sched_getattr, 0, &mut attr, 40, 0), Err(EINVAL));
    check_eq!(sys!(sched_getattr, 0, &mut attr, 48, 1), Err(EINVAL));
    check_eq!(sys!(sched_getattr, 0, BAD, 48, 0), Err(EFAULT));
    check_eq!(sys!(sched_setattr, 0, BAD, 0), Err(EFAULT));
    attr.policy = 77;
    check_eq!(sys!(sched_setattr, 0, &attr, 0), Err(EINVAL));
});

case!(membarrier_registers_before_use, [membarrier], {
    let query = match sys!(membarrier, 0, 0, 0) {
        Err(ENOSYS) => skip!("the kernel has no membarrier"),
        other => other.must(),
    };
    check_eq!(sys!(membarrier, 0, 1, 0), Err(EINVAL));
    check_eq!(sys!(membarrier, 1 << 30, 0, 0), Err(EINVAL));
    if query & 8 != 0 {
        check_eq!(sys!(membarrier, 8, 0, 0), Err(EPERM), "not registered");
        check_eq!(sys!(membarrier, 16, 0, 0), Ok(0));
        check_eq!(sys!(membarrier, 8, 0, 0), Ok(0));
    }
});

case!(io_priority, [ioprio_get, ioprio_set], {
    const BEST_EFFORT_4: i32 = 2 << 13 | 4;
    check_eq!(sys!(ioprio_set, 1, 0, BEST_EFFORT_4), Ok(0));
    check_eq!(sys!(ioprio_get, 1, 0), Ok(i64::from(BEST_EFFORT_4)));
    check_eq!(sys!(ioprio_set, 9, 0, BEST_EFFORT_4), Err(EINVAL));
    check_eq!(sys!(ioprio_get, 1, i32::MAX), Err(ESRCH));
});
