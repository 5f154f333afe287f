//! What a thread does for its patches between the traps that it reports: has sites patched,
//! finds its way out of trampolines and the stub's fast code, and enters itself in the table.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use linux_abi::Errno;

use super::calling;
use super::care::{self, Careful, Way};
use super::directory::Listing;
use super::fast;
use super::frame::{Cause, Frame, TRAP_FLAG};
use super::gate::Pass;
use super::hand::Hand;
use super::hotline;
use super::install;
use super::layout::{FAST_OFFSET, Fast, change};
use super::patch::Trapped;
use super::patching::{Closed, HOT, HOT_CHANGES, PatchedCall, Place, is_changing, is_served};
use super::slot::{Event, INTERRUPT};
use super::state;
use super::thread::{Position, SystrapThread};
use crate::contract::{Fault, Identity, Registers, ResumeMode, Trap};
use crate::host;
use crate::host::ticks::{ticks, to_ns};
use crate::process::{copy, ops};

/// After so many calls that the stub could have served a thread tries to enter itself anew.
const SLOW_CALLS_MAX: u32 = 64;

/// After so many calls from one place it is patched, for calls by the line.
const LINE_CALLS: u8 = 16;

/// After this many calls in a row it takes some that trap until a thread is no longer one to watch.
const CALM_MAX: u32 = 4 * hotline::STREAK;

/// So many calls in a row have to be made in quick succession before sites are patched for the
/// line, ...
const PACED: u32 = 32;
/// ... so many nanoseconds from the end of one to the next, on average. A thread that computes in
/// between gains less by a watch than patches and watch cost.
const PACE_NS: u64 = 16_000;

/// Processor exceptions of single steps and of `int3`.
const DEBUG: u64 = 1;
const BREAKPOINT: u64 = 3;

/// A thread's own part.
#[derive(Default)]
pub(super) struct Shortcut {
    /// Whether the stub may serve calls of the thread.
    is_wanted: bool,
    listing: Listing,
    /// How many calls took the slow way from a trampoline.
    slow_calls: u32,
    /// Where the present call came from, if the guest sees another place.
    trampoline_ip: Option<u64>,
    /// Where the thread goes on if that is not where the guest sees it.
    resume_ip: Option<u64>,
    /// Whether the last event is none for the kernel.
    goes_on: bool,
    is_stepping: bool,
    /// When it was resumed last, in ticks.
    resumed: u64,
    tally: Tally,
    detour: Detour,
    /// For the operation under way.
    pass: Option<Pass>,
}

/// Counts calls from the sites that a thread has called from lately.
///
/// A site may stand at any place: if its address said where, a few that a program calls from in turn
/// could keep each other from being counted. A new one takes the place and the count of the rarest, so
/// that each is worth it some time, however many there are.
struct Tally {
    sites: [u64; Tally::PLACES],
    counts: [u8; Tally::PLACES],
    /// Calls of late, less some for each that trapped. It is counted as for a watch: while that cannot
    /// begin, a patch would only cost.
    calm: u32,
    pace: Pace,
}

/// How quickly a thread makes call after call.
#[derive(Default)]
struct Pace {
    /// Calls of late, and the time that the thread was away between them.
    calls: u32,
    away_ns: u64,
    /// Whether the last [`PACED`] calls before those were quick.
    is_quick: bool,
}

impl Pace {
    fn count(&mut self, away_ns: u64) {
        self.calls += 1;
        self.away_ns = self.away_ns.saturating_add(away_ns);
        if self.calls == PACED {
            let is_quick = self.away_ns <= PACE_NS * u64::from(PACED);
            *self = Pace { is_quick, ..Pace::default() };
        }
    }
}

impl Default for Tally {
    fn default() -> Tally {
        let (sites, counts) = ([0; Tally::PLACES], [0; Tally::PLACES]);
        Tally { sites, counts, calm: 0, pace: Pace::default() }
    }
}

impl Tally {
    const PLACES: usize = 32;

    /// Whether it is now worth while to patch the site of a call that the stub cannot serve by itself,
    /// or if `is_for_line` only while the thread is watched. It has run for `away_ns` since the last.
    fn count(&mut self, ip: u64, is_for_line: bool, away_ns: u64) -> bool {
        self.calm = (self.calm + 1).min(CALM_MAX);
        self.pace.count(away_ns);
        let known = self.sites.iter().position(|&site| site == ip);
        let place = known.unwrap_or_else(|| {
            let rarest = (0..Tally::PLACES).min_by_key(|&place| self.counts[place]).unwrap_or(0);
            self.sites[rarest] = ip;
            rarest
        });
        let count = &mut self.counts[place];
        *count = count.saturating_add(1);
        let can_be_watched = self.calm >= hotline::STREAK && self.pace.is_quick;
        let is_worth = *count >= LINE_CALLS && (!is_for_line || can_be_watched);
        if is_worth {
            *count = 0;
        }
        is_worth
    }

    /// Notes a call that has trapped.
    fn disturb(&mut self) {
        self.calm = self.calm.saturating_sub(hotline::DISTURBANCE);
    }
}

#[cfg(test)]
mod tally_tests {
    use super::{LINE_CALLS, PACE_NS, PACED, Tally, hotline};

    /// How many calls it takes until each of the sites was worth it once, if they call in turn.
    fn rounds(sites: u64) -> u64 {
        let mut tally = Tally::default();
        let mut left: Vec<u64> = (1..=sites).map(|site| site << 6).collect();
        let mut rounds = 0;
        while !left.is_empty() {
            rounds += 1;
            assert!(rounds < 1000, "{} of {sites} sites are never worth it", left.len());
            left.retain(|&site| !tally.count(site, false, 0));
        }
        rounds
    }

    #[test]
    fn sites_in_turn_are_all_worth_it_some_time() {
        assert_eq!(rounds(1), LINE_CALLS.into());
        assert_eq!(rounds(Tally::PLACES as u64), LINE_CALLS.into());
        assert!(rounds(500) < 5 * u64::from(LINE_CALLS));
    }

    /// Whether one of the sites is ever worth it, with so many calls between two that trap.
    fn is_ever_worth(calls: u32, is_for_line: bool) -> bool {
        is_ever_worth_at(calls, is_for_line, 0)
    }

    /// The same, with so long from one call to the next.
    fn is_ever_worth_at(calls: u32, is_for_line: bool, away_ns: u64) -> bool {
        let mut tally = Tally::default();
        (0..1000).any(|round| {
            if round % calls == 0 {
                tally.disturb();
            }
            tally.count(1 + u64::from(round % 3), is_for_line, away_ns)
        })
    }

    #[test]
    fn sites_of_threads_that_nobody_watches_are_not_worth_it() {
        assert!(!is_ever_worth(4, true));
        assert!(is_ever_worth(4, false));
        assert!(is_ever_worth(hotline::DISTURBANCE * 2, true));
    }

    #[test]
    fn sites_of_threads_that_compute_between_their_calls_are_not_worth_it() {
        assert!(!is_ever_worth_at(PACED, true, PACE_NS + 1));
        assert!(is_ever_worth_at(PACED, false, PACE_NS + 1));
        assert!(is_ever_worth_at(PACED, true, PACE_NS));
    }
}

impl Shortcut {
    /// The operation is over that [`SystrapThread::start_carefully`] has let go on.
    pub(super) fn end_operation(&mut self) {
        self.pass = None;
    }
}

/// What comes before a system call is reported.
#[derive(Default)]
enum Detour {
    #[default]
    None,
    /// The thread is on its way into the stub, where something may be done.
    Completing(Option<Job>),
    /// It works in the stub.
    Working(Work, Frame),
}

/// Work of a thread in the stub; answers with its notification.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<u64, Errno>> + Send + Sync>>;

/// A site to be patched.
struct Job {
    pass: Pass,
    closed: Closed,
    ip: u64,
    number: u64,
    /// Whether its calls go by the line.
    is_for_line: bool,
}

impl SystrapThread {
    /// See [`Thread::set_identity`].
    ///
    /// [`Thread::set_identity`]: crate::contract::Thread::set_identity
    pub(super) fn allow_shortcuts(&mut self, identity: Option<&Identity>) {
        self.shortcut.is_wanted = identity.is_some();
        let Some(identity) = identity else {
            let directory = &self.slot.process.patching.directory;
            directory.hide(&self.slot.memory, &mut self.shortcut.listing);
            return;
        };
        let Identity { pid, tid, uid, euid, gid, egid } = *identity;
        let place = FAST_OFFSET + offset_of!(Fast, identity) as u64;
        let words = [pid as u64, tid as u64, uid.into(), euid.into(), gid.into(), egid.into()];
        self.slot.memory.write::<[u64; 6]>(place, &words);
    }

    /// Notes how the thread is about to be resumed.
    pub(super) fn start_shortcut(&mut self, mode: ResumeMode) {
        self.shortcut.is_stepping = mode == ResumeMode::SingleStep;
        self.shortcut.resume_ip = None;
        self.shortcut.resumed = ticks();
    }

    /// Takes a call's instruction pointer for what the guest sees.
    pub(super) fn note_call(&mut self, ip: u64) -> u64 {
        if let Some(behind) = self.asked_from(ip) {
            self.shortcut.trampoline_ip = Some(ip);
            return behind;
        }
        let guest_ip = self.slot.process.patching.guest_ip(ip);
        self.shortcut.trampoline_ip = guest_ip.and(Some(ip));
        guest_ip.unwrap_or(ip)
    }

    /// If the vDSO makes a call because the stub has asked it: what comes behind the guest's own.
    fn asked_from(&self, ip: u64) -> Option<u64> {
        let field = |field: usize| self.slot.memory.read::<u64>(FAST_OFFSET + field as u64);
        let vdso = self.supervisor.vdso.known();
        let is_asking = vdso.is_some_and(|vdso| vdso.code.contains(&ip))
            && field(offset_of!(Fast, change)) == change::ASKING;
        let info = is_asking.then(|| field(offset_of!(Fast, info)))?;
        self.slot.process.patching.call_of(info).map(|call| call.behind)
    }

    /// The same for a call by the line; `None` if no trampoline could have put it there.
    pub(super) fn note_line_call(&mut self, info: u64) -> Option<u64> {
        self.shortcut.trampoline_ip = None;
        self.slot.process.patching.call_of(info).map(|call| call.behind)
    }

    /// Makes the registers of a thread in the stub what the guest sees; answers with its place,
    /// `None` if it is at one where it cannot be.
    pub(super) fn find_place(&mut self) -> Option<Place> {
        let region = self.supervisor.region;
        let patching = &self.slot.process.patching;
        if !fast::is_inside(region, &self.registers) {
            let found_ip = self.registers.rip;
            let place = patching.to_guest(&mut self.registers);
            let is_trampoline = matches!(place, Place::Trampoline { .. });
            self.shortcut.trampoline_ip = is_trampoline.then_some(found_ip);
            return Some(place);
        }
        self.shortcut.trampoline_ip = None;
        let caller = fast::caller(region, &self.slot, &self.registers)?;
        let PatchedCall { site, behind, slow } = patching.call_of(caller.info)?;
        let is_made = self.slot.leave_conduit();
        let made = if is_made { Some(caller.result) } else { caller.made };
        let finished = || {
            let made = made.or_else(|| self.slot.finished_call());
            made.or_else(|| self.slot.posted_call())
        };
        if caller.is_saved && caller.waits && !is_made {
            let r11 = caller.registers.eflags;
            self.registers = Registers { rip: behind, rcx: behind, r11, ..caller.registers };
            return Some(Place::Waiting);
        }
        if caller.is_saved
            && let Some(rax) = finished()
        {
            let (rcx, r11) = (behind, caller.registers.eflags);
            self.registers = Registers { rip: behind, rax, rcx, r11, ..caller.registers };
            return Some(Place::Served);
        }
        self.slot.withdraw_call();
        let change = FAST_OFFSET + offset_of!(Fast, change) as u64;
        self.slot.memory.write(change, &change::NONE);
        self.registers = Registers { rip: site, ..caller.registers };
        Some(Place::Stub { slow })
    }

    /// Takes a thread that waits at a conduit for one whose call has trapped, because somebody wants
    /// it, or it can wait there no longer: the kernel waits in its place. Whoever wants it is told of it
    /// when that is over.
    pub(super) fn take_waiting(&mut self, trap: Trap) -> Trap {
        if trap == Trap::Interrupted {
            self.slot.mark(INTERRUPT);
        }
        self.shortcut.trampoline_ip = None;
        self.registers.orig_rax = self.registers.rax as i32 as u64;
        self.registers.rax = Errno::ENOSYS.to_return_value();
        let is_file_call = crate::FILE_CALLS.contains(&(self.registers.orig_rax as u32));
        self.begun.is_judged &= is_file_call;
        Trap::Waiting
    }

    /// Judges a fault: one that the guest shall not see makes the thread go on.
    pub(super) fn judge(&mut self, mut fault: Fault, cause: Cause, place: Place) -> Trap {
        let is_trap = fault.signo == libc::SIGTRAP;
        let found_ip = self.loaded.rip;
        let go_on = match place {
            Place::Stub { slow } => Some(slow),
            // What it was to copy could be written when the call was made, and now it cannot.
            Place::Served => {
                self.registers.rax = Errno::EFAULT.to_return_value();
                Some(self.resume_address())
            }
            Place::Trampoline { is_before: true } if is_trap && cause.trapno == DEBUG => {
                Some(found_ip)
            }
            Place::Guest if is_trap && cause.trapno == BREAKPOINT => self.follow_patch(),
            _ => None,
        };
        if go_on.is_some() {
            self.shortcut.resume_ip = go_on;
            self.shortcut.goes_on = true;
        }
        if fault.addr == found_ip {
            fault.addr = self.registers.rip;
        }
        Trap::Fault(fault)
    }

    /// Where a thread goes on that the guest sees where its registers say.
    fn resume_address(&self) -> u64 {
        self.slot.process.patching.resume_at(self.registers.rip)
    }

    /// Where a thread goes on that has met an `int3` of a patch.
    fn follow_patch(&mut self) -> Option<u64> {
        let ip = self.registers.rip;
        let tid = self.slot.tid;
        let byte = || {
            let mut byte = [0];
            copy::read(tid, ip.wrapping_sub(1), &mut byte).is_ok().then_some(byte[0])
        };
        let target = match self.slot.process.patching.trapped(ip, byte) {
            Trapped::Redirect(target) | Trapped::Retry(target) => target,
            Trapped::Guest => return None,
        };
        self.registers.rip = ip.wrapping_sub(1);
        Some(target)
    }

    /// Whether the trap just taken is none for the kernel, and the thread has to be resumed.
    pub(super) fn take_goes_on(&mut self) -> Option<ResumeMode> {
        let mode = match self.shortcut.is_stepping {
            true => ResumeMode::SingleStep,
            false => ResumeMode::Run,
        };
        std::mem::take(&mut self.shortcut.goes_on).then_some(mode)
    }

    /// The address at which the thread is to continue that the guest sees at `rip`; enters it in
    /// the table, or takes it out, as it leaves the stub.
    pub(super) fn leave_stub(&mut self, eflags: u64) -> u64 {
        let patching = &self.slot.process.patching;
        let wants = self.shortcut.is_wanted
            && eflags & TRAP_FLAG == 0
            && patching.is_active()
            && self.supervisor.serves_fast_calls.load(Ordering::Relaxed);
        let (listing, fs_base) = (&mut self.shortcut.listing, self.registers.fs_base);
        patching.directory.update(&self.slot.memory, listing, fs_base, wants);
        let resume_ip = self.shortcut.resume_ip.take();
        resume_ip.unwrap_or_else(|| patching.resume_at(self.registers.rip))
    }

    /// Takes the thread out of the table for good. If it is in a call, all that comes behind that is its
    /// end.
    pub(super) fn end_shortcut(&mut self) {
        self.leave_table(matches!(self.position, Position::Running));
    }

    /// Takes the thread out of the table until it leaves the stub, where it is, for one that shares its
    /// memory and its FS.base.
    pub(super) fn rest(&mut self) {
        self.leave_table(false);
    }

    fn leave_table(&mut self, may_run: bool) {
        let directory = &self.slot.process.patching.directory;
        directory.remove(&self.slot.memory, &mut self.shortcut.listing, may_run);
    }

    /// Looks at a memory operation of a thread in the stub before it is started; answers with what
    /// is to be done in its place, if it meets patches.
    ///
    /// Errors: ESRCH when the thread is not in the stub; EMFILE.
    pub(super) fn start_carefully(
        &mut self,
        call: &ops::Call,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Option<(Careful, Frame)>, Errno> {
        let (id, frame) = self.in_stub()?;
        match care::way(&self.slot.process.patching, call) {
            Way::Free(pass) => {
                self.shortcut.pass = pass;
                Ok(None)
            }
            Way::Careful => {
                let file = file.map(host::fs::dup).transpose()?;
                self.position = Position::Running;
                Ok(Some((care::carry_out(self.hand(id), *call, file), frame)))
            }
        }
    }

    /// Whether a memory operation may be carried out while nobody waits for its end, and the thread
    /// is resumed then.
    pub(super) fn may_resume_with(&mut self, call: &ops::Call) -> bool {
        let may = care::is_harmless(&self.slot.process.patching, call);
        if may {
            self.start_shortcut(ResumeMode::Run);
        }
        may
    }

    fn hand(&self, id: u64) -> Hand {
        let (supervisor, slot) = (Arc::clone(&self.supervisor), Arc::clone(&self.slot));
        Hand::new(supervisor, slot, id)
    }

    /// Starts what is worth doing before the call that was just taken is reported; `true` if
    /// [`SystrapThread::poll_detour`] has to be asked.
    pub(super) fn start_detour(&mut self) -> bool {
        let may_serve = self.supervisor.serves_fast_calls.load(Ordering::Relaxed);
        if !may_serve || !self.shortcut.is_wanted || self.shortcut.is_stepping {
            return false;
        }
        let (ip, number) = (self.registers.rip, self.registers.orig_rax);
        match self.position {
            Position::Call { .. } => {}
            Position::Stub { id, frame } => {
                self.shortcut.tally.disturb();
                return self.start_trapped_detour(id, frame);
            }
            _ => return false,
        }
        let is_served = is_served(number);
        let is_state = state::may_serve(number);
        let can_be_watched = self.supervisor.watch.is_possible();
        let is_of_file = || {
            crate::FILE_CALLS.iter().any(|&call| u64::from(call) == number)
                && self.slot.process.channel.serves_files()
        };
        let can_go_by_line = can_be_watched && calling::is_eligible(number);
        if !(is_served || is_state || can_go_by_line || is_of_file()) {
            return false;
        }
        let job = if self.shortcut.trampoline_ip.is_some() {
            if !is_served && self.shortcut.listing.is_listed() {
                if can_be_watched {
                    self.supervisor.watch.note(&self.slot);
                }
                return false;
            }
            self.shortcut.slow_calls += 1;
            if self.shortcut.slow_calls < SLOW_CALLS_MAX {
                return false;
            }
            self.shortcut.slow_calls = 0;
            None
        } else {
            let away_ns = to_ns(ticks().saturating_sub(self.shortcut.resumed));
            let is_own = is_served || is_state;
            if !is_own && !self.shortcut.tally.count(ip, !is_of_file(), away_ns) {
                return false;
            }
            let enough = match (is_served, is_state) {
                (true, _) => HOT,
                (_, true) => state::HOT,
                _ => 1,
            };
            let Some(job) = self.job(enough, !is_own) else { return false };
            Some(job)
        };
        self.start_completing();
        self.shortcut.detour = Detour::Completing(job);
        true
    }

    /// The same for a call that has trapped.
    fn start_trapped_detour(&mut self, id: u64, frame: Frame) -> bool {
        // From a trampoline come those that the stub could not make.
        if self.shortcut.trampoline_ip.is_some() || !is_changing(&self.registers) {
            return false;
        }
        let Some(job) = self.job(HOT_CHANGES, false) else { return false };
        self.start_work(job, id, frame);
        true
    }

    /// Counts the present call; what is to be done if there were `enough` from its site.
    fn job(&self, enough: u8, is_for_line: bool) -> Option<Job> {
        let (ip, number) = (self.registers.rip, self.registers.orig_rax);
        let patching = &self.slot.process.patching;
        let pass = patching.count_call(ip, enough)?;
        let closed = patching.close()?;
        Some(Job { pass, closed, ip, number, is_for_line })
    }

    /// Answers with the trap at the end of a detour, `None` if there is none.
    pub(super) fn poll_detour(&mut self, cx: &mut Context<'_>) -> Poll<Option<Trap>> {
        loop {
            match std::mem::take(&mut self.shortcut.detour) {
                Detour::None => return Poll::Ready(None),
                Detour::Completing(job) => {
                    let Poll::Ready(event) = self.slot.poll_event(cx) else {
                        self.shortcut.detour = Detour::Completing(job);
                        return Poll::Pending;
                    };
                    if let Some(trap) = self.arrive(event, job) {
                        return Poll::Ready(Some(trap));
                    }
                }
                Detour::Working(mut work, frame) => match work.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.shortcut.detour = Detour::Working(work, frame);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(id)) => {
                        self.position = Position::Stub { id, frame };
                        return Poll::Ready(Some(Trap::Syscall));
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Some(Trap::Dead)),
                },
            }
        }
    }

    /// The thread is in the stub, or dead: starts its work or answers with the trap.
    fn arrive(&mut self, event: Event, job: Option<Job>) -> Option<Trap> {
        let in_stub = self.finish_completing(event).and_then(|()| self.in_stub());
        let Ok((id, frame)) = in_stub else { return Some(Trap::Dead) };
        let Some(job) = job else { return Some(Trap::Syscall) };
        self.start_work(job, id, frame);
        None
    }

    fn start_work(&mut self, job: Job, id: u64, frame: Frame) {
        let mut hand = self.hand(id);
        let work = async move {
            let Job { pass, closed, ip, number, is_for_line } = job;
            match is_for_line {
                true => install::patch_with_familiar(&mut hand, ip, number).await?,
                false => install::patch(&mut hand, ip, number).await?,
            }
            drop((closed, pass));
            Ok(hand.id)
        };
        self.position = Position::Running;
        self.shortcut.detour = Detour::Working(Box::pin(work), frame);
    }
}
