//! Gathering quiet requests: a packet, and waking the gofer for it, cost more than most of what they
//! ask for.
//!
//! A batch goes out when it is large, with the next request that is waited for, or by a thread of
//! its own that waits for half a millisecond. The thread is started with the first quiet request.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use linux_abi::Errno;

use super::{Channel, Shared};
use crate::message::{Op, RequestHeader};
use crate::wire::Writer;
use crate::{MAX_MESSAGE_BYTES, transport};

/// Most requests of a batch.
const BATCH_MAX: u32 = 16;
/// How long a request may wait for others.
const PATIENCE: Duration = Duration::from_micros(500);
/// It needs very little.
const STACK_BYTES: usize = 64 << 10;

/// Quiet requests that wait for others.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The message, if `count` is not zero.
    batch: Writer,
    count: u32,
    /// Counts the batches.
    serial: u64,
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

impl Gathered {
    /// Adds a request.
    fn push(&mut self, request: &[u8]) {
        if self.count == 0 {
            self.batch.clear();
            self.batch.fixed(&RequestHeader { op: Op::Batch as u32, ..RequestHeader::default() });
        }
        self.batch.fixed(&(request.len() as u32));
        self.batch.bytes(request);
        self.count += 1;
    }

    /// Whether another request still fits.
    fn has_room_for(&self, request: &[u8]) -> bool {
        self.count < BATCH_MAX && self.batch.len() + 4 + request.len() <= MAX_MESSAGE_BYTES
    }
}

impl Shared {
    /// Adds the quiet request that was written to those that wait.
    pub(super) fn gather(shared: &Arc<Shared>, channel: &mut Channel) -> Result<(), Errno> {
        if channel.gathered.sender == Sender::NotStarted {
            channel.gathered.sender = start(shared);
        }
        if channel.gathered.sender != Sender::Runs {
            return shared.send(channel);
        }
        let request = channel.request.as_bytes();
        if !channel.gathered.has_room_for(request) {
            shared.send_gathered(&mut channel.gathered)?;
        }
        channel.gathered.push(request);
        if channel.gathered.count == 1 {
            shared.begins.notify_one();
        }
        Ok(())
    }

    /// Sends the request that was written, behind those that wait. EIO if the gofer is gone.
    pub(super) fn send(&self, channel: &mut Channel) -> Result<(), Errno> {
        let gathered = &mut channel.gathered;
        let request = channel.request.as_bytes();
        if gathered.count > 0 && gathered.has_room_for(request) {
            gathered.push(request);
            return self.send_gathered(gathered);
        }
        self.send_gathered(gathered)?;
        transport::send(self.socket.as_fd(), request, &[]).map_err(|_| Errno::EIO)
    }

    fn send_gathered(&self, gathered: &mut Gathered) -> Result<(), Errno> {
        if gathered.count == 0 {
            return Ok(());
        }
        gathered.count = 0;
        gathered.serial += 1;
        transport::send(self.socket.as_fd(), gathered.batch.as_bytes(), &[]).map_err(|_| Errno::EIO)
    }

    /// Ends the thread once all is sent.
    pub(super) fn close(&self) {
        let gathered = &mut self.channel.lock().gathered;
        // An error means that the gofer is gone.
        let _ = self.send_gathered(gathered);
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
    loop {
        let serial = {
            let mut channel = shared.channel.lock();
            while channel.gathered.count == 0 {
                if channel.gathered.sender == Sender::Closed {
                    return;
                }
                shared.begins.wait(&mut channel);
            }
            channel.gathered.serial
        };
        std::thread::sleep(PATIENCE);
        let gathered = &mut shared.channel.lock().gathered;
        if gathered.serial == serial {
            // An error means that the gofer is gone.
            let _ = shared.send_gathered(gathered);
        }
    }
}
