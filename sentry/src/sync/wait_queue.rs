//! Wait queues: who wants to know when an object becomes ready.
//!
//! An object owns a [`WaitQueue`] and calls [`WaitQueue::notify`] with the events that now hold.
//! A blocked system call subscribes its waker ([`wait_for`]); epoll subscribes a callback.
//! Subscribers must check the object's state themselves: a notification is a hint.

use std::sync::Arc;
use std::task::{Poll, Waker};

use linux_abi::poll::PollEvents;
use slab::Slab;

use super::{Mutex, Rank};

/// A subscriber that is not a waiting future.
pub trait Notify: Send + Sync {
    /// Called with the queue's lock released; must not block.
    fn notify(&self, events: PollEvents);
}

enum Target {
    Waker(Waker),
    Callback(Arc<dyn Notify>),
}

struct Entry {
    events: PollEvents,
    /// Wakes at most one exclusive subscriber per notification (`EPOLLEXCLUSIVE`, `accept`).
    exclusive: bool,
    target: Target,
}

/// The subscribers of one object.
pub struct WaitQueue {
    entries: Mutex<Slab<Entry>>,
}

/// Keeps a waker subscribed; dropping it ends the subscription.
pub struct Subscription<'a> {
    queue: &'a WaitQueue,
    key: Option<usize>,
}

impl Default for WaitQueue {
    fn default() -> WaitQueue {
        WaitQueue::new()
    }
}

impl WaitQueue {
    pub const fn new() -> WaitQueue {
        WaitQueue { entries: Mutex::new(Rank::WaitQueue, Slab::new()) }
    }

    /// Tells every subscriber interested in any of `events` (errors and hang-ups always count).
    pub fn notify(&self, events: PollEvents) {
        let mut callbacks = Vec::new();
        {
            let entries = self.entries.lock();
            let mut exclusive_done = false;
            for (_, entry) in entries.iter() {
                let wanted = entry.events | PollEvents::ERR | PollEvents::HUP;
                if !wanted.intersects(events) || (entry.exclusive && exclusive_done) {
                    continue;
                }
                exclusive_done |= entry.exclusive;
                match &entry.target {
                    Target::Waker(waker) => waker.wake_by_ref(),
                    Target::Callback(callback) => callbacks.push(callback.clone()),
                }
            }
        }
        for callback in callbacks {
            callback.notify(events);
        }
    }

    /// Subscribes a callback until [`WaitQueue::unsubscribe`] with the returned key.
    pub fn subscribe(&self, events: PollEvents, exclusive: bool, target: Arc<dyn Notify>) -> usize {
        self.entries.lock().insert(Entry { events, exclusive, target: Target::Callback(target) })
    }

    pub fn unsubscribe(&self, key: usize) {
        let removed = self.entries.lock().try_remove(key);
        drop(removed);
    }

    /// An inactive subscription; [`Subscription::arm`] activates it.
    pub fn subscription(&self) -> Subscription<'_> {
        Subscription { queue: self, key: None }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.lock().is_empty()
    }

    /// How many have subscribed.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }
}

impl Subscription<'_> {
    /// Subscribes `waker` (replacing an earlier one).
    pub fn arm(&mut self, events: PollEvents, waker: &Waker) {
        self.arm_as(events, waker, false);
    }

    fn arm_as(&mut self, events: PollEvents, waker: &Waker, exclusive: bool) {
        let mut entries = self.queue.entries.lock();
        let entry = Entry { events, exclusive, target: Target::Waker(waker.clone()) };
        match self.key.and_then(|key| entries.get_mut(key)) {
            Some(slot) => *slot = entry,
            None => self.key = Some(entries.insert(entry)),
        }
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.queue.unsubscribe(key);
        }
    }
}

/// Waits until `attempt` answers with something, trying it again after every notification of
/// `events` on `queue`. Nothing is lost between a failed attempt and the subscription.
pub async fn wait_for<T>(
    queue: &WaitQueue,
    events: PollEvents,
    attempt: impl FnMut() -> Option<T>,
) -> T {
    wait(queue, events, false, attempt).await
}

/// As [`wait_for`], but a notification wakes only one of those who wait so. Whoever leaves must
/// pass a wake-up on that it did not use.
pub async fn wait_for_exclusive<T>(
    queue: &WaitQueue,
    events: PollEvents,
    attempt: impl FnMut() -> Option<T>,
) -> T {
    wait(queue, events, true, attempt).await
}

async fn wait<T>(
    queue: &WaitQueue,
    events: PollEvents,
    exclusive: bool,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    if let Some(value) = attempt() {
        return value;
    }
    let mut subscription = queue.subscription();
    std::future::poll_fn(move |cx| {
        subscription.arm_as(events, cx.waker(), exclusive);
        match attempt() {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        }
    })
    .await
}
