//! Sets of signals: the kernel's 8-byte `sigset_t`.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::number::{SIGKILL, SIGSTOP, is_valid_signal, signal_name};

/// A set of signals; bit `n - 1` is signal `n`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Default, PartialEq, Eq, Hash,
)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    pub const EMPTY: SigSet = SigSet(0);
    pub const FULL: SigSet = SigSet(!0);
    /// `SIGKILL` and `SIGSTOP`, which can be neither blocked, caught nor ignored.
    pub const UNBLOCKABLE: SigSet = SigSet::of(SIGKILL).union(SigSet::of(SIGSTOP));

    /// The set of one signal; empty if the number is no signal.
    pub const fn of(signal: i32) -> SigSet {
        if is_valid_signal(signal) { SigSet(1 << (signal - 1)) } else { SigSet(0) }
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn contains(self, signal: i32) -> bool {
        self.0 & SigSet::of(signal).0 != 0
    }

    pub const fn insert(&mut self, signal: i32) {
        self.0 |= SigSet::of(signal).0;
    }

    pub const fn remove(&mut self, signal: i32) {
        self.0 &= !SigSet::of(signal).0;
    }

    pub const fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    pub const fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// The signals of this set that are not in `other`.
    pub const fn difference(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    pub const fn intersects(self, other: SigSet) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn complement(self) -> SigSet {
        SigSet(!self.0)
    }

    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest signal of the set.
    pub const fn first(self) -> Option<i32> {
        if self.0 == 0 { None } else { Some(self.0.trailing_zeros() as i32 + 1) }
    }

    /// The signals in ascending order.
    pub fn iter(self) -> impl Iterator<Item = i32> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let signal = rest.first()?;
            rest.remove(signal);
            Some(signal)
        })
    }
}

impl FromIterator<i32> for SigSet {
    fn from_iter<I: IntoIterator<Item = i32>>(signals: I) -> SigSet {
        signals.into_iter().fold(SigSet::EMPTY, |set, signal| set.union(SigSet::of(signal)))
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for signal in self.iter() {
            match signal_name(signal) {
                Some(name) => set.entry(&format_args!("{name}")),
                None => set.entry(&signal),
            };
        }
        set.finish()
    }
}
