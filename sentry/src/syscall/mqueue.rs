//! POSIX message queues: `mq_open`, `mq_unlink`, `mq_timedsend`, `mq_timedreceive`, `mq_notify`,
//! `mq_getsetattr`.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{NAME_MAX, OpenFlags};
use linux_abi::mqueue::{MQ_PRIO_MAX, MqAttr};
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SigEvent, is_valid_signal};
use linux_abi::task::RLIMIT_MSGQUEUE;
use linux_abi::time::Timespec;

use super::anonymous::reserve;
use super::{Fd, SysResult};
use crate::fs::mqueue::{Notification, QueueFile, QueueInode, QueueSize};
use crate::memory::{UserAddr, UserPtr};
use crate::sync::wait_for;
use crate::task::Ctx;
use crate::time::{Sleep, TimerClock, timeout};
use crate::vfs::{FileDescription, Location, Want, check_inode, remove_file};

/// Reads a queue's name, which the C library hands over without its slash.
///
/// Errors: ENOENT (empty), ENAMETOOLONG, EACCES (a slash, `.` or `..`), EFAULT.
fn read_name(ctx: &Ctx, addr: UserAddr) -> Result<Vec<u8>, Errno> {
    let name = ctx.memory().read_path(addr)?;
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let is_plain = !name.contains(&b'/') && !matches!(&name[..], b"." | b"..");
    if is_plain { Ok(name.into_vec()) } else { Err(Errno::EACCES) }
}

/// `mq_open(2)`.
///
/// Errors: those of the name, ENOENT, EEXIST, EACCES, EINVAL, EMFILE, ENOSPC, EFAULT.
pub fn mq_open(
    ctx: &mut Ctx,
    name: UserAddr,
    flags: u32,
    mode: u32,
    attr: UserPtr<MqAttr>,
) -> SysResult {
    let flags = OpenFlags::from_bits_truncate(flags);
    // Linux: the attributes are read before anything else.
    let attr = attr.non_null().map(|ptr| ctx.memory().read_value(ptr)).transpose()?;
    let name = read_name(ctx, name)?;
    let task = &ctx.task;
    let reservation = reserve(task)?;
    let credentials = task.credentials();
    let queues = &task.kernel.queues;
    let directory = queues.directory(&task.kernel);
    let dentry = match directory.dentry().lookup(&name) {
        Ok(_) if flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) => return Err(Errno::EEXIST),
        Ok(dentry) => {
            let wants = match flags.access_mode() {
                0 => Want::READ,
                1 => Want::WRITE,
                2 => Want::READ | Want::WRITE,
                _ => return Err(Errno::EINVAL),
            };
            check_inode(&**dentry.inode(), &credentials, wants)?;
            dentry
        }
        Err(Errno::ENOENT) if flags.contains(OpenFlags::CREAT) => {
            let size = attr.map_or_else(QueueSize::default, |attr| QueueSize {
                messages: attr.maxmsg,
                message_bytes: attr.msgsize,
            });
            let limit = task.group.soft_limit(RLIMIT_MSGQUEUE as usize);
            let mode = mode & !task.fs().umask();
            queues.create(&task.kernel, &name, mode, size, limit, &credentials)?
        }
        Err(errno) => return Err(errno),
    };
    let inode = dentry.inode().clone();
    let file = inode.open(flags, &crate::vfs::IoContext { task: Some(task), flags })?;
    let location = Location::new(directory.mount().clone(), dentry);
    let kept = flags & (OpenFlags::RDWR | OpenFlags::WRONLY | OpenFlags::NONBLOCK);
    let description = FileDescription::new(file, location, kept);
    Ok(reservation.fill(description, true) as usize)
}

/// `mq_unlink(2)`. Errors: those of the name, ENOENT, EPERM for another user's queue.
pub fn mq_unlink(ctx: &mut Ctx, name: UserAddr) -> SysResult {
    let name = read_name(ctx, name)?;
    let directory = ctx.task.kernel.queues.directory(&ctx.task.kernel);
    let victim = directory.dentry().lookup(&name)?;
    remove_file(&ctx.task.credentials(), &directory, &victim)?;
    Ok(0)
}

/// An open queue.
struct Open {
    description: Arc<FileDescription>,
}

impl Open {
    /// Errors: EBADF for what is no queue.
    fn get(ctx: &Ctx, fd: Fd) -> Result<Open, Errno> {
        let description = ctx.task.fds().get_usable(fd)?;
        let is_queue = description.downcast::<QueueFile>().is_some();
        if is_queue { Ok(Open { description }) } else { Err(Errno::EBADF) }
    }

    fn queue(&self) -> Result<&Arc<QueueInode>, Errno> {
        self.description.downcast::<QueueFile>().map(QueueFile::queue).ok_or(Errno::EBADF)
    }
}

/// The end of a wait, on the realtime clock. Errors: EFAULT, EINVAL.
fn deadline(ctx: &Ctx, limit: UserPtr<Timespec>) -> Result<Option<Sleep>, Errno> {
    let Some(ptr) = limit.non_null() else { return Ok(None) };
    let time = ctx.memory().read_value(ptr)?;
    if !time.is_valid() {
        return Err(Errno::EINVAL);
    }
    Ok(Some(ctx.task.kernel.timers.sleep_until(TimerClock::Realtime, time.to_nanos())))
}

/// `mq_timedsend(2)`.
///
/// Errors: EINVAL (priority, time), EBADF, EMSGSIZE, EFAULT, EAGAIN (non-blocking), ETIMEDOUT,
/// ERESTARTSYS.
pub async fn mq_timedsend(
    ctx: &mut Ctx,
    fd: Fd,
    text: UserAddr,
    len: usize,
    priority: u32,
    limit: UserPtr<Timespec>,
) -> SysResult {
    let sleep = deadline(ctx, limit)?;
    if priority >= MQ_PRIO_MAX {
        return Err(Errno::EINVAL);
    }
    let open = Open::get(ctx, fd)?;
    let queue = open.queue()?.clone();
    if !open.description.is_writable() {
        return Err(Errno::EBADF);
    }
    if len as u64 > queue.size().message_bytes as u64 {
        return Err(Errno::EMSGSIZE);
    }
    let mut text = ctx.memory().read_bytes(text, len)?;
    let sender = ctx.task.clone();
    let mut put = || queue.put(&mut text, priority, &sender).then_some(());
    if put().is_some() {
        return Ok(0);
    }
    if open.description.is_nonblocking() {
        return Err(Errno::EAGAIN);
    }
    let wait = wait_for(queue.events(), PollEvents::OUT, put);
    ctx.block(timeout(sleep, wait)).await?.ok_or(Errno::ETIMEDOUT)?;
    Ok(0)
}

/// `mq_timedreceive(2)`. Answers with the size of the message.
///
/// Errors: EINVAL (time), EBADF, EMSGSIZE (room for less than the queue's message size), EFAULT,
/// EAGAIN (non-blocking), ETIMEDOUT, ERESTARTSYS.
pub async fn mq_timedreceive(
    ctx: &mut Ctx,
    fd: Fd,
    target: UserAddr,
    room: usize,
    priority: UserPtr<u32>,
    limit: UserPtr<Timespec>,
) -> SysResult {
    let sleep = deadline(ctx, limit)?;
    let open = Open::get(ctx, fd)?;
    let queue = open.queue()?.clone();
    if !open.description.is_readable() {
        return Err(Errno::EBADF);
    }
    if (room as u64) < queue.size().message_bytes as u64 {
        return Err(Errno::EMSGSIZE);
    }
    let taken = match queue.take() {
        Some(taken) => taken,
        None if open.description.is_nonblocking() => return Err(Errno::EAGAIN),
        None => {
            let _waiting = queue.waiting_receiver();
            let wait = wait_for(queue.events(), PollEvents::IN, || queue.take());
            ctx.block(timeout(sleep, wait)).await?.ok_or(Errno::ETIMEDOUT)?
        }
    };
    if !priority.is_null() {
        ctx.memory().write_value(priority, &taken.priority)?;
    }
    ctx.memory().write_exact(target, &taken.text)?;
    Ok(taken.text.len())
}

/// `mq_notify(2)`.
///
/// Errors: EINVAL (signal, kind; `SIGEV_THREAD` takes a netlink socket, which there is none of),
/// EBADF, EBUSY.
pub fn mq_notify(ctx: &mut Ctx, fd: Fd, event: UserPtr<SigEvent>) -> SysResult {
    let event = event.non_null().map(|ptr| ctx.memory().read_value(ptr)).transpose()?;
    if let Some(event) = &event {
        let is_known = match event.notify {
            SIGEV_NONE => true,
            SIGEV_SIGNAL => is_valid_signal(event.signo),
            _ => false,
        };
        if !is_known {
            return Err(Errno::EINVAL);
        }
    }
    let open = Open::get(ctx, fd)?;
    let queue = open.queue()?;
    let pid = ctx.task.pid();
    match event {
        None => queue.clear_notification(pid),
        Some(event) => {
            let process = Arc::downgrade(&ctx.task.group);
            queue.set_notification(Notification { pid, process, event })?;
        }
    }
    Ok(0)
}

/// `mq_getsetattr(2)`. Errors: EINVAL for flags other than `O_NONBLOCK`, EBADF, EFAULT.
pub fn mq_getsetattr(
    ctx: &mut Ctx,
    fd: Fd,
    new: UserPtr<MqAttr>,
    old: UserPtr<MqAttr>,
) -> SysResult {
    let nonblocking = i64::from(OpenFlags::NONBLOCK.bits());
    let new = new.non_null().map(|ptr| ctx.memory().read_value(ptr)).transpose()?;
    if new.is_some_and(|new| new.flags & !nonblocking != 0) {
        return Err(Errno::EINVAL);
    }
    let open = Open::get(ctx, fd)?;
    let queue = open.queue()?;
    let description = &open.description;
    let before = MqAttr {
        flags: if description.is_nonblocking() { nonblocking } else { 0 },
        maxmsg: queue.size().messages,
        msgsize: queue.size().message_bytes,
        curmsgs: queue.count() as i64,
        ..MqAttr::default()
    };
    if let Some(new) = new {
        let mut flags = description.flags();
        flags.set(OpenFlags::NONBLOCK, new.flags & nonblocking != 0);
        description.set_status_flags(flags);
    }
    if !old.is_null() {
        ctx.memory().write_value(old, &before)?;
    }
    Ok(0)
}
