//! When quiet requests are sent: a packet, and waking the gofer for it, cost more than most of what they
//! ask for, and many need not be done at all if they wait for a while (`pending`).
//!
//! They go out when they are many, before a request that is waited for and has to do with them, or by
//! a thread of its own when they are old enough. The thread is started with the first quiet request.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use linux_abi::Errno;
use parking_lot::MutexGuard;

use super::pending::{Pending, Scope, join};
use super::{AtRest, Channel, Shared};
use crate::transport;
use crate::wire::Writer;

/// Most requests that wait, ...
const PENDING_MAX: usize = 4096;
/// ... and how many are sent when there are more: the gofer is busy for a few milliseconds then.
const SENT_AT_ONCE: u64 = 1024;
/// How long a request waits: at least three of these, and at most four.
const TICK: Duration = Duration::from_millis(50);
const PATIENCE_TICKS: usize = 3;
/// No request has waited for so long when the client is at rest.
const REST: Duration = Duration::from_secs(1);
/// It needs very little.
const STACK_BYTES: usize = 64 << 10;

/// Quiet requests that wait for others.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) pending: Pending,
    /// The message under construction.
    message: Writer,
    sender: Sender,
}

/// The thread that sends what nobody else does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sender {
    #[default]
    NotStarted,
    Runs,
    /// It could not be started: nothing is gathered.
    Failed,
    /// The client is gone.
    Closed,
}

impl Shared {
    /// Adds the request that was written to those that wait; `told` counts those that count.
    pub(super) fn gather(
        shared: &Arc<Shared>,
        channel: &mut Channel,
        told: u64,
    ) -> Result<(), Errno> {
        let gathered = &mut channel.gathered;
        if gathered.sender == Sender::NotStarted {
            gathered.sender = start(shared);
        }
        let was_empty = gathered.pending.is_empty();
        gathered.pending.push(channel.request.as_bytes(), told);
        if gathered.sender != Sender::Runs {
            return shared.send_pending(gathered, u64::MAX);
        }
        if was_empty {
            shared.begins.notify_one();
        }
        if gathered.pending.len() > PENDING_MAX {
            let first = gathered.pending.next() - gathered.pending.len() as u64;
            return shared.send_pending(gathered, first + SENT_AT_ONCE);
        }
        Ok(())
    }

    /// Sends the request that was written, behind those that wait if it has to do with them. EIO if the
    /// gofer is gone.
    pub(super) fn send(&self, channel: &mut Channel, scope: Scope<'_>) -> Result<(), Errno> {
        let Gathered { pending, message, .. } = &mut channel.gathered;
        let request = channel.request.as_bytes();
        let ahead = pending.take_ahead(scope);
        let mut ahead = &ahead[..];
        let last = (!pending.concerns(scope)).then_some(request);
        while !ahead.is_empty() {
            let was_last = join(message, &mut ahead, last);
            self.send_packet(message)?;
            if was_last {
                return Ok(());
            }
        }
        if pending.concerns(scope) {
            while !pending.is_empty() {
                if pending.take_message(message, u64::MAX, Some(request)) {
                    return self.send_packet(message);
                }
                self.send_packet(message)?;
            }
        }
        transport::send(self.socket.as_fd(), request, &[]).map_err(|_| Errno::EIO)
    }

    /// Sends what waits, up to the request number `end`.
    pub(super) fn send_pending(&self, gathered: &mut Gathered, end: u64) -> Result<(), Errno> {
        while self.send_some(gathered, end)? {}
        Ok(())
    }

    /// Sends one message of what waits; `false` if there is nothing up to `end`.
    fn send_some(&self, gathered: &mut Gathered, end: u64) -> Result<bool, Errno> {
        let Gathered { pending, message, .. } = gathered;
        pending.take_message(message, end, None);
        self.send_packet(message)?;
        Ok(!message.is_empty())
    }

    /// Sends a message, unless there is nothing in it.
    fn send_packet(&self, message: &Writer) -> Result<(), Errno> {
        if message.is_empty() {
            return Ok(());
        }
        transport::send(self.socket.as_fd(), message.as_bytes(), &[]).map_err(|_| Errno::EIO)
    }

    /// Waits until requests wait; `false` once the client is gone.
    fn await_requests(&self) -> bool {
        let mut is_at_rest = false;
        let mut channel = self.channel.lock();
        while channel.gathered.pending.is_empty() {
            if channel.gathered.sender == Sender::Closed {
                return false;
            }
            if is_at_rest {
                self.begins.wait(&mut channel);
            } else if self.begins.wait_for(&mut channel, REST).timed_out() {
                is_at_rest = true;
                if let Some(AtRest(act)) = self.at_rest.get() {
                    MutexGuard::unlocked(&mut channel, act);
                }
            }
        }
        true
    }

    /// Ends the thread once all is sent.
    pub(super) fn close(&self) {
        let gathered = &mut self.channel.lock().gathered;
        // An error means that the gofer is gone.
        let _ = self.send_pending(gathered, u64::MAX);
        gathered.sender = Sender::Closed;
        self.begins.notify_one();
    }
}

fn start(shared: &Arc<Shared>) -> Sender {
    let shared = shared.clone();
    let thread = std::thread::Builder::new().name("gofer-sender".into()).stack_size(STACK_BYTES);
    match thread.spawn(move || run(&shared)) {
        Ok(_) => Sender::Runs,
        Err(_) => Sender::Failed,
    }
}

fn run(shared: &Shared) {
    // Where the requests of each of the last ticks end.
    let mut ends = VecDeque::with_capacity(PATIENCE_TICKS + 1);
    while shared.await_requests() {
        std::thread::sleep(TICK);
        ends.push_back(shared.channel.lock().gathered.pending.next());
        if ends.len() > PATIENCE_TICKS
            && let Some(end) = ends.pop_front()
        {
            // Others may send in between. An error means that the gofer is gone.
            while let Ok(true) = shared.send_some(&mut shared.channel.lock().gathered, end) {}
        }
    }
}
