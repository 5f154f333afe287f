//! Requests on both sides of a pseudoterminal, `ioctl_tty(2)`.

use linux_abi::Errno;
use linux_abi::fs::{OpenFlags, makedev};
use linux_abi::signal::{SIGINT, SIGQUIT, SIGTSTP, SIGTTOU, SIGWINCH};
use linux_abi::task::{CAP_SYS_ADMIN, RLIMIT_NOFILE};
use linux_abi::tty::*;

use super::{MasterFile, Pty, READABLE, SLAVE_MAJOR, SlaveFile, WRITABLE};
use crate::fs::ioctl::{get, put};
use crate::fs::tty::discipline::{from_termios, to_termios};
use crate::fs::tty::job_control_ioctl;
use crate::vfs::{FileDescription, IoContext};

type Answer = Result<usize, Errno>;

impl MasterFile {
    pub(super) fn serve_ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Answer {
        if let Some(answer) = job_control_ioctl(&self.pty, true, command, argument, io) {
            return answer;
        }
        match command {
            TIOCGPTN => put(io, argument, &self.pty.index),
            TIOCSPTLCK => {
                let locked: i32 = get(io, argument)?;
                self.pty.state.lock().is_locked = locked != 0;
                Ok(0)
            }
            TIOCGPTLCK => {
                let locked = self.pty.state.lock().is_locked;
                put(io, argument, &i32::from(locked))
            }
            TIOCGPTPEER => self.open_peer(argument, io),
            TIOCPKT => {
                let wanted: i32 = get(io, argument)?;
                let mut state = self.pty.state.lock();
                if wanted == 0 {
                    state.packet = None;
                } else if state.packet.is_none() {
                    state.packet = Some(0);
                }
                Ok(0)
            }
            TIOCGPKT => {
                let is_on = self.pty.state.lock().packet.is_some();
                put(io, argument, &i32::from(is_on))
            }
            TIOCSIG => match argument as i32 {
                signal @ (SIGINT | SIGQUIT | SIGTSTP) => {
                    self.pty.control.signal_foreground(signal);
                    Ok(0)
                }
                _ => Err(Errno::EINVAL),
            },
            FIONREAD => {
                let waiting = self.pty.state.lock().screen.len();
                put(io, argument, &(waiting as i32))
            }
            TCFLSH => {
                match argument as i32 {
                    TCIFLUSH => self.pty.flush_screen(),
                    TCOFLUSH => self.pty.state.lock().typed.clear(),
                    TCIOFLUSH => {
                        self.pty.flush_screen();
                        self.pty.state.lock().typed.clear();
                    }
                    _ => return Err(Errno::EINVAL),
                }
                Ok(0)
            }
            TCXONC => Ok(0),
            _ => self.pty.common_ioctl(command, argument, io),
        }
    }

    /// `TIOCGPTPEER`: opens the slave whatever its path. Errors: EIO, EMFILE.
    fn open_peer(&self, argument: u64, io: &IoContext<'_>) -> Answer {
        let task = io.task.ok_or(Errno::ENOTTY)?;
        let flags = OpenFlags::from_bits_retain(argument as u32);
        let root = self.root.as_ref().ok_or(Errno::EIO)?;
        let name = self.pty.index.to_string();
        let dentry = root.dentry().lookup(name.as_bytes()).map_err(|_| Errno::EIO)?;
        let privileged = task.credentials().has(CAP_SYS_ADMIN);
        let file = SlaveFile::open(&self.pty, privileged)?;
        let location = root.with_dentry(dentry);
        let description = FileDescription::new(Box::new(file), location, flags);
        let limit = task.group.soft_limit(RLIMIT_NOFILE as usize);
        let is_cloexec = flags.contains(OpenFlags::CLOEXEC);
        Ok(task.fds().insert(description, is_cloexec, 0, limit)? as usize)
    }
}

impl SlaveFile {
    pub(super) fn serve_ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Answer {
        if self.is_hung_up(&self.pty.state.lock()) {
            return Err(if command == TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO });
        }
        if let Some(answer) = job_control_ioctl(&self.pty, false, command, argument, io) {
            return answer;
        }
        let changes = matches!(
            command,
            TCSETS
                | TCSETSW
                | TCSETSF
                | TCSETS2
                | TCSETSW2
                | TCSETSF2
                | TCFLSH
                | TCXONC
                | TCSBRK
                | TCSBRKP
                | TIOCSBRK
                | TIOCCBRK
                | TIOCSETD
        );
        if changes {
            self.check(io, SIGTTOU)?;
        }
        match command {
            FIONREAD => {
                let waiting = self.pty.state.lock().discipline.input().readable();
                put(io, argument, &(waiting as i32))
            }
            TCFLSH => {
                match argument as i32 {
                    TCIFLUSH => self.pty.flush_input(),
                    TCOFLUSH => self.pty.flush_screen(),
                    TCIOFLUSH => {
                        self.pty.flush_input();
                        self.pty.flush_screen();
                    }
                    _ => return Err(Errno::EINVAL),
                }
                Ok(0)
            }
            TCXONC => self.pty.flow(argument as i32),
            TIOCVHANGUP => {
                let is_admin = io.task.is_some_and(|task| task.credentials().has(CAP_SYS_ADMIN));
                if !is_admin {
                    return Err(Errno::EPERM);
                }
                self.pty.hang_up();
                Ok(0)
            }
            _ => self.pty.common_ioctl(command, argument, io),
        }
    }
}

impl Pty {
    /// Requests that mean the same on both sides.
    fn common_ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Answer {
        match command {
            TCGETS => {
                let termios = to_termios(self.state.lock().discipline.termios());
                put(io, argument, &termios)
            }
            TCGETS2 => {
                let termios = *self.state.lock().discipline.termios();
                put(io, argument, &termios)
            }
            TCSETS | TCSETSW | TCSETSF => {
                let new: Termios = get(io, argument)?;
                let old = *self.state.lock().discipline.termios();
                self.set_termios(from_termios(&new, &old), command == TCSETSF)
            }
            TCSETS2 | TCSETSW2 | TCSETSF2 => {
                self.set_termios(get(io, argument)?, command == TCSETSF2)
            }
            TIOCGWINSZ => {
                let size = self.state.lock().size;
                put(io, argument, &size)
            }
            TIOCSWINSZ => {
                let new: Winsize = get(io, argument)?;
                let old = std::mem::replace(&mut self.state.lock().size, new);
                if old != new {
                    self.control.signal_foreground(SIGWINCH);
                }
                Ok(0)
            }
            TIOCEXCL | TIOCNXCL => {
                self.state.lock().is_exclusive = command == TIOCEXCL;
                Ok(0)
            }
            TIOCGEXCL => {
                let is_exclusive = self.state.lock().is_exclusive;
                put(io, argument, &i32::from(is_exclusive))
            }
            TIOCGDEV => {
                let device = makedev(SLAVE_MAJOR, self.index) as u32;
                put(io, argument, &device)
            }
            TIOCOUTQ => put(io, argument, &0_i32),
            TIOCGETD => put(io, argument, &N_TTY),
            TIOCSETD => match get::<i32>(io, argument)? {
                N_TTY => Ok(0),
                _ => Err(Errno::EINVAL),
            },
            TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => Ok(0),
            TIOCSTI => Err(Errno::EPERM),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn set_termios(&self, new: Termios2, flushes: bool) -> Answer {
        if flushes {
            self.flush_input();
        }
        self.update(|state, _| state.discipline.set_termios(new));
        self.slave_queue.notify(WRITABLE);
        Ok(0)
    }

    /// Throws away what was typed.
    fn flush_input(&self) {
        self.update(|state, _| {
            state.discipline.flush_input();
            state.typed.clear();
            state.tell_packet(TIOCPKT_FLUSHREAD);
        });
        self.master_queue.notify(WRITABLE);
    }

    /// Throws away what the master has not read.
    fn flush_screen(&self) {
        self.update(|state, _| {
            state.screen.clear();
            state.tell_packet(TIOCPKT_FLUSHWRITE);
        });
        self.slave_queue.notify(WRITABLE);
    }

    /// `tcflow(3)`.
    fn flow(&self, action: i32) -> Answer {
        match action {
            TCOOFF => {
                self.update(|state, _| {
                    state.discipline.hold();
                    state.tell_packet(TIOCPKT_STOP);
                });
            }
            TCOON => {
                self.update(|state, effects| {
                    effects.screen = state.discipline.release();
                    state.tell_packet(TIOCPKT_START);
                });
                self.slave_queue.notify(WRITABLE);
            }
            // The key goes to the other side, as typed there.
            TCIOFF | TCION => {
                let index = if action == TCIOFF { VSTOP } else { VSTART };
                let key = self.state.lock().discipline.termios().cc[index];
                if key != POSIX_VDISABLE {
                    self.update(|_, effects| effects.screen.push(key));
                    self.master_queue.notify(READABLE);
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
