//! A terminal of the host as a terminal of the sandbox.
//!
//! Line discipline, window size and echo are the host's. Session, foreground group and the rules
//! of job control are ours: the host sees one process group, the sentry's. What its keys raise
//! (Ctrl-C, a new window size) reaches the sentry as a signal and from there the foreground group.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::{OpenFlags, major, minor};
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIGHUP, SIGTTIN, SIGTTOU};
use linux_abi::tty::*;
use platform::host::tty::When;
use platform::host::{self, tty};

use super::HostStream;
use crate::fs::ioctl;
use crate::fs::tty::pty::SLAVE_MAJOR;
use crate::fs::tty::{Control, Terminal, check_background, job_control_ioctl};
use crate::memory::{IoDest, IoSource};
use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::{ControllingTerminal, Pid, Task};
use crate::time::Timers;
use crate::vfs::{Attributes, DeviceId, File, IoContext, Pacing};

/// A host terminal.
pub struct HostTerminal {
    this: Weak<HostTerminal>,
    stream: HostStream,
    device: DeviceId,
    /// Its number in the container's devpts, if it has a name there.
    index: OnceLock<u32>,
    control: Control,
    /// Settings as they were set last from here.
    settings: Mutex<Termios>,
}

/// An open descriptor of it.
pub struct HostTerminalFile(Arc<HostTerminal>);

impl HostTerminal {
    /// Errors: ENOTTY, and those of `fstat(2)`.
    pub fn new(fd: OwnedFd, timers: &Arc<Timers>) -> Result<Arc<HostTerminal>, Errno> {
        let rdev = host::fs::stat(&fd)?.rdev;
        let termios = tty::attributes(&fd)?;
        let device = DeviceId { major: major(rdev), minor: minor(rdev) };
        Ok(Arc::new_cyclic(|this| HostTerminal {
            this: this.clone(),
            stream: HostStream::new(fd, timers),
            device,
            index: OnceLock::new(),
            control: Control::default(),
            settings: Mutex::new(Rank::Leaf, termios),
        }))
    }

    /// The terminal has a name in devpts: from now on it shows as that.
    pub(super) fn set_index(&self, index: u32) {
        let _ = self.index.set(index);
    }

    pub(super) fn index(&self) -> Option<u32> {
        self.index.get().copied()
    }

    /// Another open file of the terminal.
    pub fn file(self: &Arc<Self>) -> HostTerminalFile {
        HostTerminalFile(self.clone())
    }

    fn has_local(&self, flag: LocalFlags) -> bool {
        LocalFlags::from_bits_retain(self.settings.lock().lflag).contains(flag)
    }

    fn check(&self, io: &IoContext<'_>, signal: i32) -> Result<(), Errno> {
        io.task.map_or(Ok(()), |task: &Arc<Task>| check_background(&self.control, task, signal))
    }

    fn set_termios(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.check(io, SIGTTOU)?;
        let when = match command {
            TCSETS | TCSETS2 => When::Now,
            TCSETSW | TCSETSW2 => When::Drained,
            _ => When::Flushed,
        };
        match command {
            TCSETS | TCSETSW | TCSETSF => {
                let termios: Termios = ioctl::get(io, argument)?;
                tty::set_attributes(&self.stream, &termios, when)?;
            }
            _ => {
                let termios: Termios2 = ioctl::get(io, argument)?;
                tty::set_attributes2(&self.stream, &termios, when)?;
            }
        }
        *self.settings.lock() = tty::attributes(&self.stream)?;
        Ok(0)
    }

    fn ioctl(
        self: &Arc<Self>,
        command: u32,
        argument: u64,
        io: &IoContext<'_>,
    ) -> Result<usize, Errno> {
        if let Some(result) = job_control_ioctl(self, false, command, argument, io) {
            return result;
        }
        let fd = &self.stream;
        match command {
            TCGETS => ioctl::put(io, argument, &tty::attributes(fd)?),
            TCGETS2 => ioctl::put(io, argument, &tty::attributes2(fd)?),
            TCSETS | TCSETSW | TCSETSF | TCSETS2 | TCSETSW2 | TCSETSF2 => {
                self.set_termios(command, argument, io)
            }
            TIOCGWINSZ => ioctl::put(io, argument, &tty::window_size(fd)?),
            TIOCSWINSZ => tty::set_window_size(fd, ioctl::get(io, argument)?).map(|()| 0),
            TCFLSH | TCXONC | TCSBRK | TCSBRKP => {
                self.check(io, SIGTTOU)?;
                match command {
                    TCFLSH => tty::flush(fd, argument as i32)?,
                    TCXONC => tty::flow(fd, argument as i32)?,
                    _ => tty::send_break(fd, argument as i32)?,
                }
                Ok(0)
            }
            TIOCOUTQ => ioctl::put(io, argument, &(tty::output_queued(fd)? as i32)),
            TIOCGETD => ioctl::put(io, argument, &N_TTY),
            TIOCSTI => Err(Errno::EPERM),
            _ => self.stream.ioctl(command, argument, io),
        }
    }
}

impl Terminal for HostTerminal {
    fn control(&self) -> &Control {
        &self.control
    }

    fn controlling(self: Arc<Self>) -> Arc<dyn ControllingTerminal> {
        self
    }
}

impl ControllingTerminal for HostTerminal {
    fn device(&self) -> DeviceId {
        match self.index.get() {
            Some(index) => DeviceId { major: SLAVE_MAJOR, minor: *index },
            None => self.device,
        }
    }

    fn name(&self) -> String {
        match self.device() {
            DeviceId { major: 136..=143, minor } => format!("pts/{minor}"),
            DeviceId { major: 4, minor } => format!("tty{minor}"),
            _ => "console".to_owned(),
        }
    }

    fn foreground(&self) -> Pid {
        self.control.foreground_id()
    }

    fn open(&self, _: OpenFlags) -> Result<Box<dyn File>, Errno> {
        let terminal = self.this.upgrade().ok_or(Errno::ENXIO)?;
        Ok(Box::new(terminal.file()))
    }

    /// The host's side stays as it is: it may have another user after us.
    fn session_ended(&self) {
        self.control.signal_foreground(SIGHUP);
        self.control.clear();
    }
}

impl File for HostTerminalFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.0.check(io, SIGTTIN)?;
        self.0.stream.read(dest)
    }

    fn write(
        &self,
        source: &mut IoSource<'_>,
        _: u64,
        io: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        if self.0.has_local(LocalFlags::TOSTOP) {
            self.0.check(io, SIGTTOU)?;
        }
        self.0.stream.write(source)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn pacing(&self) -> Option<Pacing> {
        if self.0.has_local(LocalFlags::ICANON) {
            return None;
        }
        let cc = self.0.settings.lock().cc;
        Some(Pacing { min: usize::from(cc[VMIN]), tenths: u32::from(cc[VTIME]) })
    }

    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        self.0.ioctl(command, argument, io)
    }

    fn readiness(&self) -> PollEvents {
        self.0.stream.readiness()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.0.stream.wait_queue()
    }

    fn attributes(&self) -> Option<Result<Attributes, Errno>> {
        match self.0.index.get() {
            Some(_) => None,
            None => Some(self.0.stream.attributes()),
        }
    }
}
