//! Requests that are sent before somebody needs what they ask for.
//!
//! The gofer answers them in turn. Their responses are received by the next request that is waited for, or
//! by whoever cannot do without them, and handed over once the channel is free.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;

use linux_abi::Errno;

use super::entries::{read_unnamed, write_unnamed};
use super::pending::Scope;
use super::reply::Created;
use super::request::NewNode;
use super::{Channel, Client, current_processor};
use crate::message::{Op, RequestHeader};
use crate::name::NodeId;

/// Most that may be under way: their responses fit into the socket, so that the gofer never waits for us.
const UNDER_WAY_MAX: usize = 4;

/// New files without a name, or why there are none.
pub type Unnamed = Result<Vec<(Created, OwnedFd)>, Errno>;

type Take = Box<dyn FnOnce(Unnamed) + Send>;

/// Requests under way, in their order, and responses that nobody has taken.
#[derive(Default)]
pub(super) struct Ahead {
    awaited: VecDeque<Awaited>,
    arrived: Vec<(Take, Unnamed)>,
}

struct Awaited {
    take: Take,
    /// How many quiet requests are served when the response comes.
    sent: u64,
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ahead({} awaited, {} arrived)", self.awaited.len(), self.arrived.len())
    }
}

impl Client {
    /// Asks for files as [`Client::make_unnamed`] does, and goes on; `take` gets them later, whoever
    /// receives them.
    ///
    /// # Errors
    /// EAGAIN if too much was asked for already. `take` is not called then.
    pub fn make_unnamed_ahead(
        &self,
        dir: NodeId,
        new: NewNode,
        count: usize,
        take: impl FnOnce(Unnamed) + Send + 'static,
    ) -> Result<(), Errno> {
        let channel = &mut *self.shared.channel.lock();
        if channel.ahead.awaited.len() >= UNDER_WAY_MAX {
            return Err(Errno::EAGAIN);
        }
        channel.request.clear();
        channel
            .request
            .fixed(&RequestHeader { op: Op::MakeUnnamed as u32, ..RequestHeader::default() });
        write_unnamed(&mut channel.request, dir, new, count);
        self.shared.send(channel, Scope::Exists(dir))?;
        let sent = channel.gathered.pending.sent(self.quiet_mark());
        channel.ahead.awaited.push_back(Awaited { take: Box::new(take), sent });
        Ok(())
    }

    /// Waits until what was asked for ahead is there.
    pub fn await_ahead(&self) {
        self.on_channel(|channel| self.receive_awaited(channel, current_processor()));
    }

    /// Receives the responses that come before that to the request which was sent last.
    pub(super) fn receive_awaited(&self, channel: &mut Channel, processor: u32) {
        while let Some(Awaited { take, sent }) = channel.ahead.awaited.pop_front() {
            let answer = self.receive(channel, processor, sent, read_unnamed);
            channel.ahead.arrived.push((take, answer));
        }
    }

    /// Uses the channel, and hands over what has arrived when it is free again.
    pub(super) fn on_channel<T>(&self, act: impl FnOnce(&mut Channel) -> T) -> T {
        let (result, arrived) = {
            let channel = &mut *self.shared.channel.lock();
            (act(channel), std::mem::take(&mut channel.ahead.arrived))
        };
        arrived.into_iter().for_each(|(take, answer)| take(answer));
        result
    }
}
