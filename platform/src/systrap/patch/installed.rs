//! One patch: the bytes at the site, its trampoline, and how to apply and remove it.

use std::ops::Range;

use super::site::{Form, JUMP_BYTES, Refusal, Shape};
use super::space::{INT3, TrampolineSpace, Want};
use super::step::{Step, Threads};
use super::trampoline::{Stub, Trampoline, jump};

/// A planned or applied patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    form: Form,
    start: u64,
    original: [u8; JUMP_BYTES],
    patched: [u8; JUMP_BYTES],
    trampoline: Trampoline,
    trampoline_bytes: Box<[u8]>,
}

impl Patch {
    /// Plans a patch of `shape` for the site at `site`, whose trampoline enters `stub`.
    ///
    /// Errors: [`Refusal::NoSpace`].
    pub(super) fn plan(
        shape: &Shape<'_>,
        site: u64,
        stub: &Stub,
        space: &mut TrampolineSpace,
    ) -> Result<Self, Refusal> {
        let (lead_bytes, follower_bytes) = (shape.lead.len() as u8, shape.follower.len() as u8);
        let want = Want {
            origin: shape.start + JUMP_BYTES as u64,
            len: Trampoline::len(lead_bytes, follower_bytes),
            int3: shape.form == Form::General,
        };
        let address = space.allocate(&want).ok_or(Refusal::NoSpace)?;
        let trampoline = Trampoline { address, site, lead_bytes, follower_bytes };
        let bytes = trampoline.assemble(shape.lead, shape.follower, stub);
        let trampoline_bytes = bytes.ok_or(Refusal::NoSpace)?.into_boxed_slice();
        let patched = jump(shape.start, address).ok_or(Refusal::NoSpace)?;
        let Shape { form, start, original, .. } = *shape;
        Ok(Self { form, start, original, patched, trampoline, trampoline_bytes })
    }

    /// Returns which instruction the jump displaces.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns the bytes that change.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + JUMP_BYTES as u64
    }

    /// Returns the instructions that change or must stay as they are: the displaced one and the
    /// syscall.
    pub fn covered(&self) -> Range<u64> {
        self.start..self.trampoline.next()
    }

    /// Returns what the guest put where the jump is.
    pub fn original(&self) -> &[u8; JUMP_BYTES] {
        &self.original
    }

    /// Returns the jump.
    pub fn patched(&self) -> &[u8; JUMP_BYTES] {
        &self.patched
    }

    /// Returns the trampoline.
    pub fn trampoline(&self) -> &Trampoline {
        &self.trampoline
    }

    /// Whether memory, which holds `actual` at [`Patch::range`], no longer has the patch.
    pub fn is_stale(&self, actual: &[u8]) -> bool {
        actual != self.patched
    }

    /// Returns where a thread goes on that executed an `int3` of this patch at `address`, in any
    /// state between unpatched and patched.
    pub fn redirect(&self, address: u64) -> Option<u64> {
        if address == self.start {
            return Some(self.trampoline.address);
        }
        let second = self.form == Form::General && address == self.trampoline.guest_ip();
        second.then(|| self.trampoline.follower())
    }

    /// Returns the steps that apply the patch to memory with the original bytes. The patch must be
    /// in a [`Patches`](super::Patches) before the first of them.
    pub fn install(&self, threads: Threads) -> Vec<Step> {
        let trampoline =
            Step::Write { address: self.trampoline.address, bytes: self.trampoline_bytes.to_vec() };
        let mut steps = vec![trampoline];
        if threads == Threads::One {
            steps.push(self.write(0..JUMP_BYTES, &self.patched));
            return steps;
        }
        let stops = self.stops();
        steps.extend([
            self.write(0..self.entries(), &stops),
            Step::Sync,
            self.write(1..JUMP_BYTES, &self.patched),
            Step::Sync,
            self.write(0..1, &self.patched),
        ]);
        steps
    }

    /// Returns the steps that put the original bytes back. The patch must stay in its
    /// [`Patches`](super::Patches) until the last of them. The trampoline stays.
    pub fn restore(&self, threads: Threads) -> Vec<Step> {
        if threads == Threads::One {
            return vec![self.write(0..JUMP_BYTES, &self.original)];
        }
        let mut rest = self.original;
        if self.form == Form::General {
            rest[2] = INT3;
        }
        vec![
            self.write(0..1, &self.stops()),
            Step::Sync,
            self.write(1..JUMP_BYTES, &rest),
            Step::Sync,
            self.write(0..self.entries(), &self.original),
        ]
    }

    /// Returns the original bytes with an `int3` wherever a thread can be.
    fn stops(&self) -> [u8; JUMP_BYTES] {
        let mut bytes = self.original;
        bytes[0] = INT3;
        if self.form == Form::General {
            bytes[2] = INT3;
        }
        bytes
    }

    /// Returns how many bytes reach up to the last one where a thread can be.
    fn entries(&self) -> usize {
        if self.form == Form::General { 3 } else { 1 }
    }

    fn write(&self, part: Range<usize>, from: &[u8; JUMP_BYTES]) -> Step {
        Step::Write { address: self.start + part.start as u64, bytes: from[part].to_vec() }
    }
}
