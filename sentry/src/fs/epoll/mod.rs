//! Event polls, epoll(7).
//!
//! An [`Epoll`] holds an [`Item`] for each watched file description. An item subscribes to its
//! file's wait queue; a notification puts it on the ready list, and `epoll_wait` looks at what is
//! on that list only. An item does not keep its file open: it ends with the last reference to the
//! description, and is cleared away when it is next met.
//!
//! Locks: `EpollTurn` before `Epoll` (the items) before `Ready` (the ready list). The turn is held
//! by whoever goes through the ready list or changes the items, while files are asked for their
//! readiness too: the list is empty meanwhile, and nobody must take that for "nothing is ready".
//! A file may be an epoll itself, whose turn is taken then; there are no loops of epolls.
//! Notifications need the ready list only. The list of [silent](silent) items has the rank of the
//! ready list; neither is taken with the other.

mod item;
mod silent;
#[cfg(test)]
mod tests;
mod topology;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::poll::{EpollEvent, EpollEvents, PollEvents};

use crate::memory::{IoDest, IoSource};
use crate::sync::{Mutex, Rank, WaitQueue, wait_for_exclusive};
use crate::vfs::{File, FileDescription, IoContext};

use item::{Item, Key};
pub use topology::Topology;

/// What an epoll tells its watchers.
const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
/// Input flags that go together with `EPOLLEXCLUSIVE` (epoll_ctl(2)).
const EXCLUSIVE_ALLOWED: EpollEvents = EpollEvents::EXCLUSIVE
    .union(EpollEvents::IN)
    .union(EpollEvents::OUT)
    .union(EpollEvents::ERR)
    .union(EpollEvents::HUP)
    .union(EpollEvents::WAKEUP)
    .union(EpollEvents::ET);

/// An event poll.
pub struct Epoll {
    turn: Mutex<()>,
    items: Mutex<Items>,
    ready: Mutex<VecDeque<Arc<Item>>>,
    /// Items that nobody tells of unless asked.
    silent: Mutex<Vec<Arc<Item>>>,
    /// Whether they were asked.
    has_asked: AtomicBool,
    /// `epoll_wait` callers.
    waiters: WaitQueue,
    /// Who watches the epoll's own descriptor.
    watchers: WaitQueue,
    /// Epolls that watch this one; changes under the topology lock.
    parents: Mutex<Vec<Weak<Epoll>>>,
}

struct Items {
    map: BTreeMap<Key, Arc<Item>>,
    /// Size at which items of closed files are looked for.
    purge_at: usize,
}

/// An open epoll descriptor.
pub struct EpollFile(Arc<Epoll>);

impl EpollFile {
    pub fn new() -> EpollFile {
        EpollFile(Arc::new(Epoll {
            turn: Mutex::new(Rank::EpollTurn, ()),
            items: Mutex::new(Rank::Epoll, Items { map: BTreeMap::new(), purge_at: 64 }),
            ready: Mutex::new(Rank::Ready, VecDeque::new()),
            silent: Mutex::new(Rank::Ready, Vec::new()),
            has_asked: AtomicBool::new(false),
            waiters: WaitQueue::new(),
            watchers: WaitQueue::new(),
            parents: Mutex::new(Rank::Leaf, Vec::new()),
        }))
    }

    pub fn epoll(&self) -> &Arc<Epoll> {
        &self.0
    }
}

impl Default for EpollFile {
    fn default() -> EpollFile {
        EpollFile::new()
    }
}

impl Epoll {
    /// `EPOLL_CTL_ADD`: watches `target`, known to the caller as descriptor `fd`.
    ///
    /// Errors: EEXIST; EPERM (a file that is always ready); EINVAL (itself, or flags that do not
    /// go with `EPOLLEXCLUSIVE`); ELOOP (epolls watching each other, or nested too deep).
    pub fn add(
        self: &Arc<Self>,
        topology: &Topology,
        fd: i32,
        target: &Arc<FileDescription>,
        event: EpollEvent,
    ) -> Result<(), Errno> {
        let queue = target.file().wait_queue().ok_or(Errno::EPERM)?;
        let events = EpollEvents::from_bits_retain(event.events);
        let nested = target.downcast::<EpollFile>().map(EpollFile::epoll);
        if nested.is_some_and(|nested| Arc::ptr_eq(nested, self)) {
            return Err(Errno::EINVAL);
        }
        let exclusive = events.contains(EpollEvents::EXCLUSIVE);
        if exclusive && (nested.is_some() || !EXCLUSIVE_ALLOWED.contains(events)) {
            return Err(Errno::EINVAL);
        }
        let _held = match nested {
            Some(nested) => Some(topology.check_and_link(self, nested)?),
            None => None,
        };
        let item = Item::new(self, fd, target, events, event.data);
        let _turn = self.turn.lock();
        {
            let mut items = self.items.lock();
            items.purge();
            if items.map.contains_key(&item.key()) {
                return Err(Errno::EEXIST);
            }
            items.map.insert(item.key(), item.clone());
        }
        item.subscribe(queue, exclusive);
        self.welcome(&item, target);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`. Errors: ENOENT; EPERM; EINVAL (`EPOLLEXCLUSIVE`, now or before).
    pub fn modify(
        &self,
        fd: i32,
        target: &Arc<FileDescription>,
        event: EpollEvent,
    ) -> Result<(), Errno> {
        let queue = target.file().wait_queue().ok_or(Errno::EPERM)?;
        let events = EpollEvents::from_bits_retain(event.events);
        if events.contains(EpollEvents::EXCLUSIVE) {
            return Err(Errno::EINVAL);
        }
        let _turn = self.turn.lock();
        let item = self.items.lock().map.get(&Key::new(fd, target)).cloned();
        let item = item.ok_or(Errno::ENOENT)?;
        if item.events().contains(EpollEvents::EXCLUSIVE) {
            return Err(Errno::EINVAL);
        }
        item.set_interest(events, event.data);
        item.unsubscribe(queue);
        item.subscribe(queue, false);
        self.welcome(&item, target);
        Ok(())
    }

    /// Puts a new item, or one that waits for something else now, on the list if it is ready.
    fn welcome(&self, item: &Item, target: &FileDescription) {
        item.poke(item.ready(target));
        let is_awaited = !self.waiters.is_empty() || !self.watchers.is_empty();
        if is_awaited && item.has_news(true) == Some(true) {
            item.poke(target.file().look());
        }
    }

    /// `EPOLL_CTL_DEL`. Errors: ENOENT; EPERM.
    pub fn delete(&self, fd: i32, target: &Arc<FileDescription>) -> Result<(), Errno> {
        let queue = target.file().wait_queue().ok_or(Errno::EPERM)?;
        let _turn = self.turn.lock();
        let item = self.items.lock().map.remove(&Key::new(fd, target)).ok_or(Errno::ENOENT)?;
        item.unsubscribe(queue);
        item.retire();
        if let Some(nested) = target.downcast::<EpollFile>() {
            nested.0.forget_parent(self);
        }
        Ok(())
    }

    /// Waits for events, at most `max` (not 0) of them.
    pub async fn wait(&self, max: usize) -> Vec<EpollEvent> {
        let _pass_on = PassOn(self);
        let mut is_about_to_wait = false;
        let events = wait_for_exclusive(&self.waiters, READABLE, || {
            let asks = std::mem::replace(&mut is_about_to_wait, true);
            let events = self.collect_asking(max, asks);
            (!events.is_empty()).then_some(events)
        })
        .await;
        if self.waiters.is_empty() && self.watchers.is_empty() {
            self.stop_asking();
        }
        events
    }

    /// The events that hold now, at most `max`.
    pub fn collect(&self, max: usize) -> Vec<EpollEvent> {
        self.collect_asking(max, false)
    }

    fn collect_asking(&self, max: usize, asks: bool) -> Vec<EpollEvent> {
        let mut events = Vec::new();
        self.scan(asks, |item, found| {
            events.push(EpollEvent { events: found.bits(), data: item.data() });
            let interest = item.events();
            if interest.contains(EpollEvents::ONESHOT) {
                item.disarm();
            }
            let stays = !interest.intersects(EpollEvents::ONESHOT | EpollEvents::ET);
            (stays, events.len() < max)
        });
        events
    }

    /// Whether `collect` would find something.
    fn is_ready(&self) -> bool {
        let mut is_ready = false;
        self.scan(true, |_, _| {
            is_ready = true;
            (true, false)
        });
        is_ready
    }

    /// Takes items off the ready list and shows those that are ready to `visit` with their events.
    /// It answers whether the item goes back to the list's end and whether to go on. What is not
    /// ready any more leaves the list.
    /// With `asks`, silent items that are not ready tell when they are.
    fn scan(&self, asks: bool, mut visit: impl FnMut(&Arc<Item>, EpollEvents) -> (bool, bool)) {
        // Files that may be closed meanwhile: the last reference goes behind the turn.
        let mut files = Vec::new();
        let _turn = self.turn.lock_nested();
        self.list_silent(asks);
        let mut batch = std::mem::take(&mut *self.ready.lock());
        let mut back = Vec::new();
        while let Some(item) = batch.pop_front() {
            // First, so that a notification from now on puts it back.
            item.leave_list();
            let mut found = item.check(&mut files);
            if found.is_none() && asks && item.has_news(true) == Some(true) {
                // It has become a silent one just now.
                found = item.check(&mut files);
            }
            let Some(found) = found else {
                if item.is_orphan() {
                    self.items.lock().map.remove(&item.key());
                }
                continue;
            };
            let (stays, go_on) = visit(&item, found);
            if stays {
                back.push(item);
            }
            if !go_on {
                break;
            }
        }
        let mut ready = self.ready.lock();
        while let Some(item) = batch.pop_back() {
            ready.push_front(item);
        }
        ready.extend(back.into_iter().filter(|item| item.enter_list()));
    }

    /// Puts silent items that may be ready on the list; with `asks`, the others tell when they are.
    fn list_silent(&self, asks: bool) {
        let mut items = std::mem::take(&mut *self.silent.lock());
        if items.is_empty() {
            return;
        }
        if asks {
            self.has_asked.store(true, Ordering::SeqCst);
        }
        items.retain(|item| {
            let news = item.has_news(asks);
            if news != Some(false) && item.enter_list() {
                self.ready.lock().push_back(item.clone());
            }
            news.is_some()
        });
        let mut silent = self.silent.lock();
        // Others may have come meanwhile.
        items.append(&mut silent);
        *silent = items;
    }

    fn add_silent(&self, item: Arc<Item>) {
        self.silent.lock().push(item);
    }

    /// Events are fetched again: nobody need tell of them.
    fn stop_asking(&self) {
        if self.has_asked.swap(false, Ordering::SeqCst) {
            let items = self.silent.lock().clone();
            items.iter().for_each(|item| item.stop_asking());
            if !self.waiters.is_empty() {
                // Who has begun to wait meanwhile asks again.
                self.waiters.notify(READABLE);
            }
        }
    }

    /// Puts an item that became ready on the list and tells who waits.
    fn push_ready(&self, item: Arc<Item>) {
        self.ready.lock().push_back(item);
        self.waiters.notify(READABLE);
        self.watchers.notify(READABLE);
    }

    fn forget_parent(&self, parent: &Epoll) {
        self.parents.lock().retain(|other| !std::ptr::eq(other.as_ptr(), parent));
    }

    /// The epolls among the watched files.
    fn children(&self) -> Vec<Arc<Epoll>> {
        let items: Vec<_> = self.items.lock().map.values().cloned().collect();
        let targets = items.iter().filter_map(|item| item.target());
        targets
            .filter_map(|target| target.downcast::<EpollFile>().map(|file| file.0.clone()))
            .collect()
    }
}

/// Passes a wake-up on when a waiter leaves with events still on the list: wake-ups go to one
/// waiter at a time, and this one may be leaving because of a signal or a timeout.
struct PassOn<'a>(&'a Epoll);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        if !self.0.ready.lock().is_empty() {
            self.0.waiters.notify(READABLE);
        }
    }
}

impl Items {
    /// Forgets items of closed files, now and then.
    fn purge(&mut self) {
        if self.map.len() >= self.purge_at {
            self.map.retain(|_, item| !item.is_orphan());
            self.purge_at = (self.map.len() * 2).max(64);
        }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for item in std::mem::take(&mut self.items.get_mut().map).into_values() {
            if let Some(target) = item.target()
                && let Some(queue) = target.file().wait_queue()
            {
                item.unsubscribe(queue);
            }
        }
    }
}

impl File for EpollFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, _: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }

    fn write(
        &self,
        _: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        Err(Errno::EINVAL)
    }

    fn readiness(&self) -> PollEvents {
        if self.0.is_ready() { READABLE } else { PollEvents::empty() }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.watchers)
    }

    fn fdinfo(&self) -> String {
        let items: Vec<_> = self.0.items.lock().map.values().cloned().collect();
        items.iter().map(|item| item.fdinfo()).collect()
    }
}
