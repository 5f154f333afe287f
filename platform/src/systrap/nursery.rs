//! Address spaces that are made before anybody asks for them.
//!
//! To make one takes the template several switches of threads and the host a `clone`, all of which an
//! `execve` would have to wait for. So once programs are executed, a few blank processes wait for
//! the next. They are made by the thread of the [`reaper`]: behind each `execve` the old process dies,
//! which wakes it. It and the template are bound to other processors than that of the `execve`, where
//! the new program shall not have to wait for them.
//!
//! A process that waits here is like one that was made just now: it descends from the template, which
//! never changes, and nothing is set in it before it is taken. It may have been killed from outside.
//!
//! [`reaper`]: super::reaper

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use linux_abi::Errno;
use parking_lot::Mutex;

use super::hand::close_all;
use super::slot::Slot;
use super::spawn::{self, Spawned};
use super::stock::{HELD_MAX, Held};
use super::supervisor::Supervisor;
use super::thread::SystrapThread;
use crate::contract::{NewProcess, Spawn, Thread};
use crate::host::process::current_cpu;
use crate::process::Tid;

/// How many wait.
const READY_MAX: usize = 2;
/// How long the end of other processes may go unnoticed while one is made.
const GLANCE: Duration = Duration::from_millis(1);

/// What makes address spaces, and those that are ready.
pub(super) struct Nursery {
    template: TemplateLock,
    ready: Mutex<Vec<Spawned>>,
    /// Whether some are to be made.
    is_wanted: AtomicBool,
    supervisor: Arc<Supervisor>,
    template_slot: Arc<Slot>,
    /// The thread that makes them, 0 before it runs.
    maker: AtomicI32,
    /// The processor that those are kept from which take part.
    spared: AtomicUsize,
}

impl Nursery {
    pub(super) fn new(template: SystrapThread) -> Arc<Nursery> {
        Arc::new(Nursery {
            supervisor: Arc::clone(&template.supervisor),
            template_slot: Arc::clone(&template.slot),
            maker: AtomicI32::new(0),
            spared: AtomicUsize::new(usize::MAX),
            template: TemplateLock::new(template),
            ready: Mutex::default(),
            is_wanted: AtomicBool::new(false),
        })
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.ready.lock().len()
    }

    /// One that is ready, or else a new one. Errors: EAGAIN, ENOMEM.
    pub(super) async fn take(&self) -> Result<NewProcess, Errno> {
        let (space, thread) = match self.take_ready() {
            Some(blank) => blank,
            None => self.make().await?,
        };
        Ok((space, thread))
    }

    fn take_ready(&self) -> Option<Spawned> {
        loop {
            let blank = self.ready.lock().pop()?;
            if !blank.1.slot.is_gone() {
                return Some(blank);
            }
        }
    }

    async fn make(&self) -> Result<Spawned, Errno> {
        let mut template = self.template.take().await;
        self.supply(&mut template).await;
        let made = spawn::spawn(&mut template, Spawn::CopyMemory).await;
        self.template.put_back(template);
        // If the template was killed there are no more processes, but those that live go on.
        let gone = |error| if error == Errno::ESRCH { Errno::EAGAIN } else { error };
        let (space, mut thread) = made.map_err(gone)?;
        *thread.slot.processors.lock() = None;
        thread.complete().await.map_err(gone)?;
        self.supervisor.watch.unbind_thread(&thread.slot);
        Ok((space, thread))
    }

    /// Gives the template the descriptors of [`Stock`](super::stock), as far as it can have them.
    async fn supply(&self, template: &mut SystrapThread) {
        let wanted = self.supervisor.stock.wanted();
        let mut held = std::mem::take(&mut *template.slot.process.held.lock());
        let is_missing = |held: &Held, item| held.iter().all(|(other, _)| *other != item);
        // It takes long to hold all others anew.
        let missing = wanted.iter().filter(|(item, _)| is_missing(&held, *item)).count();
        if held.len() >= HELD_MAX && missing >= HELD_MAX / 2 {
            // A template that is dead makes no processes either.
            let _ = template.make_call(close_all()).await;
            held.clear();
        }
        for (item, file) in &wanted {
            if held.len() < HELD_MAX
                && is_missing(&held, *item)
                && let Ok((id, _)) = template.in_stub()
                && let Ok(number) = self.supervisor.listener.add_descriptor(id, file.as_fd())
            {
                held.push((*item, number));
            }
        }
        *template.slot.process.held.lock() = held;
    }

    /// Says that some will be asked for, on the processor of the caller.
    pub(super) fn expect(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
        let maker = self.maker.load(Ordering::Relaxed);
        let cpu = current_cpu();
        if maker != 0 && self.spared.swap(cpu, Ordering::Relaxed) != cpu {
            self.spare(cpu, maker);
        }
    }

    /// Keeps those who make blank processes from a processor.
    fn spare(&self, cpu: usize, maker: Tid) {
        let watch = &self.supervisor.watch;
        if !watch.is_possible() {
            return;
        }
        // It does no harm if one of them stays where it is.
        let _ = watch.processors().clone().without(cpu).bind(maker);
        let _ = watch.bind(&self.template_slot, &|other| other as usize != cpu);
    }

    /// Notes that the caller is the thread that calls [`Nursery::fill`].
    pub(super) fn become_maker(&self) {
        self.maker.store(crate::host::process::tid(), Ordering::Relaxed);
    }

    /// Makes those that are wanted, on a thread that is no worker. Calls `meanwhile` from time to
    /// time.
    pub(super) fn fill(&self, mut meanwhile: impl FnMut()) {
        if !self.is_wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        for _ in self.count()..READY_MAX {
            let Ok(blank) = wait(self.make(), &mut meanwhile) else { return };
            self.ready.lock().push(blank);
        }
    }
}

/// Polls a future to its end on the calling thread.
fn wait<T>(future: impl Future<Output = T>, meanwhile: &mut impl FnMut()) -> T {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        std::thread::park_timeout(GLANCE);
        meanwhile();
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The template's thread, which one clone at a time can use.
struct TemplateLock(Mutex<TemplateState>);

struct TemplateState {
    thread: Option<Box<SystrapThread>>,
    waiting: Vec<Waker>,
}

impl TemplateLock {
    fn new(thread: SystrapThread) -> TemplateLock {
        let thread = Some(Box::new(thread));
        TemplateLock(Mutex::new(TemplateState { thread, waiting: Vec::new() }))
    }

    async fn take(&self) -> Box<SystrapThread> {
        std::future::poll_fn(|cx| {
            let mut state = self.0.lock();
            match state.thread.take() {
                Some(thread) => Poll::Ready(thread),
                None => {
                    state.waiting.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn put_back(&self, thread: Box<SystrapThread>) {
        let waiting = {
            let mut state = self.0.lock();
            state.thread = Some(thread);
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}
