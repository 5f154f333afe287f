//! `/proc/[pid]/maps`.

use linux_abi::Errno;

use crate::fs::proc::subject::Subject;
use crate::fs::proc::text::escape;
use crate::mm::MapEntry;
use crate::task::Task;
use crate::vfs::{IoContext, Location, path_of};

/// Column where names start.
const NAME_COLUMN: usize = 73;

/// The memory map. Empty for a zombie.
pub(super) fn maps(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let Some(task) = subject.living_task()? else { return Ok(Vec::new()) };
    let root = reader_root(&task, io);
    let mut text = Vec::new();
    for entry in task.mm().map_entries()? {
        line(&entry, &root, &mut text);
    }
    Ok(text)
}

/// Root directory of the reader, for paths.
pub(super) fn reader_root(task: &Task, io: &IoContext<'_>) -> Location {
    io.task.map_or_else(|| task.fs().root(), |reader| reader.fs().root())
}

/// Appends the line of one mapping.
pub(super) fn line(entry: &MapEntry, root: &Location, text: &mut Vec<u8>) {
    let host = &entry.host;
    let letter = |is_set: bool, letter: char| if is_set { letter } else { '-' };
    let (offset, major, minor, inode) = origin(entry);
    let head = format!(
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {major:02x}:{minor:02x} {inode} ",
        host.range.start,
        host.range.end,
        letter(host.read, 'r'),
        letter(host.write, 'w'),
        letter(host.exec, 'x'),
        if host.shared { 's' } else { 'p' },
    );
    let name = name(entry, root);
    if name.is_empty() {
        text.extend_from_slice(head.as_bytes());
    } else {
        text.extend_from_slice(format!("{head:<NAME_COLUMN$}").as_bytes());
        text.extend_from_slice(&escape(&name, b"\n"));
    }
    text.push(b'\n');
}

/// Offset, device and inode of what is mapped.
fn origin(entry: &MapEntry) -> (u64, u32, u32, u64) {
    if let Some(file) = &entry.file {
        let attributes = file.location.dentry().inode().attributes();
        return match attributes {
            Ok(found) => (file.offset, found.device.major, found.device.minor, found.inode),
            Err(_) => (file.offset, 0, 0, 0),
        };
    }
    match is_shared_memory(entry) {
        true => (entry.host.offset, 0, 1, entry.host.inode),
        false => (0, 0, 0, 0),
    }
}

/// Memory shared between processes that belongs to no file of the guest.
fn is_shared_memory(entry: &MapEntry) -> bool {
    entry.file.is_none() && entry.host.shared && entry.host.inode != 0
}

fn name(entry: &MapEntry, root: &Location) -> Vec<u8> {
    if let Some(file) = &entry.file {
        return path_of(&file.location, root);
    }
    if entry.label.is_empty() && is_shared_memory(entry) {
        // Linux: shared anonymous memory is an unlinked file of its own.
        return b"/dev/zero (deleted)".to_vec();
    }
    entry.label.clone().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::testing::open_nothing;
    use platform::HostMapping;

    fn entry(label: &str, shared: bool, inode: u64) -> MapEntry {
        let host = HostMapping {
            range: 0x5645_10d8_0000..0x5645_10d8_2000,
            read: true,
            write: false,
            exec: true,
            shared,
            offset: 0x1000,
            dev: (0, 5),
            inode,
            label: String::new(),
        };
        MapEntry { host, file: None, label: label.to_owned() }
    }

    fn shown(entry: &MapEntry) -> String {
        let root = open_nothing().location().clone();
        let mut text = Vec::new();
        line(entry, &root, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_have_linux_columns() {
        assert_eq!(
            shown(&entry("[heap]", false, 0)),
            "564510d80000-564510d82000 r-xp 00000000 00:00 0                          [heap]\n"
        );
        assert_eq!(
            shown(&entry("", false, 0)),
            "564510d80000-564510d82000 r-xp 00000000 00:00 0 \n"
        );
        let shared = shown(&entry("", true, 77));
        assert!(shared.starts_with("564510d80000-564510d82000 r-xs 00001000 00:01 77 "));
        assert!(shared.ends_with(" /dev/zero (deleted)\n"));
    }
}
