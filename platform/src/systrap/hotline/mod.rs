//! Calls that a worker watches out for, instead of being woken by them.
//!
//! A wake-up costs two context switches, which is more than most calls take. So while one thread
//! makes call after call and nothing else happens, a worker looks at the thread's line
//! ([`Hotline`]) on another processor, and the stub puts the calls there; the same goes for a few
//! threads that wait for each other. [`Watch`] decides when: they must have made [`STREAK`] such
//! calls in quick succession; a pause, many other events, or a processor that others want ends it.
//! Then nobody looks any more, and a worker sleeps as ever. To begin and to end costs a few
//! wake-ups, so a watch that did not pay makes the next one come later.
//!
//! What becomes of a call on the line is a matter of [`calling`].
//!
//! Locks, in this order: `Watch::state`, `Session::progress`, `Session::slots`, `Slot::calling`.
//!
//! [`Hotline`]: super::layout::Hotline
//! [`calling`]: super::calling

mod staying;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use parking_lot::{Mutex, RwLock};

use super::listener::Listener;
use super::reports::{self, Report};
use super::slot::{Event, Slot};
use super::workers::{Parked, Workers};
use crate::host::process::{self, Processors};
use crate::process::Tid;

/// So many calls in a row make a watch worth while, at first, ...
pub(super) const STREAK: u32 = 16;
/// ... of which an event that is no such call takes some away, ...
pub(super) const DISTURBANCE: u32 = STREAK / 2;
/// ... at most, when it never was, ...
const STREAK_MAX: u32 = 1 << 8;
/// ... and so long from one to the next, on average.
const PACE: Duration = Duration::from_micros(25);
/// The same where several threads take part: the more of them run at the same time, the less there is
/// to gain from a processor that only looks.
const PACE_OF_MANY: Duration = Duration::from_micros(25);
/// Threads whose calls are counted at the same time.
const CALLERS_MAX: usize = 16;
/// How many are watched at the same time.
const WATCHED_MAX: usize = 16;
/// After so many calls another thread is watched as well.
const JOIN: u32 = 16;
/// A watch that has seen so many calls was worth it.
const WORTH: u32 = 48;
/// One event of the thread that comes another way is made up for by so many calls, ...
const OWN_SHARE: u32 = 2;
/// ... and one of another thread by so many.
const OTHER_SHARE: u32 = 2;
/// So many events need not be made up for: places that a program has just begun to call from are
/// patched one after the other.
const EVENTS_FREE: u32 = 64;
/// How long a worker looks without seeing a call, on the line or otherwise.
const IDLE: Duration = Duration::from_micros(250);
/// The same for the first call: the threads may have to be woken on a processor that sleeps deeply.
const FIRST: Duration = Duration::from_millis(2);
/// A worker that did not run for so long has lost its processor to others.
const LOST: Duration = Duration::from_micros(200);
/// How often another worker sees whether there are reports, as the one that looks may be kept by a slow
/// call.
const GLANCE: Duration = Duration::from_millis(2);
/// Looks between two glances at the clock.
const LOOKS: u32 = 100;
/// Calls between two glances at the listener.
const CALLS: u32 = 64;

/// Which threads are watched, if any, and whether some deserve it.
pub(super) struct Watch {
    /// Those of the sentry.
    processors: Processors,
    /// Somebody is watched, or may be soon: other events are of interest.
    is_busy: AtomicBool,
    /// Whatever it costs.
    is_eager: AtomicBool,
    opened: AtomicU64,
    /// Calls that have come by the line, in watches that are over.
    served: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// How many calls were made since when, and by whom: the most active threads.
    streak: u32,
    since: Instant,
    callers: Vec<(Arc<Slot>, u32)>,
    /// How many it takes.
    enough: u32,
    /// Where the last worker looked from, unless others wanted the processor.
    last_cpu: Option<usize>,
    session: Option<Arc<Session>>,
}

/// A watch: one worker looks at the lines of some threads.
struct Session {
    /// The worker's processor.
    cpu: usize,
    slots: RwLock<Vec<Arc<Slot>>>,
    calls: AtomicU32,
    /// The watch was ended.
    is_over: AtomicBool,
    /// Calls that the worker has served since it looked at all lines.
    stayed: AtomicU32,
    /// What came another way meanwhile, from the threads and from others.
    own_events: AtomicU32,
    other_events: AtomicU32,
    /// The worker's.
    progress: Mutex<Progress>,
}

struct Progress {
    /// The last call; none if that was just now.
    last: Option<Instant>,
    /// Calls since the last glance at the listener.
    unlooked: u32,
    /// There was a notification then.
    is_wanted: bool,
    /// The worker has not looked yet.
    is_new: bool,
}

/// What a worker has seen.
pub(super) enum Seen {
    /// A call, which its thread was told of, or a report, which others were told of.
    Call,
    /// Somebody wants the worker elsewhere.
    Notified,
    /// Nothing for long enough, or there is something else to be done.
    Nothing,
}

/// What is on the lines.
enum Found {
    Call(Arc<Slot>, Event),
    Reports(Vec<Report>),
    Posts(Arc<Slot>),
}

/// A watch is to end; whether that is because others want the processor.
struct Disturbed(bool);

thread_local! {
    /// The watch of the calling worker, for whose sake it is bound to a processor. It may be over.
    static OWN: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// Whether the calling worker is bound to a processor.
pub(super) fn is_bound() -> bool {
    OWN.with_borrow(Option::is_some)
}

impl State {
    /// Counts a call of a thread.
    fn count(&mut self, slot: &Arc<Slot>) -> u32 {
        if let Some((_, count)) =
            self.callers.iter_mut().find(|(known, _)| Arc::ptr_eq(known, slot))
        {
            *count += 1;
            return *count;
        }
        if self.callers.len() == CALLERS_MAX {
            self.callers.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
            self.callers.pop();
        }
        self.callers.push((Arc::clone(slot), 1));
        1
    }

    fn begin_anew(&mut self) {
        self.streak = 0;
        self.callers.clear();
    }
}

impl Session {
    fn has(&self, tid: Tid) -> bool {
        self.slots.read().iter().any(|slot| slot.tid == tid)
    }

    /// Whether so much comes another way that it is better to wait for notifications.
    fn is_distracted(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        let own = self.own_events.load(Ordering::Relaxed);
        let other = self.other_events.load(Ordering::Relaxed);
        own.saturating_mul(OWN_SHARE) > calls + EVENTS_FREE * OWN_SHARE
            || other.saturating_mul(OTHER_SHARE) > calls + EVENTS_FREE / 4 * OTHER_SHARE
    }

    /// Takes a call from one of the lines.
    fn take_call(&self) -> Option<(Arc<Slot>, Event)> {
        let slots = self.slots.read();
        slots.iter().find_map(|slot| Some((Arc::clone(slot), slot.take_call()?)))
    }

    /// Takes what the threads have reported.
    fn take_reports(&self) -> Vec<Report> {
        self.slots.read().iter().flat_map(|slot| slot.take_reports()).collect()
    }

    fn take(&self) -> Option<Found> {
        let slots = self.slots.read();
        slots.iter().find_map(|slot| {
            let reports = slot.take_reports();
            if !reports.is_empty() {
                return Some(Found::Reports(reports));
            }
            if let Some(event) = slot.take_call() {
                return Some(Found::Call(Arc::clone(slot), event));
            }
            slot.has_posted().then(|| Found::Posts(Arc::clone(slot)))
        })
    }

    /// Makes what the threads have posted.
    fn make_posts(&self) {
        let slots = self.slots.read().clone();
        slots.iter().for_each(|slot| slot.make_posts());
    }

    /// Makes what the threads have posted, and tells of what they have reported; `true` if there were
    /// reports.
    fn hear(&self) -> bool {
        self.make_posts();
        reports::tell(&self.take_reports())
    }
}

impl Watch {
    pub(super) fn new() -> Watch {
        let state = State {
            streak: 0,
            since: Instant::now(),
            callers: Vec::new(),
            enough: STREAK,
            last_cpu: None,
            session: None,
        };
        Watch {
            processors: Processors::of_caller(),
            is_busy: AtomicBool::new(false),
            is_eager: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            served: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// From now on watches a thread at its first call.
    pub(super) fn be_eager(&self) {
        self.is_eager.store(true, Ordering::Relaxed);
    }

    /// How many watches there were.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many calls have come by the line.
    pub(super) fn served(&self) -> u64 {
        let state = self.state.lock();
        let now = state.session.as_ref().map_or(0, |session| session.calls.load(Ordering::Relaxed));
        self.served.load(Ordering::Relaxed) + u64::from(now)
    }

    /// Whether there is a processor to spare at all.
    pub(super) fn is_possible(&self) -> bool {
        self.processors.count() > 1
    }

    /// Notes that a notification has come from a thread that does not wait at its line; `true` if there
    /// were reports, which the worker that looks may not see soon.
    pub(super) fn meet(&self, tid: Tid) -> bool {
        if !self.is_busy.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        let Some(session) = state.session.clone() else { return false };
        let count = if session.has(tid) { &session.own_events } else { &session.other_events };
        count.fetch_add(1, Ordering::Relaxed);
        if session.is_distracted() {
            self.close(&mut state, false);
        }
        drop(state);
        session.hear()
    }

    /// When a worker that waits for notifications shall call [`Watch::glance`], if at all.
    pub(super) fn next_glance(&self) -> Option<Instant> {
        let is_open = self.is_busy.load(Ordering::Relaxed) && self.state.lock().session.is_some();
        is_open.then(|| Instant::now() + GLANCE)
    }

    /// Tells of reports that the worker which looks has not seen; `true` if there were some.
    pub(super) fn glance(&self) -> bool {
        let session = self.state.lock().session.clone();
        session.is_some_and(|session| session.hear())
    }

    /// Notes an event that is no call for the line.
    pub(super) fn disturb(&self) {
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if state.session.is_some() {
            return;
        }
        // Now and then one is no reason to begin anew.
        state.streak = state.streak.saturating_sub(DISTURBANCE);
        if state.streak == 0 {
            state.begin_anew();
            self.is_busy.store(false, Ordering::Relaxed);
        }
    }

    /// Notes that a thread has made a call that could have gone by its line, and opens that if it is
    /// one of many. The calling worker, which serves the call, will watch.
    pub(super) fn note(&self, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        let is_eager = self.is_eager.load(Ordering::Relaxed);
        let count = state.count(slot);
        if let Some(session) = &state.session {
            if count >= JOIN || is_eager {
                self.join(session, slot);
            }
            return;
        }
        if state.streak == 0 {
            state.since = Instant::now();
            self.is_busy.store(true, Ordering::Relaxed);
        }
        state.streak += 1;
        if state.streak < state.enough && !is_eager {
            return;
        }
        let (streak, now) = (state.streak, Instant::now());
        let callers: Vec<_> = state
            .callers
            .iter()
            .filter(|(_, count)| is_eager || *count >= streak / 16)
            .map(|(slot, _)| Arc::clone(slot))
            .collect();
        let pace = if callers.len() > 1 { PACE_OF_MANY } else { PACE };
        if is_eager || now - state.since <= pace * streak {
            self.open(&mut state, slot, &callers, now);
        }
        state.begin_anew();
    }

    fn open(&self, state: &mut State, slot: &Arc<Slot>, callers: &[Arc<Slot>], now: Instant) {
        let Some(cpu) = self.processor_beside(slot, state.last_cpu) else { return };
        let session = Arc::new(Session {
            cpu,
            slots: RwLock::default(),
            calls: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            stayed: AtomicU32::new(0),
            own_events: AtomicU32::new(0),
            other_events: AtomicU32::new(0),
            progress: Mutex::new(Progress {
                last: Some(now + FIRST),
                unlooked: 0,
                is_wanted: false,
                is_new: true,
            }),
        });
        if !self.join(&session, slot) || Processors::only(cpu).bind_caller().is_err() {
            self.leave(&session);
            return;
        }
        OWN.set(Some(Arc::clone(&session)));
        for caller in callers {
            self.join(&session, caller);
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        state.last_cpu = Some(cpu);
        state.session = Some(session);
    }

    /// Where to look from at the line of a thread that has just made a call here: where the last worker
    /// did, if that can be, as what it works with is still in that processor's cache.
    fn processor_beside(&self, slot: &Slot, last: Option<usize>) -> Option<usize> {
        let own = self.processors_of(slot);
        last.filter(|&last| own.without(last).count() > 0)
            .or_else(|| self.processors.other_than(process::current_cpu()))
    }

    /// Opens the line of a thread, which leaves the worker's processor; `false` if it cannot.
    fn join(&self, session: &Session, slot: &Arc<Slot>) -> bool {
        let mut slots = session.slots.write();
        slots.retain(|other| !other.is_gone());
        if slots.iter().any(|other| Arc::ptr_eq(other, slot)) {
            return true;
        }
        if slots.len() == WATCHED_MAX {
            return false;
        }
        let others = self.processors_of(slot).without(session.cpu);
        if others.count() == 0 || others.bind(slot.tid).is_err() {
            return false;
        }
        slot.set_open(true);
        slots.push(Arc::clone(slot));
        true
    }

    /// Closes all lines.
    fn leave(&self, session: &Session) {
        for slot in &*session.slots.read() {
            slot.set_open(false);
            // A thread that is gone runs nowhere.
            let _ = self.processors_of(slot).bind(slot.tid);
        }
    }

    /// Ends the watch. Its worker learns of it when it looks next.
    fn close(&self, state: &mut State, was_disturbed: bool) {
        let Some(session) = state.session.take() else { return };
        session.is_over.store(true, Ordering::Relaxed);
        self.leave(&session);
        let calls = session.calls.load(Ordering::Relaxed);
        self.served.fetch_add(calls.into(), Ordering::Relaxed);
        if was_disturbed {
            state.last_cpu = None;
        }
        state.begin_anew();
        state.enough = match calls {
            WORTH.. if !was_disturbed => STREAK,
            WORTH.. => state.enough,
            _ => (state.enough * 2).min(STREAK_MAX),
        };
        self.is_busy.store(false, Ordering::Relaxed);
    }

    /// Looks at the lines that the calling worker watches, if it does, for as long as that is of use.
    pub(super) fn look(&self, listener: &Listener, workers: &Workers, parked: Parked<'_>) -> Seen {
        let Some(session) = OWN.with_borrow(Option::clone) else { return Seen::Nothing };
        if session.is_over.load(Ordering::Relaxed) {
            self.unbind();
            session.make_posts();
            return Seen::Nothing;
        }
        // All that could be done is done: what is left waits for something.
        session.slots.read().iter().for_each(|slot| slot.lengthen_call());
        let Disturbed(was_disturbed) = match self.look_at(&session, listener, workers, parked) {
            Ok(seen) => return seen,
            Err(disturbed) => disturbed,
        };
        let mut state = self.state.lock();
        if state.session.as_ref().is_some_and(|other| Arc::ptr_eq(other, &session)) {
            self.close(&mut state, was_disturbed);
        }
        drop(state);
        self.unbind();
        // The stubs may have found the lines open until now.
        let mut seen = if session.hear() { Seen::Call } else { Seen::Nothing };
        while let Some((slot, event)) = session.take_call() {
            slot.deliver(event);
            seen = Seen::Call;
        }
        seen
    }

    fn look_at(
        &self,
        session: &Session,
        listener: &Listener,
        workers: &Workers,
        parked: Parked<'_>,
    ) -> Result<Seen, Disturbed> {
        let mut progress = session.progress.lock();
        if std::mem::take(&mut progress.is_new) {
            // Somebody has to receive meanwhile.
            workers.unpark_another(parked);
        }
        progress.unlooked += session.stayed.swap(0, Ordering::Relaxed);
        if progress.unlooked >= CALLS {
            progress.unlooked = 0;
            let was_wanted = progress.is_wanted;
            progress.is_wanted = listener.has_call();
            if was_wanted && progress.is_wanted {
                // No other worker takes them.
                return Err(Disturbed(false));
            }
        }
        let mut before: Option<Instant> = None;
        let mut own_events = session.own_events.load(Ordering::Relaxed);
        loop {
            let found = (0..LOOKS).find_map(|_| {
                let found = session.take();
                if found.is_none() {
                    std::hint::spin_loop();
                }
                found
            });
            if let Some(found) = found {
                progress.unlooked += 1;
                progress.last = None;
                drop(progress);
                match found {
                    Found::Call(slot, event) => {
                        session.calls.fetch_add(1, Ordering::Relaxed);
                        slot.deliver(event);
                    }
                    Found::Reports(reports) => drop(reports::tell(&reports)),
                    Found::Posts(slot) => slot.make_posts(),
                }
                return Ok(Seen::Call);
            }
            if parked.is_notified() {
                return Ok(Seen::Notified);
            }
            // To read the clock takes as long as to see a call.
            let now = Instant::now();
            let own_events_now = session.own_events.load(Ordering::Relaxed);
            if own_events != own_events_now {
                // It is active, though this call came another way.
                own_events = own_events_now;
                progress.last = None;
            }
            let last = *progress.last.get_or_insert(now);
            let was_disturbed = before.is_some_and(|before| now - before > LOST)
                && !self.is_eager.load(Ordering::Relaxed);
            if workers.count() == 1 && listener.has_call() {
                return Ok(Seen::Nothing);
            }
            if was_disturbed
                || now.saturating_duration_since(last) > IDLE
                || session.is_distracted()
            {
                return Err(Disturbed(was_disturbed));
            }
            before = Some(now);
        }
    }

    fn unbind(&self) {
        OWN.set(None);
        let _ = self.processors.bind_caller();
    }

    /// Lets a thread run where it may, after somebody has bound it to where that was of use.
    pub(super) fn unbind_thread(&self, slot: &Slot) {
        let state = self.state.lock();
        let own = self.processors_of(slot);
        let own = match &state.session {
            Some(session) if session.has(slot.tid) => own.without(session.cpu),
            _ => own,
        };
        // A thread that is gone runs nowhere.
        let _ = own.bind(slot.tid);
    }

    /// The processors of the sentry.
    pub(super) fn processors(&self) -> &Processors {
        &self.processors
    }

    /// Where a thread may run when nobody watches it.
    fn processors_of(&self, slot: &Slot) -> Processors {
        slot.processors.lock().clone().unwrap_or_else(|| self.processors.clone())
    }

    /// Sets where a thread may run.
    pub(super) fn bind(&self, slot: &Slot, is_allowed: &dyn Fn(u32) -> bool) -> Result<(), Errno> {
        let allowed = self.processors.filter(is_allowed);
        let state = self.state.lock();
        *slot.processors.lock() = Some(allowed.clone());
        // One that is watched gets it when that is over.
        match &state.session {
            Some(session) if session.has(slot.tid) => Ok(()),
            _ => allowed.bind(slot.tid),
        }
    }
}
