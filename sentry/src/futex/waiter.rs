//! A thread that waits, seen from the queue.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::FutexKey;
use crate::sync::{Mutex, Rank};

/// What a waiting thread and its wakers share. It waits for one futex, or for one of several.
#[derive(Debug)]
pub(super) struct Wait {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Which futex woke it last, by its position.
    woken: Option<usize>,
    waker: Option<Waker>,
}

/// A place in the queue of one futex.
#[derive(Debug)]
pub(super) struct Waiter {
    pub wait: Arc<Wait>,
    /// Position among the futexes that the thread waits for.
    pub index: usize,
    pub bitset: u32,
    /// Where it is queued; requeueing changes it under both buckets' locks.
    key: Mutex<FutexKey>,
}

impl Wait {
    pub fn new() -> Arc<Wait> {
        Arc::new(Wait { state: Mutex::new(Rank::Leaf, State::default()) })
    }

    /// Ready with the position of the futex that woke the thread.
    pub fn poll(&self, waker: &Waker) -> Poll<usize> {
        let mut state = self.state.lock();
        match state.woken {
            Some(index) => Poll::Ready(index),
            None => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// Marks it as woken; the waker answered with is to be woken once no lock is held.
    pub fn wake(&self, index: usize) -> Option<Waker> {
        let mut state = self.state.lock();
        state.woken = Some(index);
        state.waker.take()
    }
}

impl Waiter {
    pub fn new(wait: &Arc<Wait>, index: usize, key: FutexKey, bitset: u32) -> Arc<Waiter> {
        let key = Mutex::new(Rank::Leaf, key);
        Arc::new(Waiter { wait: wait.clone(), index, bitset, key })
    }

    pub fn key(&self) -> FutexKey {
        *self.key.lock()
    }

    pub fn set_key(&self, key: FutexKey) {
        *self.key.lock() = key;
    }
}
