//! Several workers on a platform that is only a queue of traps.

use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::sync::atomic::AtomicU64;
use std::sync::{Condvar, mpsc};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use platform::{BoxFuture, NewProcess};

use super::*;
use crate::sync::{WaitQueue, wait_for};

const WORKERS: usize = 4;
/// What a lost wake-up fails with, instead of a test that hangs.
const TIME_LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Traps {
    /// Those whose trap has arrived.
    arrived: VecDeque<Waker>,
    is_notified: bool,
    parked: usize,
}

/// Parks and unparks as the contract says, and no better: calls of `unpark` count as one.
#[derive(Default)]
struct FakePlatform {
    traps: std::sync::Mutex<Traps>,
    changed: Condvar,
    entered: AtomicUsize,
    unparked: AtomicUsize,
}

impl FakePlatform {
    /// Lets a trap arrive that `waker` waits for.
    fn deliver(&self, waker: Waker) {
        self.traps.lock().unwrap().arrived.push_back(waker);
        self.changed.notify_one();
    }

    fn await_parked(&self, number: usize) {
        let limit = Instant::now() + TIME_LIMIT;
        while self.traps.lock().unwrap().parked != number {
            assert!(Instant::now() < limit, "{number} workers never parked");
            std::thread::yield_now();
        }
    }
}

impl Platform for FakePlatform {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn new_address_space(&self) -> BoxFuture<'_, Result<NewProcess, Errno>> {
        Box::pin(ready(Err(Errno::EAGAIN)))
    }

    fn park(&self, _: Option<Instant>) {
        let mut traps = self.traps.lock().unwrap();
        traps.parked += 1;
        let waker = loop {
            if let Some(waker) = traps.arrived.pop_front() {
                break Some(waker);
            }
            if std::mem::take(&mut traps.is_notified) {
                break None;
            }
            traps = self.changed.wait(traps).unwrap();
        };
        traps.parked -= 1;
        drop(traps);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn unpark(&self) {
        self.unparked.fetch_add(1, Ordering::Relaxed);
        self.traps.lock().unwrap().is_notified = true;
        self.changed.notify_one();
    }

    fn workers(&self) -> usize {
        WORKERS
    }

    fn enter_worker(&self) {
        self.entered.fetch_add(1, Ordering::Relaxed);
    }
}

struct Machine {
    platform: Arc<FakePlatform>,
    executor: Arc<Executor>,
    threads: Vec<JoinHandle<()>>,
    finished: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

impl Machine {
    fn start() -> Machine {
        let platform = Arc::new(FakePlatform::default());
        let executor = Executor::new(platform.clone());
        let worker = || {
            let executor = executor.clone();
            std::thread::spawn(move || executor.run_worker())
        };
        let threads = (0..WORKERS).map(|_| worker()).collect();
        Machine { platform, executor, threads, finished: mpsc::channel() }
    }

    /// Spawns a job that counts as finished when it ends.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let finished = self.finished.0.clone();
        self.executor.spawn(async move {
            future.await;
            let _ = finished.send(());
        });
    }

    fn await_finished(&self, jobs: usize) {
        for done in 0..jobs {
            let next = self.finished.1.recv_timeout(TIME_LIMIT);
            assert!(next.is_ok(), "stuck after {done} of {jobs} jobs");
        }
    }

    /// Stops the workers; all of them must return.
    fn stop(self) {
        self.executor.stop();
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert_eq!(self.platform.entered.load(Ordering::Relaxed), WORKERS);
    }
}

/// Waits for a trap of a guest that runs no time at all.
async fn trap(platform: &FakePlatform) {
    let mut is_resumed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_resumed, true) {
            return Poll::Ready(());
        }
        platform.deliver(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

#[test]
fn traps_and_wakes_are_never_lost() {
    const PAIRS: usize = 16;
    const ROUNDS: u64 = 500;
    let machine = Machine::start();
    for _ in 0..PAIRS {
        let turn = Arc::new((AtomicU64::new(0), WaitQueue::new()));
        for side in 0..2 {
            let (turn, platform) = (turn.clone(), machine.platform.clone());
            machine.spawn(async move {
                for round in 0..ROUNDS {
                    let own = 2 * round + side;
                    let is_due = || (turn.0.load(Ordering::Acquire) == own).then_some(());
                    wait_for(&turn.1, PollEvents::IN, is_due).await;
                    trap(&platform).await;
                    turn.0.store(own + 1, Ordering::Release);
                    turn.1.notify(PollEvents::IN);
                }
            });
        }
    }
    machine.await_finished(2 * PAIRS);
    machine.stop();
}

#[test]
fn wakes_from_other_threads_are_never_lost() {
    const JOBS: usize = 8;
    const ROUNDS: u64 = 2000;
    let machine = Machine::start();
    let helpers: Vec<_> = (0..JOBS)
        .map(|_| {
            let shared = Arc::new((AtomicU64::new(0), WaitQueue::new(), AtomicU64::new(0)));
            let job = shared.clone();
            machine.spawn(async move {
                for round in 1..=ROUNDS {
                    let has_come = || (job.0.load(Ordering::Relaxed) >= round).then_some(());
                    wait_for(&job.1, PollEvents::IN, has_come).await;
                    job.2.store(round, Ordering::Release);
                }
            });
            std::thread::spawn(move || {
                for round in 1..=ROUNDS {
                    shared.0.store(round, Ordering::Relaxed);
                    shared.1.notify(PollEvents::IN);
                    // Now and then the job gets the time to rest, and its worker to park.
                    while round % 4 == 0 && shared.2.load(Ordering::Acquire) < round {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    machine.await_finished(JOBS);
    for helper in helpers {
        helper.join().unwrap();
    }
    machine.stop();
}

#[test]
fn jobs_that_wait_for_each_other_run_together() {
    let machine = Machine::start();
    machine.platform.await_parked(WORKERS);
    let barrier = Arc::new(std::sync::Barrier::new(WORKERS));
    let executor = machine.executor.clone();
    let finished = machine.finished.0.clone();
    // All are woken by one worker, which then has a job of its own that takes long.
    machine.spawn(async move {
        for _ in 0..WORKERS {
            let (barrier, finished) = (barrier.clone(), finished.clone());
            executor.spawn(async move {
                barrier.wait();
                let _ = finished.send(());
            });
        }
    });
    machine.await_finished(WORKERS + 1);
    machine.stop();
}

#[test]
fn a_single_wake_stays_with_the_worker_that_makes_it() {
    let machine = Machine::start();
    machine.platform.await_parked(WORKERS);
    let executor = machine.executor.clone();
    let (sender, thread_ids) = mpsc::channel();
    machine.spawn(async move {
        let here = std::thread::current().id();
        let _ = sender.send(here);
        executor.spawn(async move {
            let _ = sender.send(std::thread::current().id());
        });
    });
    let first = thread_ids.recv_timeout(TIME_LIMIT).unwrap();
    assert_eq!(thread_ids.recv_timeout(TIME_LIMIT).unwrap(), first);
    machine.platform.await_parked(WORKERS);
    assert_eq!(machine.platform.unparked.load(Ordering::Relaxed), 1);
    machine.stop();
}

#[test]
fn stop_ends_workers_in_the_middle_of_work() {
    for _ in 0..50 {
        let machine = Machine::start();
        for _ in 0..8 {
            let platform = machine.platform.clone();
            machine.executor.spawn(async move {
                loop {
                    trap(&platform).await;
                }
            });
        }
        machine.stop();
    }
}
