//! Arguments that are one of a list of numbers, and those that depend on one.

use linux_abi::fs::Flock;
use linux_abi::futex::{FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_PRIVATE_FLAG};
use linux_abi::net::{SOCK_TYPE_MASK, SocketFlags};

use super::flags::{join, open_flags};
use super::memory::read;
use super::{Arg, ArgKind, names, numbers, text};

/// The name of `value` in `table`, else the number.
pub(super) fn named(table: &[(i64, &str)], value: i64) -> String {
    match table.iter().find(|(number, _)| *number == value) {
        Some((_, name)) => (*name).to_owned(),
        None => value.to_string(),
    }
}

/// Shows choices and what depends on them; `None` for other kinds.
pub(super) fn choice(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let value = i64::from(arg.value() as i32);
    let table = match kind {
        ArgKind::Whence => names::WHENCE,
        ArgKind::FcntlCmd => names::FCNTL,
        ArgKind::EpollOp => names::EPOLL_OP,
        ArgKind::SigMaskHow => names::SIG_MASK_HOW,
        ArgKind::MadviseAdvice => names::MADVISE,
        ArgKind::FadviseAdvice => names::FADVISE,
        ArgKind::WaitIdType => names::WAIT_ID_TYPE,
        ArgKind::PrctlOption => names::PRCTL,
        ArgKind::ArchPrctlCode => names::ARCH_PRCTL,
        ArgKind::ClockId => names::CLOCK,
        ArgKind::ItimerWhich => names::ITIMER,
        ArgKind::RlimitResource => names::RLIMIT,
        ArgKind::RusageWho => names::RUSAGE,
        ArgKind::PriorityWhich => names::PRIORITY,
        ArgKind::SchedPolicy => names::SCHED,
        ArgKind::SocketDomain => names::ADDRESS_FAMILY,
        ArgKind::SocketLevel => names::SOCKET_LEVEL,
        ArgKind::ShutdownHow => names::SHUTDOWN,
        ArgKind::PtraceRequest => names::PTRACE,
        ArgKind::SeccompOp => names::SECCOMP,
        ArgKind::MembarrierCmd => names::MEMBARRIER,
        ArgKind::IpcCmd => names::IPC,
        _ => return composed(kind, arg),
    };
    Some(named(table, value))
}

fn composed(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let value = arg.value() as i32;
    Some(match kind {
        ArgKind::FlockOp => flock_op(value),
        ArgKind::FutexOp => futex_op(value),
        ArgKind::IoctlCmd => ioctl_command(value as u32),
        ArgKind::SocketType => socket_type(value),
        ArgKind::SocketOption => socket_option(arg.previous() as i32, value),
        ArgKind::FcntlArg => fcntl_arg(arg),
        ArgKind::IoctlArg => ioctl_arg(arg),
        ArgKind::PrctlArg => prctl_arg(arg),
        _ => return None,
    })
}

fn flock_op(value: i32) -> String {
    use linux_abi::fs::LOCK_NB;
    let operation = named(names::FLOCK, i64::from(value & !LOCK_NB));
    if value & LOCK_NB != 0 { format!("{operation}|LOCK_NB") } else { operation }
}

fn futex_op(value: i32) -> String {
    let mut shown = named(names::FUTEX, i64::from(value & FUTEX_CMD_MASK));
    if value & FUTEX_PRIVATE_FLAG != 0 {
        shown.push_str("_PRIVATE");
    }
    if value & FUTEX_CLOCK_REALTIME != 0 {
        shown.push_str("|FUTEX_CLOCK_REALTIME");
    }
    shown
}

/// The name of a request, or its parts as `_IOC` puts them together.
pub(super) fn ioctl_command(value: u32) -> String {
    let table = [names::TTY_IOCTL, names::SOCKET_IOCTL, names::NS_IOCTL];
    let known = table.iter().flat_map(|table| table.iter());
    for (number, name) in known {
        if *number == i64::from(value) {
            return (*name).to_owned();
        }
    }
    let direction = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"];
    let direction = direction[(value >> 30) as usize];
    let (kind, number, size) = (value >> 8 & 0xff, value & 0xff, value >> 16 & 0x3fff);
    format!("_IOC({direction}, {kind:#x}, {number:#x}, {size:#x})")
}

fn socket_type(value: i32) -> String {
    let kind = named(names::SOCKET_TYPE, i64::from(value & SOCK_TYPE_MASK));
    let rest = (value & !SOCK_TYPE_MASK) as u32;
    if rest == 0 { kind } else { format!("{kind}|{}", join::<SocketFlags>("SOCK_", rest.into())) }
}

fn socket_option(level: i32, option: i32) -> String {
    let table = match level {
        linux_abi::net::SOL_SOCKET => names::SO,
        linux_abi::net::SOL_TCP => names::TCP,
        linux_abi::net::SOL_IP => names::IP,
        linux_abi::net::SOL_IPV6 => names::IPV6,
        linux_abi::net::SOL_UDP => names::UDP,
        linux_abi::net::SOL_NETLINK => names::NETLINK,
        _ => &[],
    };
    named(table, option.into())
}

fn fcntl_arg(arg: &Arg<'_>) -> String {
    use linux_abi::fs::*;
    let value = arg.value();
    match arg.previous() as i32 {
        F_SETFL => open_flags(value as u32),
        F_SETFD if value as u32 & FD_CLOEXEC != 0 => "FD_CLOEXEC".to_owned(),
        F_ADD_SEALS => join::<SealFlags>("F_SEAL_", u64::from(value as u32)),
        F_SETSIG => numbers::signal(value as i32),
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
            flock(arg).unwrap_or_else(|| format!("{value:#x}"))
        }
        F_DUPFD | F_DUPFD_CLOEXEC | F_SETFD | F_SETOWN | F_SETLEASE | F_SETPIPE_SZ => {
            (value as i32).to_string()
        }
        _ => format!("{value:#x}"),
    }
}

fn flock(arg: &Arg<'_>) -> Option<String> {
    let lock: Flock = read(arg.memory, arg.value())?;
    let kind = named(names::LOCK_KIND, lock.kind.into());
    let whence = named(names::WHENCE, lock.whence.into());
    let (start, len) = (lock.start, lock.len);
    Some(format!("{{l_type={kind}, l_whence={whence}, l_start={start}, l_len={len}}}"))
}

fn ioctl_arg(arg: &Arg<'_>) -> String {
    use linux_abi::tty::{FIOASYNC, FIONBIO, TIOCSPGRP, TIOCSPTLCK, TIOCSWINSZ, Winsize};
    let value = arg.value();
    let shown = match arg.previous() as u32 {
        FIONBIO | FIOASYNC | TIOCSPTLCK | TIOCSPGRP => {
            read::<i32>(arg.memory, value).map(|number| format!("[{number}]"))
        }
        TIOCSWINSZ => read::<Winsize>(arg.memory, value)
            .map(|size| format!("{{ws_row={}, ws_col={}}}", size.row, size.col)),
        _ => None,
    };
    shown.unwrap_or_else(|| format!("{value:#x}"))
}

fn prctl_arg(arg: &Arg<'_>) -> String {
    use linux_abi::task::*;
    let value = arg.value();
    match arg.previous() as i32 {
        PR_SET_NAME => {
            text::short_string(arg.memory, value).unwrap_or_else(|| format!("{value:#x}"))
        }
        PR_SET_PDEATHSIG => numbers::signal(value as i32),
        PR_CAPBSET_READ | PR_CAPBSET_DROP => named(names::CAPABILITY, value as i64),
        PR_CAP_AMBIENT => named(names::CAP_AMBIENT, value as i64),
        PR_SET_DUMPABLE
        | PR_SET_KEEPCAPS
        | PR_SET_NO_NEW_PRIVS
        | PR_SET_CHILD_SUBREAPER
        | PR_SET_SECCOMP => value.to_string(),
        _ => format!("{value:#x}"),
    }
}
