//! All orders in which a stub and a worker can act, and all values they may see.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::super::layout::line::TURN;
use super::*;

struct State(AtomicU32);

impl Word for State {
    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, value: u32) {
        self.0.store(value, Ordering::Release);
    }

    fn exchange(&self, from: u32, to: u32) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn swap(&self, value: u32) -> u32 {
        self.0.swap(value, Ordering::AcqRel)
    }
}

/// What the sentry knows of the call.
#[derive(Default)]
struct Calling {
    is_serving: bool,
}

struct Line {
    state: State,
    /// What goes along with the call, and what comes back: plain memory.
    request: UnsafeCell<u64>,
    answer: UnsafeCell<u64>,
    calling: Mutex<Calling>,
    /// The host's queue of those who wait for the state word.
    queue: Mutex<()>,
    woken: Condvar,
    is_over: AtomicBool,
}

// SAFETY: the protocol under test says who accesses the cells; loom checks it.
unsafe impl Sync for Line {}
// SAFETY: as above.
unsafe impl Send for Line {}

impl Line {
    fn new() -> Arc<Line> {
        Arc::new(Line {
            state: State(AtomicU32::new(FREE)),
            request: UnsafeCell::new(0),
            answer: UnsafeCell::new(0),
            calling: Mutex::default(),
            queue: Mutex::new(()),
            woken: Condvar::new(),
            is_over: AtomicBool::new(false),
        })
    }

    /// `FUTEX_WAIT`: sleeps if the word is still what it was, until somebody wakes it.
    fn sleep(&self) {
        let queue = self.queue.lock().unwrap();
        if self.state.load() & KINDS == WAITED {
            drop(self.woken.wait(queue).unwrap());
        }
    }

    /// `FUTEX_WAKE`.
    fn wake(&self) {
        let _queue = self.queue.lock().unwrap();
        self.woken.notify_one();
    }

    /// One call of the stub: the answer, or that it took the long way.
    fn call(&self, turn: u32, request: u64) -> Option<u64> {
        self.request.with_mut(|place| {
            // SAFETY: it is the stub's turn.
            unsafe { *place = request }
        });
        put(&self.state, turn);
        if !wait(&self.state, turn, (1, 1), thread::yield_now, thread::yield_now, || self.sleep()) {
            return None;
        }
        // SAFETY: the worker is done.
        Some(self.answer.with(|place| unsafe { *place }))
    }

    /// One look of a worker; whether it served a call.
    fn serve(&self, is_long: bool) -> bool {
        let mut calling = self.calling.lock().unwrap();
        let Some(turn) = turn_of(&self.state).filter(|&turn| take(&self.state, turn)) else {
            return false;
        };
        calling.is_serving = true;
        drop(calling);
        if is_long {
            lengthen(&self.state, turn);
        }
        // SAFETY: the call was taken.
        let request = self.request.with(|place| unsafe { *place });
        self.answer.with_mut(|place| {
            // SAFETY: it is the worker's turn.
            unsafe { *place = request * 2 }
        });
        let mut calling = self.calling.lock().unwrap();
        calling.is_serving = false;
        let was_waiting = finish(&self.state, turn);
        drop(calling);
        if was_waiting {
            self.wake();
        }
        true
    }
}

/// Explores all orders with few enough switches.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn meet(is_long: bool) {
    explore(move || {
        let line = Line::new();
        let stub = {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                let call = |n: u32| line.call(n * TURN, n.into());
                let answers: Vec<_> = (1..=2).map(call).collect();
                line.is_over.store(true, Ordering::Release);
                answers
            })
        };
        let mut served = Vec::new();
        for _ in 0..2 {
            if line.serve(is_long) {
                served.push(());
            }
            thread::yield_now();
        }
        let answers = stub.join().unwrap();
        // Made once, or withdrawn, never both; and each answer belongs to its call.
        for (index, answer) in answers.iter().enumerate() {
            assert!(answer.is_none_or(|answer| answer == 2 * (index as u64 + 1)));
        }
        assert_eq!(answers.iter().flatten().count(), served.len());
    });
}

#[test]
fn a_call_is_made_once_or_withdrawn() {
    meet(false);
}

#[test]
fn a_long_call_lets_the_stub_out() {
    meet(true);
}

/// A stub that was kicked off the line, and a worker that looks at the same time.
#[test]
fn a_withdrawn_call_is_not_taken() {
    explore(|| {
        let line = Line::new();
        put(&line.state, TURN);
        let kicked = {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                let calling = line.calling.lock().unwrap();
                if !calling.is_serving {
                    withdraw(&line.state, TURN);
                }
                calling.is_serving
            })
        };
        let was_served = line.serve(false);
        let met_a_call = kicked.join().unwrap();
        let state = line.state.load();
        assert!(if was_served { state == TURN | DONE } else { state == FREE });
        assert!(!met_a_call || was_served);
    });
}
