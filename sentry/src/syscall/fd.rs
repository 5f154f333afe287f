//! Descriptors: `dup`, `fcntl`, `ioctl`.

use linux_abi::Errno;
use linux_abi::fs::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_DUPFD_QUERY, F_GETFD, F_GETFL, F_GETLK, F_GETOWN, F_GETOWN_EX,
    F_GETPIPE_SZ, F_GETSIG, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OWNER_PGRP, F_OWNER_PID,
    F_OWNER_TID, F_SETFD, F_SETFL, F_SETLK, F_SETLKW, F_SETOWN, F_SETOWN_EX, F_SETPIPE_SZ,
    F_SETSIG, FOwnerEx, FileKind, OpenFlags,
};
use linux_abi::task::RLIMIT_NOFILE;
use linux_abi::tty::{FICLONE, FICLONERANGE, FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD};

use super::transfer::clone_error;
use super::{Fd, SysResult, async_io, locks, seccomp_listener};
use crate::memory::UserPtr;
use crate::seccomp::Listener;
use crate::task::Ctx;
use crate::vfs::permission::is_owner;
use crate::vfs::{AsyncOwner, AsyncTarget, FileDescription};

const FD_CLOEXEC: u64 = 1;

fn file_limit(ctx: &Ctx) -> u64 {
    ctx.task.group.soft_limit(RLIMIT_NOFILE as usize)
}

/// `dup(2)`.
pub fn dup(ctx: &mut Ctx, fd: Fd) -> SysResult {
    let file = ctx.task.fds().get(fd)?;
    ctx.task.fds().insert(file, false, 0, file_limit(ctx)).map(|fd| fd as usize)
}

/// `dup2(2)`.
pub fn dup2(ctx: &mut Ctx, old: Fd, new: Fd) -> SysResult {
    if old == new {
        ctx.task.fds().get(old)?;
        return Ok(new.0 as usize);
    }
    replace(ctx, old, new, false)
}

/// `dup3(2)`.
pub fn dup3(ctx: &mut Ctx, old: Fd, new: Fd, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !OpenFlags::CLOEXEC.contains(flags) || old == new {
        return Err(Errno::EINVAL);
    }
    replace(ctx, old, new, flags.contains(OpenFlags::CLOEXEC))
}

fn replace(ctx: &Ctx, old: Fd, new: Fd, cloexec: bool) -> SysResult {
    let file = ctx.task.fds().get(old)?;
    ctx.task.fds().replace(new.0, file, cloexec, file_limit(ctx))?;
    Ok(new.0 as usize)
}

/// `fcntl(2)`.
pub async fn fcntl(ctx: &mut Ctx, fd: Fd, command: i32, argument: u64) -> SysResult {
    let file = ctx.task.fds().get(fd)?;
    let allowed_on_path =
        matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_GETFD | F_SETFD | F_GETFL | F_DUPFD_QUERY);
    if file.is_path() && !allowed_on_path {
        return Err(Errno::EBADF);
    }
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let min = argument as i32;
            let limit = file_limit(ctx);
            if min < 0 || min as u64 >= limit {
                return Err(Errno::EINVAL);
            }
            let cloexec = command == F_DUPFD_CLOEXEC;
            ctx.task.fds().insert(file, cloexec, min, limit).map(|fd| fd as usize)
        }
        F_DUPFD_QUERY => {
            let other = ctx.task.fds().get(Fd(argument as i32))?;
            Ok(usize::from(std::sync::Arc::ptr_eq(&file, &other)))
        }
        F_GETFD => ctx.task.fds().is_cloexec(fd.0).map(usize::from),
        F_SETFD => {
            ctx.task.fds().set_cloexec(fd.0, argument & FD_CLOEXEC != 0)?;
            Ok(0)
        }
        F_GETFL => Ok(file.flags().bits() as usize),
        F_SETFL => {
            set_flags(ctx, &file, argument as u32)?;
            async_io::apply(&ctx.task.kernel, &file, fd.0, file.flags());
            Ok(0)
        }
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
            locks::fcntl_lock(ctx, &file, command, UserPtr::new(argument)).await
        }
        F_SETOWN | F_GETOWN | F_SETOWN_EX | F_GETOWN_EX | F_SETSIG | F_GETSIG => {
            owner(ctx, &file, command, argument)
        }
        F_GETPIPE_SZ | F_SETPIPE_SZ if file.location().kind() != FileKind::Fifo => {
            Err(Errno::EBADF)
        }
        _ => file.file().control(command, argument, &file.io(&ctx.task)),
    }
}

/// `F_SETFL`. Errors: EPERM (`O_NOATIME` on another's file), and those of the file.
fn set_flags(ctx: &Ctx, file: &FileDescription, raw: u32) -> SysResult {
    let flags = OpenFlags::from_bits_truncate(raw);
    let gains_noatime =
        flags.contains(OpenFlags::NOATIME) && !file.flags().contains(OpenFlags::NOATIME);
    if gains_noatime && !is_owner(&file.attributes()?, &ctx.task.credentials()) {
        return Err(Errno::EPERM);
    }
    file.file().check_flags(flags)?;
    file.set_status_flags(flags);
    Ok(0)
}

/// Who gets SIGIO.
fn owner(ctx: &Ctx, file: &FileDescription, command: i32, argument: u64) -> SysResult {
    let current = file.owner();
    let set = |target: AsyncTarget| {
        let credentials = ctx.task.credentials();
        let kernel = &ctx.task.kernel;
        file.set_owner(async_io::owner_of(kernel, target, &credentials, current.signal)?);
        Ok(0)
    };
    match command {
        F_SETOWN => match argument as i32 {
            0 => set(AsyncTarget::Nobody),
            i32::MIN => Err(Errno::EINVAL),
            id if id < 0 => set(AsyncTarget::Group(-id)),
            id => set(AsyncTarget::Process(id)),
        },
        F_GETOWN => Ok(match current.target {
            AsyncTarget::Nobody => 0,
            AsyncTarget::Thread(id) | AsyncTarget::Process(id) => id as usize,
            AsyncTarget::Group(id) => -(id as isize) as usize,
        }),
        F_SETOWN_EX => {
            let wanted = ctx.memory().read_value(UserPtr::<FOwnerEx>::new(argument))?;
            match wanted.kind {
                _ if wanted.pid == 0 => set(AsyncTarget::Nobody),
                F_OWNER_TID => set(AsyncTarget::Thread(wanted.pid)),
                F_OWNER_PID => set(AsyncTarget::Process(wanted.pid)),
                F_OWNER_PGRP => set(AsyncTarget::Group(wanted.pid)),
                _ => Err(Errno::EINVAL),
            }
        }
        F_GETOWN_EX => {
            let (kind, pid) = match current.target {
                AsyncTarget::Nobody => (F_OWNER_PID, 0),
                AsyncTarget::Thread(id) => (F_OWNER_TID, id),
                AsyncTarget::Process(id) => (F_OWNER_PID, id),
                AsyncTarget::Group(id) => (F_OWNER_PGRP, id),
            };
            ctx.memory().write_value(UserPtr::new(argument), &FOwnerEx { kind, pid })?;
            Ok(0)
        }
        F_SETSIG => {
            if argument > 64 {
                return Err(Errno::EINVAL);
            }
            file.set_owner(AsyncOwner { signal: argument as i32, ..current });
            Ok(0)
        }
        _ => Ok(current.signal as usize),
    }
}

/// `ioctl(2)`: what concerns every descriptor here, the rest in the file.
pub async fn ioctl(ctx: &mut Ctx, fd: Fd, command: u32, argument: u64) -> SysResult {
    let file = ctx.task.fds().get_usable(fd)?;
    let read_flag = || ctx.memory().read_value(UserPtr::<i32>::new(argument));
    match command {
        FIOCLEX => ctx.task.fds().set_cloexec(fd.0, true).map(|()| 0),
        FIONCLEX => ctx.task.fds().set_cloexec(fd.0, false).map(|()| 0),
        FIONBIO => {
            let is_on = read_flag()? != 0;
            change_flag(&file, OpenFlags::NONBLOCK, is_on)
        }
        FIOASYNC => {
            let is_on = read_flag()? != 0;
            change_flag(&file, OpenFlags::FASYNC, is_on)?;
            async_io::apply(&ctx.task.kernel, &file, fd.0, file.flags());
            Ok(0)
        }
        FICLONE => clone_into(ctx, &file, argument as i32),
        FICLONERANGE => {
            // `struct file_clone_range`: the source, then what part goes where.
            let [source, ..] = ctx.memory().read_value(UserPtr::<[i64; 4]>::new(argument))?;
            clone_into(ctx, &file, source as i32)
        }
        FIONREAD if file.location().kind() == FileKind::Regular && file.file().is_seekable() => {
            let size = file.attributes()?.size;
            let left = size.saturating_sub(file.offset()).min(i32::MAX as u64) as i32;
            ctx.memory().write_value(UserPtr::new(argument), &left)?;
            Ok(0)
        }
        _ => match file.downcast::<Listener>() {
            Some(listener) => seccomp_listener::ioctl(ctx, listener, command, argument).await,
            None => file.file().ioctl(command, argument, &file.io(&ctx.task)),
        },
    }
}

/// Errors: EBADF, and see [`clone_error`].
fn clone_into(ctx: &Ctx, target: &FileDescription, source: i32) -> SysResult {
    let source = ctx.task.fds().get_usable(Fd(source))?;
    Err(clone_error(&source, target))
}

fn change_flag(file: &FileDescription, flag: OpenFlags, is_on: bool) -> SysResult {
    let mut flags = file.flags();
    flags.set(flag, is_on);
    file.file().check_flags(flags)?;
    file.set_status_flags(flags);
    Ok(0)
}
