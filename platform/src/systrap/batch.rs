//! Several memory operations in one go: the stub makes them without a word in between.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::care::{self, Way};
use super::gate::Pass;
use super::hand::{close, close_all, put_calls};
use super::kept::Key;
use super::layout::{CALLS_MAX, Call, DESCRIPTOR, SENT_OFFSET, command};
use super::slot::Slot;
use super::stock::{Held, Item, NO_DOMAIN};
use super::thread::SystrapThread;
use crate::contract::{self, Heap, HostOp, Thread};
use crate::process::{heap, ops};

/// See [`Thread::host_ops`].
pub(super) async fn execute(
    thread: &mut SystrapThread,
    operations: &[HostOp<'_>],
) -> Result<(), Errno> {
    thread.complete().await?;
    let held = std::mem::take(&mut *thread.slot.process.held.lock());
    let Some(batch) = Batch::plan(thread, operations) else {
        if !held.is_empty() {
            thread.make_call(close_all()).await?;
        }
        return contract::one_by_one(thread, operations).await;
    };
    let mut descriptors = Descriptors::of(operations, held, thread);
    let result = match descriptors.give(thread) {
        Ok(()) => {
            let mut calls = batch.calls(operations, &descriptors);
            calls.extend(descriptors.closing());
            make(thread, calls, &mut descriptors).await
        }
        Err(error) => Err(error),
    };
    if result.is_err() {
        // They come last, so none of them was made.
        let closing = descriptors.closing();
        let closing = closing.into_iter().filter(|call| call.args[0] != DESCRIPTOR).collect();
        make(thread, closing, &mut Descriptors::default()).await?;
    }
    if !descriptors.kept.is_empty() {
        let early = descriptors.kept.iter().map(|(item, number)| (item.key, *number)).collect();
        thread.slot.process.kept.begin_with(early);
    }
    result
}

/// The call that places the heap, which the stub may make until [`Slot::has_obeyed`]. What it points
/// to is in the slot, which is nobody else's before the program runs.
///
/// [`Slot::has_obeyed`]: super::slot::Slot::has_obeyed
pub(super) fn plan_heap(slot: &Slot, heap: &Heap) -> ops::Call {
    slot.memory.write(SENT_OFFSET, &heap::map(heap));
    slot.asked.store(libc::SYS_prctl, Ordering::SeqCst);
    heap::call(slot.memory.address() + SENT_OFFSET)
}

/// Operations that can be made in one go.
struct Batch {
    calls: Vec<ops::Call>,
    /// Nobody patches code meanwhile.
    _passes: Vec<Pass>,
}

impl Batch {
    /// `None` if one needs more than a call, or care.
    fn plan(thread: &SystrapThread, operations: &[HostOp<'_>]) -> Option<Batch> {
        let reserved = &thread.supervisor.common.layout.reserved;
        let patching = &thread.slot.process.patching;
        let mut batch = Batch { calls: Vec::with_capacity(operations.len()), _passes: Vec::new() };
        for operation in operations {
            if matches!(operation, HostOp::Mlockall { .. }) {
                return None;
            }
            let call = match operation {
                HostOp::PlaceHeap(heap) => plan_heap(&thread.slot, heap),
                _ => ops::to_call(operation, reserved).ok()?,
            };
            match care::way(patching, &call) {
                Way::Free(pass) => batch._passes.extend(pass),
                Way::Careful => return None,
            }
            batch.calls.push(call);
        }
        Some(batch)
    }

    /// The calls, with the descriptors that they need in the stub's process.
    fn calls(&self, operations: &[HostOp<'_>], descriptors: &Descriptors<'_>) -> Vec<Call> {
        let with_file = |(call, operation): (&ops::Call, &HostOp<'_>)| {
            let mut args = call.args;
            if let HostOp::Mmap { fd: Some(file), .. } = operation {
                args[4] = descriptors.number(*file);
            }
            Call { number: call.number as u64, args }
        };
        self.calls.iter().zip(operations).map(with_file).collect()
    }
}

/// Descriptors of the sentry, and their numbers in the stub's process; [`DESCRIPTOR`] for one that
/// was not given yet.
#[derive(Default)]
struct Descriptors<'a> {
    all: Vec<(BorrowedFd<'a>, u64)>,
    /// Those that the stub has had from the beginning and keeps, ...
    kept: Held,
    /// ... and those that it does not.
    left: Held,
}

impl<'a> Descriptors<'a> {
    /// All files that operations of a thread need, some of which its process has `held` from the
    /// beginning.
    fn of(operations: &[HostOp<'a>], held: Held, thread: &SystrapThread) -> Descriptors<'a> {
        let process = &thread.slot.process;
        let own = process.domain.load(Ordering::Relaxed);
        let is_kept = |(item, _): &(Item, u64)| item.domain != NO_DOMAIN && item.domain == own;
        let (kept, left) = held.into_iter().partition(is_kept);
        let mut all = Descriptors { all: Vec::new(), kept, left };
        for operation in operations {
            if let HostOp::Mmap { fd: Some(file), .. } = operation
                && all.number(*file) == u64::MAX
            {
                let key = Key::of(*file).ok();
                let number = all.held().find(|(item, _)| Some(item.key) == key);
                let number = number.map_or(DESCRIPTOR, |(_, number)| *number);
                all.all.push((*file, number));
                if let Some(key) = key {
                    let domain = if key.may_be_held() { own } else { NO_DOMAIN };
                    thread.supervisor.stock.note(Item { key, domain }, *file);
                }
            }
        }
        all
    }

    /// All that the stub has had from the beginning.
    fn held(&self) -> impl Iterator<Item = &(Item, u64)> {
        self.kept.iter().chain(&self.left)
    }

    fn number(&self, file: BorrowedFd<'_>) -> u64 {
        let known = self.all.iter().find(|(known, _)| known.as_raw_fd() == file.as_raw_fd());
        known.map_or(u64::MAX, |(_, number)| *number)
    }

    /// Gives the stub those that it has not got, but for the last, which goes with the calls.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE.
    fn give(&mut self, thread: &SystrapThread) -> Result<(), Errno> {
        let missing = self.all.iter_mut().filter(|(_, number)| *number == DESCRIPTOR);
        for (file, number) in missing.rev().skip(1) {
            let (id, _) = thread.in_stub()?;
            *number = thread.supervisor.give_descriptor(&thread.slot, id, *file)?;
        }
        Ok(())
    }

    /// The one that was not given yet.
    fn last(&mut self) -> Option<(BorrowedFd<'a>, &mut u64)> {
        let mut all = self.all.iter_mut();
        let (file, number) = all.rfind(|(_, number)| *number == DESCRIPTOR)?;
        Some((*file, number))
    }

    /// The calls that close those that the stub does not keep.
    fn closing(&self) -> Vec<Call> {
        if self.kept.is_empty() && !self.left.is_empty() {
            return vec![close_all()];
        }
        let is_held = |number| self.held().any(|(_, other)| *other == number);
        let given = self.all.iter().map(|(_, number)| *number).filter(|&number| !is_held(number));
        let left = self.left.iter().map(|(_, number)| *number);
        given.chain(left).map(close).collect()
    }
}

/// Has the thread make calls until one fails.
///
/// Errors: that one's; ESRCH when the thread is dead; EMFILE.
async fn make(
    thread: &mut SystrapThread,
    mut calls: Vec<Call>,
    descriptors: &mut Descriptors<'_>,
) -> Result<(), Errno> {
    let mut rest = &mut calls[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at_mut(rest.len().min(CALLS_MAX));
        rest = later;
        let (id, _) = thread.in_stub()?;
        put_calls(&thread.slot.memory, now);
        let (supervisor, slot) = (&thread.supervisor, &thread.slot);
        supervisor.start_obeying(slot);
        let command = command::CALLS | command::UNTIL_ERROR;
        let answered = match descriptors.last() {
            Some((file, number)) => supervisor.command_with(slot, id, file, command).map(|given| {
                *number = given;
                let places = rest.iter_mut().flat_map(|call| &mut call.args);
                places.filter(|place| **place == DESCRIPTOR).for_each(|place| *place = given);
            }),
            None => supervisor.listener.answer(id, command).map_err(|_| Errno::ESRCH),
        };
        let done = match answered {
            Ok(()) => std::future::poll_fn(|cx| thread.poll_done(cx)).await,
            Err(error) => Err(error),
        };
        thread.slot.has_obeyed();
        done?;
    }
    Ok(())
}
