//! A stub's thread as the sentry knows it, and its process.
//!
//! Locks, in this order: `Slot::greeting`, `Slot::inbox`; `Process::members`; `Slot::begun`. Each is held for a few
//! instructions.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::begun::Remnant;
use super::calling::Calling;
use super::channel::{Channel, SlotMemory};
use super::conduit::Conduits;
use super::kept::Kept;
use super::layout::command;
use super::patching::Patching;
use super::posts::Posts;
use super::stock::{Held, NO_DOMAIN};
use crate::host::process::Processors;
use crate::process::clock::ProcessClock;
use crate::process::space::Memory;
use crate::process::{Tid, USER_END, kick, kill_process};

/// The thread runs guest code, or was told to.
pub(super) const RUNNING: u32 = 1;
/// Somebody wants it to trap.
pub(super) const INTERRUPT: u32 = 2;
/// It ended; its number may belong to another one now.
pub(super) const GONE: u32 = 4;
/// Its handle was dropped: whatever it reports, it shall end.
pub(super) const ABANDONED: u32 = 8;
/// A kick that it reports is for its handle, whoever sent it.
pub(super) const COMPLETING: u32 = 16;
/// It is no longer counted.
pub(super) const UNCOUNTED: u32 = 32;
/// It is no longer in the table, and its slot of the channel was given back.
pub(super) const FORGOTTEN: u32 = 64;

/// Its stub was told to do something before the thread can go on.
pub(super) const OBEYING: u32 = 128;
/// The watchdog has it on its list.
pub(super) const WATCHED: u32 = 256;

/// No number of a call.
pub(super) const NOTHING_ASKED: i64 = -1;

/// What a stub's thread tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// It makes a system call of the guest, and nothing else is known about it.
    Call { id: u64, number: i32, ip: u64, args: [u64; 6] },
    /// It has put a call on its line and waits in the stub; `info` tells its trampoline.
    Hotline { number: i32, info: u64, args: [u64; 6] },
    /// It is in the stub because of a signal.
    Signal { id: u64, context: u64, info: u64, signo: i32, fs_base: u64, gs_base: u64 },
    /// It is new, and in the stub for the first time.
    Hello { id: u64 },
    /// It has made the commanded calls.
    Done { id: u64, result: u64 },
    /// It is no more.
    Dead,
}

/// A stub thread, as the sentry knows it.
pub(super) struct Slot {
    pub(super) tid: Tid,
    pub(super) process: Arc<Process>,
    pub(super) memory: SlotMemory,
    pub(super) flags: AtomicU32,
    /// Flags of the `clone(2)` that its stub was told to make, 0 if none,
    pub(super) clone_flags: AtomicU64,
    /// and how often it has asked for it.
    pub(super) clones: AtomicU32,
    /// The number of the call that its stub may ask for beside that, or [`NOTHING_ASKED`].
    pub(super) asked: AtomicI64,
    /// How many events it has reported.
    pub(super) reports: AtomicU32,
    /// What the host shall clear at its end, 0 for nothing.
    pub(super) exit_word: AtomicU64,
    pub(super) greeting: Mutex<Greeting>,
    pub(super) inbox: Mutex<Inbox>,
    /// Its call by the line.
    pub(super) calling: Mutex<Calling>,
    /// Whether there may be one of which bytes came along.
    pub(super) is_along: AtomicBool,
    /// How many of its reports were looked at.
    pub(super) reports_seen: AtomicU64,
    /// Calls that it does not wait for.
    pub(super) posts: Posts,
    /// What its call has begun with that waits at a conduit.
    pub(super) begun: Mutex<Vec<Remnant>>,
    /// Where it may run, if that was said.
    pub(super) processors: Mutex<Option<Processors>>,
}

/// What is to become of a new thread's hello.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Greeting {
    /// There was one, or will be none.
    #[default]
    Over,
    /// It is for the handle.
    Awaited,
    /// It gets this answer.
    Prepared(u64),
}

/// The event that the thread's handle has not fetched yet.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) event: Option<Event>,
    waker: Option<Waker>,
}

/// What is known of a thread that shall report.
pub(super) struct Overdue {
    /// How many events it has reported.
    pub(super) reports: u32,
    /// Its stub obeys a command, which may take long.
    pub(super) is_obeying: bool,
}

/// A host thread group.
pub(super) struct Process {
    pub(super) tgid: Tid,
    pub(super) memory: Arc<Memory>,
    pub(super) channel: Arc<Channel>,
    pub(super) patching: Arc<Patching>,
    /// Whether it has or had more than one thread.
    pub(super) has_threads: AtomicBool,
    pub(super) clock: ProcessClock,
    pub(super) kept: Kept,
    /// What it has from the beginning, until a program runs.
    pub(super) held: Mutex<Held>,
    /// In whose name it maps files, or [`NO_DOMAIN`].
    pub(super) domain: AtomicU32,
    /// Those in its memory.
    pub(super) conduits: Arc<Conduits>,
    pub(super) members: Mutex<Members>,
}

#[derive(Default)]
pub(super) struct Members {
    /// Those that may report.
    pub(super) threads: Vec<Weak<Slot>>,
    /// How many of them have a handle.
    pub(super) owned: usize,
    /// The host is about to give its number to others.
    pub(super) has_ended: bool,
}

impl Process {
    pub(super) fn new(
        tgid: Tid,
        memory: Arc<Memory>,
        channel: Arc<Channel>,
        patching: Arc<Patching>,
        conduits: Arc<Conduits>,
    ) -> Arc<Process> {
        let (clock, has_threads) = (ProcessClock::new(tgid), AtomicBool::new(false));
        let (kept, held, members) = (Kept::default(), Mutex::default(), Mutex::default());
        Arc::new(Process {
            tgid,
            memory,
            channel,
            patching,
            clock,
            has_threads,
            kept,
            held,
            domain: AtomicU32::new(NO_DOMAIN),
            conduits,
            members,
        })
    }

    /// Notes that another thread is about to be made.
    pub(super) fn expect_thread(&self) {
        self.has_threads.store(true, Ordering::SeqCst);
    }

    /// Whether only one thread with a handle is left.
    pub(super) fn has_one_owned(&self) -> bool {
        self.members.lock().owned <= 1
    }

    /// Kills all its threads, if it has not ended.
    pub(super) fn kill(&self) {
        let members = self.members.lock();
        if !members.has_ended {
            kill_process(self.tgid);
        }
    }
}

impl Slot {
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::SeqCst) & flag != 0
    }

    pub(super) fn is_gone(&self) -> bool {
        self.has(GONE)
    }

    /// Whether it was asked to trap and another event is awaited.
    pub(super) fn overdue(&self) -> Option<Overdue> {
        let flags = self.flags.load(Ordering::SeqCst);
        let is_awaited = flags & (RUNNING | COMPLETING | OBEYING) != 0;
        (is_awaited && flags & INTERRUPT != 0 && flags & GONE == 0).then(|| Overdue {
            reports: self.reports.load(Ordering::SeqCst),
            is_obeying: flags & OBEYING != 0,
        })
    }

    /// Puts it on the watchdog's list; `false` if it is there already.
    pub(super) fn start_watching(&self) -> bool {
        self.mark(WATCHED)
    }

    pub(super) fn stop_watching(&self) {
        self.flags.fetch_and(!WATCHED, Ordering::SeqCst);
    }

    /// Its stub has done what it was told.
    pub(super) fn has_obeyed(&self) {
        self.clone_flags.store(0, Ordering::SeqCst);
        self.asked.store(NOTHING_ASKED, Ordering::SeqCst);
        self.flags.fetch_and(!OBEYING, Ordering::SeqCst);
    }

    /// Notes that it runs no longer; `false` if it does not run, or shall do something else.
    pub(super) fn stop_running(&self) -> bool {
        let flags = self.flags.load(Ordering::SeqCst);
        let others = INTERRUPT | GONE | ABANDONED | COMPLETING | OBEYING;
        flags & (RUNNING | others) == RUNNING
            && self
                .flags
                .compare_exchange(flags, flags & !RUNNING, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// Takes [`Slot::stop_running`] back.
    pub(super) fn go_on_running(&self) {
        if self.flags.fetch_or(RUNNING, Ordering::SeqCst) & INTERRUPT != 0 {
            // Whoever wanted it to trap saw that it did not run.
            let _ = kick(self.process.tgid, self.tid);
        }
    }

    /// Notes that it is about to run; `false` if it has to trap at once instead.
    pub(super) fn start_running(&self) -> bool {
        if self.flags.fetch_or(RUNNING, Ordering::SeqCst) & INTERRUPT == 0 {
            return true;
        }
        self.flags.fetch_and(!(RUNNING | INTERRUPT), Ordering::SeqCst);
        false
    }

    /// Lets its stub make a clone with just these flags, until [`Slot::has_obeyed`].
    pub(super) fn expect_clone(&self, flags: u64) {
        self.clones.store(0, Ordering::SeqCst);
        self.clone_flags.store(flags, Ordering::SeqCst);
    }

    /// Prepares the answer to the thread's hello; `Some` with its notification if it came already.
    pub(super) fn prepare_greeting(&self, answer: u64) -> Option<u64> {
        let mut greeting = self.greeting.lock();
        if let Greeting::Awaited = *greeting {
            *greeting = Greeting::Prepared(answer);
            return None;
        }
        let mut inbox = self.inbox.lock();
        let Some(Event::Hello { id }) = inbox.event else { return None };
        inbox.event = None;
        Some(id)
    }

    /// Has the host clear a word when the thread is told to end.
    pub(super) fn clear_at_exit(&self, addr: u64) {
        // The host could not write anywhere else either.
        let word = if addr < USER_END { addr } else { 0 };
        self.exit_word.store(word, Ordering::SeqCst);
    }

    /// The command that ends the thread.
    pub(super) fn exit_command(&self) -> u64 {
        command::EXIT | self.exit_word.load(Ordering::SeqCst) << command::EXIT_WORD_SHIFT
    }

    /// Waits for the next event.
    pub(super) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut inbox = self.inbox.lock();
        if let Some(event) = inbox.event.take() {
            return Poll::Ready(event);
        }
        if self.is_gone() {
            return Poll::Ready(Event::Dead);
        }
        match &mut inbox.waker {
            Some(old) => old.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) async fn next_event(&self) -> Event {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    pub(super) fn deliver(&self, event: Event) {
        if !matches!(event, Event::Dead) {
            self.make_posts();
        }
        self.reports.fetch_add(1, Ordering::SeqCst);
        let mut inbox = self.inbox.lock();
        inbox.event = Some(event);
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sets a flag; `true` if it was not set.
    pub(super) fn mark(&self, flag: u32) -> bool {
        self.flags.fetch_or(flag, Ordering::SeqCst) & flag == 0
    }
}
