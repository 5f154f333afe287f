//! Arguments that are plain numbers.

use linux_abi::fs::{AT_FDCWD, FileKind, S_IFMT, major, minor};
use linux_abi::signal::{SIGRTMAX, SIGRTMIN, signal_name};

use super::ArgKind;

/// Shows numbers; `None` for other kinds.
pub(super) fn number(kind: ArgKind, value: u64) -> Option<String> {
    Some(match kind {
        ArgKind::Int | ArgKind::Pid | ArgKind::Fd => (value as i32).to_string(),
        ArgKind::UInt => (value as u32).to_string(),
        ArgKind::Long | ArgKind::Offset => (value as i64).to_string(),
        ArgKind::ULong | ArgKind::Size => value.to_string(),
        ArgKind::Hex => format!("{value:#x}"),
        ArgKind::Pointer if value == 0 => "NULL".to_owned(),
        ArgKind::Pointer => format!("{value:#x}"),
        ArgKind::Octal => octal(value as u32),
        // -1 means "leave as it is" and is a common argument.
        ArgKind::Uid | ArgKind::Gid if value as i32 == -1 => "-1".to_owned(),
        ArgKind::Uid | ArgKind::Gid => (value as u32).to_string(),
        ArgKind::DirFd if value as i32 == AT_FDCWD => "AT_FDCWD".to_owned(),
        ArgKind::DirFd => (value as i32).to_string(),
        ArgKind::Mode => mode(value as u32),
        ArgKind::Device => format!("makedev({:#x}, {:#x})", major(value), minor(value)),
        ArgKind::Signal => signal(value as i32),
        ArgKind::IpcKey if value as i32 == 0 => "IPC_PRIVATE".to_owned(),
        ArgKind::IpcKey => format!("{:#x}", value as u32),
        _ => return None,
    })
}

fn octal(value: u32) -> String {
    if value == 0 { "0".to_owned() } else { format!("0{value:o}") }
}

/// A mode as `S_IFREG|0644`, without the kind if there is none.
pub(super) fn mode(mode: u32) -> String {
    let permissions = format!("0{:03o}", mode & !S_IFMT);
    let kind = match FileKind::from_mode(mode) {
        Some(FileKind::Regular) => "S_IFREG",
        Some(FileKind::Directory) => "S_IFDIR",
        Some(FileKind::Symlink) => "S_IFLNK",
        Some(FileKind::CharDevice) => "S_IFCHR",
        Some(FileKind::BlockDevice) => "S_IFBLK",
        Some(FileKind::Fifo) => "S_IFIFO",
        Some(FileKind::Socket) => "S_IFSOCK",
        None => return format!("0{:03o}", mode),
    };
    format!("{kind}|{permissions}")
}

/// A signal's name; real-time signals count from `SIGRTMIN`.
pub(super) fn signal(number: i32) -> String {
    match (signal_name(number), number) {
        (Some(name), _) => name.to_owned(),
        (None, SIGRTMIN) => "SIGRTMIN".to_owned(),
        (None, SIGRTMIN..=SIGRTMAX) => format!("SIGRT_{}", number - SIGRTMIN),
        _ => number.to_string(),
    }
}
