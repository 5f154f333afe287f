//! Waiting for host descriptors: epoll, eventfd, timerfd.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use linux_abi::Errno;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::time::Clock;
use super::{fs, retry};

/// Most events that one [`Epoll::wait`] returns.
const WAIT_EVENTS: usize = 64;

/// A set of descriptors to wait for, `epoll(7)`. Event bits are the kernel's (`EPOLLIN`, …).
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// One ready descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number given to [`Epoll::add`].
    pub token: u64,
    pub events: u32,
}

impl Epoll {
    pub fn new() -> Result<Epoll, Errno> {
        retry(|| epoll::create(epoll::CreateFlags::CLOEXEC)).map(Epoll)
    }

    /// Adds a descriptor. Errors: EEXIST, EPERM for a file that is always ready.
    pub fn add(&self, fd: impl AsFd, token: u64, events: u32) -> Result<(), Errno> {
        let flags = EventFlags::from_bits_retain(events);
        retry(|| epoll::add(&self.0, &fd, EventData::new_u64(token), flags))
    }

    /// Changes what is waited for. Errors: ENOENT.
    pub fn modify(&self, fd: impl AsFd, token: u64, events: u32) -> Result<(), Errno> {
        let flags = EventFlags::from_bits_retain(events);
        retry(|| epoll::modify(&self.0, &fd, EventData::new_u64(token), flags))
    }

    /// Removes a descriptor. Errors: ENOENT.
    pub fn delete(&self, fd: impl AsFd) -> Result<(), Errno> {
        retry(|| epoll::delete(&self.0, &fd))
    }

    /// Appends ready descriptors to `ready`; waits for the first one, at most for `timeout`.
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> Result<(), Errno> {
        const EMPTY: epoll::Event =
            epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        let timeout = timeout.map(whole_milliseconds);
        let mut events = [EMPTY; WAIT_EVENTS];
        let count = retry(|| epoll::wait(&self.0, &mut events[..], timeout.as_ref()))?;
        ready.extend(events[..count].iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            Ready { token: data.u64(), events: flags.bits() }
        }));
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Rounds up: waking early would make the caller spin.
fn whole_milliseconds(time: Duration) -> Timespec {
    let ms = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
    Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 }
}

/// The events that a descriptor has now (`POLLIN`, … bits), without waiting, `poll(2)`.
pub fn poll_now(fd: impl AsFd, events: u16) -> Result<u16, Errno> {
    let fd = fd.as_fd();
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::from_bits_retain(events))];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    retry(|| rustix::event::poll(&mut fds, Some(&now)))?;
    Ok(fds[0].revents().bits())
}

/// A counter that wakes an [`Epoll`], `eventfd(2)`; non-blocking.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> Result<EventFd, Errno> {
        retry(|| rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
            .map(EventFd)
    }

    /// Makes it readable.
    pub fn signal(&self) {
        // EAGAIN means that the counter is at its limit: readable all the same.
        let _ = fs::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it not readable, and answers how often it was signalled.
    pub fn clear(&self) -> u64 {
        let mut count = [0; 8];
        match fs::read(&self.0, &mut count) {
            Ok(8) => u64::from_ne_bytes(count),
            _ => 0,
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A timer that becomes readable when it expires, `timerfd_create(2)`.
#[derive(Debug)]
pub struct TimerFd(OwnedFd);

impl TimerFd {
    /// A timer on the monotonic clock.
    pub fn new() -> Result<TimerFd, Errno> {
        TimerFd::on(Clock::Monotonic)
    }

    /// A timer on another clock. Errors: EINVAL unless it is the realtime, monotonic or boot clock.
    pub fn on(clock: Clock) -> Result<TimerFd, Errno> {
        let id = match clock {
            Clock::Realtime => TimerfdClockId::Realtime,
            Clock::Monotonic => TimerfdClockId::Monotonic,
            Clock::Boottime => TimerfdClockId::Boottime,
            _ => return Err(Errno::EINVAL),
        };
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        retry(|| rustix::time::timerfd_create(id, flags)).map(TimerFd)
    }

    /// Makes a timer on the realtime clock readable when that clock is set, not when time passes.
    pub fn watch_clock(&self) -> Result<(), Errno> {
        let far = Timespec { tv_sec: i64::MAX / 2_000_000_000, tv_nsec: 0 };
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval: never, it_value: far };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        // ECANCELED tells of a change that was not read yet; the timer is armed all the same.
        match retry(|| rustix::time::timerfd_settime(&self.0, flags, &value)) {
            Ok(_) | Err(Errno::ECANCELED) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Expires at `deadline` on its clock (see [`time::now`]), at once if that is in the past;
    /// `None` disarms it.
    ///
    /// [`time::now`]: super::time::now
    pub fn set(&self, deadline: Option<Duration>) -> Result<(), Errno> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = deadline.map_or(never, |time| Timespec {
            tv_sec: time.as_secs().min(i64::MAX as u64) as i64,
            // A zero would disarm it.
            tv_nsec: i64::from(time.subsec_nanos()).max(i64::from(time.as_secs() == 0)),
        });
        let value = Itimerspec { it_interval: never, it_value: at };
        retry(|| rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &value))?;
        Ok(())
    }

    /// Makes it not readable.
    pub fn clear(&self) {
        let _ = fs::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::time;

    const IN: u32 = libc::EPOLLIN as u32;

    #[test]
    fn eventfd_wakes_epoll_once() {
        let epoll = Epoll::new().expect("epoll");
        let event = EventFd::new().expect("eventfd");
        epoll.add(&event, 7, IN).expect("add");
        assert_eq!(epoll.add(&event, 7, IN), Err(Errno::EEXIST));
        event.signal();
        event.signal();
        let mut ready = Vec::new();
        epoll.wait(&mut ready, None).expect("wait");
        assert_eq!(ready, [Ready { token: 7, events: IN }]);
        assert_eq!(event.clear(), 2);
        assert_eq!(event.clear(), 0);
        ready.clear();
        epoll.wait(&mut ready, Some(Duration::ZERO)).expect("wait");
        assert!(ready.is_empty());
    }

    #[test]
    fn timer_expires_and_disarms() {
        let timer = TimerFd::new().expect("timerfd");
        timer.set(Some(Duration::ZERO)).expect("set");
        let epoll = Epoll::new().expect("epoll");
        epoll.add(&timer, 1, IN).expect("add");
        let mut ready = Vec::new();
        epoll.wait(&mut ready, None).expect("wait");
        assert_eq!(ready.len(), 1);
        timer.clear();
        timer.set(Some(time::now(time::Clock::Monotonic) + Duration::from_secs(9))).expect("set");
        timer.set(None).expect("set");
        assert_eq!(poll_now(&timer, libc::POLLIN as u16), Ok(0));
    }
}
