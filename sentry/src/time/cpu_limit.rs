//! The limit on CPU time, `RLIMIT_CPU` of getrlimit(2): SIGXCPU at the soft limit and each second
//! after it, SIGKILL at the hard one.

use std::sync::Arc;

use linux_abi::signal::{SIGKILL, SIGXCPU};
use linux_abi::task::{RLIM_INFINITY, RLIMIT_CPU, Rlimit64};
use linux_abi::time::NSEC_PER_SEC;

use super::{Timers, cpu_timers};
use crate::task::ThreadGroup;

/// Sees to it that the limit is kept. Called when a process starts and when its limit changes.
pub fn watch_cpu_limit(timers: &Arc<Timers>, group: &Arc<ThreadGroup>) {
    if group.soft_limit(RLIMIT_CPU as usize) != RLIM_INFINITY {
        cpu_timers::look(timers, group);
    }
}

/// What a process that has used `used_ns` gets for it, and the time that is left then.
pub(super) fn check(group: &ThreadGroup, used_ns: i64) -> (Option<i32>, Option<i64>) {
    let mut limits = group.limits.lock();
    match limits.get_mut(RLIMIT_CPU as usize) {
        Some(limit) => check_limit(limit, used_ns),
        None => (None, None),
    }
}

fn check_limit(limit: &mut Rlimit64, used_ns: i64) -> (Option<i32>, Option<i64>) {
    if limit.cur == RLIM_INFINITY {
        return (None, None);
    }
    let is_over = |seconds: u64| seconds != RLIM_INFINITY && nanoseconds(seconds) <= used_ns;
    if is_over(limit.max) {
        return (Some(SIGKILL), None);
    }
    let mut signal = None;
    if is_over(limit.cur) {
        signal = Some(SIGXCPU);
        // Linux: the soft limit itself moves on.
        limit.cur += 1;
    }
    let next = nanoseconds(limit.cur.min(limit.max));
    (signal, Some(next.saturating_sub(used_ns)))
}

fn nanoseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NSEC_PER_SEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_warns_each_second_and_hard_limit_kills() {
        let mut limit = Rlimit64 { cur: 2, max: 4 };
        let seconds = |tenths: i64| tenths * NSEC_PER_SEC / 10;
        assert_eq!(check_limit(&mut limit, seconds(19)), (None, Some(seconds(1))));
        assert_eq!(check_limit(&mut limit, seconds(20)), (Some(SIGXCPU), Some(seconds(10))));
        assert_eq!(check_limit(&mut limit, seconds(25)), (None, Some(seconds(5))));
        assert_eq!(check_limit(&mut limit, seconds(31)), (Some(SIGXCPU), Some(seconds(9))));
        assert_eq!(limit, Rlimit64 { cur: 4, max: 4 });
        assert_eq!(check_limit(&mut limit, seconds(41)), (Some(SIGKILL), None));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut limit = Rlimit64 { cur: RLIM_INFINITY, max: RLIM_INFINITY };
        assert_eq!(check_limit(&mut limit, i64::MAX), (None, None));
    }
}
