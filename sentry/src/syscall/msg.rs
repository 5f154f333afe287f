//! System V message queues: `msgget`, `msgsnd`, `msgrcv`, `msgctl`.

use linux_abi::Errno;
use linux_abi::ipc::{
    IPC_64, IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, MSG_COPY, MSG_EXCEPT, MSG_INFO,
    MSG_NOERROR, MSG_STAT, MSG_STAT_ANY, MSGMNB, MSGMNI, MsgInfo, MsqidDs,
};
use linux_abi::poll::PollEvents;

use super::SysResult;
use crate::ipc::{Attempt, MAX_TEXT, Message, Selection};
use crate::memory::{UserAddr, UserPtr};
use crate::sync::wait_for;
use crate::task::Ctx;

/// Bytes of a message's type before its text.
const KIND_BYTES: u64 = 8;

/// `msgget(2)`.
pub fn msgget(ctx: &mut Ctx, key: i32, flags: u32) -> SysResult {
    let credentials = ctx.task.credentials();
    Ok(ctx.task.kernel.ipc.messages.get(key, flags, &credentials)? as usize)
}

/// `msgsnd(2)`.
///
/// Errors: EINVAL, EFAULT, EACCES, EAGAIN (`IPC_NOWAIT`), EIDRM, EINTR (never restarted).
pub async fn msgsnd(
    ctx: &mut Ctx,
    id: i32,
    message: UserAddr,
    len: usize,
    flags: u32,
) -> SysResult {
    let kind: i64 = ctx.memory().read_value(message.cast())?;
    if len > MAX_TEXT || id < 0 || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let text = ctx.memory().read_bytes(message.add(KIND_BYTES), len)?;
    let mut message = Some(Message { kind, text });
    let kernel = ctx.task.kernel.clone();
    let credentials = ctx.task.credentials();
    let pid = ctx.task.pid();
    let mut send = || kernel.ipc.messages.send(id, &mut message, pid, &credentials);
    let Attempt::Later(events) = send()? else { return Ok(0) };
    if flags & IPC_NOWAIT != 0 {
        return Err(Errno::EAGAIN);
    }
    let attempt = || settled(send());
    let wait = wait_for(&events, PollEvents::OUT, attempt);
    ctx.block(wait).await.map_err(|_| Errno::EINTR)?.map(|()| 0)
}

/// The result of a further attempt; a queue that is no longer there was removed meanwhile.
fn settled<T>(attempt: Result<Attempt<T>, Errno>) -> Option<Result<T, Errno>> {
    match attempt {
        Ok(Attempt::Done(value)) => Some(Ok(value)),
        Ok(Attempt::Later(_)) => None,
        Err(Errno::EINVAL) => Some(Err(Errno::EIDRM)),
        Err(errno) => Some(Err(errno)),
    }
}

/// `msgrcv(2)`. Answers with the number of bytes of text.
///
/// Errors: EINVAL, EACCES, E2BIG, ENOMSG (`IPC_NOWAIT`), EFAULT (the message is lost), EIDRM, EINTR
/// (never restarted).
pub async fn msgrcv(
    ctx: &mut Ctx,
    id: i32,
    target: UserAddr,
    room: usize,
    kind: i64,
    flags: u32,
) -> SysResult {
    if room > i64::MAX as usize || id < 0 {
        return Err(Errno::EINVAL);
    }
    let selection = selection(kind, flags)?;
    let kernel = ctx.task.kernel.clone();
    let credentials = ctx.task.credentials();
    let pid = ctx.task.pid();
    let may_cut = flags & MSG_NOERROR != 0;
    let receive = || kernel.ipc.messages.receive(id, selection, room, may_cut, pid, &credentials);
    let message = match receive()? {
        Attempt::Done(message) => message,
        Attempt::Later(_) if flags & IPC_NOWAIT != 0 => return Err(Errno::ENOMSG),
        Attempt::Later(events) => {
            let wait = wait_for(&events, PollEvents::IN, || settled(receive()));
            ctx.block(wait).await.map_err(|_| Errno::EINTR)??
        }
    };
    ctx.memory().write_value(target.cast(), &message.kind)?;
    ctx.memory().write_exact(target.add(KIND_BYTES), &message.text)?;
    Ok(message.text.len())
}

fn selection(kind: i64, flags: u32) -> Result<Selection, Errno> {
    if flags & MSG_COPY != 0 {
        let is_alone = flags & IPC_NOWAIT != 0 && flags & MSG_EXCEPT == 0;
        let index = usize::try_from(kind).unwrap_or(usize::MAX);
        return if is_alone { Ok(Selection::CopyOf(index)) } else { Err(Errno::EINVAL) };
    }
    Ok(match kind {
        0 => Selection::Any,
        kind if kind < 0 => Selection::UpTo(kind.checked_neg().unwrap_or(i64::MAX)),
        kind if flags & MSG_EXCEPT != 0 => Selection::NotKind(kind),
        kind => Selection::Kind(kind),
    })
}

/// `msgctl(2)`.
pub fn msgctl(ctx: &mut Ctx, id: i32, command: i32, target: UserPtr<MsqidDs>) -> SysResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let kernel = ctx.task.kernel.clone();
    let messages = &kernel.ipc.messages;
    let credentials = ctx.task.credentials();
    match command & !IPC_64 {
        IPC_INFO | MSG_INFO => info(ctx, command & !IPC_64, target.cast()),
        IPC_STAT => {
            ctx.memory().write_value(target, &messages.stat(id, &credentials)?)?;
            Ok(0)
        }
        MSG_STAT | MSG_STAT_ANY => {
            let checked = (command & !IPC_64 == MSG_STAT).then_some(&*credentials);
            let (found, facts) = messages.stat_at(id, checked)?;
            ctx.memory().write_value(target, &facts)?;
            Ok(found as usize)
        }
        IPC_SET => {
            let wanted = ctx.memory().read_value(target)?;
            messages.change(id, &wanted.perm, wanted.qbytes, &credentials)?;
            Ok(0)
        }
        IPC_RMID => {
            messages.remove(id, &credentials)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `IPC_INFO` and `MSG_INFO`: limits, or what is in use.
fn info(ctx: &Ctx, command: i32, target: UserPtr<MsgInfo>) -> SysResult {
    let (queues, messages, bytes, highest) = ctx.task.kernel.ipc.messages.usage();
    const MSGSSZ: i32 = 16;
    const MSGSEG: u16 = 0xffff;
    let pool = (MSGMNI * MSGMNB / 1024) as i32;
    let (msgpool, msgmap, msgtql) = match command {
        MSG_INFO => (queues as i32, messages as i32, bytes as i32),
        _ => (pool, MSGMNB as i32, MSGMNB as i32),
    };
    let value = MsgInfo {
        msgpool,
        msgmap,
        msgmax: MAX_TEXT as i32,
        msgmnb: MSGMNB as i32,
        msgmni: MSGMNI as i32,
        msgssz: MSGSSZ,
        msgtql,
        msgseg: MSGSEG,
        ..MsgInfo::default()
    };
    ctx.memory().write_value(target, &value)?;
    Ok(highest)
}
