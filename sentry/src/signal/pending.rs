//! Signals that were sent and not yet taken.

use std::collections::{BTreeMap, VecDeque};

use linux_abi::signal::{
    SI_USER, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SigInfo, SigSet,
};

use super::Charge;

/// Signals that the program's own instructions cause; they are taken before others.
pub(super) const SYNCHRONOUS: SigSet = SigSet::of(SIGSEGV)
    .union(SigSet::of(SIGBUS))
    .union(SigSet::of(SIGILL))
    .union(SigSet::of(SIGTRAP))
    .union(SigSet::of(SIGFPE))
    .union(SigSet::of(SIGSYS));

/// A POSIX timer's signal: which timer, and which setting of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerTag {
    pub id: i32,
    pub sequence: u64,
}

/// A signal with its facts.
#[derive(Debug)]
pub(super) struct Queued {
    pub info: SigInfo,
    /// Set for the signal of a POSIX timer, which learns when it is taken.
    pub timer: Option<TimerTag>,
    /// Held for its effect on the user's account.
    pub _charge: Option<Charge>,
}

/// The pending signals of a thread or of a process.
///
/// A signal may be pending without an entry in its queue: a standard signal that was sent when
/// the user's queue was full. It then has no facts.
#[derive(Debug, Default)]
pub(super) struct Pending {
    set: SigSet,
    queues: BTreeMap<i32, VecDeque<Queued>>,
}

impl Pending {
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// Adds `signo`, with its facts if there is room for them.
    pub fn add(&mut self, signo: i32, queued: Option<Queued>) {
        self.set.insert(signo);
        if let Some(queued) = queued {
            self.queues.entry(signo).or_default().push_back(queued);
        }
    }

    /// Takes the oldest `signo`. `None` when it is not pending.
    pub fn take(&mut self, signo: i32) -> Option<Queued> {
        if !self.set.contains(signo) {
            return None;
        }
        let Some(queue) = self.queues.get_mut(&signo) else {
            self.set.remove(signo);
            let info = SigInfo::kill(signo, SI_USER, 0, 0);
            return Some(Queued { info, timer: None, _charge: None });
        };
        let taken = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&signo);
            self.set.remove(signo);
        }
        taken
    }

    /// The signal to take next among those not in `blocked`: one that the program's own
    /// instruction caused, else the lowest number.
    pub fn next(&self, blocked: SigSet) -> Option<i32> {
        let open = self.set.difference(blocked);
        open.intersection(SYNCHRONOUS).first().or_else(|| open.first())
    }

    /// A pending fault of the program's own instruction: these come before everything else,
    /// because registers must still be those of the faulting instruction.
    pub fn next_fault(&self, blocked: SigSet) -> Option<i32> {
        let open = self.set.difference(blocked).intersection(SYNCHRONOUS);
        open.iter().find(|signo| {
            let first = self.queues.get(signo).and_then(VecDeque::front);
            first.is_some_and(|queued| queued.info.code > SI_USER)
        })
    }

    /// The facts of all that have some.
    pub fn infos(&self) -> impl Iterator<Item = SigInfo> {
        self.queues.values().flatten().map(|queued| queued.info)
    }

    /// Forgets all signals of `set`.
    pub fn discard(&mut self, set: SigSet) {
        for signo in self.set.intersection(set).iter() {
            self.set.remove(signo);
            self.queues.remove(&signo);
        }
    }
}

#[cfg(test)]
mod tests {
    use linux_abi::signal::{SEGV_MAPERR, SI_QUEUE, SIGKILL, SIGRTMIN, SIGUSR1, SIGUSR2};

    use super::*;

    fn queued(signo: i32, value: u64) -> Option<Queued> {
        let info = SigInfo::queue(signo, SI_QUEUE, 1, 0, value);
        Some(Queued { info, timer: None, _charge: None })
    }

    #[test]
    fn real_time_signals_keep_their_order() {
        let mut pending = Pending::default();
        for value in 0..3 {
            pending.add(SIGRTMIN + 1, queued(SIGRTMIN + 1, value));
        }
        pending.add(SIGRTMIN, queued(SIGRTMIN, 9));
        let mut order = Vec::new();
        while let Some(signo) = pending.next(SigSet::EMPTY) {
            order.push(pending.take(signo).unwrap().info.value());
        }
        assert_eq!(order, [9, 0, 1, 2]);
        assert!(pending.set().is_empty());
    }

    #[test]
    fn synchronous_signals_come_first() {
        let mut pending = Pending::default();
        pending.add(SIGKILL, None);
        pending.add(SIGUSR1, None);
        pending.add(SIGSEGV, None);
        assert_eq!(pending.next(SigSet::EMPTY), Some(SIGSEGV));
        assert_eq!(pending.next(SigSet::of(SIGSEGV)), Some(SIGKILL));
        assert_eq!(pending.next_fault(SigSet::EMPTY), None);
        pending.discard(SigSet::of(SIGSEGV));
        let info = SigInfo::fault(SIGSEGV, SEGV_MAPERR, 4);
        pending.add(SIGSEGV, Some(Queued { info, timer: None, _charge: None }));
        assert_eq!(pending.next_fault(SigSet::EMPTY), Some(SIGSEGV));
    }

    #[test]
    fn a_signal_without_facts_is_taken_once() {
        let mut pending = Pending::default();
        pending.add(SIGUSR2, None);
        assert_eq!(pending.take(SIGUSR2).unwrap().info, SigInfo::kill(SIGUSR2, SI_USER, 0, 0));
        assert!(pending.take(SIGUSR2).is_none());
    }
}
