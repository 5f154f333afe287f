//! What all threads of the platform share: the table of stub threads, and the way events about
//! them are handed out.
//!
//! A stub's thread is known by its host thread id, which the kernel tells with each notification;
//! nothing that shared memory says identifies anybody. Locks, each held for a few instructions, in
//! this order: `Watch::state`, `Slot::calling`, `Supervisor::newcomers`, `Supervisor::processes`,
//! `Supervisor::table`, `Slot::greeting`, `Slot::inbox`, `Process::members`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use parking_lot::{Mutex, RwLock};

use super::channel::{Channel, SlotMemory};
use super::conduit::{End, Numbers};
use super::counters::Counters;
use super::familiar::Familiar;
use super::frame::{self, Frame};
use super::hotline::Watch;
use super::layout::{DOORBELL, command, event};
use super::listener::{Listener, Notification};
use super::newcomers::Newcomers;
use super::patch;
use super::posts::Posts;
use super::reception::Reception;
use super::region::Region;
use super::slot::{
    ABANDONED, COMPLETING, Event, FORGOTTEN, GONE, Greeting, INTERRUPT, NOTHING_ASKED, OBEYING,
    Process, RUNNING, Slot, UNCOUNTED,
};
use super::spares::Spares;
use super::stock::Stock;
use super::vdso::LazyVdso;
use super::watchdog::Watchdog;
use super::workers::Workers;
use crate::host;
use crate::process::space::{Common, Space};
use crate::process::{KICK, Tid, kick, kill_process};

/// How often the host may have to restart a clone.
const CLONE_RESTARTS: u32 = 1000;

/// The platform's shared state.
pub(super) struct Supervisor {
    pub(super) common: Arc<Common>,
    pub(super) listener: Listener,
    pub(super) workers: Workers,
    pub(super) reception: Reception,
    pub(super) watchdog: Arc<Watchdog>,
    pub(super) region: Region,
    /// For new address spaces.
    pub(super) channels: Spares,
    pub(super) stock: Stock,
    pub(super) conduits: Arc<Numbers>,
    pub(super) watch: Watch,
    pub(super) counters: Counters,
    /// The floating-point state of a fresh process, and the features it may have.
    pub(super) blank_fpu: Vec<u8>,
    pub(super) fpu_features: u64,
    /// Whether stubs may serve calls, for which code is patched.
    pub(super) serves_fast_calls: AtomicBool,
    /// Whether guest code calls the host's futexes by itself.
    pub(super) has_native_futexes: bool,
    /// The vDSO of guest processes.
    pub(super) vdso: LazyVdso,
    pub(super) familiar: Familiar,
    /// The thread whose children all stub processes are.
    parent: Tid,
    table: RwLock<HashMap<Tid, Arc<Slot>, BuildHasherDefault<TidHasher>>>,
    pub(super) newcomers: Mutex<Newcomers>,
    pub(super) processes: Mutex<HashMap<Tid, Arc<Process>>>,
    thread_count: AtomicUsize,
}

/// Spreads thread ids, which the host hands out and nobody can choose.
#[derive(Default)]
struct TidHasher(u64);

impl Hasher for TidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_i32(byte.into());
        }
    }

    fn write_i32(&mut self, number: i32) {
        /// Two to the 64 over the golden ratio.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ number as u64).wrapping_mul(SPREAD);
    }
}

/// What a new [`Supervisor`] starts from.
pub(super) struct Setup {
    pub(super) common: Arc<Common>,
    pub(super) listener: Listener,
    pub(super) workers: Workers,
    pub(super) watchdog: Arc<Watchdog>,
    pub(super) region: Region,
    pub(super) blank_fpu: Vec<u8>,
    pub(super) fpu_features: u64,
    pub(super) has_native_futexes: bool,
    pub(super) vdso: LazyVdso,
}

impl Supervisor {
    pub(super) fn new(setup: Setup) -> Arc<Supervisor> {
        Arc::new(Supervisor {
            common: setup.common,
            listener: setup.listener,
            workers: setup.workers,
            reception: Reception::new(),
            watchdog: setup.watchdog,
            channels: Spares::new(setup.region.channel().start),
            stock: Stock::default(),
            region: setup.region,
            conduits: Arc::default(),
            watch: Watch::new(),
            counters: Counters::default(),
            blank_fpu: setup.blank_fpu,
            fpu_features: setup.fpu_features,
            serves_fast_calls: AtomicBool::new(patch::can_execute()),
            has_native_futexes: setup.has_native_futexes,
            vdso: setup.vdso,
            familiar: Familiar::default(),
            parent: host::process::tid(),
            table: RwLock::default(),
            newcomers: Mutex::default(),
            processes: Mutex::default(),
            thread_count: AtomicUsize::new(0),
        })
    }

    /// CPU time of a thread in nanoseconds, zero when it is gone.
    pub(super) fn cpu_time_ns(&self, slot: &Slot) -> u64 {
        let process = &slot.process;
        match process.has_threads.load(Ordering::SeqCst) {
            true => self.common.cpu_time_ns(slot.tid),
            // Cheaper, and the same.
            false if slot.is_gone() => 0,
            false => host::time::process_cpu_ns(process.tgid).unwrap_or(0),
        }
    }

    /// Enters a thread into the table. A thread that had its number before must be gone.
    pub(super) fn add(
        &self,
        tid: Tid,
        process: Arc<Process>,
        memory: SlotMemory,
        greeting: Greeting,
    ) -> Arc<Slot> {
        process.memory.add_user(tid);
        self.processes.lock().insert(process.tgid, Arc::clone(&process));
        let slot = Arc::new(Slot {
            tid,
            process,
            memory,
            flags: AtomicU32::new(0),
            clone_flags: AtomicU64::new(0),
            clones: AtomicU32::new(0),
            asked: AtomicI64::new(NOTHING_ASKED),
            reports: AtomicU32::new(0),
            exit_word: AtomicU64::new(0),
            greeting: Mutex::new(greeting),
            inbox: Mutex::default(),
            calling: Mutex::default(),
            is_along: AtomicBool::new(false),
            reports_seen: AtomicU64::new(0),
            posts: Posts::default(),
            begun: Mutex::default(),
            processors: Mutex::default(),
        });
        slot.set_token();
        let mut members = slot.process.members.lock();
        members.threads.push(Arc::downgrade(&slot));
        members.owned += 1;
        drop(members);
        self.thread_count.fetch_add(1, Ordering::Relaxed);
        let old = self.table.write().insert(tid, Arc::clone(&slot));
        if let Some(old) = old {
            self.record_end(&old);
        }
        slot
    }

    /// A thread is no more: tells its handle.
    fn record_end(&self, slot: &Slot) {
        slot.mark(GONE);
        slot.leave_conduit();
        self.uncount(slot);
        slot.deliver(Event::Dead);
        if slot.has(ABANDONED) {
            self.forget(slot);
        }
    }

    /// See [`Interrupter::interrupt`].
    ///
    /// [`Interrupter::interrupt`]: crate::contract::Interrupter::interrupt
    pub(super) fn interrupt(&self, slot: &Arc<Slot>) {
        let old = slot.flags.fetch_or(INTERRUPT, Ordering::SeqCst);
        // A thread that is not running finds the flag at its next resume.
        let is_kicked = old & (RUNNING | INTERRUPT | GONE) == RUNNING;
        if is_kicked {
            self.counters.note_kick();
        }
        if is_kicked && kick(slot.process.tgid, slot.tid) == Err(Errno::ESRCH) {
            self.record_end(slot);
        }
        if old & GONE == 0 && old & (RUNNING | COMPLETING | OBEYING) != 0 {
            self.watchdog.watch(slot);
        }
    }

    /// Notes that the stub is told to do something, which ends with an event and
    /// [`Slot::has_obeyed`].
    pub(super) fn start_obeying(&self, slot: &Arc<Slot>) {
        self.start(slot, OBEYING);
    }

    /// Makes a thread enter the stub with all its registers as soon as its present call is answered.
    pub(super) fn start_completing(&self, slot: &Arc<Slot>) {
        self.start(slot, COMPLETING);
        self.counters.note_completion();
        // Without the thread there will be no answer either, but the end of its process.
        let _ = kick(slot.process.tgid, slot.tid);
    }

    fn start(&self, slot: &Arc<Slot>, flag: u32) {
        if slot.flags.fetch_or(flag, Ordering::SeqCst) & INTERRUPT != 0 {
            self.watchdog.watch(slot);
        }
    }

    fn uncount(&self, slot: &Slot) {
        if slot.mark(UNCOUNTED) {
            slot.process.memory.remove_user(slot.tid);
            self.thread_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn slot(&self, tid: Tid) -> Option<Arc<Slot>> {
        self.table.read().get(&tid).cloned()
    }

    /// The memory of a process.
    pub(super) fn space(&self, process: &Process) -> Space {
        Space::new(Arc::clone(&self.common), process.tgid, Arc::clone(&process.memory))
    }

    /// All threads that may report.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.table.read().values().cloned().collect()
    }

    /// The threads of an address space that may report.
    pub(super) fn slots_of(&self, channel: &Weak<Channel>) -> Vec<Arc<Slot>> {
        let is_one =
            |process: &&Arc<Process>| std::ptr::eq(Arc::as_ptr(&process.channel), channel.as_ptr());
        let processes = self.processes.lock();
        let those = processes.values().filter(is_one);
        let threads = |process: &Arc<Process>| {
            let members = process.members.lock();
            members.threads.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        those.flat_map(threads).collect()
    }

    pub(super) fn thread_count(&self) -> usize {
        self.thread_count.load(Ordering::Relaxed)
    }

    /// Hands a notification to the thread it is from; `true` if that is for the thread's handle.
    pub(super) fn dispatch(&self, notification: &Notification) -> bool {
        let tid = notification.tid();
        let rings = notification.number == DOORBELL as i32 && self.region.is_code(notification.ip);
        let [kind, args @ ..] = notification.args;
        if rings && kind == event::HELLO {
            return self.greet(tid, notification.id);
        }
        let Some(slot) = self.slot(tid) else {
            self.kill_stranger(tid, notification.id);
            return false;
        };
        let id = notification.id;
        let is_stub = self.region.is_code(notification.ip);
        if is_stub && !rings {
            self.judge_asked(&slot, notification);
            return false;
        }
        if is_stub && kind == event::READY {
            return self.conduit_changed(&slot, id, args[0]);
        }
        if is_stub && kind == event::KICKED {
            // It comes before the thread leaves this call.
            let _ = kick(slot.process.tgid, slot.tid);
            let _ = self.listener.answer(id, 0);
            return false;
        }
        let mut event = match (is_stub, kind) {
            (false, _) => Event::Call {
                id,
                number: notification.number,
                ip: notification.ip,
                args: notification.args,
            },
            (true, event::SIGNAL) => {
                let [context, info, signo, fs_base, gs_base] = args;
                Event::Signal { id, context, info, signo: signo as i32, fs_base, gs_base }
            }
            (true, event::DONE) => Event::Done { id, result: args[0] },
            // The guest rings by itself.
            (true, _) => {
                slot.process.kill();
                return false;
            }
        };
        self.counters.note(&event);
        let has_told = self.watch.meet(tid);
        if slot.has(ABANDONED) {
            self.send_off(&slot, &event);
            return has_told;
        }
        if !matches!(event, Event::Call { .. }) {
            self.watch.disturb();
        }
        // Held so that nobody takes a call from the line of a thread that has left it.
        let calling = slot.calling.lock();
        if calling.is_serving() && !self.may_meet_call(&slot, &event) {
            return has_told;
        }
        if let Event::Signal { id, context, signo, info, .. } = &mut event
            && !self.is_signal_wanted(&slot, *signo, *info)
        {
            if !self.may_have_waited(&slot, *context) {
                let _ = self.listener.answer(*id, command::RESUME);
                return has_told;
            }
            *signo = KICK;
        }
        slot.flags.fetch_and(!(RUNNING | COMPLETING), Ordering::SeqCst);
        drop(calling);
        self.deliver(&slot, event);
        true
    }

    /// A stub has changed a conduit and says so, which somebody wanted to know; `true`, for whoever
    /// that is can go on. They have heard of it when the stub's call is over.
    fn conduit_changed(&self, slot: &Slot, id: u64, which: u64) -> bool {
        self.counters.note_ring();
        if let Some(conduit) = slot.process.conduits.find(which) {
            conduit.tell(End::of(which));
        }
        let _ = self.listener.answer(id, 0);
        true
    }

    fn deliver(&self, slot: &Slot, event: Event) {
        slot.deliver(event);
        if slot.has(ABANDONED) {
            // Its handle was dropped just now, and may have looked before the event was there.
            let unread = slot.inbox.lock().event.take();
            if let Some(event) = unread {
                self.send_off(slot, &event);
            }
        }
    }

    /// Hands a hello to the thread that is expected to say it; `true` if that is for its handle.
    pub(super) fn welcome(&self, slot: &Slot, id: u64) -> bool {
        let mut greeting = slot.greeting.lock();
        let is_abandoned = slot.has(ABANDONED);
        match std::mem::take(&mut *greeting) {
            Greeting::Awaited if !is_abandoned => {
                // Whoever prepares an answer from now on finds it.
                self.deliver(slot, Event::Hello { id });
                return true;
            }
            Greeting::Awaited | Greeting::Prepared(_) if is_abandoned => {
                drop(greeting);
                self.send_off(slot, &Event::Hello { id });
            }
            Greeting::Prepared(answer) => {
                drop(greeting);
                let _ = self.listener.answer(id, answer);
            }
            Greeting::Awaited | Greeting::Over => slot.process.kill(),
        }
        false
    }

    /// What becomes of an event of a thread whose call by the line is being served. Only a signal can
    /// come, and only that by which it shall leave the line is let through; a kick that was meant for a
    /// running thread is no news, for the flag is still set.
    fn may_meet_call(&self, slot: &Slot, event: &Event) -> bool {
        match *event {
            Event::Signal { signo: KICK, .. } if slot.has(COMPLETING) => true,
            Event::Signal { id, signo, info, .. } => {
                if signo == KICK || frame::code(&slot.memory, info) <= 0 {
                    let _ = self.listener.answer(id, command::RESUME);
                } else {
                    slot.process.kill();
                }
                false
            }
            // It cannot be in two places: the guest has put the call there by itself.
            _ => {
                slot.process.kill();
                false
            }
        }
    }

    /// Whether the handle shall learn of a signal: a kick if it asked for one, all others if they
    /// were raised by the thread itself and not sent by somebody outside the sandbox.
    fn is_signal_wanted(&self, slot: &Slot, signo: i32, info: u64) -> bool {
        if signo != KICK {
            return frame::code(&slot.memory, info) > 0;
        }
        if slot.has(COMPLETING) {
            return true;
        }
        slot.flags.fetch_and(!INTERRUPT, Ordering::SeqCst) & INTERRUPT != 0
    }

    /// Whether a signal that nobody wants may have ended a futex wait: one with a timeout then fails
    /// with EINTR, and the handle has to know.
    fn may_have_waited(&self, slot: &Slot, context: u64) -> bool {
        let frame = Frame::at(&slot.memory, context);
        let result = frame.map(|frame| frame.result(&slot.memory));
        self.has_native_futexes && result == Ok(Errno::EINTR.to_return_value())
    }

    /// A stub asks for a call that it may not make by itself: a clone, or a second filter, a place for the
    /// heap. Only that which it was told to make is right.
    fn judge_asked(&self, slot: &Slot, notification: &Notification) {
        if slot.asked.load(Ordering::SeqCst) == i64::from(notification.number) {
            let _ = self.listener.allow(notification.id);
            return;
        }
        let [flags, stack, ..] = notification.args;
        let expected = slot.clone_flags.load(Ordering::SeqCst);
        let is_told = notification.number == libc::SYS_clone as i32 && flags == expected;
        let before = slot.clones.fetch_add(1, Ordering::SeqCst);
        if !is_told || stack != 0 || before > CLONE_RESTARTS {
            slot.process.kill();
            return;
        }
        if before > 0 {
            // The host restarts a clone when the thread is stopped. Or did the guest ask again?
            self.report_stranger();
        }
        // The clone will be bound like the thread, which may have been given a descriptor just now.
        self.watch.unbind_thread(slot);
        let _ = self.listener.allow(notification.id);
    }

    /// Nobody but us makes stubs. Whatever this is, it must not live.
    pub(super) fn kill_stranger(&self, tid: Tid, id: u64) {
        if self.listener.is_waiting(id) {
            kill_process(tid);
        }
    }

    /// An abandoned thread reports: its way out.
    fn send_off(&self, slot: &Slot, event: &Event) {
        match *event {
            Event::Call { id, .. } => {
                slot.mark(COMPLETING);
                let _ = kick(slot.process.tgid, slot.tid);
                let _ = self.listener.answer(id, 0);
            }
            Event::Signal { id, .. } | Event::Done { id, .. } | Event::Hello { id } => {
                let _ = self.listener.answer(id, slot.exit_command());
                self.forget(slot);
            }
            Event::Hotline { .. } => slot.end_call(),
            Event::Dead => self.forget(slot),
        }
    }

    /// Ends a thread whose handle is being dropped and that `event` was the last of, `None` while
    /// it runs.
    pub(super) fn abandon(&self, slot: &Slot, event: Option<Event>) {
        let process = &slot.process;
        self.uncount(slot);
        let is_last = {
            let mut members = process.members.lock();
            members.owned -= 1;
            members.owned == 0
        };
        slot.mark(ABANDONED);
        if is_last {
            process.clock.stop();
        }
        if slot.is_gone() {
            self.forget(slot);
            return;
        }
        if is_last {
            // The host takes a while over it, and whoever runs here next shall not wait.
            let processors = self.watch.processors().clone();
            let others = processors.without(host::process::current_cpu());
            if others.count() > 0 {
                let _ = others.bind(slot.tid);
            }
            process.kill();
            return;
        }
        // Killing would take the rest of its process along: it must exit by itself.
        let unread = slot.inbox.lock().event.take();
        match event.or(unread) {
            Some(Event::Hotline { .. }) => {
                let _ = kick(process.tgid, slot.tid);
                slot.end_call();
            }
            Some(event) => self.send_off(slot, &event),
            None if kick(process.tgid, slot.tid) == Err(Errno::ESRCH) => self.forget(slot),
            None => {}
        }
    }

    /// The thread will not report again.
    fn forget(&self, slot: &Slot) {
        slot.mark(GONE);
        if !slot.mark(FORGOTTEN) {
            return;
        }
        self.counters.note_end(slot);
        slot.leave_conduit();
        let mut table = self.table.write();
        if table.get(&slot.tid).is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), slot)) {
            table.remove(&slot.tid);
        }
        drop(table);
        let process = &slot.process;
        process.members.lock().threads.retain(|other| !std::ptr::eq(other.as_ptr(), slot));
        process.channel.give_back(slot.memory.index, process.tgid, slot.tid);
    }

    /// The host has reaped a process.
    pub(super) fn process_ended(&self, tgid: Tid) {
        let process = self.processes.lock().remove(&tgid);
        let Some(process) = process else {
            self.newcomer_ended(tgid);
            return;
        };
        process.clock.stop();
        let threads: Vec<_> = {
            let mut members = process.members.lock();
            members.has_ended = true;
            members.threads.iter().filter_map(Weak::upgrade).collect()
        };
        for slot in threads {
            self.record_end(&slot);
        }
    }

    /// Kills all stubs.
    pub(super) fn kill_all(&self) {
        for &tgid in self.processes.lock().keys() {
            kill_process(tgid);
        }
        self.children().into_iter().for_each(kill_process);
    }

    /// All stub processes, as far as the host tells.
    pub(super) fn children(&self) -> Vec<Tid> {
        let procfs = self.common.procfs.read();
        let children = procfs.as_ref().map(|procfs| procfs.children(self.parent));
        children.and_then(Result::ok).unwrap_or_default()
    }
}
