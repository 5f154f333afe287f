//! Event counters, eventfd(2).

use std::any::Any;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;

use crate::memory::{IoDest, IoSource};
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::vfs::{File, IoContext};

/// Largest value the counter can hold; a write that would exceed it waits.
const MAX_COUNT: u64 = u64::MAX - 1;

/// A counter: writes add to it, a read takes it all (or one, for a semaphore).
pub struct EventFd {
    count: Mutex<u64>,
    is_semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    pub fn new(initial: u32, is_semaphore: bool) -> EventFd {
        EventFd {
            count: Mutex::new(Rank::FileObject, u64::from(initial)),
            is_semaphore,
            queue: WaitQueue::new(),
        }
    }

    /// Takes the counter's value, or one of a semaphore. Errors: EAGAIN when it is zero.
    pub fn take(&self) -> Result<u64, Errno> {
        let taken = {
            let mut count = self.count.lock();
            if *count == 0 {
                return Err(Errno::EAGAIN);
            }
            let taken = if self.is_semaphore { 1 } else { *count };
            *count -= taken;
            taken
        };
        self.queue.notify(PollEvents::OUT | PollEvents::WRNORM);
        Ok(taken)
    }

    /// Adds to the counter. Errors: EINVAL for `u64::MAX`; EAGAIN when it would overflow.
    pub fn add(&self, value: u64) -> Result<(), Errno> {
        if value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        {
            let mut count = self.count.lock();
            if MAX_COUNT - *count < value {
                return Err(Errno::EAGAIN);
            }
            *count += value;
        }
        self.queue.notify(PollEvents::IN | PollEvents::RDNORM);
        Ok(())
    }
}

impl File for EventFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        if dest.remaining() < size_of::<u64>() {
            return Err(Errno::EINVAL);
        }
        let taken = self.take()?;
        match dest.put(&taken.to_ne_bytes())? {
            8 => Ok(8),
            _ => Err(Errno::EFAULT),
        }
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        if source.remaining() < size_of::<u64>() {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; 8];
        let start = source.mark();
        if source.take(&mut bytes)? < bytes.len() {
            return Err(Errno::EFAULT);
        }
        // A write that has to wait is tried again: the bytes must still be in the source then.
        self.add(u64::from_ne_bytes(bytes)).inspect_err(|_| source.rewind(start))?;
        Ok((bytes.len(), 0))
    }

    fn readiness(&self) -> PollEvents {
        let count = *self.count.lock();
        let mut ready = PollEvents::empty();
        if count > 0 {
            ready |= PollEvents::IN | PollEvents::RDNORM;
        }
        if count < MAX_COUNT {
            ready |= PollEvents::OUT | PollEvents::WRNORM;
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        let count = *self.count.lock();
        format!("eventfd-count: {count:16x}\neventfd-semaphore: {}\n", i32::from(self.is_semaphore))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_takes_all_and_a_semaphore_read_takes_one() {
        let plain = EventFd::new(3, false);
        assert_eq!(plain.take(), Ok(3));
        assert_eq!(plain.take(), Err(Errno::EAGAIN));
        let semaphore = EventFd::new(2, true);
        assert_eq!(semaphore.take(), Ok(1));
        assert_eq!(semaphore.take(), Ok(1));
        assert_eq!(semaphore.take(), Err(Errno::EAGAIN));
    }

    #[test]
    fn overflow_waits_and_all_ones_is_invalid() {
        let event = EventFd::new(0, false);
        assert_eq!(event.add(u64::MAX), Err(Errno::EINVAL));
        assert_eq!(event.add(MAX_COUNT), Ok(()));
        assert_eq!(event.readiness(), PollEvents::IN | PollEvents::RDNORM);
        assert_eq!(event.add(1), Err(Errno::EAGAIN));
        assert_eq!(event.add(0), Ok(()));
        assert_eq!(event.take(), Ok(MAX_COUNT));
    }
}
