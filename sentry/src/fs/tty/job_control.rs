//! Job control: who may use a terminal, and the requests that decide it (`ioctl_tty(2)`).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::signal::{SIG_IGN, SIGCONT, SIGHUP, SIGTTIN, SIGTTOU, SigInfo};
use linux_abi::task::CAP_SYS_ADMIN;
use linux_abi::tty::{TIOCGPGRP, TIOCGSID, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP};

use super::{Control, Terminal, terminal_of};
use crate::fs::ioctl;
use crate::signal::{is_orphaned, send_to_process_group};
use crate::task::{Pid, Task};
use crate::vfs::IoContext;

/// Checks that `task` may read from (`SIGTTIN`) or change (`SIGTTOU`) its controlling terminal: a
/// background process is stopped by `signal` instead (Linux: `__tty_check_change`).
///
/// Errors: ERESTARTSYS after the signal was sent; EIO when it cannot stop anybody.
pub fn check_background(control: &Control, task: &Arc<Task>, signal: i32) -> Result<(), Errno> {
    if !control.is_of(task) || control.foreground_id() == 0 {
        return Ok(());
    }
    let group = task.group.process_group();
    if control.is_foreground(&group) {
        return Ok(());
    }
    if ignores(task, signal) {
        return if signal == SIGTTIN { Err(Errno::EIO) } else { Ok(()) };
    }
    if is_orphaned(&group, None) {
        return Err(Errno::EIO);
    }
    send_to_process_group(&group, SigInfo::kernel(signal));
    Err(Errno::ERESTARTSYS)
}

fn ignores(task: &Arc<Task>, signal: i32) -> bool {
    let is_blocked = task.signals.lock().mask().contains(signal);
    is_blocked || task.group.actions.read().get(signal).handler == SIG_IGN
}

/// Makes `terminal` the controlling terminal of `task`'s session, with its process group in the
/// foreground. The caller has checked that it may.
pub fn adopt<T: Terminal + ?Sized>(terminal: &Arc<T>, task: &Arc<Task>) {
    let group = task.group.process_group();
    let mut slot = group.session.terminal.lock();
    *slot = Some(terminal.clone().controlling());
    terminal.control().set(&group.session, &task.group, &group);
}

/// Serves the requests of job control; `None` for others. `is_master` says whether the descriptor
/// is the master side, which asks about the slave's session without being part of it.
///
/// Errors: ENOTTY (not the caller's controlling terminal), EPERM, EINVAL, ESRCH, EIO, ERESTARTSYS,
/// EFAULT.
pub fn job_control_ioctl<T: Terminal + 'static>(
    terminal: &Arc<T>,
    is_master: bool,
    command: u32,
    argument: u64,
    io: &IoContext<'_>,
) -> Option<Result<usize, Errno>> {
    let control = terminal.control();
    let answer = |task: &Arc<Task>| match command {
        TIOCGPGRP => {
            is_master_or_own(control, is_master, task)?;
            ioctl::put(io, argument, &control.foreground_id())
        }
        TIOCGSID => {
            is_master_or_own(control, is_master, task)?;
            let session = control.session().ok_or(Errno::ENOTTY)?;
            ioctl::put(io, argument, &session.id)
        }
        TIOCSPGRP => set_foreground(control, ioctl::get(io, argument), task),
        TIOCSCTTY => take_over(terminal, argument, io, task),
        TIOCNOTTY => give_up(control, task),
        _ => Err(Errno::ENOTTY),
    };
    match command {
        TIOCGPGRP | TIOCGSID | TIOCSPGRP | TIOCSCTTY | TIOCNOTTY => {
            Some(io.task.ok_or(Errno::ENOTTY).and_then(answer))
        }
        _ => None,
    }
}

fn is_master_or_own(control: &Control, is_master: bool, task: &Task) -> Result<(), Errno> {
    if is_master || control.is_of(task) { Ok(()) } else { Err(Errno::ENOTTY) }
}

/// `TIOCSPGRP`.
fn set_foreground(
    control: &Control,
    id: Result<Pid, Errno>,
    task: &Arc<Task>,
) -> Result<usize, Errno> {
    match check_background(control, task, SIGTTOU) {
        Err(Errno::EIO) => return Err(Errno::ENOTTY),
        result => result?,
    }
    let id = id?;
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    if !control.is_of(task) {
        return Err(Errno::ENOTTY);
    }
    let group = task.kernel.tasks.process_group(id).ok_or(Errno::ESRCH)?;
    if !Arc::ptr_eq(&group.session, &task.group.session()) {
        return Err(Errno::EPERM);
    }
    control.set_foreground(&group);
    Ok(0)
}

/// `TIOCSCTTY`.
fn take_over<T: Terminal + 'static>(
    terminal: &Arc<T>,
    argument: u64,
    io: &IoContext<'_>,
    task: &Arc<Task>,
) -> Result<usize, Errno> {
    let session = task.group.session();
    let is_leader = session.id == task.pid();
    let control = terminal.control();
    if is_leader && control.is_of(task) {
        return Ok(0);
    }
    if !is_leader || terminal_of(&session).is_some() {
        return Err(Errno::EPERM);
    }
    let is_admin = task.credentials().has(CAP_SYS_ADMIN);
    if let Some(owner) = control.session() {
        if argument != 1 || !is_admin {
            return Err(Errno::EPERM);
        }
        *owner.terminal.lock() = None;
    }
    let is_readable = io.flags.intersects(OpenFlags::RDWR) || !io.flags.is_writable();
    if !is_readable && !is_admin {
        return Err(Errno::EPERM);
    }
    adopt(terminal, task);
    Ok(0)
}

/// `TIOCNOTTY`.
///
/// Divergence: a process that does not lead its session keeps the terminal, which belongs to the
/// session as a whole here.
fn give_up(control: &Control, task: &Arc<Task>) -> Result<usize, Errno> {
    if !control.is_of(task) {
        return Err(Errno::ENOTTY);
    }
    let session = task.group.session();
    if session.id == task.pid() {
        *session.terminal.lock() = None;
        if let Some(group) = control.clear() {
            send_to_process_group(&group, SigInfo::kernel(SIGHUP));
            send_to_process_group(&group, SigInfo::kernel(SIGCONT));
        }
    }
    Ok(0)
}
