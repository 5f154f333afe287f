//! Several memory operations in one go: the stub makes them without a word in between.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use linux_abi::Errno;

use super::care::{self, Way};
use super::gate::Pass;
use super::hand::put_calls;
use super::layout::{CALLS_MAX, Call, command};
use super::thread::SystrapThread;
use crate::contract::{self, HostOp, Thread};
use crate::process::ops;

/// See [`Thread::host_ops`].
pub(super) async fn execute(
    thread: &mut SystrapThread,
    operations: &[HostOp<'_>],
) -> Result<(), Errno> {
    thread.complete().await?;
    let Some(batch) = Batch::plan(thread, operations) else {
        return contract::one_by_one(thread, operations).await;
    };
    let mut descriptors = Descriptors::default();
    let result = match batch.calls(thread, operations, &mut descriptors) {
        Ok(mut calls) => {
            calls.extend(descriptors.closing());
            make(thread, &calls).await
        }
        Err(error) => Err(error),
    };
    if result.is_err() {
        // They come last, so none of them was made.
        let closing: Vec<_> = descriptors.closing().collect();
        make(thread, &closing).await?;
    }
    result
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
            let call = ops::to_call(operation, reserved).ok()?;
            match care::way(patching, &call) {
                Way::Free(pass) => batch._passes.extend(pass),
                Way::Careful => return None,
            }
            batch.calls.push(call);
        }
        Some(batch)
    }

    /// The calls, with the descriptors that they need in the stub's process.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE.
    fn calls(
        &self,
        thread: &SystrapThread,
        operations: &[HostOp<'_>],
        descriptors: &mut Descriptors,
    ) -> Result<Vec<Call>, Errno> {
        let with_file = |(call, operation): (&ops::Call, &HostOp<'_>)| {
            let mut args = call.args;
            if let HostOp::Mmap { fd: Some(file), .. } = operation {
                args[4] = descriptors.number(thread, *file)?;
            }
            Ok(Call { number: call.number as u64, args })
        };
        self.calls.iter().zip(operations).map(with_file).collect()
    }
}

/// Descriptors of the sentry, and their numbers in the stub's process.
#[derive(Default)]
struct Descriptors(Vec<(RawFd, u64)>);

impl Descriptors {
    fn number(&mut self, thread: &SystrapThread, file: BorrowedFd<'_>) -> Result<u64, Errno> {
        let own = file.as_raw_fd();
        if let Some((_, number)) = self.0.iter().find(|(known, _)| *known == own) {
            return Ok(*number);
        }
        let (id, _) = thread.in_stub()?;
        let number = thread.supervisor.listener.add_descriptor(id, file)?;
        self.0.push((own, number));
        Ok(number)
    }

    /// The calls that close them.
    fn closing(&self) -> impl Iterator<Item = Call> {
        self.0.iter().map(|&(_, number)| Call {
            number: libc::SYS_close as u64,
            args: [number, 0, 0, 0, 0, 0],
        })
    }
}

/// Has the thread make calls until one fails.
///
/// Errors: that one's; ESRCH when the thread is dead.
async fn make(thread: &mut SystrapThread, calls: &[Call]) -> Result<(), Errno> {
    for calls in calls.chunks(CALLS_MAX) {
        let (id, _) = thread.in_stub()?;
        put_calls(&thread.slot.memory, calls);
        thread.supervisor.start_obeying(&thread.slot);
        let command = command::CALLS | command::UNTIL_ERROR;
        let answered = thread.supervisor.listener.answer(id, command);
        let done = match answered {
            Ok(()) => std::future::poll_fn(|cx| thread.poll_done(cx)).await,
            Err(_) => Err(Errno::ESRCH),
        };
        thread.slot.has_obeyed();
        done?;
    }
    Ok(())
}
