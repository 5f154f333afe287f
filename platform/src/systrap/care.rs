//! Memory operations that meet patched code or the areas of trampolines.
//!
//! What is about to change gets the guest's own bytes back first. The areas are free memory to the
//! guest: an operation on a range leaves them out, and answers as it would for a gap. When the
//! guest maps something at just that place an area is given up, which is possible as long as no other
//! thread can be in it; else the place counts as taken.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::mm::{
    MADV_COLD, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
    MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
};

use super::gate::Pass;
use super::hand::Hand;
use super::install;
use super::patching::Patching;
use crate::process::ops::Call;
use crate::process::{PAGE_BYTES, USER_END};

/// Advice that changes neither contents nor what a copy of the memory gets.
const HARMLESS_ADVICE: [i32; 12] = [
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_DOFORK,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    MADV_DONTDUMP,
    MADV_DODUMP,
    MADV_COLD,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
];

/// What an operation does to what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    /// Changes or removes it, and does nothing else.
    Change(Range<u64>),
    /// Moves it away; to the second range, if it is for the guest to say.
    Move(Range<u64>, Option<Range<u64>>),
    /// Puts something else in its place.
    Replace(Range<u64>),
}

/// How an operation may go on.
pub(super) enum Way {
    /// At once. The pass lives as long as the operation.
    Free(Option<Pass>),
    /// By [`carry_out`].
    Careful,
}

/// Decides how to go about an operation.
pub(super) fn way(patching: &Patching, call: &Call) -> Way {
    let Some(effect) = Effect::of(call) else { return Way::Free(None) };
    let Some(pass) = patching.gate.try_enter() else { return Way::Careful };
    let is_touched = |range: &Range<u64>| {
        !patching.in_the_way(range).is_empty() || !patching.areas_in(range).is_empty()
    };
    if effect.ranges().any(is_touched) { Way::Careful } else { Way::Free(Some(pass)) }
}

/// Whether an operation meets no patch, nor any that may be made before it is over: for when nobody
/// will know when that is.
pub(super) fn is_harmless(patching: &Patching, call: &Call) -> bool {
    match way(patching, call) {
        Way::Careful => false,
        // Here the pass ends.
        Way::Free(_) => {
            let effect = Effect::of(call);
            effect.is_none_or(|effect| !effect.ranges().any(|range| patching.has_site_in(range)))
        }
    }
}

/// The result of an operation and the thread's notification after it.
pub(super) type Careful =
    Pin<Box<dyn Future<Output = Result<(u64, Result<u64, Errno>), Errno>> + Send + Sync>>;

/// Carries out an operation together with what has to come before.
///
/// Errors: ESRCH when the thread is dead.
pub(super) fn carry_out(mut hand: Hand, call: Call, file: Option<OwnedFd>) -> Careful {
    Box::pin(async move {
        let patching = Arc::clone(&hand.slot.process.patching);
        let _pass = patching.gate.close().await;
        let result = match Effect::of(&call) {
            None => execute(&mut hand, &call, file).await,
            Some(effect) => clear_and_execute(&mut hand, &effect, &call, file).await,
        };
        match result {
            Err(Errno::ESRCH) => Err(Errno::ESRCH),
            result => Ok((hand.id, result)),
        }
    })
}

async fn clear_and_execute(
    hand: &mut Hand,
    effect: &Effect,
    call: &Call,
    file: Option<OwnedFd>,
) -> Result<u64, Errno> {
    let patching = Arc::clone(&hand.slot.process.patching);
    for range in effect.ranges() {
        install::restore(hand, &patching.in_the_way(range)).await?;
    }
    match effect {
        Effect::Change(range) => {
            let areas = patching.areas_in(range);
            if !areas.is_empty() {
                return execute_around(hand, call, range, &areas).await;
            }
        }
        Effect::Move(from, to) => {
            if !patching.areas_in(from).is_empty() {
                return Err(Errno::EFAULT);
            }
            if let Some(to) = to {
                free(hand, to, call).await?;
            }
        }
        Effect::Replace(range) => free(hand, range, call).await?,
    }
    execute(hand, call, file).await
}

/// Gives up the areas that touch a range.
///
/// Errors: EEXIST or ENOMEM, as for memory that is taken, if other threads may be in them.
async fn free(hand: &mut Hand, range: &Range<u64>, call: &Call) -> Result<(), Errno> {
    let patching = Arc::clone(&hand.slot.process.patching);
    for area in patching.areas_in(range) {
        if hand.slot.process.memory.user_count() > 1 {
            let no_replace = call.number == libc::SYS_mmap
                && call.args[3] as i32 & libc::MAP_FIXED_NOREPLACE != 0;
            return Err(if no_replace { Errno::EEXIST } else { Errno::ENOMEM });
        }
        install::restore(hand, &patching.served_from(area.clone())).await?;
        patching.remove_area(area.clone());
        hand.call(libc::SYS_munmap, [area.start, area.end - area.start, 0, 0, 0, 0]).await?;
    }
    Ok(())
}

/// Executes an operation on what `areas` leave of its range.
async fn execute_around(
    hand: &mut Hand,
    call: &Call,
    range: &Range<u64>,
    areas: &[Range<u64>],
) -> Result<u64, Errno> {
    let mut from = range.start;
    let mut result = Ok(0);
    let ends = areas.iter().map(|area| (area.start, area.end)).chain([(range.end, range.end)]);
    for (end, next) in ends {
        if from < end {
            let [_, _, rest @ ..] = call.args;
            let [c, d, e, f] = rest;
            let done = hand.call(call.number, [from, end - from, c, d, e, f]).await;
            result = result.and(done);
        }
        from = next;
        // Linux: mprotect(2) stops at a gap, madvise(2) goes on and tells at the end.
        if call.number == libc::SYS_mprotect && result.is_ok() && end < range.end {
            return Err(Errno::ENOMEM);
        }
        if result == Err(Errno::ESRCH) {
            return result;
        }
    }
    if call.number == libc::SYS_madvise { result.and(Err(Errno::ENOMEM)) } else { result }
}

async fn execute(hand: &mut Hand, call: &Call, file: Option<OwnedFd>) -> Result<u64, Errno> {
    let mut args = call.args;
    let Some(file) = file else { return hand.call(call.number, args).await };
    let number = hand.supervisor.give_descriptor(&hand.slot, hand.id, file.as_fd())?;
    args[4] = number;
    let result = hand.call(call.number, args).await;
    if result != Err(Errno::ESRCH) {
        hand.call(libc::SYS_close, [number, 0, 0, 0, 0, 0]).await?;
    }
    result
}

impl Effect {
    /// `None` if it leaves alone what is there, or the host will refuse it.
    fn of(call: &Call) -> Option<Effect> {
        let [a, b, c, d, e, _] = call.args;
        match call.number {
            libc::SYS_munmap | libc::SYS_mprotect => pages(a, b).map(Effect::Change),
            libc::SYS_madvise if HARMLESS_ADVICE.contains(&(c as i32)) => None,
            libc::SYS_madvise => pages(a, b).map(Effect::Change),
            libc::SYS_mmap => {
                let is_fixed = d as i32 & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
                if is_fixed { pages(a, b).map(Effect::Replace) } else { None }
            }
            libc::SYS_mremap => {
                let to = if d as i32 & libc::MREMAP_FIXED != 0 { pages(e, c) } else { None };
                // An old length of 0 duplicates the mapping.
                pages(a, b.max(1)).map(|from| Effect::Move(from, to))
            }
            _ => None,
        }
    }

    fn ranges(&self) -> impl Iterator<Item = &Range<u64>> {
        let (first, second) = match self {
            Effect::Change(range) | Effect::Replace(range) => (range, None),
            Effect::Move(from, to) => (from, to.as_ref()),
        };
        [first].into_iter().chain(second)
    }
}

/// The pages of a range, if it is one that the host would accept.
fn pages(start: u64, len: u64) -> Option<Range<u64>> {
    let len = len.checked_next_multiple_of(PAGE_BYTES)?;
    let end = start.checked_add(len)?;
    (start.is_multiple_of(PAGE_BYTES) && len > 0 && end <= USER_END).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(number: i64, args: [u64; 5]) -> Option<Effect> {
        let [a, b, c, d, e] = args;
        Effect::of(&Call { number, args: [a, b, c, d, e, 0] })
    }

    #[test]
    fn operations_affect_whole_pages() {
        let change = |number| effect(number, [0x1000, 1, 4, 0, 0]);
        for number in [libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_madvise] {
            assert_eq!(change(number), Some(Effect::Change(0x1000..0x2000)));
        }
        assert_eq!(change(libc::SYS_msync), None);
        assert_eq!(effect(libc::SYS_madvise, [0x1000, 1, 3, 0, 0]), None);
        for (start, len) in [(1, 1), (0x1000, 0), (0x1000, u64::MAX), (1 << 47, 1)] {
            assert_eq!(effect(libc::SYS_munmap, [start, len, 0, 0, 0]), None);
        }
    }

    #[test]
    fn only_fixed_mappings_replace() {
        let private = libc::MAP_PRIVATE as u64;
        let fixed = (libc::MAP_PRIVATE | libc::MAP_FIXED) as u64;
        assert_eq!(effect(libc::SYS_mmap, [0x1000, 4096, 0, private, 0]), None);
        let replaced = effect(libc::SYS_mmap, [0x1000, 4096, 0, fixed, 0]);
        assert_eq!(replaced, Some(Effect::Replace(0x1000..0x2000)));
        let (may_move, to_there) = (1, 3);
        let moved = |flags| effect(libc::SYS_mremap, [0x1000, 0, 4096, flags, 0x8000]);
        assert_eq!(moved(may_move), Some(Effect::Move(0x1000..0x2000, None)));
        assert_eq!(moved(to_there), Some(Effect::Move(0x1000..0x2000, Some(0x8000..0x9000))));
    }
}
