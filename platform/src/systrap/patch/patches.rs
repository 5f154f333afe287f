//! All patches of an address space, and the questions that others ask about them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::installed::Patch;
use super::site::{Refusal, Site, shapes};
use super::space::{INT3, TrampolineSpace};
use super::trampoline::{GuestPoint, Stub, Trampoline};

/// The patches of one address space.
///
/// A clone, for a fork, is cheap: both share what neither changes. Take it while no patch is being
/// applied, or apply those again in the copy.
#[derive(Clone, Debug, Default)]
pub struct Patches {
    state: Arc<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// By the first address that a patch covers; no two overlap.
    patches: BTreeMap<u64, Entry>,
    /// Every trampoline ever made, by address.
    trampolines: BTreeMap<u64, Trampoline>,
    space: TrampolineSpace,
}

#[derive(Clone, Debug)]
struct Entry {
    patch: Arc<Patch>,
    /// Whether the trampoline is known to be in memory.
    is_applied: bool,
}

/// What a thread is to do that reported an `int3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trapped {
    /// It continues at this address, all registers unchanged.
    Redirect(u64),
    /// The `int3` is gone: it executes what is there now, at this address.
    Retry(u64),
    /// It is the guest's own.
    Guest,
}

impl Patches {
    /// Adds an area for trampolines, see [`TrampolineSpace::add_area`].
    pub fn add_area(&mut self, range: Range<u64>) {
        Arc::make_mut(&mut self.state).space.add_area(range);
    }

    /// Returns the areas for trampolines.
    pub fn areas(&self) -> impl Iterator<Item = Range<u64>> {
        self.state.space.areas()
    }

    /// Plans a patch for `site` and takes it in; the caller then carries out [`Patch::install`]
    /// and calls [`Patches::applied`].
    ///
    /// The caller makes sure that all of [`Patch::range`] is private memory that the guest may not
    /// write: nobody would notice the patch being overwritten, and a shared file would change.
    ///
    /// Errors: the reason why the site must stay; after [`Refusal::NoSpace`] the caller may add an
    /// area near the site and try again.
    pub fn plan(&mut self, site: &Site<'_>, stub: &Stub) -> Result<Arc<Patch>, Refusal> {
        let mut code = site.code.to_vec();
        self.hide(site.code_start, &mut code);
        let site = Site { code: &code, ..*site };
        let overlaps = |covered: Range<u64>| self.overlapping(&covered).next().is_some();
        let shape = shapes(&site)?.into_iter().find(|shape| !overlaps(shape.covered()));
        let shape = shape.ok_or(Refusal::Overlap)?;
        let state = Arc::make_mut(&mut self.state);
        let patch = Arc::new(Patch::plan(&shape, site.address, stub, &mut state.space)?);
        state.trampolines.insert(patch.trampoline().address, *patch.trampoline());
        let entry = Entry { patch: Arc::clone(&patch), is_applied: false };
        state.patches.insert(patch.covered().start, entry);
        Ok(patch)
    }

    /// Notes that all steps of [`Patch::install`] are done.
    pub fn applied(&mut self, patch: &Patch) {
        let state = Arc::make_mut(&mut self.state);
        let entry = state.patches.get_mut(&patch.covered().start);
        if let Some(entry) = entry.filter(|entry| *entry.patch == *patch) {
            entry.is_applied = true;
        }
    }

    /// Returns the patches that cover any byte of `range`. Before the guest may write there, or a
    /// debugger does, each must be restored and then removed.
    pub fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = &Arc<Patch>> + use<'_> {
        self.entries(range).map(|entry| &entry.patch)
    }

    fn entries(&self, range: &Range<u64>) -> impl Iterator<Item = &Entry> + use<'_> {
        let start = range.start;
        let below = self.state.patches.range(..range.end).rev();
        below.map(|(_, entry)| entry).take_while(move |entry| entry.patch.covered().end > start)
    }

    /// Returns the patches that need a trampoline in `range`. Before that memory goes, each must be
    /// restored and then removed, the threads in it moved on ([`Patches::guest_point`]), and
    /// the area given up ([`Patches::remove_area`]).
    pub fn with_trampoline_in(&self, range: Range<u64>) -> impl Iterator<Item = &Arc<Patch>> {
        self.iter().filter(move |patch| {
            let trampoline = patch.trampoline();
            trampoline.address < range.end && trampoline.end() > range.start
        })
    }

    /// Forgets the areas that touch `range`, and every trampoline in them.
    pub fn remove_area(&mut self, range: Range<u64>) {
        let state = Arc::make_mut(&mut self.state);
        for area in state.space.remove(&range) {
            state.trampolines.retain(|address, _| !area.contains(address));
        }
    }

    /// Forgets the patches that cover any byte of `range`: the memory is gone, is no longer what was
    /// patched, or has its original bytes again. Their trampolines stay known.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<Arc<Patch>> {
        let removed: Vec<_> = self.overlapping(&range).cloned().collect();
        if !removed.is_empty() {
            let state = Arc::make_mut(&mut self.state);
            for patch in &removed {
                state.patches.remove(&patch.covered().start);
            }
        }
        removed
    }

    /// Puts the guest's own bytes into `bytes`, which were read from guest memory at `address`.
    pub fn hide(&self, address: u64, bytes: &mut [u8]) {
        let range = address..address.saturating_add(bytes.len() as u64);
        for patch in self.overlapping(&range) {
            for (at, original) in patch.range().zip(patch.original()) {
                let byte = at.checked_sub(address).and_then(|at| bytes.get_mut(at as usize));
                if let Some(byte) = byte {
                    *byte = *original;
                }
            }
        }
    }

    /// Tells what a thread is to do that got a SIGTRAP of an `int3` (`REG_TRAPNO` 3) and reports
    /// `ip`, just behind it. `byte` is what memory holds at `ip - 1`, `None` if unreadable; it must
    /// have been read under whatever guards `self`, for the answer to fit.
    pub fn trapped(&self, ip: u64, byte: Option<u8>) -> Trapped {
        let address = ip.wrapping_sub(1);
        if byte != Some(INT3) {
            // The patch was completed or removed meanwhile. A guest that takes its own breakpoints
            // away has to expect the same.
            return Trapped::Retry(address);
        }
        let target = self.patch_at(address).and_then(|patch| patch.redirect(address));
        target.map_or(Trapped::Guest, Trapped::Redirect)
    }

    /// Returns where a thread that the guest sees at `ip` best goes on: not in a trap of a patch.
    /// To be asked for every thread that returns from a trap, as it may have waited in a syscall
    /// that has been patched since.
    pub fn resume_at(&self, ip: u64) -> u64 {
        let mut applied = self.entries(&byte_at(ip)).filter(|entry| entry.is_applied);
        applied.next().and_then(|entry| entry.patch.redirect(ip)).unwrap_or(ip)
    }

    /// Returns what a thread is to the guest whose next instruction is in a trampoline, `None` for
    /// any other address. Signal frames, `ptrace` and interrupts show this, never the trampoline.
    pub fn guest_point(&self, ip: u64) -> Option<GuestPoint> {
        self.trampoline_at(ip)?.guest_point(ip)
    }

    /// Returns the trampoline whose code or data `address` is in.
    pub fn trampoline_at(&self, address: u64) -> Option<&Trampoline> {
        let (_, trampoline) = self.state.trampolines.range(..=address).next_back()?;
        (address < trampoline.end()).then_some(trampoline)
    }

    /// Returns the trampoline whose data, which the stub gets to see, is at `info`.
    pub fn trampoline_of(&self, info: u64) -> Option<&Trampoline> {
        self.trampoline_at(info).filter(|trampoline| trampoline.info() == info)
    }

    /// Returns the patch that covers `address`.
    pub fn patch_at(&self, address: u64) -> Option<&Arc<Patch>> {
        self.overlapping(&byte_at(address)).next()
    }

    /// Returns all patches, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Patch>> {
        self.state.patches.values().map(|entry| &entry.patch)
    }
}

fn byte_at(address: u64) -> Range<u64> {
    address..address.saturating_add(1)
}

#[cfg(test)]
#[path = "patches_tests.rs"]
mod tests;
