//! One message queue.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};
use linux_abi::mqueue::MQ_PRIO_MAX;
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SI_MESGQ, SIGEV_SIGNAL, SigEvent, SigInfo};

use super::accounts::Charge;
use super::{HARD_MSG_MAX, HARD_MSGSIZE_MAX, MSG_MAX, MSGSIZE_MAX, QueueFile};
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::{Pid, Task, ThreadGroup};
use crate::vfs::{
    AttributeChange, Attributes, File, Inode, InodeCommon, IoContext, SimpleAttributes,
};

/// How many messages of how many bytes a queue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSize {
    pub messages: i64,
    pub message_bytes: i64,
}

impl Default for QueueSize {
    fn default() -> QueueSize {
        QueueSize { messages: MSG_MAX, message_bytes: MSGSIZE_MAX }
    }
}

impl QueueSize {
    /// Errors: EINVAL.
    pub(super) fn check(&self, is_privileged: bool) -> Result<(), Errno> {
        let (messages, bytes) = match is_privileged {
            true => (HARD_MSG_MAX, HARD_MSGSIZE_MAX),
            false => (MSG_MAX, MSGSIZE_MAX),
        };
        let fits =
            (1..=messages).contains(&self.messages) && (1..=bytes).contains(&self.message_bytes);
        if fits { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// What the queue costs on its maker's account, with Linux' overhead for each message.
    pub(super) fn bytes(&self) -> u64 {
        const MESSAGE: i64 = 48;
        const NODE: i64 = 48;
        let nodes = self.messages.min(i64::from(MQ_PRIO_MAX));
        (self.messages * (MESSAGE + self.message_bytes) + nodes * NODE) as u64
    }
}

/// Who wants to be told when a message comes into the empty queue.
pub struct Notification {
    pub pid: Pid,
    pub process: Weak<ThreadGroup>,
    pub event: SigEvent,
}

/// What [`QueueInode::take`] found.
pub struct Take {
    pub text: Vec<u8>,
    pub priority: u32,
}

/// A message queue.
pub struct QueueInode {
    common: InodeCommon,
    attributes: SimpleAttributes,
    links: AtomicU64,
    size: QueueSize,
    state: Mutex<State>,
    /// IN when a message has come, OUT when room has.
    events: WaitQueue,
    _charge: Charge,
}

#[derive(Default)]
struct State {
    /// By priority, the oldest first.
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    count: usize,
    bytes: usize,
    /// How many wait for a message: they take it, and nobody is notified.
    receivers: usize,
    notification: Option<Notification>,
}

impl QueueInode {
    pub(super) fn new(
        attributes: SimpleAttributes,
        size: QueueSize,
        charge: Charge,
    ) -> Arc<QueueInode> {
        Arc::new(QueueInode {
            common: InodeCommon::default(),
            attributes,
            links: AtomicU64::new(1),
            size,
            state: Mutex::new(Rank::FileObject, State::default()),
            events: WaitQueue::new(),
            _charge: charge,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.attributes.get().inode
    }

    pub(super) fn unlinked(&self) {
        self.links.store(0, Ordering::Relaxed);
    }

    pub fn size(&self) -> QueueSize {
        self.size
    }

    /// Messages in the queue now.
    pub fn count(&self) -> usize {
        self.state.lock().count
    }

    pub fn events(&self) -> &WaitQueue {
        &self.events
    }

    pub fn readiness(&self) -> PollEvents {
        let count = self.count();
        let mut ready = PollEvents::empty();
        if count > 0 {
            ready |= PollEvents::IN | PollEvents::RDNORM;
        }
        if (count as i64) < self.size.messages {
            ready |= PollEvents::OUT | PollEvents::WRNORM;
        }
        ready
    }

    /// Puts a message in if there is room; answers whether it did. `sender` appears in the
    /// notification that a first message sets off.
    pub fn put(&self, text: &mut Vec<u8>, priority: u32, sender: &Task) -> bool {
        let notification = {
            let mut state = self.state.lock();
            if state.count as i64 >= self.size.messages {
                return false;
            }
            let text = std::mem::take(text);
            state.count += 1;
            state.bytes += text.len();
            state.messages.entry(priority).or_default().push_back(text);
            let is_first = state.count == 1 && state.receivers == 0;
            if is_first { state.notification.take() } else { None }
        };
        self.events.notify(PollEvents::IN | PollEvents::RDNORM);
        if let Some(notification) = notification {
            notification.send(sender);
        }
        true
    }

    /// Takes the oldest message of the highest priority.
    pub fn take(&self) -> Option<Take> {
        let taken = {
            let mut state = self.state.lock();
            let mut entry = state.messages.last_entry()?;
            let priority = *entry.key();
            let text = entry.get_mut().pop_front()?;
            if entry.get().is_empty() {
                entry.remove();
            }
            state.count -= 1;
            state.bytes -= text.len();
            Take { text, priority }
        };
        self.events.notify(PollEvents::OUT | PollEvents::WRNORM);
        Some(taken)
    }

    /// Notes a receiver that waits, until the guard is dropped.
    pub fn waiting_receiver(&self) -> WaitingReceiver<'_> {
        self.state.lock().receivers += 1;
        WaitingReceiver(self)
    }

    /// Registers who is told of the next message. Errors: EBUSY when somebody is registered.
    pub fn set_notification(&self, notification: Notification) -> Result<(), Errno> {
        let mut state = self.state.lock();
        // A process that is gone does not stand in the way.
        let is_taken = state.notification.as_ref().is_some_and(|old| {
            old.process.upgrade().is_some_and(|process| process.exit_status().is_none())
        });
        if is_taken {
            return Err(Errno::EBUSY);
        }
        state.notification = Some(notification);
        Ok(())
    }

    /// Forgets the registration of process `pid`.
    pub fn clear_notification(&self, pid: Pid) {
        let mut state = self.state.lock();
        if state.notification.as_ref().is_some_and(|known| known.pid == pid) {
            state.notification = None;
        }
    }

    /// The line that reading the file shows.
    pub(super) fn describe(&self) -> String {
        let state = self.state.lock();
        let known = state.notification.as_ref();
        let notify = known.map_or(0, |known| known.event.notify);
        let signal = known.filter(|_| notify == SIGEV_SIGNAL).map_or(0, |known| known.event.signo);
        let pid = known.map_or(0, |known| known.pid);
        format!(
            "QSIZE:{:<10} NOTIFY:{notify:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n",
            state.bytes
        )
    }
}

/// Counts a waiting receiver.
pub struct WaitingReceiver<'a>(&'a QueueInode);

impl Drop for WaitingReceiver<'_> {
    fn drop(&mut self) {
        self.0.state.lock().receivers -= 1;
    }
}

impl Notification {
    fn send(&self, sender: &Task) {
        if self.event.notify != SIGEV_SIGNAL {
            return;
        }
        let Some(process) = self.process.upgrade() else { return };
        let uid = sender.credentials().uid;
        let info = SigInfo::queue(self.event.signo, SI_MESGQ, sender.pid(), uid, self.event.value);
        // Linux: a full queue loses the notification.
        let _ = crate::signal::send_to_group(&process, info);
    }
}

impl Inode for QueueInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        /// Linux `FILENT_SIZE`: the longest line that reading shows.
        const LINE_BYTES: u64 = 80;
        let links = self.links.load(Ordering::Relaxed);
        Ok(Attributes { size: LINE_BYTES, links, ..self.attributes.get() })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Ok(Box::new(QueueFile::new(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_limits() {
        let size = |messages, message_bytes| QueueSize { messages, message_bytes };
        assert_eq!(QueueSize::default().check(false), Ok(()));
        assert_eq!(size(11, 1).check(false), Err(Errno::EINVAL));
        assert_eq!(size(11, 1).check(true), Ok(()));
        assert_eq!(size(0, 1).check(true), Err(Errno::EINVAL));
        assert_eq!(size(1, -1).check(true), Err(Errno::EINVAL));
        assert_eq!(QueueSize::default().bytes(), 10 * 8192 + 20 * 48);
    }
}
