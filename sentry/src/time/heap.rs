//! Timers of one clock in the order of their deadlines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

/// Something that happens when a timer expires.
pub trait Expire: Send + Sync {
    /// Called on the timers' thread, without locks. Must not block.
    fn expire(&self);
}

/// Who is told when a timer expires.
#[derive(Clone)]
pub enum Target {
    Waker(Waker),
    Callback(Arc<dyn Expire>),
}

impl Target {
    pub(super) fn fire(self) {
        match self {
            Target::Waker(waker) => waker.wake(),
            Target::Callback(callback) => callback.expire(),
        }
    }
}

/// Timers by deadline, those of one deadline in the order of arming.
#[derive(Default)]
pub(super) struct Heap {
    timers: BTreeMap<(i64, u64), Target>,
    last_id: u64,
}

impl Heap {
    /// Adds a timer. Answers with its number and whether it is the next to expire now.
    pub fn arm(&mut self, deadline_ns: i64, target: Target) -> (u64, bool) {
        self.last_id += 1;
        self.timers.insert((deadline_ns, self.last_id), target);
        let is_next = self.next() == Some(deadline_ns)
            && self.timers.first_key_value().is_some_and(|(key, _)| key.1 == self.last_id);
        (self.last_id, is_next)
    }

    /// Removes a timer. Answers whether it was still to come.
    pub fn cancel(&mut self, deadline_ns: i64, id: u64) -> bool {
        self.timers.remove(&(deadline_ns, id)).is_some()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<i64> {
        self.timers.first_key_value().map(|(key, _)| key.0)
    }

    /// Removes and answers with all timers whose deadline is not after `now_ns`.
    pub fn expire(&mut self, now_ns: i64) -> Vec<Target> {
        let later = self.timers.split_off(&(now_ns.saturating_add(1), 0));
        std::mem::replace(&mut self.timers, later).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<u32>>);

    struct Note(u32, Arc<Log>);

    impl Expire for Note {
        fn expire(&self) {
            self.1.0.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn timers_expire_in_order_and_once() {
        let log = Arc::new(Log::default());
        let target = |name| Target::Callback(Arc::new(Note(name, log.clone())));
        let mut heap = Heap::default();
        assert!(heap.arm(30, target(3)).1);
        assert!(heap.arm(10, target(1)).1);
        let (second, is_next) = heap.arm(20, target(2));
        assert!(!is_next);
        assert!(!heap.arm(10, target(11)).1);
        assert_eq!(heap.next(), Some(10));
        heap.expire(9).into_iter().for_each(Target::fire);
        assert!(log.0.lock().unwrap().is_empty());
        heap.expire(10).into_iter().for_each(Target::fire);
        assert_eq!(*log.0.lock().unwrap(), [1, 11]);
        assert!(heap.cancel(20, second));
        assert!(!heap.cancel(20, second));
        heap.expire(i64::MAX).into_iter().for_each(Target::fire);
        assert_eq!(*log.0.lock().unwrap(), [1, 11, 3]);
        assert_eq!(heap.next(), None);
    }
}
