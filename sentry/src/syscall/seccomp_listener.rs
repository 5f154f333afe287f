//! `ioctl(2)` on a listener of seccomp, seccomp_unotify(2).

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::poll::PollEvents;
use linux_abi::task::{
    RLIMIT_NOFILE, SECCOMP_ADDFD_FLAG_SEND, SECCOMP_ADDFD_FLAG_SETFD, SECCOMP_IOCTL_NOTIF_ADDFD,
    SECCOMP_IOCTL_NOTIF_ID_VALID, SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE, SeccompNotif, SeccompNotifAddFd, SeccompNotifResp,
};

use super::SysResult;
use crate::memory::UserPtr;
use crate::seccomp::{Listener, Reply};
use crate::sync::wait_for;
use crate::task::Ctx;

/// Errors: EINVAL for an unknown command and flags, EFAULT; else those of the commands.
pub(super) async fn ioctl(
    ctx: &mut Ctx,
    listener: &Listener,
    command: u32,
    argument: u64,
) -> SysResult {
    match command {
        SECCOMP_IOCTL_NOTIF_RECV => receive(ctx, listener, UserPtr::new(argument)).await,
        SECCOMP_IOCTL_NOTIF_SEND => send(ctx, listener, UserPtr::new(argument)),
        SECCOMP_IOCTL_NOTIF_ID_VALID => {
            let id = ctx.memory().read_value(UserPtr::new(argument))?;
            let taken = listener.notifier().taken(id);
            taken.map(|_| 0).map_err(|_| Errno::ENOENT)
        }
        SECCOMP_IOCTL_NOTIF_ADDFD => add_descriptor(ctx, listener, UserPtr::new(argument)),
        // On which processor the supervisor wakes is the platform's business.
        SECCOMP_IOCTL_NOTIF_SET_FLAGS if argument & !SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP == 0 => {
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Waits for a call and tells it. Errors: EINVAL unless the structure is filled with zeros; ENOENT
/// when no task has the filter any more; EFAULT; ERESTARTSYS.
async fn receive(ctx: &mut Ctx, listener: &Listener, place: UserPtr<SeccompNotif>) -> SysResult {
    if ctx.memory().read_value(place)? != SeccompNotif::default() {
        return Err(Errno::EINVAL);
    }
    let notifier = listener.notifier();
    let wait =
        wait_for(listener.queue(), PollEvents::IN | PollEvents::HUP, || match notifier.take() {
            Err(Errno::EAGAIN) => None,
            other => Some(other),
        });
    let call = ctx.block(wait).await??;
    if let Err(error) = ctx.memory().write_value(place, &call) {
        notifier.untake(call.id);
        return Err(error);
    }
    Ok(0)
}

/// Errors: EINVAL (flags, a result beside "go on"), ENOENT, EINPROGRESS.
fn send(ctx: &Ctx, listener: &Listener, place: UserPtr<SeccompNotifResp>) -> SysResult {
    let SeccompNotifResp { id, val, error, flags } = ctx.memory().read_value(place)?;
    let has_result = val != 0 || error != 0;
    if flags & !SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0 || (flags != 0 && has_result) {
        return Err(Errno::EINVAL);
    }
    listener.notifier().reply(id, Reply { value: val, error, flags })?;
    Ok(0)
}

/// Gives the filtered task a copy of a descriptor; answers with its number there.
///
/// Errors: EINVAL (flags), EBADF, ENOENT, EINPROGRESS, EMFILE.
fn add_descriptor(ctx: &Ctx, listener: &Listener, place: UserPtr<SeccompNotifAddFd>) -> SysResult {
    let request = ctx.memory().read_value(place)?;
    let SeccompNotifAddFd { id, flags, srcfd, newfd, newfd_flags } = request;
    let has = |flag| flags & flag != 0;
    let is_bad = newfd_flags & !OpenFlags::CLOEXEC.bits() != 0
        || flags & !(SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND) != 0
        || (newfd != 0 && !has(SECCOMP_ADDFD_FLAG_SETFD));
    if is_bad {
        return Err(Errno::EINVAL);
    }
    let source = ctx.task.fds().get_usable(srcfd as i32)?;
    let target = listener.notifier().taken(id)?;
    let limit = target.group.soft_limit(RLIMIT_NOFILE as usize);
    let (fds, is_cloexec) = (target.fds(), newfd_flags != 0);
    let given = if has(SECCOMP_ADDFD_FLAG_SETFD) {
        fds.replace(newfd as i32, source, is_cloexec, limit)?;
        newfd as i32
    } else {
        fds.insert(source, is_cloexec, 0, limit)?
    };
    if has(SECCOMP_ADDFD_FLAG_SEND) {
        let reply = Reply { value: given.into(), error: 0, flags: 0 };
        listener.notifier().reply(id, reply).inspect_err(|_| {
            // The call is over meanwhile, and nobody would know the number.
            let _ = fds.close(given);
        })?;
    }
    Ok(given as usize)
}
