//! The patches of an address space: which sites are worth one, what the guest may see of them.
//!
//! [`patch`] plans; [`install`] carries plans out, by a thread in the stub; here is what both
//! know of an address space. Locks: `Patching::state`, held for a few instructions; meanwhile those of
//! the channel and the directory.
//!
//! Work is bounded whatever the guest does: [`ATTEMPTS_MAX`] in the life of an address space and
//! its copies, [`AREAS_MAX`] areas, [`SITES_MAX`] counted sites.
//!
//! [`patch`]: super::patch
//! [`install`]: super::install

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::channel::Channel;
use super::cpuid;
use super::directory::Directory;
use super::gate::{Gate, Pass};
use super::layout::{changing, served};
use super::patch::{Clobbered, Patch, Patches, Refusal, Site, Step, Stub, Threads, Trapped};
use crate::contract::{PreparedCode, Registers};
use crate::process::USER_END;
use crate::process::space::{Disguise, Read, Write};
use crate::ranges::largest_gap;

/// So many calls from one place make it worth a patch, if the stub serves them, ...
pub(super) const HOT: u8 = 2;
/// ... and if it makes them by itself: programs that only start make fewer.
pub(super) const HOT_CHANGES: u8 = 32;
/// A count that says: do not try again.
const REFUSED: u8 = u8::MAX;
const SITES_MAX: usize = 4096;
const ATTEMPTS_MAX: u32 = 8192;
const AREAS_MAX: usize = 64;
/// How far a heap may grow.
const HEAP_MAX: u64 = 1 << 44;

/// What is patched in an address space.
#[derive(Default)]
pub(super) struct Patching {
    pub(super) directory: Directory,
    pub(super) gate: Arc<Gate>,
    state: Mutex<State>,
    /// Where its threads find [`State::plain`]; there is none for the template.
    channel: Option<Arc<Channel>>,
    /// Whether there is, or was, a patch.
    is_active: AtomicBool,
    /// Where [`State::prepared`] is; an end of 0 if nowhere.
    prepared: [AtomicU64; 2],
    /// Whether there is, or was, more than one thread.
    is_shared: AtomicBool,
}

#[derive(Clone, Default)]
struct State {
    patches: Patches,
    /// How often calls came from each site.
    sites: BTreeMap<u64, u8>,
    attempts: u32,
    has_barriers: bool,
    /// Where the kernel keeps no account of memory, so that threads may change it by themselves.
    plain: Range<u64>,
    /// Where the heap may be, in which there is nothing of ours.
    heap: Range<u64>,
    /// How many want nobody to do so.
    closings: usize,
    /// Code in which `cpuid` is another instruction, and where it begins.
    prepared: Option<(u64, Arc<PreparedCode>)>,
}

/// While it lives, threads do not change existing memory by themselves.
pub(super) struct Closed(Arc<Patching>);

impl Drop for Closed {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closings -= 1;
        self.0.publish(&state);
    }
}

/// Where a thread is that has trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In code of the guest.
    Guest,
    /// In a trampoline. To the guest it is somewhere else, maybe still just where it was before.
    Trampoline { is_before: bool },
    /// In the stub's fast code. To the guest it is before a call, for which there is a slow way.
    Stub { slow: u64 },
    /// There, but its call by the line is done.
    Served,
    /// There, and its call waits. To the guest it is behind the call, which has no result yet.
    Waiting,
}

/// Addresses of a patched call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PatchedCall {
    /// What the guest sees: where the call is, and what comes after it.
    pub(super) site: u64,
    pub(super) behind: u64,
    /// Where the trampoline makes the call.
    pub(super) slow: u64,
}

impl Patching {
    /// The state of a copy of the address space.
    pub(super) fn copy(&self, channel: &Arc<Channel>) -> Patching {
        let state = State { has_barriers: false, closings: 0, ..self.state.lock().clone() };
        let is_active = AtomicBool::new(self.is_active());
        let channel = Some(Arc::clone(channel));
        let state = Mutex::new(state);
        let copy = Patching { state, channel, is_active, ..Patching::default() };
        let state = copy.state.lock();
        copy.publish(&state);
        copy.publish_prepared(&state);
        drop(state);
        copy
    }

    /// Tells the threads where they may change memory by themselves: the most that has no patches
    /// and no areas.
    fn publish(&self, state: &State) {
        let Some(channel) = &self.channel else { return };
        let range = if state.closings > 0 { 0..0 } else { state.largest_plain() };
        channel.set_plain(&range);
    }

    fn publish_prepared(&self, state: &State) {
        let Some((start, code)) = &state.prepared else { return };
        let range = *start..start + code.len;
        self.prepared[0].store(range.start, Ordering::SeqCst);
        self.prepared[1].store(range.end, Ordering::SeqCst);
        if let Some(channel) = &self.channel {
            channel.set_prepared(&range);
        }
    }

    /// Whether any of `len` bytes at an address may be prepared code.
    fn may_be_prepared(&self, address: u64, len: usize) -> bool {
        let [start, end] = &self.prepared;
        address < end.load(Ordering::Relaxed)
            && address.saturating_add(len as u64) > start.load(Ordering::Relaxed)
    }

    /// Keeps threads from changing memory by themselves; `None` if one is just doing so.
    pub(super) fn close(self: &Arc<Self>) -> Option<Closed> {
        let mut state = self.state.lock();
        state.closings += 1;
        self.publish(&state);
        drop(state);
        let closed = Closed(Arc::clone(self));
        // Whoever looks at the range from now on finds it closed, and the others have said that they
        // look: both are atomic operations in one order.
        let is_changing =
            self.channel.as_ref().is_some_and(|channel| self.directory.is_changing(channel));
        (!is_changing).then_some(closed)
    }

    pub(super) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::SeqCst)
    }

    /// Notes that the address space gets another thread.
    pub(super) fn share(&self) {
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// Who may execute a site while it changes.
    pub(super) fn threads(&self) -> Threads {
        if self.is_shared.load(Ordering::SeqCst) { Threads::Many } else { Threads::One }
    }

    /// Counts a call behind whose instruction is `ip`; a pass if there were `enough` and the site shall
    /// be patched now.
    pub(super) fn count_call(&self, ip: u64, enough: u8) -> Option<Pass> {
        let mut state = self.state.lock();
        if state.attempts >= ATTEMPTS_MAX {
            return None;
        }
        if state.sites.len() >= SITES_MAX {
            state.sites.clear();
        }
        let count = state.sites.entry(ip).or_default();
        if *count == REFUSED {
            return None;
        }
        *count = (*count + 1).min(enough);
        if *count < enough {
            return None;
        }
        let pass = self.gate.try_close()?;
        state.attempts += 1;
        Some(pass)
    }

    /// Notes that the site behind whose instruction is `ip` was patched, or cannot be.
    pub(super) fn settle(&self, ip: u64, is_patched: bool) {
        let mut state = self.state.lock();
        if is_patched {
            state.sites.remove(&ip);
        } else {
            state.sites.insert(ip, REFUSED);
        }
    }

    /// Whether the site behind whose instruction is `ip` cannot be patched, as was found before.
    pub(super) fn is_refused(&self, ip: u64) -> bool {
        self.state.lock().sites.get(&ip) == Some(&REFUSED)
    }

    /// Whether code in a range is on its way to be patched.
    pub(super) fn has_site_in(&self, range: &Range<u64>) -> bool {
        self.state.lock().sites.range(range.clone()).next().is_some()
    }

    /// See [`Patches::plan`].
    pub(super) fn plan(&self, site: &Site<'_>, stub: &Stub) -> Result<Arc<Patch>, Refusal> {
        let mut state = self.state.lock();
        let patch = state.patches.plan(site, stub)?;
        self.is_active.store(true, Ordering::SeqCst);
        Ok(patch)
    }

    /// Where the host changes memory without a word to anybody.
    pub(super) fn heap(&self) -> Range<u64> {
        self.state.lock().heap.clone()
    }

    pub(super) fn has_room_for_area(&self) -> bool {
        self.state.lock().patches.areas().count() < AREAS_MAX
    }

    pub(super) fn add_area(&self, range: Range<u64>) {
        self.state.lock().patches.add_area(range);
    }

    pub(super) fn remove_area(&self, range: Range<u64>) {
        self.state.lock().patches.remove_area(range);
    }

    pub(super) fn applied(&self, patch: &Patch) {
        self.state.lock().patches.applied(patch);
    }

    pub(super) fn remove(&self, range: Range<u64>) {
        self.state.lock().patches.remove(range);
    }

    /// Whether the host makes barriers for the address space.
    pub(super) fn has_barriers(&self) -> bool {
        self.state.lock().has_barriers
    }

    pub(super) fn set_barriers(&self) {
        self.state.lock().has_barriers = true;
    }

    /// The patches that must go before a range may change.
    pub(super) fn in_the_way(&self, range: &Range<u64>) -> Vec<Arc<Patch>> {
        if !self.is_active() {
            return Vec::new();
        }
        self.state.lock().patches.overlapping(range).cloned().collect()
    }

    /// The patches whose trampolines are in a range.
    pub(super) fn served_from(&self, range: Range<u64>) -> Vec<Arc<Patch>> {
        self.state.lock().patches.with_trampoline_in(range).cloned().collect()
    }

    /// The areas that touch a range, in order.
    pub(super) fn areas_in(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        if !self.is_active() {
            return Vec::new();
        }
        let state = self.state.lock();
        let touches = |area: &Range<u64>| area.start < range.end && area.end > range.start;
        state.patches.areas().filter(touches).collect()
    }

    /// Makes what a thread in a trampoline has in its registers what the guest would have.
    pub(super) fn to_guest(&self, registers: &mut Registers) -> Place {
        if !self.is_active() {
            return Place::Guest;
        }
        let state = self.state.lock();
        let Some(trampoline) = state.patches.trampoline_at(registers.rip) else {
            return Place::Guest;
        };
        let Some(point) = trampoline.guest_point(registers.rip) else { return Place::Guest };
        if let Clobbered::Due(rcx) = point.clobbered {
            registers.rcx = rcx;
        }
        if trampoline.has_gone_back(registers.rip, registers.rcx) {
            registers.rcx = trampoline.guest_ip();
        }
        let has_begun = registers.rip != trampoline.address && point.clobbered != Clobbered::Lost;
        registers.rip = point.ip;
        Place::Trampoline { is_before: !has_begun }
    }

    /// Where the guest sees a thread that is behind a call at `ip`; `None` if just there.
    pub(super) fn guest_ip(&self, ip: u64) -> Option<u64> {
        if !self.is_active() {
            return None;
        }
        self.state.lock().patches.guest_point(ip).map(|point| point.ip)
    }

    /// The call whose trampoline's data is at `info`.
    pub(super) fn call_of(&self, info: u64) -> Option<PatchedCall> {
        let state = self.state.lock();
        state.patches.trampoline_of(info).map(|trampoline| PatchedCall {
            site: trampoline.site,
            behind: trampoline.guest_ip(),
            slow: trampoline.slow(),
        })
    }

    /// See [`Patches::trapped`]; `byte` reads the byte before `ip`.
    pub(super) fn trapped(&self, ip: u64, byte: impl FnOnce() -> Option<u8>) -> Trapped {
        if !self.is_active() {
            return Trapped::Guest;
        }
        let state = self.state.lock();
        state.patches.trapped(ip, byte())
    }

    /// See [`Patches::resume_at`].
    pub(super) fn resume_at(&self, ip: u64) -> u64 {
        if self.is_active() { self.state.lock().patches.resume_at(ip) } else { ip }
    }
}

/// Whether the stub may make a trapped call by itself.
pub(super) fn is_changing(registers: &Registers) -> bool {
    let number = registers.orig_rax as u32;
    // What maps files goes the long way in any case.
    let is_file = number == changing::MMAP && registers.r10 as i32 & libc::MAP_ANONYMOUS == 0;
    changing::ALL.contains(&number) && !is_file
}

/// Whether the stub may serve a call.
pub(super) fn is_served(number: u64) -> bool {
    served::ALL.contains(&(number as u32))
}

impl State {
    /// The largest part of `plain` in which nothing is ours.
    fn largest_plain(&self) -> Range<u64> {
        let patches = self.patches.iter().map(|patch| patch.covered());
        let mut ours: Vec<_> = patches.chain(self.patches.areas()).collect();
        ours.sort_by_key(|range| range.start);
        largest_gap(ours.into_iter(), self.plain.clone())
    }
}

impl Disguise for Patching {
    fn set_plain(&self, range: Range<u64>) {
        let mut state = self.state.lock();
        state.plain = range;
        self.publish(&state);
    }

    fn set_heap(&self, start: u64) {
        self.state.lock().heap = start..start.saturating_add(HEAP_MAX).min(USER_END);
    }

    fn set_prepared(&self, start: u64, code: &Arc<PreparedCode>) {
        let mut state = self.state.lock();
        state.prepared = Some((start, Arc::clone(code)));
        self.publish_prepared(&state);
    }

    fn hide(&self, addr: u64, bytes: &mut [u8]) {
        if self.is_active() {
            self.state.lock().patches.hide(addr, bytes);
        }
        if self.may_be_prepared(addr, bytes.len())
            && let Some((start, code)) = &self.state.lock().prepared
        {
            cpuid::hide(*start, &code.changes, addr, bytes);
        }
    }

    fn areas(&self) -> Vec<Range<u64>> {
        self.areas_in(&(0..u64::MAX))
    }

    fn uncover(&self, range: Range<u64>, read: Read<'_>, write: Write<'_>) {
        let prepared = self.state.lock().prepared.clone();
        if let Some((start, code)) = prepared {
            cpuid::uncover(start, &code.changes, &range, read, write);
        }
        for patch in self.in_the_way(&range) {
            for step in patch.restore(Threads::Many) {
                match step {
                    Step::Write { address, bytes } => write(address, &bytes),
                    // No thread is at hand that could make the others look. They do not fetch
                    // ahead for so long.
                    Step::Sync => std::thread::sleep(std::time::Duration::from_micros(50)),
                }
            }
            self.remove(patch.covered());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_no_memory_that_threads_change_by_themselves() {
        let mut state = State { plain: 0x1000..0x10_0000, ..State::default() };
        assert_eq!(state.largest_plain(), 0x1000..0x10_0000);
        for (area, largest) in [
            (0x2000..0x3000, 0x3000..0x10_0000),
            (0x8_0000..0x8_1000, 0x8_1000..0x10_0000),
            (0xf_0000..0x20_0000, 0x3000..0x8_0000),
            (0x30_0000..0x30_1000, 0x3000..0x8_0000),
        ] {
            state.patches.add_area(area);
            assert_eq!(state.largest_plain(), largest);
        }
        state.plain = 0..0;
        assert!(state.largest_plain().is_empty());
    }
}
