//! Events that wait to be read.

use std::collections::VecDeque;

use linux_abi::Errno;
use linux_abi::fs::{InotifyEvent, InotifyMask};
use zerocopy::IntoBytes;

/// Most events that wait (`fs.inotify.max_queued_events`).
const MAX_EVENTS: usize = 16_384;

#[derive(PartialEq, Eq)]
struct Event {
    descriptor: i32,
    mask: InotifyMask,
    cookie: u32,
    name: Option<Box<[u8]>>,
}

/// Waiting events, oldest first.
#[derive(Default)]
pub(super) struct EventQueue {
    events: VecDeque<Event>,
}

impl Event {
    /// Bytes of the name field: the name with its NUL, padded to whole structures.
    fn name_bytes(&self) -> usize {
        self.name
            .as_ref()
            .map_or(0, |name| (name.len() + 1).next_multiple_of(size_of::<InotifyEvent>()))
    }

    fn bytes(&self) -> usize {
        size_of::<InotifyEvent>() + self.name_bytes()
    }
}

impl EventQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes that a read of everything would give.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(Event::bytes).sum()
    }

    /// Adds an event, unless it equals the last one. What does not fit any more is told once.
    pub(super) fn push(
        &mut self,
        descriptor: i32,
        mask: InotifyMask,
        cookie: u32,
        name: Option<&[u8]>,
    ) {
        let mut event = Event { descriptor, mask, cookie, name: name.map(Box::from) };
        if self.events.len() >= MAX_EVENTS {
            let mask = InotifyMask::Q_OVERFLOW;
            event = Event { descriptor: -1, mask, cookie: 0, name: None };
        }
        if self.events.back() != Some(&event) {
            self.events.push_back(event);
        }
    }

    /// Takes as many events as fit into `room` bytes, in their binary form.
    ///
    /// Errors: EAGAIN (none), EINVAL (the first does not fit).
    pub(super) fn take(&mut self, room: usize) -> Result<Vec<u8>, Errno> {
        if self.events.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let mut bytes = Vec::new();
        while let Some(event) = self.events.front() {
            if bytes.len() + event.bytes() > room {
                break;
            }
            let Some(event) = self.events.pop_front() else { break };
            let len = event.name_bytes();
            let head = InotifyEvent {
                wd: event.descriptor,
                mask: event.mask.bits(),
                cookie: event.cookie,
                len: len as u32,
            };
            bytes.extend_from_slice(head.as_bytes());
            let end = bytes.len() + len;
            bytes.extend_from_slice(event.name.as_deref().unwrap_or_default());
            bytes.resize(end, 0);
        }
        if bytes.is_empty() { Err(Errno::EINVAL) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_events_merge_and_names_are_padded() {
        let mut queue = EventQueue::default();
        queue.push(1, InotifyMask::MODIFY, 0, None);
        queue.push(1, InotifyMask::MODIFY, 0, None);
        queue.push(1, InotifyMask::CREATE, 0, Some(b"0123456789abcde"));
        queue.push(1, InotifyMask::CREATE, 0, Some(b"0123456789abcdef"));
        assert_eq!(queue.bytes(), 16 + 32 + 48);
        assert_eq!(queue.take(15), Err(Errno::EINVAL));
        assert_eq!(queue.take(50).map(|bytes| bytes.len()), Ok(48));
        assert_eq!(queue.take(100).map(|bytes| bytes.len()), Ok(48));
        assert_eq!(queue.take(100), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_full_queue_says_so_once() {
        let mut queue = EventQueue::default();
        for index in 0..MAX_EVENTS as i32 + 10 {
            queue.push(index, InotifyMask::OPEN, 0, None);
        }
        assert_eq!(queue.events.len(), MAX_EVENTS + 1);
        assert_eq!(queue.events.back().map(|event| event.descriptor), Some(-1));
    }
}
