//! Pseudoterminals, pty(7).
//!
//! A [`Pty`] is the pair: what the master writes is typed, what the slave writes is shown to the
//! master; the line discipline stands between. [`MasterFile`] and [`SlaveFile`] are its open ends.
//! Lock: the pair's own (rank `FileObject`); user copies and signals happen outside of it.

mod ioctl;
mod master;
mod slave;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::PollEvents;
use linux_abi::signal::SIGHUP;
use linux_abi::tty::{TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHWRITE, TIOCPKT_START, TIOCPKT_STOP, Winsize};

use super::discipline::{Discipline, Effects, Flow};
use super::{Control, Terminal};
use crate::memory::ByteRing;
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::{ControllingTerminal, Pid};
use crate::vfs::{DeviceId, File};

pub use master::MasterFile;
pub use slave::SlaveFile;

/// Major number of slaves (`UNIX98_PTY_SLAVE_MAJOR`).
pub const SLAVE_MAJOR: u32 = 136;
/// Output that waits for the master, in bytes, before writers wait.
const SCREEN_LIMIT: usize = 16 << 10;
/// Typed bytes that wait for room in the line discipline.
const TYPED_LIMIT: usize = 64 << 10;

const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM);
/// What a file shows after a hang-up.
const HUNG_UP: PollEvents = READABLE.union(WRITABLE).union(PollEvents::ERR).union(PollEvents::HUP);

/// Told when a pair has lost its master (the name goes) and when it is gone (the number is free).
pub trait PtyOwner: Send + Sync {
    fn master_closed(&self, index: u32);
    fn released(&self, index: u32);
}

/// A pseudoterminal.
pub struct Pty {
    this: Weak<Pty>,
    index: u32,
    owner: Weak<dyn PtyOwner>,
    state: Mutex<State>,
    master_queue: WaitQueue,
    slave_queue: WaitQueue,
    control: Control,
}

struct State {
    discipline: Discipline,
    /// From the slave to the master.
    screen: ByteRing,
    /// From the master, not yet through the line discipline.
    typed: ByteRing,
    size: Winsize,
    is_locked: bool,
    is_exclusive: bool,
    has_master: bool,
    slaves: u32,
    /// The slave was open and is not any more.
    is_slave_closed: bool,
    /// Counts hang-ups: a slave's file from before one is dead.
    hangups: u64,
    /// In packet mode: status bits that the master has not read.
    packet: Option<u8>,
}

impl Pty {
    pub fn new(index: u32, owner: Weak<dyn PtyOwner>) -> Arc<Pty> {
        let state = State {
            discipline: Discipline::default(),
            screen: ByteRing::new(),
            typed: ByteRing::new(),
            size: Winsize::default(),
            is_locked: true,
            is_exclusive: false,
            has_master: true,
            slaves: 0,
            is_slave_closed: false,
            hangups: 0,
            packet: None,
        };
        Arc::new_cyclic(|this| Pty {
            this: this.clone(),
            index,
            owner,
            state: Mutex::new(Rank::FileObject, state),
            master_queue: WaitQueue::new(),
            slave_queue: WaitQueue::new(),
            control: Control::default(),
        })
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    /// Runs `change`, then does what it brought about: wakes both sides, sends signals.
    fn update<T>(&self, change: impl FnOnce(&mut State, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let (result, shown, readable) = {
            let mut state = self.state.lock();
            let result = change(&mut state, &mut effects);
            state.feed(&mut effects);
            let shown = state.apply(&effects);
            (result, shown, state.discipline.is_readable(false))
        };
        for signal in effects.signals {
            self.control.signal_foreground(signal);
        }
        if shown {
            self.master_queue.notify(READABLE | PollEvents::PRI);
        }
        if effects.flushed || effects.flow == Some(Flow::Started) {
            self.slave_queue.notify(WRITABLE);
        }
        if readable {
            self.slave_queue.notify(READABLE);
        }
        result
    }

    /// Hangs the slave up: its open files are dead.
    fn hang_up(&self) {
        {
            let mut state = self.state.lock();
            state.hangups += 1;
            state.discipline.flush_input();
            state.typed.clear();
        }
        self.slave_queue.notify(HUNG_UP);
    }

    fn close_master(&self) {
        self.state.lock().has_master = false;
        self.hang_up();
        self.control.hang_up_leader();
        if let Some(owner) = self.owner.upgrade() {
            owner.master_closed(self.index);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.released(self.index);
        }
    }
}

impl State {
    /// Passes typed bytes on to the line discipline while it has room.
    fn feed(&mut self, effects: &mut Effects) {
        while !self.typed.is_empty() && self.discipline.input().room() > 0 {
            let mut bytes = Vec::new();
            let mut dest = crate::memory::IoDest::collect(&mut bytes, 1024);
            if self.typed.peek_to(0, &mut dest, 1024).is_err() {
                return;
            }
            let taken = self.discipline.receive(&bytes, effects);
            self.typed.discard(taken);
        }
    }

    /// Does what the discipline wants; answers whether the master has something to read.
    fn apply(&mut self, effects: &Effects) -> bool {
        let mut status = 0;
        if effects.flushed {
            self.screen.clear();
            status |= TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE;
        }
        status |= match effects.flow {
            Some(Flow::Stopped) => TIOCPKT_STOP,
            Some(Flow::Started) => TIOCPKT_START,
            None => 0,
        };
        self.tell_packet(status);
        // Echo may go beyond the limit by as much again; more of it is lost, as on Linux.
        if self.screen.len() < 2 * SCREEN_LIMIT {
            self.screen.push(&effects.screen);
        }
        !effects.screen.is_empty() || self.has_status()
    }

    fn tell_packet(&mut self, status: u8) {
        if let Some(pending) = &mut self.packet {
            if status & TIOCPKT_STOP != 0 {
                *pending &= !TIOCPKT_START;
            }
            if status & TIOCPKT_START != 0 {
                *pending &= !TIOCPKT_STOP;
            }
            *pending |= status;
        }
    }

    fn has_status(&self) -> bool {
        self.packet.is_some_and(|status| status != 0)
    }
}

impl Terminal for Pty {
    fn control(&self) -> &Control {
        &self.control
    }

    fn controlling(self: Arc<Self>) -> Arc<dyn ControllingTerminal> {
        self
    }
}

impl ControllingTerminal for Pty {
    fn device(&self) -> DeviceId {
        DeviceId { major: SLAVE_MAJOR, minor: self.index }
    }

    fn name(&self) -> String {
        format!("pts/{}", self.index)
    }

    fn foreground(&self) -> Pid {
        self.control.foreground_id()
    }

    fn open(&self, _: OpenFlags) -> Result<Box<dyn File>, Errno> {
        let pty = self.this.upgrade().ok_or(Errno::EIO)?;
        Ok(Box::new(SlaveFile::open(&pty, false)?))
    }

    fn is_gone(&self) -> bool {
        !self.state.lock().has_master
    }

    fn session_ended(&self) {
        self.control.signal_foreground(SIGHUP);
        self.control.clear();
        self.hang_up();
    }
}
