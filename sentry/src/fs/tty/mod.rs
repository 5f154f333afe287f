//! Terminals, tty(4) and credentials(7).
//!
//! * [`Terminal`]: what all kinds of terminals have in common: a session, a foreground process
//!   group, the rules of job control. Implemented by the host's terminal (`fs::host_stdio`) and by
//!   the slave side of a pseudoterminal.
//! * [`pty`]: pseudoterminals; [`discipline`] is what stands between their sides. Their names are
//!   in devpts ([`new_devpts`]).
//! * `job_control`: those rules, and the requests (`TIOCSPGRP`, `TIOCSCTTY`, …) that go with them.
//!
//! Locks: a session's terminal (rank `Task`) before a terminal's [`Control`] (rank `Tty`).

mod control;
mod devpts;
pub mod discipline;
mod job_control;
pub mod pty;

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;

pub use control::Control;
pub use devpts::{DevptsOptions, Instance, instance_at, new_devpts, register};
pub use job_control::{adopt, check_background, job_control_ioctl};

use super::DeviceOpen;
use crate::task::{ControllingTerminal, Session};
use crate::vfs::{File, IoContext};

/// A terminal that can be a session's controlling terminal.
pub trait Terminal: ControllingTerminal {
    fn control(&self) -> &Control;

    fn controlling(self: Arc<Self>) -> Arc<dyn ControllingTerminal>;
}

/// Opens a terminal by its node. A session leader without a controlling terminal gets this one,
/// unless it says `O_NOCTTY` (Linux: `tty_open_proc_set_tty`).
///
/// Errors: EIO, EBUSY.
fn open_terminal<T: Terminal + ?Sized>(
    terminal: &Arc<T>,
    open: &DeviceOpen<'_>,
) -> Result<Box<dyn File>, Errno> {
    let file = terminal.open(open.flags)?;
    if let Some(task) = open.io.task
        && !open.flags.contains(OpenFlags::NOCTTY)
        && open.flags.is_readable()
        && terminal.control().session().is_none()
    {
        let session = task.group.session();
        if session.id == task.pid() && terminal_of(&session).is_none() {
            adopt(terminal, task);
        }
    }
    Ok(file)
}

/// Opens the caller's controlling terminal (`/dev/tty`).
///
/// Errors: ENXIO when there is none; EIO when it was hung up.
pub fn open_controlling(flags: OpenFlags, io: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
    let task = io.task.ok_or(Errno::ENXIO)?;
    terminal_of(&task.group.session()).ok_or(Errno::ENXIO)?.open(flags)
}

/// The session's controlling terminal, unless it is gone. (The session keeps one that is gone for
/// its foreground group, which hears of it when the leader exits.)
fn terminal_of(session: &Session) -> Option<Arc<dyn ControllingTerminal>> {
    let terminal = session.terminal.lock().clone();
    terminal.filter(|terminal| !terminal.is_gone())
}
