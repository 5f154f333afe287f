//! Processes by descriptor: `pidfd_open(2)`, `pidfd_send_signal(2)`, `pidfd_getfd(2)`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::signal::{SI_TKILL, SI_USER, SigInfo};
use linux_abi::task::PidfdFlags;

use super::kill::{own_info, to_group, to_members, to_thread};
use super::{Fd, SysResult, anonymous};
use crate::fs::pidfd::PidFd;
use crate::memory::UserPtr;
use crate::task::{Ctx, Pid};
use crate::vfs::FileDescription;

/// Signals the thread, whatever kind of descriptor it is (Linux 6.9).
const PIDFD_SIGNAL_THREAD: u32 = 1 << 0;
const PIDFD_SIGNAL_THREAD_GROUP: u32 = 1 << 1;
const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 1 << 2;

/// A descriptor for a process, or with `PIDFD_THREAD` for a thread.
///
/// Errors: EINVAL for flags, a number below 1, and a thread that is no process; ESRCH; EMFILE.
pub fn pidfd_open(ctx: &mut Ctx, pid: Pid, flags: u32) -> SysResult {
    let flags = PidfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let kernel = ctx.task.kernel.clone();
    let file = if flags.contains(PidfdFlags::THREAD) {
        PidFd::of_thread(&kernel.tasks.task(pid).ok_or(Errno::ESRCH)?)
    } else {
        match kernel.tasks.group(pid) {
            Some(group) => PidFd::new(group),
            None if kernel.tasks.task(pid).is_some() => return Err(Errno::EINVAL),
            None => return Err(Errno::ESRCH),
        }
    };
    let mut open = OpenFlags::empty();
    open.set(OpenFlags::NONBLOCK, flags.contains(PidfdFlags::NONBLOCK));
    let reservation = anonymous::reserve(&ctx.task)?;
    Ok(reservation.fill(file.describe(&kernel, open), true) as usize)
}

/// Signals what a descriptor refers to.
///
/// Errors: EINVAL (flags, signal, data for another signal), EBADF, ESRCH, EFAULT, EPERM, EAGAIN.
pub fn pidfd_send_signal(
    ctx: &mut Ctx,
    fd: Fd,
    signo: i32,
    info: UserPtr<SigInfo>,
    flags: u32,
) -> SysResult {
    let known = PIDFD_SIGNAL_THREAD | PIDFD_SIGNAL_THREAD_GROUP | PIDFD_SIGNAL_PROCESS_GROUP;
    if flags & !known != 0 || flags.count_ones() > 1 {
        return Err(Errno::EINVAL);
    }
    let description = pidfd_of(ctx, fd)?;
    let target = description.downcast::<PidFd>().ok_or(Errno::EBADF)?;
    let thread = target.thread();
    let to_one_thread = flags == PIDFD_SIGNAL_THREAD || (flags == 0 && thread.is_some());
    let info = match info.non_null() {
        None => own_info(&ctx.task, signo, if to_one_thread { SI_TKILL } else { SI_USER }),
        Some(info) => {
            let info = ctx.memory().read_value(info)?;
            if info.signo != signo {
                return Err(Errno::EINVAL);
            }
            let is_reserved = info.code >= 0 || info.code == SI_TKILL;
            let is_own = target.group().pid == ctx.task.tid();
            if is_reserved && (!is_own || flags == PIDFD_SIGNAL_PROCESS_GROUP) {
                return Err(Errno::EPERM);
            }
            info
        }
    };
    let group = target.group();
    if flags == PIDFD_SIGNAL_PROCESS_GROUP {
        return to_members(&ctx.task, &group.process_group().members(), &info);
    }
    if to_one_thread {
        let tid = match thread {
            Some(thread) => thread?.tid(),
            None => group.pid,
        };
        return to_thread(&ctx.task, Some(group.pid), tid, &info);
    }
    // A process that was waited for has no number any more.
    let is_known = ctx.task.kernel.tasks.group(group.pid);
    if !is_known.is_some_and(|known| Arc::ptr_eq(&known, group)) {
        return Err(Errno::ESRCH);
    }
    to_group(&ctx.task, group, &info)
}

/// A copy of another process' descriptor.
///
/// Errors: EINVAL (flags), EBADF (no pidfd, or not open there), EPERM, ESRCH, EMFILE.
pub fn pidfd_getfd(ctx: &mut Ctx, fd: Fd, target_fd: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let description = pidfd_of(ctx, fd)?;
    let target = description.downcast::<PidFd>().ok_or(Errno::EBADF)?;
    let task = target.group().leader().ok_or(Errno::ESRCH)?;
    if !super::futex::may_inspect(&ctx.task, &task) {
        return Err(Errno::EPERM);
    }
    let copied = task.fds().get(target_fd)?;
    Ok(anonymous::reserve(&ctx.task)?.fill(copied, true) as usize)
}

fn pidfd_of(ctx: &Ctx, fd: Fd) -> Result<Arc<FileDescription>, Errno> {
    ctx.task.fds().get_usable(fd.0)
}
