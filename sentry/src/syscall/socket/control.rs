//! Control messages, cmsg(3): descriptors, credentials and what families add.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::net::*;
use linux_abi::task::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, RLIMIT_NOFILE};
use zerocopy::{FromBytes, IntoBytes};

use super::super::anonymous;
use crate::memory::UserAddr;
use crate::net::{Control, Rights, SendMessage};
use crate::task::Ctx;
use crate::vfs::FileDescription;

/// Most bytes of control data (`net.core.optmem_max`).
const MAX_CONTROL: u64 = 131_072;

/// A parsed control message: level, kind, data.
type Parsed = (i32, i32, Vec<u8>);

/// Reads the control data of a message that is sent.
///
/// Errors: ENOBUFS (too much), EFAULT, EINVAL (malformed).
pub(super) fn read(ctx: &Ctx, addr: u64, len: u64) -> Result<Vec<Parsed>, Errno> {
    if len == 0 {
        return Ok(Vec::new());
    }
    if len > MAX_CONTROL {
        return Err(Errno::ENOBUFS);
    }
    let bytes = ctx.memory().read_bytes(UserAddr(addr), len as usize)?;
    let mut messages = Vec::new();
    let mut rest = bytes.as_slice();
    while rest.len() >= size_of::<CmsgHdr>() {
        let (header, _) = CmsgHdr::read_from_prefix(rest).map_err(|_| Errno::EINVAL)?;
        let end = usize::try_from(header.len).map_err(|_| Errno::EINVAL)?;
        let data = rest.get(size_of::<CmsgHdr>()..end).ok_or(Errno::EINVAL)?;
        messages.push((header.level, header.kind, data.to_vec()));
        rest = rest.get(end.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(messages)
}

/// Puts parsed control messages into `message`; `domain` is the socket's family.
///
/// Errors: EINVAL (a kind that does not go with the family, or a bad length), EBADF, EPERM
/// (credentials that are not the caller's), ETOOMANYREFS.
pub(super) fn apply(
    ctx: &Ctx,
    domain: i32,
    parsed: Vec<Parsed>,
    message: &mut SendMessage<'_>,
) -> Result<(), Errno> {
    let mut files = Vec::new();
    for (level, kind, data) in parsed {
        match (level, kind) {
            (SOL_SOCKET, SCM_RIGHTS) if domain == AF_UNIX => {
                collect_files(ctx, &data, &mut files)?;
            }
            (SOL_SOCKET, SCM_CREDENTIALS) if domain == AF_UNIX || domain == AF_NETLINK => {
                message.credentials = Some(check_credentials(ctx, &data)?);
            }
            (SOL_SOCKET, _) if domain == AF_UNIX || domain == AF_NETLINK => {
                return Err(Errno::EINVAL);
            }
            _ => message.others.push((level, kind, data)),
        }
    }
    if !files.is_empty() {
        let credentials = ctx.task.credentials();
        let is_privileged = credentials.has(CAP_SYS_RESOURCE) || credentials.has(CAP_SYS_ADMIN);
        let limit = match is_privileged {
            true => u64::MAX,
            false => ctx.task.group.soft_limit(RLIMIT_NOFILE as usize),
        };
        let accounting = &ctx.task.kernel.network.in_flight;
        message.rights = Some(Rights::new(files, accounting, credentials.uid, limit)?);
    }
    Ok(())
}

fn collect_files(
    ctx: &Ctx,
    data: &[u8],
    files: &mut Vec<Arc<FileDescription>>,
) -> Result<(), Errno> {
    let numbers = data.as_chunks::<4>().0;
    if files.len() + numbers.len() > SCM_MAX_FD {
        return Err(Errno::EINVAL);
    }
    let table = ctx.task.fds();
    for number in numbers {
        files.push(table.get(i32::from_ne_bytes(*number))?);
    }
    Ok(())
}

/// Who may claim to be whom, unix(7).
fn check_credentials(ctx: &Ctx, data: &[u8]) -> Result<Ucred, Errno> {
    let claimed = Ucred::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
    let own = ctx.task.credentials();
    let pid_ok = claimed.pid == ctx.task.pid() || own.has(CAP_SYS_ADMIN);
    let uid_ok = [own.uid, own.euid, own.suid].contains(&claimed.uid) || own.has(CAP_SETUID);
    let gid_ok = [own.gid, own.egid, own.sgid].contains(&claimed.gid) || own.has(CAP_SETGID);
    if !(pid_ok && uid_ok && gid_ok) {
        return Err(Errno::EPERM);
    }
    if ctx.task.kernel.tasks.group(claimed.pid).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(claimed)
}

/// Control data as it is filled in for a receiver.
struct Output {
    bytes: Vec<u8>,
    room: usize,
    is_cut: bool,
}

impl Output {
    fn left(&self) -> usize {
        self.room - self.bytes.len()
    }

    /// Adds a message; one that does not fit is cut (Linux: `put_cmsg`).
    fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let header_len = size_of::<CmsgHdr>();
        if self.left() < header_len {
            self.is_cut = true;
            return;
        }
        let len = (header_len + data.len()).min(self.left());
        self.is_cut |= len < header_len + data.len();
        let header = CmsgHdr { len: len as u64, level, kind };
        let end = self.bytes.len() + CmsgHdr::space(data.len()).min(self.left());
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(&data[..len - header_len]);
        self.bytes.resize(end, 0);
    }
}

/// Writes received control data to `room` bytes at `addr`. Answers with the bytes used and
/// `MSG_CTRUNC` if something did not fit. Received descriptors are installed.
///
/// Errors: EFAULT.
pub(super) fn write(
    ctx: &Ctx,
    control: Control,
    addr: u64,
    room: u64,
    is_cloexec: bool,
) -> Result<(u64, MsgFlags), Errno> {
    let room = if addr == 0 { 0 } else { room.min(MAX_CONTROL) as usize };
    let mut output = Output { bytes: Vec::new(), room, is_cut: false };
    for (level, kind, data) in &control.others {
        output.put(*level, *kind, data);
    }
    if let Some(credentials) = control.credentials {
        output.put(SOL_SOCKET, SCM_CREDENTIALS, credentials.as_bytes());
    }
    if !control.files.is_empty() {
        install_files(ctx, control.files, &mut output, is_cloexec);
    }
    ctx.memory().write_exact(UserAddr(addr), &output.bytes)?;
    let mut flags = MsgFlags::empty();
    flags.set(MsgFlags::CTRUNC, output.is_cut);
    Ok((output.bytes.len() as u64, flags))
}

/// Gives descriptors to as many files as there is room for their numbers.
fn install_files(
    ctx: &Ctx,
    files: Vec<Arc<FileDescription>>,
    output: &mut Output,
    is_cloexec: bool,
) {
    let room = output.left().saturating_sub(size_of::<CmsgHdr>()) / size_of::<i32>();
    let count = files.len();
    let mut numbers = Vec::new();
    for file in files.into_iter().take(room) {
        let Ok(reservation) = anonymous::reserve(&ctx.task) else { break };
        numbers.push(reservation.fill(file, is_cloexec));
    }
    output.is_cut |= numbers.len() < count;
    if !numbers.is_empty() {
        output.put(SOL_SOCKET, SCM_RIGHTS, numbers.as_bytes());
    }
}
