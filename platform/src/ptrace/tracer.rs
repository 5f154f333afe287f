//! What all threads and address spaces of the platform share: the table of stub threads, and the
//! way reports about them are handed out.
//!
//! Only the tracer thread waits and makes ptrace requests; other host threads call
//! [`Slot::interrupt`] and `unpark` only. Locks (each held for a few instructions, none while
//! another is taken): `Tracer::table`, `Slot::inbox`, `Process::members`, and those of [`Common`].

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Instant;

use linux_abi::Errno;
use parking_lot::Mutex;

use super::inject;
use super::stub::{Entry, Region};
use super::sys::{self, Go, Status, Tid};
use super::trap::{self, Decoded};
use super::wake::Parker;
use crate::contract::{Registers, Trap};
use crate::process::clock::ProcessClock;
use crate::process::space::{Common, Memory};

/// The thread runs guest code, or was told to.
const RUNNING: u32 = 1;
/// Somebody wants it to trap.
const INTERRUPT: u32 = 2;
/// It ended; its number may belong to another one now.
const GONE: u32 = 4;
/// Its handle was dropped: whatever it reports, it shall go on to its end.
const ABANDONED: u32 = 8;
/// Its last resume was a single step.
const STEPPING: u32 = 16;

/// A stub thread, as the tracer knows it.
pub(super) struct Slot {
    pub(super) tid: Tid,
    pub(super) process: Arc<Process>,
    flags: AtomicU32,
    inbox: Mutex<Inbox>,
}

/// The report that the thread's handle has not fetched yet.
#[derive(Default)]
struct Inbox {
    report: Option<Report>,
    waker: Option<Waker>,
}

/// Why a thread stopped, for its handle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) trap: Trap,
    /// At the trap; without meaning for [`Trap::Dead`].
    pub(super) registers: Registers,
}

impl Report {
    fn dead() -> Report {
        Report { trap: Trap::Dead, registers: Registers::default() }
    }
}

/// A host thread group.
pub(super) struct Process {
    pub(super) tgid: Tid,
    pub(super) memory: Arc<Memory>,
    pub(super) clock: ProcessClock,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// Threads with a handle.
    live: usize,
    /// Threads whose end the host has not reported.
    unreaped: usize,
}

impl Process {
    pub(super) fn new(tgid: Tid, memory: Arc<Memory>) -> Arc<Process> {
        Arc::new(Process {
            tgid,
            memory,
            clock: ProcessClock::new(tgid),
            members: Mutex::default(),
        })
    }

    /// Takes a thread off the list of those with a handle; `true` if it was the last.
    fn abandon(&self, tid: Tid) -> bool {
        self.memory.remove_user(tid);
        let mut members = self.members.lock();
        members.live -= 1;
        members.live == 0
    }

    /// The host reports the end of a thread group's leader only after that of all others.
    fn is_leader_held_back(&self, tid: Tid) -> bool {
        tid == self.tgid && self.members.lock().unreaped > 1
    }
}

impl Slot {
    fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::SeqCst) & flag != 0
    }

    pub(super) fn is_gone(&self) -> bool {
        self.has(GONE)
    }

    /// See [`Interrupter::interrupt`].
    ///
    /// [`Interrupter::interrupt`]: crate::contract::Interrupter::interrupt
    pub(super) fn interrupt(&self) {
        let old = self.flags.fetch_or(INTERRUPT, Ordering::SeqCst);
        // A thread that is not running finds the flag at its next resume.
        if old & (RUNNING | INTERRUPT | GONE) == RUNNING {
            let _ = sys::kick(self.process.tgid, self.tid);
        }
    }

    /// Takes the wish that it trap, if there is one.
    fn take_interrupt(&self) -> bool {
        self.flags.fetch_and(!INTERRUPT, Ordering::SeqCst) & INTERRUPT != 0
    }

    /// Keeps `waker` for the next report, unless there is one already.
    pub(super) fn fetch(&self, waker: &Waker) -> Option<Report> {
        let mut inbox = self.inbox.lock();
        if let Some(report) = inbox.report.take() {
            return Some(report);
        }
        if self.is_gone() {
            return Some(Report::dead());
        }
        match &mut inbox.waker {
            Some(old) => old.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
        None
    }

    fn deliver(&self, report: Report) {
        let mut inbox = self.inbox.lock();
        inbox.report = Some(report);
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The platform's shared state.
pub(super) struct Tracer {
    pub(super) parker: Parker,
    pub(super) common: Arc<Common>,
    pub(super) region: Region,
    pub(super) blank_fpu: Vec<u8>,
    /// Processor that the tracer and all stubs run on.
    pub(super) cpu: u32,
    /// Descriptors for stubs go in here.
    pub(super) sender: OwnedFd,
    /// The stubs' end, to take back a descriptor that a stub did not fetch.
    pub(super) receiver: OwnedFd,
    pub(super) template: Arc<Slot>,
    table: Mutex<HashMap<Tid, Arc<Slot>>>,
    /// Threads not in the table that were reported while another one was waited for: the child
    /// of a `clone` may be faster than its parent.
    newcomers: Mutex<HashMap<Tid, Status>>,
    /// Number of threads that run guest code.
    running: AtomicUsize,
}

/// What a new [`Tracer`] starts from.
pub(super) struct Setup {
    pub(super) parker: Parker,
    pub(super) common: Arc<Common>,
    pub(super) region: Region,
    pub(super) blank_fpu: Vec<u8>,
    pub(super) cpu: u32,
    pub(super) sender: OwnedFd,
    pub(super) receiver: OwnedFd,
    pub(super) template: Tid,
}

impl Tracer {
    pub(super) fn new(setup: Setup) -> Arc<Tracer> {
        let memory = setup.common.new_memory(None);
        let template = new_slot(setup.template, Process::new(setup.template, memory));
        Arc::new(Tracer {
            parker: setup.parker,
            common: setup.common,
            region: setup.region,
            blank_fpu: setup.blank_fpu,
            cpu: setup.cpu,
            sender: setup.sender,
            receiver: setup.receiver,
            table: Mutex::new(HashMap::from([(template.tid, Arc::clone(&template))])),
            template,
            newcomers: Mutex::default(),
            running: AtomicUsize::new(0),
        })
    }

    /// Enters a stopped thread into the table.
    pub(super) fn add(&self, tid: Tid, process: Arc<Process>) -> Arc<Slot> {
        let slot = new_slot(tid, process);
        self.table.lock().insert(tid, Arc::clone(&slot));
        slot
    }

    /// Tells a stopped thread to run guest code, or answers at once with what happens instead.
    pub(super) fn resume(&self, slot: &Slot, is_step: bool) -> Option<Trap> {
        debug_assert!(self.parker.is_caller_tracer(), "only the tracer may resume a thread");
        let go = if is_step { Go::GuestStep } else { Go::Guest };
        match is_step {
            true => slot.flags.fetch_or(STEPPING, Ordering::SeqCst),
            false => slot.flags.fetch_and(!STEPPING, Ordering::SeqCst),
        };
        if slot.flags.fetch_or(RUNNING, Ordering::SeqCst) & INTERRUPT != 0 {
            slot.flags.fetch_and(!(RUNNING | INTERRUPT), Ordering::SeqCst);
            return Some(Trap::Interrupted);
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        // A failure means that it was killed; the host will report that.
        let _ = sys::resume(slot.tid, go);
        None
    }

    /// Waits for a stop or the end of one thread; meanwhile other threads' reports are kept for
    /// them. The end is recorded.
    pub(super) fn wait(&self, slot: &Slot) -> Status {
        let status = loop {
            if !slot.process.is_leader_held_back(slot.tid) {
                break sys::wait_for(slot.tid).unwrap_or(Status::Gone);
            }
            // Reaping the others of its group is our own job.
            match sys::wait_any() {
                Ok((tid, status)) if tid == slot.tid => break status,
                Ok((tid, status)) if self.slot(tid).is_none() => {
                    self.newcomers.lock().insert(tid, status);
                }
                Ok((tid, status)) => drop(self.dispatch(tid, status)),
                Err(_) => break Status::Gone,
            }
        };
        if status == Status::Gone {
            self.record_end(slot);
        }
        status
    }

    /// Waits for the first stop of a thread that was just made.
    pub(super) fn wait_newcomer(&self, tid: Tid) -> Status {
        let early = self.newcomers.lock().remove(&tid);
        early.unwrap_or_else(|| sys::wait_for(tid).unwrap_or(Status::Gone))
    }

    fn slot(&self, tid: Tid) -> Option<Arc<Slot>> {
        self.table.lock().get(&tid).cloned()
    }

    /// Waits for reports as [`Platform::park`] says.
    ///
    /// [`Platform::park`]: crate::contract::Platform::park
    pub(super) fn park(&self, deadline: Option<Instant>) {
        debug_assert!(self.parker.is_caller_tracer(), "only the tracer may park");
        // Whose parent died before it could tell about them.
        let strangers = std::mem::take(&mut *self.newcomers.lock());
        for (tid, status) in strangers {
            self.dispatch(tid, status);
        }
        let is_due = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_due || !self.parker.begin() {
            self.drain();
            return;
        }
        if let Some(deadline) = deadline {
            // Without a timer the caller still has other threads that may unpark it.
            let _ = self.parker.set_deadline(deadline);
        }
        loop {
            match self.parker.wait_any() {
                Ok((tid, status)) => {
                    if self.dispatch(tid, status) {
                        self.drain();
                        break;
                    }
                }
                Err(Errno::ECHILD) => self.parker.wait_notified(),
                Err(_) => {}
            }
            if !self.parker.is_parked() {
                break;
            }
        }
        self.parker.end();
    }

    /// Handles what has been reported, without waiting. No report can come while nothing runs.
    fn drain(&self) {
        while self.running.load(Ordering::Relaxed) > 0 {
            match sys::try_wait_any() {
                Some((tid, status)) => drop(self.dispatch(tid, status)),
                None => break,
            }
        }
    }

    /// Hands one report to the thread it is about; `true` if that is for the thread's handle.
    fn dispatch(&self, tid: Tid, status: Status) -> bool {
        let Some(slot) = self.slot(tid) else {
            // Nobody but us makes stubs. Whatever this is, it must not live.
            if status != Status::Gone {
                sys::kill_process(tid);
            }
            return false;
        };
        let Status::Stopped { signal, event } = status else {
            self.record_end(&slot);
            slot.deliver(Report::dead());
            return !slot.has(ABANDONED);
        };
        if slot.has(ABANDONED) {
            let _ = sys::resume(tid, Go::Host);
            return false;
        }
        let Ok((decoded, registers)) = trap::decode(tid, signal, event) else {
            return false; // Killed just now; its end will be reported.
        };
        let trap = match decoded {
            Decoded::Trap(trap) => trap,
            Decoded::Kicked if slot.take_interrupt() => Trap::Interrupted,
            Decoded::Kicked | Decoded::Nothing => {
                let go = if slot.has(STEPPING) { Go::GuestStep } else { Go::Guest };
                let _ = sys::resume(tid, go);
                return false;
            }
        };
        self.stopped_running(&slot);
        slot.deliver(Report { trap, registers });
        true
    }

    fn stopped_running(&self, slot: &Slot) {
        if slot.flags.fetch_and(!RUNNING, Ordering::SeqCst) & RUNNING != 0 {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn record_end(&self, slot: &Slot) {
        self.stopped_running(slot);
        if slot.flags.fetch_or(GONE, Ordering::SeqCst) & GONE == 0 {
            slot.process.memory.remove_user(slot.tid);
            slot.process.members.lock().unreaped -= 1;
            self.table.lock().remove(&slot.tid);
        }
    }

    /// Ends a thread whose handle is being dropped. Its end is recorded when the host reports it.
    pub(super) fn abandon(&self, slot: &Slot) {
        let is_last = slot.process.abandon(slot.tid);
        if is_last {
            slot.process.clock.stop();
        }
        if slot.is_gone() {
            return;
        }
        slot.flags.fetch_or(ABANDONED, Ordering::SeqCst);
        if is_last {
            sys::kill_process(slot.process.tgid);
            return;
        }
        // Killing would take the rest of its process along: it must exit by itself.
        if slot.has(RUNNING) {
            let _ = sys::kick(slot.process.tgid, slot.tid);
            if self.wait(slot) == Status::Gone {
                return;
            }
            self.stopped_running(slot);
        }
        let exit = inject::call_registers(libc::SYS_exit, [0; 6]);
        let exit = Registers { rip: self.region.code().entry(Entry::Call), ..exit };
        // A failure means that it was killed; the host will report that.
        let _ = sys::set_core_registers(slot.tid, &exit);
        let _ = sys::resume(slot.tid, Go::Host);
    }

    /// How many stub threads the table holds, the template included.
    pub(super) fn thread_count(&self) -> usize {
        self.table.lock().len()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let slots: Vec<_> = self.table.lock().values().cloned().collect();
        for slot in &slots {
            sys::kill_process(slot.process.tgid);
        }
        for &tid in self.newcomers.lock().keys() {
            sys::kill_process(tid);
            let _ = sys::wait_for(tid);
        }
        // Leaders last: the host holds them back until the others are reaped.
        let (leaders, others): (Vec<_>, Vec<_>) =
            slots.iter().partition(|slot| slot.tid == slot.process.tgid);
        for slot in others.iter().chain(&leaders) {
            while sys::wait_for(slot.tid).is_ok_and(|status| status != Status::Gone) {}
        }
    }
}

fn new_slot(tid: Tid, process: Arc<Process>) -> Arc<Slot> {
    let mut members = process.members.lock();
    members.live += 1;
    members.unreaped += 1;
    drop(members);
    process.memory.add_user(tid);
    Arc::new(Slot { tid, process, flags: AtomicU32::new(0), inbox: Mutex::default() })
}
