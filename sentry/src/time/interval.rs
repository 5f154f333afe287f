//! Arithmetic of periodic timers (Linux: `hrtimer_forward`).

/// Moves `deadline_ns` by whole periods to the first one after `now_ns`. Answers with the new
/// deadline and the number of periods, 0 if it lies in the future already.
///
/// `interval_ns` is positive.
pub(crate) fn forward(deadline_ns: i64, interval_ns: i64, now_ns: i64) -> (i64, u64) {
    let Some(late) = now_ns.checked_sub(deadline_ns).filter(|&late| late >= 0) else {
        return (deadline_ns, 0);
    };
    let periods = late / interval_ns + 1;
    let step = interval_ns.saturating_mul(periods);
    (deadline_ns.saturating_add(step), periods as u64)
}

/// Time left until `deadline_ns`, at least 1: zero would say "disarmed".
pub(crate) fn remaining(deadline_ns: i64, now_ns: i64) -> i64 {
    deadline_ns.saturating_sub(now_ns).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_timer_moves_by_whole_periods() {
        assert_eq!(forward(100, 10, 99), (100, 0));
        assert_eq!(forward(100, 10, 100), (110, 1));
        assert_eq!(forward(100, 10, 109), (110, 1));
        assert_eq!(forward(100, 10, 135), (140, 4));
        assert_eq!(forward(i64::MAX - 1, 10, i64::MAX), (i64::MAX, 1));
        assert_eq!(forward(i64::MIN, 1, i64::MAX), (i64::MIN, 0));
    }

    #[test]
    fn an_armed_timer_never_has_zero_left() {
        assert_eq!(remaining(100, 40), 60);
        assert_eq!(remaining(100, 100), 1);
        assert_eq!(remaining(100, 400), 1);
    }
}
