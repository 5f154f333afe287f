//! Gathering quiet requests: a packet, and waking the gofer for it, cost more than most of what they
//! ask for.
//!
//! A batch goes out when it is large, with the next request that is waited for, or by a thread of
//! its own that waits for half a millisecond. The thread is started with the first quiet request.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use linux_abi::Errno;

use super::batch::Batch;
use super::{Channel, Shared};
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
    pub(super) batch: Batch,
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
    /// Whether another request still fits.
    fn has_room_for(&self, request: &[u8]) -> bool {
        self.batch.count() < BATCH_MAX && self.batch.len_with(request.len()) <= MAX_MESSAGE_BYTES
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
        channel.gathered.batch.push(request);
        if channel.gathered.batch.count() == 1 {
            shared.begins.notify_one();
        }
        Ok(())
    }

    /// Sends the request that was written, behind those that wait. EIO if the gofer is gone.
    pub(super) fn send(&self, channel: &mut Channel) -> Result<(), Errno> {
        let gathered = &mut channel.gathered;
        let request = channel.request.as_bytes();
        if gathered.batch.count() > 0 && gathered.has_room_for(request) {
            gathered.batch.push(request);
            return self.send_gathered(gathered);
        }
        self.send_gathered(gathered)?;
        transport::send(self.socket.as_fd(), request, &[]).map_err(|_| Errno::EIO)
    }

    fn send_gathered(&self, gathered: &mut Gathered) -> Result<(), Errno> {
        if gathered.batch.count() == 0 {
            return Ok(());
        }
        gathered.serial += 1;
        let batch = &mut gathered.batch;
        let sent = transport::send(self.socket.as_fd(), batch.as_bytes(), &[]);
        batch.clear();
        sent.map_err(|_| Errno::EIO)
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
            while channel.gathered.batch.count() == 0 {
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
