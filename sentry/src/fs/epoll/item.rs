//! One watched file of an epoll.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::poll::{EpollEvents, PollEvents};

use super::Epoll;
use super::silent::Silent;
use crate::sync::{Mutex, Notify, Rank, WaitQueue};
use crate::vfs::FileDescription;

/// Option bits of an interest; the others are events.
const OPTIONS: EpollEvents = EpollEvents::EXCLUSIVE
    .union(EpollEvents::WAKEUP)
    .union(EpollEvents::ONESHOT)
    .union(EpollEvents::ET);

/// What identifies an item: the descriptor number it was added with and the description. The
/// description's address stays taken as long as the item refers to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    fd: i32,
    target: usize,
}

impl Key {
    pub(super) fn new(fd: i32, target: &Arc<FileDescription>) -> Key {
        Key { fd, target: Arc::as_ptr(target).addr() }
    }
}

/// A file that an epoll watches.
pub(super) struct Item {
    this: Weak<Item>,
    epoll: Weak<Epoll>,
    fd: i32,
    target: Weak<FileDescription>,
    interest: Mutex<Interest>,
    /// Whether it is on the ready list.
    is_listed: AtomicBool,
    /// Taken out by `EPOLL_CTL_DEL`; it may still be on the ready list.
    is_retired: AtomicBool,
    /// Whether it is one of the epoll's silent items, and what it knows as such.
    is_silent: AtomicBool,
    silent: Mutex<Option<Silent>>,
}

struct Interest {
    events: EpollEvents,
    data: u64,
    /// Key of the subscription to the file's wait queue.
    subscription: Option<usize>,
}

impl Item {
    pub(super) fn new(
        epoll: &Arc<Epoll>,
        fd: i32,
        target: &Arc<FileDescription>,
        events: EpollEvents,
        data: u64,
    ) -> Arc<Item> {
        let interest = Interest { events, data, subscription: None };
        Arc::new_cyclic(|this| Item {
            this: this.clone(),
            epoll: Arc::downgrade(epoll),
            fd,
            target: Arc::downgrade(target),
            interest: Mutex::new(Rank::Leaf, interest),
            is_listed: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            silent: Mutex::new(Rank::FileObject, None),
        })
    }

    pub(super) fn key(&self) -> Key {
        Key { fd: self.fd, target: self.target.as_ptr().addr() }
    }

    pub(super) fn target(&self) -> Option<Arc<FileDescription>> {
        self.target.upgrade()
    }

    /// Whether the file was closed.
    pub(super) fn is_orphan(&self) -> bool {
        self.target.strong_count() == 0
    }

    pub(super) fn events(&self) -> EpollEvents {
        self.interest.lock().events
    }

    pub(super) fn data(&self) -> u64 {
        self.interest.lock().data
    }

    pub(super) fn set_interest(&self, events: EpollEvents, data: u64) {
        let mut interest = self.interest.lock();
        interest.events = events;
        interest.data = data;
    }

    /// After its one shot: waits for nothing until it is modified.
    pub(super) fn disarm(&self) {
        self.interest.lock().events &= OPTIONS;
    }

    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    pub(super) fn subscribe(&self, queue: &WaitQueue, exclusive: bool) {
        let Some(this) = self.this.upgrade() else { return };
        let key = queue.subscribe(poll_events(self.events()), exclusive, this);
        self.interest.lock().subscription = Some(key);
    }

    pub(super) fn unsubscribe(&self, queue: &WaitQueue) {
        let key = self.interest.lock().subscription.take();
        if let Some(key) = key {
            queue.unsubscribe(key);
        }
    }

    /// Puts the item on the ready list if it waits for any of `events`.
    pub(super) fn poke(&self, events: PollEvents) {
        let is_wanted = self.wanted().is_some_and(|wanted| wanted.intersects(events));
        if is_wanted
            && self.enter_list()
            && let (Some(epoll), Some(this)) = (self.epoll.upgrade(), self.this.upgrade())
        {
            epoll.push_ready(this);
        }
    }

    /// Notes that it is on the list now; false if it was already.
    pub(super) fn enter_list(&self) -> bool {
        !self.is_listed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn leave_list(&self) {
        self.is_listed.store(false, Ordering::Release);
    }

    /// The events waited for that hold now; `None` if there are none. A file that was asked goes to
    /// `files`.
    pub(super) fn check(&self, files: &mut Vec<Arc<FileDescription>>) -> Option<EpollEvents> {
        if self.is_retired.load(Ordering::Acquire) {
            return None;
        }
        let wanted = self.wanted()?;
        let target = self.target()?;
        let found = self.ready(&target) & wanted;
        files.push(target);
        (!found.is_empty()).then(|| EpollEvents::from_bits_retain(u32::from(found.bits())))
    }

    /// What holds of the file now. One that guest code reads and writes by itself is asked to tell of
    /// it only by who is about to wait ([`Item::has_news`]).
    pub(super) fn ready(&self, target: &FileDescription) -> PollEvents {
        let Some(conduits) = target.file().conduits() else {
            *self.silent.lock() = None;
            return target.file().readiness();
        };
        {
            let mut silent = self.silent.lock();
            if silent.as_ref().is_none_or(Silent::is_over) {
                *silent = Some(Silent::new(conduits));
            }
            if let Some(silent) = &mut *silent {
                silent.note_seen();
            }
        }
        if !self.is_silent.swap(true, Ordering::AcqRel)
            && let (Some(epoll), Some(this)) = (self.epoll.upgrade(), self.this.upgrade())
        {
            epoll.add_silent(this);
        }
        target.file().look()
    }

    /// Whether there may be events of a silent item; with `asks`, it is told of when there are.
    /// `None` if it is silent no longer.
    pub(super) fn has_news(&self, asks: bool) -> Option<bool> {
        let silent = self.silent.lock();
        let present = silent.as_ref().filter(|_| !self.is_retired.load(Ordering::Acquire));
        let Some(present) = present.filter(|_| !self.is_orphan()) else {
            self.is_silent.store(false, Ordering::Release);
            return None;
        };
        let news = |wanted| present.is_over() || present.has_news(wanted, self.events(), asks);
        Some(self.wanted().is_some_and(news))
    }

    /// The silent item's file need not tell any more, if nobody else watches it.
    pub(super) fn stop_asking(&self) {
        let Some(target) = self.target() else { return };
        let conduits = self.silent.lock().as_ref().map(|silent| silent.conduits().clone());
        if let (Some(queue), Some(conduits)) = (target.file().wait_queue(), conduits) {
            // One is the item's own.
            conduits.stop_watching(queue, 1);
        }
    }

    /// What is waited for, with what always is; `None` when disarmed.
    fn wanted(&self) -> Option<PollEvents> {
        let events = self.events();
        let is_disarmed = events.contains(EpollEvents::ONESHOT) && OPTIONS.contains(events);
        (!is_disarmed).then(|| poll_events(events) | PollEvents::ERR | PollEvents::HUP)
    }

    /// The item's line in `/proc/[pid]/fdinfo`.
    pub(super) fn fdinfo(&self) -> String {
        let Some(target) = self.target() else { return String::new() };
        let interest = self.interest.lock();
        let (events, data) = (interest.events.bits(), interest.data);
        drop(interest);
        let (inode, device) = match target.attributes() {
            Ok(attributes) => (attributes.inode, attributes.device),
            Err(_) => (0, Default::default()),
        };
        let sdev = device.major << 20 | device.minor;
        format!(
            "tfd: {:8} events: {events:8x} data: {data:16x}  pos:0 ino:{inode:x} sdev:{sdev:x}\n",
            self.fd
        )
    }
}

impl Notify for Item {
    fn notify(&self, events: PollEvents) {
        self.poke(events);
    }
}

fn poll_events(events: EpollEvents) -> PollEvents {
    PollEvents::from_bits_retain((events & !OPTIONS).bits() as u16)
}
