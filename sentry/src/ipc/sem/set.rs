//! One set of semaphores and the operations on it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::ipc::{IPC_NOWAIT, SEM_UNDO, SEMVMX, Sembuf};

use super::wait::Waiter;
use crate::ipc::Owner;
use crate::task::Pid;
use crate::vfs::now;

/// Largest adjustment at exit.
const SEMAEM: i32 = SEMVMX;

/// Adjustments that processes have at exit, by process and set.
pub(super) type Undo = HashMap<(Pid, i32), Vec<i16>>;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Semaphore {
    pub value: i32,
    /// Process of the last operation.
    pub pid: Pid,
}

/// Operations that wait until they can be done all at once.
pub(super) struct Pending {
    pub ops: Vec<Sembuf>,
    pub pid: Pid,
    pub waiter: Arc<Waiter>,
    /// The operation that cannot be done yet.
    pub blocking: usize,
}

pub(super) struct Set {
    pub owner: Owner,
    pub semaphores: Vec<Semaphore>,
    pub operated: i64,
    pub changed: i64,
    /// In order of arrival.
    pub pending: VecDeque<Pending>,
}

/// What became of operations that were tried.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Operation number … cannot be done now.
    Blocks(usize),
    Fails(Errno),
}

impl Set {
    pub fn new(owner: Owner, count: usize) -> Set {
        Set {
            owner,
            semaphores: vec![Semaphore::default(); count],
            operated: 0,
            changed: now().sec,
            pending: VecDeque::new(),
        }
    }

    /// Does all `ops` or none (Linux: `perform_atomic_semop`). The caller has checked numbers.
    pub fn perform(&mut self, id: i32, ops: &[Sembuf], pid: Pid, undo: &mut Undo) -> Outcome {
        let mut values: Vec<i32> = self.semaphores.iter().map(|one| one.value).collect();
        let needs_undo = ops.iter().any(is_undone);
        let mut adjustments = match undo.get(&(pid, id)) {
            Some(known) => known.clone(),
            None => vec![0; if needs_undo { values.len() } else { 0 }],
        };
        for (index, op) in ops.iter().enumerate() {
            let number = usize::from(op.num);
            let change = i32::from(op.op);
            let value = values[number];
            if (change == 0 && value != 0) || value + change < 0 {
                let gives_up = op.flg as u32 & IPC_NOWAIT != 0;
                return if gives_up {
                    Outcome::Fails(Errno::EAGAIN)
                } else {
                    Outcome::Blocks(index)
                };
            }
            if value + change > SEMVMX {
                return Outcome::Fails(Errno::ERANGE);
            }
            if is_undone(op) {
                let adjusted = i32::from(adjustments[number]) - change;
                if !(-SEMAEM - 1..=SEMAEM).contains(&adjusted) {
                    return Outcome::Fails(Errno::ERANGE);
                }
                adjustments[number] = adjusted as i16;
            }
            values[number] = value + change;
        }
        for (semaphore, value) in self.semaphores.iter_mut().zip(values) {
            semaphore.value = value;
        }
        for op in ops {
            self.semaphores[usize::from(op.num)].pid = pid;
        }
        if needs_undo {
            undo.insert((pid, id), adjustments);
        }
        self.operated = now().sec;
        Outcome::Done
    }

    /// Does what waited and can be done now, in order of arrival; the finished are put into `woken`.
    pub fn update(&mut self, id: i32, undo: &mut Undo, woken: &mut Vec<Arc<Waiter>>) {
        let mut index = 0;
        while index < self.pending.len() {
            let (ops, pid) = {
                let pending = &self.pending[index];
                (pending.ops.clone(), pending.pid)
            };
            match self.perform(id, &ops, pid, undo) {
                Outcome::Blocks(blocking) => {
                    self.pending[index].blocking = blocking;
                    index += 1;
                }
                outcome => {
                    if let Some(finished) = self.pending.remove(index) {
                        let result = match outcome {
                            Outcome::Fails(errno) => Err(errno),
                            _ => Ok(()),
                        };
                        finished.waiter.finish(result);
                        woken.push(finished.waiter);
                    }
                    // Values may have changed for those that came before.
                    if alters(&ops) {
                        index = 0;
                    }
                }
            }
        }
    }

    /// How many wait for semaphore `number` to become zero, or to grow.
    pub fn waiting(&self, number: usize, for_zero: bool) -> usize {
        let blocking = self.pending.iter().map(|pending| &pending.ops[pending.blocking]);
        blocking.filter(|op| usize::from(op.num) == number && (op.op == 0) == for_zero).count()
    }
}

fn is_undone(op: &Sembuf) -> bool {
    op.op != 0 && i32::from(op.flg) & SEM_UNDO != 0
}

/// Whether any of the operations changes a value.
pub(super) fn alters(ops: &[Sembuf]) -> bool {
    ops.iter().any(|op| op.op != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Credentials;

    fn op(num: u16, op: i16, flg: i32) -> Sembuf {
        Sembuf { num, op, flg: flg as i16 }
    }

    fn set(values: &[i32]) -> Set {
        let mut set = Set::new(Owner::new(1, 0o600, &Credentials::root()), values.len());
        for (semaphore, &value) in set.semaphores.iter_mut().zip(values) {
            semaphore.value = value;
        }
        set
    }

    fn values(set: &Set) -> Vec<i32> {
        set.semaphores.iter().map(|one| one.value).collect()
    }

    #[test]
    fn operations_happen_together_or_not_at_all() {
        let mut set = set(&[2, 0]);
        let mut undo = Undo::new();
        let blocked = set.perform(1, &[op(0, -2, 0), op(1, -1, 0)], 9, &mut undo);
        assert_eq!(blocked, Outcome::Blocks(1));
        assert_eq!(values(&set), [2, 0]);
        let nowait = IPC_NOWAIT as i32;
        let refused = set.perform(1, &[op(0, 0, nowait)], 9, &mut undo);
        assert_eq!(refused, Outcome::Fails(Errno::EAGAIN));
        let done = set.perform(1, &[op(0, -2, 0), op(0, 0, 0), op(1, 5, 0)], 9, &mut undo);
        assert_eq!(done, Outcome::Done);
        assert_eq!(values(&set), [0, 5]);
        assert_eq!(set.semaphores[1].pid, 9);
        let over = set.perform(1, &[op(1, SEMVMX as i16, 0)], 9, &mut undo);
        assert_eq!(over, Outcome::Fails(Errno::ERANGE));
    }

    #[test]
    fn undo_is_the_opposite_of_what_was_done() {
        let mut set = set(&[5]);
        let mut undo = Undo::new();
        set.perform(1, &[op(0, -3, SEM_UNDO)], 9, &mut undo);
        set.perform(1, &[op(0, 1, SEM_UNDO), op(0, 1, 0)], 9, &mut undo);
        assert_eq!(undo[&(9, 1)], [2]);
    }

    #[test]
    fn waiters_are_served_in_order() {
        let mut set = set(&[0]);
        let mut undo = Undo::new();
        let waiters: Vec<_> = (0..3).map(|_| Arc::<Waiter>::default()).collect();
        for (waiter, change) in waiters.iter().zip([-2, -1, 0]) {
            let ops = vec![op(0, change, 0)];
            let waiter = waiter.clone();
            set.pending.push_back(Pending { ops, pid: 7, waiter, blocking: 0 });
        }
        assert_eq!((set.waiting(0, false), set.waiting(0, true)), (2, 1));
        set.semaphores[0].value = 1;
        let mut woken = Vec::new();
        set.update(1, &mut undo, &mut woken);
        // The second takes the one there is; then the value is zero, as the third wants it.
        assert_eq!(woken.len(), 2);
        assert!(Arc::ptr_eq(&woken[0], &waiters[1]) && Arc::ptr_eq(&woken[1], &waiters[2]));
        assert_eq!(set.waiting(0, false), 1);
    }
}
