//! Other structures in memory: file attributes, limits, readiness, facts about the system.

use linux_abi::fs::{OpenHow, ResolveFlags, Stat, StatFs, Statx, major, minor};
use linux_abi::poll::{EpollEvent, EpollEvents, PollEvents, PollFd};
use linux_abi::task::{
    CONTINUED_STATUS, CapData, CapHeader, CloneArgs, RLIM_INFINITY, Rlimit64, Rusage, SchedParam,
    SysInfo, Tms, Utsname, WCOREFLAG,
};

use super::flags::{clone_flags, join, open_flags, statx_mask};
use super::memory::{ReadMemory, read, read_array, read_bytes};
use super::numbers::{mode, signal};
use super::text::{MAX_ELEMENTS, array, quote};
use super::times::timeval;
use super::{Arg, ArgKind};

/// How many descriptors of a set are looked at.
const MAX_FD_SET: u64 = 4096;

/// Shows structures; `None` for other kinds.
pub(super) fn structure(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let (memory, addr) = (arg.memory, arg.value());
    match kind {
        ArgKind::Stat => read(memory, addr).map(stat),
        ArgKind::Statx => read(memory, addr).map(statx),
        ArgKind::StatFs => read(memory, addr).map(statfs),
        ArgKind::OpenHow => read(memory, addr).map(open_how),
        ArgKind::PollFds => poll_fds(memory, addr, arg.next(), "events", |fd| fd.events),
        ArgKind::EpollEvent => read(memory, addr).map(epoll_event),
        ArgKind::EpollEvents => epoll_events(memory, addr, arg.returned()),
        ArgKind::FdSet => fd_set(memory, addr, arg.raw[0]),
        ArgKind::FdPair => {
            read::<[i32; 2]>(memory, addr).map(|[first, second]| format!("[{first}, {second}]"))
        }
        ArgKind::IntPtr | ArgKind::OutInt => {
            read::<i32>(memory, addr).map(|value| format!("[{value}]"))
        }
        ArgKind::LongPtr | ArgKind::OutLong => {
            read::<i64>(memory, addr).map(|value| format!("[{value}]"))
        }
        ArgKind::GidArray => gid_array(memory, addr, arg.previous()),
        ArgKind::Dirents => Some(format!("{addr:#x} /* {} bytes */", arg.returned())),
        _ => task_structure(kind, arg),
    }
}

fn task_structure(kind: ArgKind, arg: &Arg<'_>) -> Option<String> {
    let (memory, addr) = (arg.memory, arg.value());
    match kind {
        ArgKind::Rlimit | ArgKind::OutRlimit => read(memory, addr).map(limit),
        ArgKind::Rusage => read(memory, addr).map(usage),
        ArgKind::Utsname => read(memory, addr).map(system_names),
        ArgKind::SysInfo => read(memory, addr).map(system_information),
        ArgKind::Tms => read(memory, addr).map(|tms: Tms| {
            let Tms { utime, stime, cutime, cstime } = tms;
            format!(
                "{{tms_utime={utime}, tms_stime={stime}, tms_cutime={cutime}, tms_cstime={cstime}}}"
            )
        }),
        ArgKind::CloneArgs => clone_args(memory, addr, arg.next()),
        ArgKind::SchedParam => {
            read::<SchedParam>(memory, addr).map(|param| format!("[{}]", param.priority))
        }
        ArgKind::CapHeader => read::<CapHeader>(memory, addr)
            .map(|header| format!("{{version={:#x}, pid={}}}", header.version, header.pid)),
        ArgKind::CapData => read(memory, addr).map(capabilities),
        // Linux: a call that found nobody leaves the status as it was.
        ArgKind::WaitStatus if arg.returned() == 0 => None,
        ArgKind::WaitStatus => {
            read::<i32>(memory, addr).map(|status| format!("[{{{}}}]", wait_status(status)))
        }
        _ => None,
    }
}

fn stat(stat: Stat) -> String {
    let shown = format!("{{st_mode={}, ", mode(stat.mode));
    let rest = if stat.rdev != 0 {
        format!("st_rdev=makedev({:#x}, {:#x})", major(stat.rdev), minor(stat.rdev))
    } else {
        format!("st_size={}", stat.size)
    };
    format!("{shown}{rest}, ...}}")
}

fn statx(statx: Statx) -> String {
    format!(
        "{{stx_mask={}, stx_mode={}, stx_size={}, ...}}",
        statx_mask(statx.mask),
        mode(statx.mode.into()),
        statx.size
    )
}

fn statfs(statfs: StatFs) -> String {
    format!(
        "{{f_type={:#x}, f_bsize={}, f_blocks={}, f_bfree={}, ...}}",
        statfs.kind, statfs.bsize, statfs.blocks, statfs.bfree
    )
}

fn open_how(how: OpenHow) -> String {
    format!(
        "{{flags={}, mode=0{:03o}, resolve={}}}",
        open_flags(how.flags as u32),
        how.mode,
        join::<ResolveFlags>("RESOLVE_", how.resolve)
    )
}

/// Shows descriptors with their events, or with what was reported, as `events` chooses.
pub(super) fn poll_fds(
    memory: ReadMemory<'_>,
    addr: u64,
    count: u64,
    label: &str,
    events: impl Fn(&PollFd) -> u16,
) -> Option<String> {
    let count = count as u32 as usize;
    let fds: Vec<PollFd> = read_array(memory, addr, count.min(MAX_ELEMENTS))?;
    let is_cut = fds.len() < count;
    let shown = fds.iter().map(|fd| {
        let events = join::<PollEvents>("POLL", events(fd).into());
        format!("{{fd={}, {label}={events}}}", fd.fd)
    });
    Some(array(shown.collect(), is_cut))
}

fn epoll_event(event: EpollEvent) -> String {
    let (events, data) = (event.events, event.data);
    format!("{{events={}, data={data:#x}}}", join::<EpollEvents>("EPOLL", events.into()))
}

fn epoll_events(memory: ReadMemory<'_>, addr: u64, count: u64) -> Option<String> {
    let shown = count.min(MAX_ELEMENTS as u64);
    let events: Vec<EpollEvent> = read_array(memory, addr, shown as usize)?;
    let is_cut = (events.len() as u64) < count;
    Some(array(events.into_iter().map(epoll_event).collect(), is_cut))
}

/// The members of a set among the first `count` descriptors.
fn fd_set(memory: ReadMemory<'_>, addr: u64, count: u64) -> Option<String> {
    let count = count.min(MAX_FD_SET) as usize;
    let bytes = read_bytes(memory, addr, count.div_ceil(64) * 8)?;
    let is_member = |fd: &usize| bytes.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1);
    let members: Vec<String> = (0..count).filter(is_member).map(|fd| fd.to_string()).collect();
    Some(format!("[{}]", members.join(" ")))
}

fn gid_array(memory: ReadMemory<'_>, addr: u64, count: u64) -> Option<String> {
    let count = count as u32 as usize;
    let gids: Vec<u32> = read_array(memory, addr, count.min(MAX_ELEMENTS))?;
    let is_cut = gids.len() < count;
    Some(array(gids.iter().map(u32::to_string).collect(), is_cut))
}

fn limit(limit: Rlimit64) -> String {
    let text = |value: u64| match value {
        RLIM_INFINITY => "RLIM64_INFINITY".to_owned(),
        value if value > 1024 && value.is_multiple_of(1024) => format!("{}*1024", value / 1024),
        value => value.to_string(),
    };
    format!("{{rlim_cur={}, rlim_max={}}}", text(limit.cur), text(limit.max))
}

fn usage(usage: Rusage) -> String {
    let (utime, stime) = (timeval(usage.utime), timeval(usage.stime));
    format!("{{ru_utime={utime}, ru_stime={stime}, ...}}")
}

fn system_names(names: Utsname) -> String {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        quote(&field[..end], false)
    };
    let (sysname, nodename) = (text(&names.sysname), text(&names.nodename));
    format!("{{sysname={sysname}, nodename={nodename}, ...}}")
}

fn system_information(info: SysInfo) -> String {
    format!(
        "{{uptime={}, totalram={}, freeram={}, procs={}, mem_unit={}, ...}}",
        info.uptime, info.totalram, info.freeram, info.procs, info.mem_unit
    )
}

/// The argument of `clone3(2)`, of which the caller gives `size` bytes.
fn clone_args(memory: ReadMemory<'_>, addr: u64, size: u64) -> Option<String> {
    use zerocopy::{FromZeros, IntoBytes};
    let mut args = CloneArgs::new_zeroed();
    let size = size.min(size_of::<CloneArgs>() as u64) as usize;
    let bytes = read_bytes(memory, addr, size)?;
    args.as_mut_bytes().get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(format!(
        "{{flags={}, child_tid={:#x}, parent_tid={:#x}, exit_signal={}, stack={:#x}, \
         stack_size={:#x}, tls={:#x}}}",
        clone_flags(args.flags),
        args.child_tid,
        args.parent_tid,
        signal(args.exit_signal as i32),
        args.stack,
        args.stack_size,
        args.tls
    ))
}

/// The two halves of the sets, put together.
fn capabilities(halves: [CapData; 2]) -> String {
    let [low, high] = halves;
    let whole = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    format!(
        "{{effective={:#x}, permitted={:#x}, inheritable={:#x}}}",
        whole(low.effective, high.effective),
        whole(low.permitted, high.permitted),
        whole(low.inheritable, high.inheritable)
    )
}

/// A wait status in the words of `wait(2)`.
fn wait_status(status: i32) -> String {
    if status == CONTINUED_STATUS {
        return "WIFCONTINUED(s)".to_owned();
    }
    match status & 0x7f {
        0 => format!("WIFEXITED(s) && WEXITSTATUS(s) == {}", status >> 8 & 0xff),
        0x7f => {
            let stop = format!("WIFSTOPPED(s) && WSTOPSIG(s) == {}", signal(status >> 8 & 0x7f));
            // A ptrace event, or the mark of a system call stop, is added to the signal.
            match status >> 15 {
                0 => stop,
                more => format!("{stop} | {:#x}", more << 7),
            }
        }
        number => {
            let core = if status & WCOREFLAG != 0 { " && WCOREDUMP(s)" } else { "" };
            format!("WIFSIGNALED(s) && WTERMSIG(s) == {}{core}", signal(number))
        }
    }
}
