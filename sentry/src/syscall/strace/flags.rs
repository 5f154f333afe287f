//! Arguments that are sets of flags.

use bitflags::Flags;
use linux_abi::fs::{
    AtFlags, CloseRangeFlags, FallocateFlags, InotifyInitFlags, InotifyMask, MemfdFlags,
    MountAttrFlags, MountFlags, MoveMountFlags, O_ACCMODE, OpenFlags, OpenTreeFlags, RenameFlags,
    RwFlags, SpliceFlags, StatxMask, SyncFileRangeFlags, UmountFlags, XattrFlags,
};
use linux_abi::mm::{
    MAP_SHARED_VALIDATE, MAP_TYPE, MapFlags, MlockallFlags, MremapFlags, MsyncFlags, ProtFlags,
};
use linux_abi::net::{MsgFlags, SocketFlags};
use linux_abi::poll::{EPOLL_CLOEXEC, EventfdFlags};
use linux_abi::random::GetrandomFlags;
use linux_abi::signal::SignalfdFlags;
use linux_abi::task::{CSIGNAL, CloneFlags, PidfdFlags, SeccompFilterFlags, WaitOptions};
use linux_abi::time::{TIMER_ABSTIME, TimerfdFlags, TimerfdSetFlags};

use super::{ArgKind, numbers};

/// Shows sets of flags; `None` for other kinds.
pub(super) fn flags(kind: ArgKind, value: u64) -> Option<String> {
    let word = u64::from(value as u32);
    Some(match kind {
        ArgKind::OpenFlags => open_flags(value as u32),
        ArgKind::AtFlags => join::<AtFlags>("AT_", word),
        ArgKind::AccessFlags => access_flags(value as u32),
        ArgKind::AccessMode => access_mode(value as u32),
        ArgKind::MsgFlags => join::<MsgFlags>("MSG_", word),
        ArgKind::RenameFlags => join::<RenameFlags>("RENAME_", word),
        ArgKind::FallocateFlags => join::<FallocateFlags>("FALLOC_FL_", word),
        ArgKind::SpliceFlags => join::<SpliceFlags>("SPLICE_F_", word),
        ArgKind::RwFlags => join::<RwFlags>("RWF_", word),
        ArgKind::MemfdFlags => join::<MemfdFlags>("MFD_", word),
        ArgKind::EventfdFlags => join::<EventfdFlags>("EFD_", word),
        ArgKind::EpollCreateFlags => single("EPOLL_CLOEXEC", EPOLL_CLOEXEC, value as u32),
        ArgKind::TimerfdFlags => join::<TimerfdFlags>("TFD_", word),
        ArgKind::TimerfdSetFlags => join::<TimerfdSetFlags>("TFD_TIMER_", word),
        ArgKind::TimerFlags => single("TIMER_ABSTIME", TIMER_ABSTIME, value as u32),
        ArgKind::SignalfdFlags => join::<SignalfdFlags>("SFD_", word),
        ArgKind::InotifyInitFlags => join::<InotifyInitFlags>("IN_", word),
        ArgKind::InotifyMask => join::<InotifyMask>("IN_", word),
        ArgKind::CloseRangeFlags => join::<CloseRangeFlags>("CLOSE_RANGE_", word),
        ArgKind::GetrandomFlags => join::<GetrandomFlags>("GRND_", word),
        ArgKind::SyncFileRangeFlags => join::<SyncFileRangeFlags>("SYNC_FILE_RANGE_", word),
        ArgKind::XattrFlags => join::<XattrFlags>("XATTR_", word),
        ArgKind::StatxMask => statx_mask(value as u32),
        ArgKind::IpcFlags => ipc_flags(value as u32),
        ArgKind::SocketFlags => join::<SocketFlags>("SOCK_", word),
        _ => return memory_flags(kind, value).or_else(|| task_flags(kind, value)),
    })
}

fn memory_flags(kind: ArgKind, value: u64) -> Option<String> {
    let word = u64::from(value as u32);
    Some(match kind {
        ArgKind::MmapProt if value == 0 => "PROT_NONE".to_owned(),
        ArgKind::MmapProt => join::<ProtFlags>("PROT_", word),
        ArgKind::MmapFlags if value as u32 & MAP_TYPE == MAP_SHARED_VALIDATE => {
            with_rest("MAP_SHARED_VALIDATE", word & !u64::from(MAP_TYPE), |rest| {
                join::<MapFlags>("MAP_", rest)
            })
        }
        ArgKind::MmapFlags => join::<MapFlags>("MAP_", word),
        ArgKind::MremapFlags => join::<MremapFlags>("MREMAP_", word),
        ArgKind::MsyncFlags => join::<MsyncFlags>("MS_", word),
        ArgKind::MlockallFlags => join::<MlockallFlags>("MCL_", word),
        ArgKind::MountFlags => join::<MountFlags>("MS_", value),
        ArgKind::UmountFlags => join::<UmountFlags>("MNT_", word),
        ArgKind::OpenTreeFlags => join::<OpenTreeFlags>("OPEN_TREE_", word),
        ArgKind::MoveMountFlags => join::<MoveMountFlags>("MOVE_MOUNT_", word),
        ArgKind::MountAttrFlags => join::<MountAttrFlags>("MOUNT_ATTR_", value),
        _ => return None,
    })
}

fn task_flags(kind: ArgKind, value: u64) -> Option<String> {
    let word = u64::from(value as u32);
    Some(match kind {
        ArgKind::CloneFlags => clone_flags(value),
        ArgKind::UnshareFlags => join::<CloneFlags>("CLONE_", value),
        ArgKind::WaitOptions => join::<WaitOptions>("W", word),
        ArgKind::PidfdFlags => join::<PidfdFlags>("PIDFD_", word),
        ArgKind::SeccompFlags => join::<SeccompFilterFlags>("SECCOMP_FILTER_FLAG_", word),
        _ => return None,
    })
}

/// The names of the flags in `value`, joined by `|`; unknown bits in hexadecimal.
pub(super) fn join<F: Flags>(prefix: &str, value: u64) -> String
where
    F::Bits: Into<u64>,
{
    let known = || F::FLAGS.iter().map(|flag| (flag.name(), flag.value().bits().into()));
    let mut rest = value;
    let mut shown = Vec::new();
    for (name, bits) in known() {
        if value & bits != bits || rest & bits == 0 {
            continue;
        }
        // A flag that another one contains, such as O_DSYNC in O_SYNC, is not named itself.
        let is_contained =
            |(_, other): (_, u64)| other != bits && other & bits == bits && value & other == other;
        if known().any(is_contained) {
            continue;
        }
        shown.push(linux_name(prefix, name));
        rest &= !bits;
    }
    if rest != 0 || shown.is_empty() {
        shown.push(if rest == 0 { "0".to_owned() } else { format!("{rest:#x}") });
    }
    shown.join("|")
}

/// The name of the headers; a few do not follow from their prefix.
fn linux_name(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("W", "NOTHREAD" | "ALL" | "CLONE") => format!("__W{name}"),
        ("MNT_", "NOFOLLOW") => "UMOUNT_NOFOLLOW".to_owned(),
        ("MAP_", "BITS32") => "MAP_32BIT".to_owned(),
        _ => format!("{prefix}{name}"),
    }
}

/// `first`, and the rest after a bar if there is any.
fn with_rest(first: &str, rest: u64, show: impl Fn(u64) -> String) -> String {
    if rest == 0 { first.to_owned() } else { format!("{first}|{}", show(rest)) }
}

fn single(name: &str, flag: u32, value: u32) -> String {
    match (value & flag != 0, value & !flag) {
        (true, 0) => name.to_owned(),
        (true, rest) => format!("{name}|{rest:#x}"),
        (false, 0) => "0".to_owned(),
        (false, rest) => format!("{rest:#x}"),
    }
}

pub(super) fn open_flags(value: u32) -> String {
    let access = match value & O_ACCMODE {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        2 => "O_RDWR",
        _ => "O_ACCMODE",
    };
    with_rest(access, u64::from(value & !O_ACCMODE), |rest| join::<OpenFlags>("O_", rest))
}

/// The bit that is `AT_REMOVEDIR` elsewhere is `AT_EACCESS` here.
fn access_flags(value: u32) -> String {
    let eaccess = AtFlags::EACCESS.bits();
    if value & eaccess == 0 {
        return join::<AtFlags>("AT_", u64::from(value));
    }
    with_rest("AT_EACCESS", u64::from(value & !eaccess), |rest| join::<AtFlags>("AT_", rest))
}

fn access_mode(value: u32) -> String {
    if value == 0 {
        return "F_OK".to_owned();
    }
    let mut shown: Vec<String> = [(4, "R_OK"), (2, "W_OK"), (1, "X_OK")]
        .iter()
        .filter(|(bit, _)| value & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect();
    if value & !7 != 0 {
        shown.push(format!("{:#x}", value & !7));
    }
    shown.join("|")
}

pub(super) fn statx_mask(value: u32) -> String {
    let basic = StatxMask::BASIC_STATS.bits();
    if value & basic != basic {
        return join::<StatxMask>("STATX_", u64::from(value));
    }
    let rest = u64::from(value & !basic);
    with_rest("STATX_BASIC_STATS", rest, |rest| join::<StatxMask>("STATX_", rest))
}

fn ipc_flags(value: u32) -> String {
    let names = [
        (linux_abi::ipc::IPC_CREAT, "IPC_CREAT"),
        (linux_abi::ipc::IPC_EXCL, "IPC_EXCL"),
        (linux_abi::ipc::IPC_NOWAIT, "IPC_NOWAIT"),
    ];
    let mut shown = String::new();
    let mut rest = value;
    for (bit, name) in names {
        if value & bit != 0 {
            shown.push_str(name);
            shown.push('|');
            rest &= !bit;
        }
    }
    format!("{shown}0{rest:03o}")
}

/// The flags of `clone(2)`, whose low byte is the exit signal.
pub(super) fn clone_flags(value: u64) -> String {
    let signal = value & CSIGNAL;
    let rest = value & !CSIGNAL;
    match (rest, signal) {
        (_, 0) => join::<CloneFlags>("CLONE_", rest),
        (0, _) => numbers::signal(signal as i32),
        _ => {
            format!("{}|{}", join::<CloneFlags>("CLONE_", rest), numbers::signal(signal as i32))
        }
    }
}
