//! System V message queues, msgop(2), msgctl(2).

use std::collections::VecDeque;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::ipc::{IpcPerm, MSGMAX, MSGMNB, MSGMNI, MsqidDs};
use linux_abi::poll::PollEvents;
use linux_abi::task::CAP_SYS_RESOURCE;

use super::owner::{READ, WRITE};
use super::registry::Lookup;
use super::{Owner, Registry};
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::{Credentials, Pid};
use crate::vfs::now;

/// A message: its positive type and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: i64,
    pub text: Vec<u8>,
}

/// Which message to take, msgrcv(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The oldest.
    Any,
    /// The oldest of this type.
    Kind(i64),
    /// The oldest of another type (`MSG_EXCEPT`).
    NotKind(i64),
    /// The oldest of the lowest type up to this one.
    UpTo(i64),
    /// A copy of the message at this place (`MSG_COPY`).
    CopyOf(usize),
}

/// All message queues.
pub struct MessageQueues {
    table: Mutex<Registry<Queue>>,
}

struct Queue {
    owner: Owner,
    messages: VecDeque<Message>,
    bytes: usize,
    /// Most bytes of text in the queue.
    limit: usize,
    sent: i64,
    received: i64,
    changed: i64,
    last_sender: Pid,
    last_receiver: Pid,
    /// Notified when room or messages may have appeared, and when the queue is removed.
    events: Arc<WaitQueue>,
}

/// What came of an attempt to send or receive.
pub enum Attempt<T> {
    Done(T),
    /// Not now; try again when the queue notifies.
    Later(Arc<WaitQueue>),
}

impl Default for MessageQueues {
    fn default() -> MessageQueues {
        MessageQueues { table: Mutex::new(Rank::FileObject, Registry::new(MSGMNI)) }
    }
}

impl MessageQueues {
    /// `msgget(2)`.
    ///
    /// # Errors
    /// ENOENT, EEXIST, EACCES, ENOSPC.
    pub fn get(&self, key: i32, flags: u32, credentials: &Credentials) -> Result<i32, Errno> {
        let mut table = self.table.lock();
        match table.look_up(key, flags)? {
            Lookup::Existing(id) => {
                table.get(id)?.owner.check(credentials, flags)?;
                Ok(id)
            }
            Lookup::Create => table.insert(key, Queue::new(Owner::new(key, flags, credentials))),
        }
    }

    /// Puts `message` into the queue if there is room; it is taken out of the option then.
    ///
    /// # Errors
    /// EINVAL, EACCES.
    pub fn send(
        &self,
        id: i32,
        message: &mut Option<Message>,
        pid: Pid,
        credentials: &Credentials,
    ) -> Result<Attempt<()>, Errno> {
        let events = {
            let mut table = self.table.lock();
            let queue = table.get(id)?;
            queue.owner.check(credentials, WRITE)?;
            let len = message.as_ref().map_or(0, |message| message.text.len());
            let fits = queue.bytes + len <= queue.limit && queue.messages.len() < queue.limit;
            if !fits {
                return Ok(Attempt::Later(queue.events.clone()));
            }
            queue.messages.extend(message.take());
            queue.bytes += len;
            queue.sent = now().sec;
            queue.last_sender = pid;
            queue.events.clone()
        };
        events.notify(PollEvents::IN);
        Ok(Attempt::Done(()))
    }

    /// Takes a message of at most `room` bytes; a longer one is cut if `may_cut`, else stays.
    ///
    /// # Errors
    /// EINVAL, EACCES, E2BIG; ENOMSG for a copy of a message that is not there.
    pub fn receive(
        &self,
        id: i32,
        selection: Selection,
        room: usize,
        may_cut: bool,
        pid: Pid,
        credentials: &Credentials,
    ) -> Result<Attempt<Message>, Errno> {
        let (message, events) = {
            let mut table = self.table.lock();
            let queue = table.get(id)?;
            queue.owner.check(credentials, READ)?;
            let Some(index) = queue.find(selection) else {
                return match selection {
                    Selection::CopyOf(_) => Err(Errno::ENOMSG),
                    _ => Ok(Attempt::Later(queue.events.clone())),
                };
            };
            if queue.messages[index].text.len() > room && !may_cut {
                return Err(Errno::E2BIG);
            }
            if let Selection::CopyOf(_) = selection {
                let mut copy = queue.messages[index].clone();
                copy.text.truncate(room);
                return Ok(Attempt::Done(copy));
            }
            let mut message = queue.messages.remove(index).ok_or(Errno::ENOMSG)?;
            queue.bytes -= message.text.len();
            message.text.truncate(room);
            queue.received = now().sec;
            queue.last_receiver = pid;
            (message, queue.events.clone())
        };
        events.notify(PollEvents::OUT);
        Ok(Attempt::Done(message))
    }

    /// What `IPC_STAT` shows. Errors: EINVAL, EACCES.
    pub fn stat(&self, id: i32, credentials: &Credentials) -> Result<MsqidDs, Errno> {
        let mut table = self.table.lock();
        let queue = table.get(id)?;
        queue.owner.check(credentials, READ)?;
        Ok(queue.facts(id))
    }

    /// `MSG_STAT`: of the queue at `index`. Without credentials nothing is checked.
    pub fn stat_at(
        &self,
        index: i32,
        credentials: Option<&Credentials>,
    ) -> Result<(i32, MsqidDs), Errno> {
        let mut table = self.table.lock();
        let (id, queue) = table.at(index)?;
        if let Some(credentials) = credentials {
            queue.owner.check(credentials, READ)?;
        }
        Ok((id, queue.facts(id)))
    }

    /// All queues.
    pub fn list(&self) -> Vec<(i32, MsqidDs)> {
        self.table.lock().iter().map(|(id, queue)| (id, queue.facts(id))).collect()
    }

    /// Numbers of queues, messages and bytes, and the highest index in use.
    pub fn usage(&self) -> (usize, usize, usize, usize) {
        let table = self.table.lock();
        let messages = table.iter().map(|(_, queue)| queue.messages.len()).sum();
        let bytes = table.iter().map(|(_, queue)| queue.bytes).sum();
        (table.len(), messages, bytes, table.highest_index())
    }

    /// `IPC_SET`. Errors: EINVAL, EPERM.
    pub fn change(
        &self,
        id: i32,
        wanted: &IpcPerm,
        limit: u64,
        credentials: &Credentials,
    ) -> Result<(), Errno> {
        let events = {
            let mut table = self.table.lock();
            let queue = table.get(id)?;
            queue.owner.check_control(credentials)?;
            if limit > MSGMNB as u64 && !credentials.has(CAP_SYS_RESOURCE) {
                return Err(Errno::EPERM);
            }
            queue.owner.change(wanted)?;
            queue.limit = usize::try_from(limit).unwrap_or(usize::MAX);
            queue.changed = now().sec;
            queue.events.clone()
        };
        // Permissions or room may have changed for those who wait.
        events.notify(PollEvents::IN | PollEvents::OUT);
        Ok(())
    }

    /// `IPC_RMID`. Errors: EINVAL, EPERM.
    pub fn remove(&self, id: i32, credentials: &Credentials) -> Result<(), Errno> {
        let queue = {
            let mut table = self.table.lock();
            table.get(id)?.owner.check_control(credentials)?;
            table.remove(id)?
        };
        queue.events.notify(PollEvents::IN | PollEvents::OUT | PollEvents::HUP);
        Ok(())
    }
}

impl Queue {
    fn new(owner: Owner) -> Queue {
        Queue {
            owner,
            messages: VecDeque::new(),
            bytes: 0,
            limit: MSGMNB,
            sent: 0,
            received: 0,
            changed: now().sec,
            last_sender: 0,
            last_receiver: 0,
            events: Arc::new(WaitQueue::new()),
        }
    }

    fn find(&self, selection: Selection) -> Option<usize> {
        let mut messages = self.messages.iter();
        match selection {
            Selection::Any => messages.next().map(|_| 0),
            Selection::Kind(kind) => messages.position(|message| message.kind == kind),
            Selection::NotKind(kind) => messages.position(|message| message.kind != kind),
            Selection::UpTo(limit) => messages
                .enumerate()
                .filter(|(_, message)| message.kind <= limit)
                .min_by_key(|(_, message)| message.kind)
                .map(|(index, _)| index),
            Selection::CopyOf(index) => (index < self.messages.len()).then_some(index),
        }
    }

    fn facts(&self, id: i32) -> MsqidDs {
        MsqidDs {
            perm: self.owner.to_perm(id),
            stime: self.sent,
            rtime: self.received,
            ctime: self.changed,
            cbytes: self.bytes as u64,
            qnum: self.messages.len() as u64,
            qbytes: self.limit as u64,
            lspid: self.last_sender,
            lrpid: self.last_receiver,
            ..MsqidDs::default()
        }
    }
}

/// Longest text of a message.
pub const MAX_TEXT: usize = MSGMAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_of(kinds: &[i64]) -> Queue {
        let mut queue = Queue::new(Owner::new(1, 0o600, &Credentials::root()));
        queue.messages.extend(kinds.iter().map(|&kind| Message { kind, text: Vec::new() }));
        queue
    }

    #[test]
    fn selections_find_the_right_message() {
        let queue = queue_of(&[5, 3, 4, 3]);
        assert_eq!(queue.find(Selection::Any), Some(0));
        assert_eq!(queue.find(Selection::Kind(3)), Some(1));
        assert_eq!(queue.find(Selection::NotKind(5)), Some(1));
        assert_eq!(queue.find(Selection::UpTo(4)), Some(1));
        assert_eq!(queue.find(Selection::UpTo(2)), None);
        assert_eq!(queue.find(Selection::CopyOf(3)), Some(3));
        assert_eq!(queue.find(Selection::CopyOf(4)), None);
    }

    #[test]
    fn messages_go_through_and_removal_is_noticed() {
        let queues = MessageQueues::default();
        let root = Credentials::root();
        let id = queues.get(7, 0o1600, &root).unwrap();
        let mut message = Some(Message { kind: 1, text: b"hello".to_vec() });
        assert!(matches!(queues.send(id, &mut message, 9, &root), Ok(Attempt::Done(()))));
        let refused = queues.receive(id, Selection::Any, 3, false, 9, &root);
        assert_eq!(refused.err(), Some(Errno::E2BIG));
        let Ok(Attempt::Done(got)) = queues.receive(id, Selection::Any, 3, true, 9, &root) else {
            panic!("no message");
        };
        assert_eq!(got.text, b"hel");
        let facts = queues.stat(id, &root).unwrap();
        assert_eq!((facts.qnum, facts.cbytes, facts.lspid), (0, 0, 9));
        queues.remove(id, &root).unwrap();
        assert_eq!(queues.stat(id, &root).err(), Some(Errno::EINVAL));
    }
}
