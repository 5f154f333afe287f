//! What the host's procfs says about a stub process.
//!
//! The sentry has an empty root, so files are opened below a directory descriptor that it was
//! given. It must be a procfs of the sentry's own pid namespace: host pids are file names there.

use std::os::fd::{AsFd, OwnedFd};

use linux_abi::Errno;
use rustix::fs::{Mode, OFlags};

use super::Tid;
use crate::contract::{HostMapping, MemoryUsage};
use crate::host::fs;

use super::PAGE_BYTES;

/// A procfs of the sentry's pid namespace.
#[derive(Debug)]
pub(crate) struct Procfs(OwnedFd);

impl Procfs {
    /// Checks that the directory is what it should be.
    ///
    /// Errors: EINVAL if it is no procfs or one of another pid namespace.
    pub(crate) fn new(directory: OwnedFd) -> Result<Procfs, Errno> {
        let target = rustix::fs::readlinkat(&directory, "self", Vec::new());
        let own = crate::host::process::pid().to_string();
        match target {
            Ok(target) if target.as_bytes() == own.as_bytes() => Ok(Procfs(directory)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The one mounted where it usually is.
    pub(crate) fn mounted() -> Option<Procfs> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Procfs::new(rustix::fs::open("/proc", flags, Mode::empty()).ok()?).ok()
    }

    pub(crate) fn mappings(&self, tid: Tid) -> Result<Vec<HostMapping>, Errno> {
        let text = self.read(tid, "maps")?;
        Ok(String::from_utf8_lossy(&text).lines().filter_map(parse_mapping).collect())
    }

    pub(crate) fn usage(&self, tid: Tid) -> Result<MemoryUsage, Errno> {
        let text = self.read(tid, "statm")?;
        parse_usage(&String::from_utf8_lossy(&text)).ok_or(Errno::ESRCH)
    }

    /// Processes that a thread of the sentry has made, or that were made in its name.
    ///
    /// Errors: ESRCH where the host has no such list.
    pub(crate) fn children(&self, tid: Tid) -> Result<Vec<Tid>, Errno> {
        let text = self.read(tid, &format!("task/{tid}/children"))?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// What a thread does, `proc_pid_stat(5)`: `R`, `S`, `D` and so on.
    pub(crate) fn state(&self, tid: Tid) -> Result<u8, Errno> {
        let text = self.read(tid, "stat")?;
        // The name before it may contain anything.
        let behind_name = text.rsplit(|&byte| byte == b')').next().unwrap_or(&[]);
        behind_name.get(1).copied().ok_or(Errno::EIO)
    }

    /// CPU time of one thread in nanoseconds.
    pub(crate) fn run_time_ns(&self, tid: Tid) -> Result<u64, Errno> {
        let text = self.read(tid, "schedstat")?;
        let text = String::from_utf8_lossy(&text);
        text.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok()).ok_or(Errno::EIO)
    }

    /// Writes to the process' memory, see [`ProcessMemory::write`].
    ///
    /// Errors: EFAULT where nothing is mapped; ESRCH.
    pub(crate) fn write_memory(&self, tid: Tid, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        self.memory(tid)?.write(addr, buf)
    }

    /// The process' memory, for several writes. Errors: ESRCH.
    pub(crate) fn memory(&self, tid: Tid) -> Result<ProcessMemory, Errno> {
        self.open(tid, "mem", OFlags::RDWR).map(ProcessMemory)
    }

    /// Makes the page at `addr` present if there is a mapping for it, or a stack that can grow to it.
    ///
    /// Errors: EFAULT, ESRCH.
    pub(crate) fn touch(&self, tid: Tid, addr: u64) -> Result<(), Errno> {
        let memory = self.open(tid, "mem", OFlags::RDONLY)?;
        match fs::pread(&memory, &mut [0], addr) {
            Ok(1) => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }

    fn open(&self, tid: Tid, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = format!("{tid}/{name}");
        match rustix::fs::openat(self.0.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(file),
            Err(rustix::io::Errno::NOENT) => Err(Errno::ESRCH),
            Err(error) => Err(Errno::from_raw(error.raw_os_error())),
        }
    }

    fn read(&self, tid: Tid, name: &str) -> Result<Vec<u8>, Errno> {
        let file = self.open(tid, name, OFlags::RDONLY)?;
        let mut text = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            match fs::read(&file, &mut chunk)? {
                0 => return Ok(text),
                len => text.extend_from_slice(&chunk[..len]),
            }
        }
    }
}

/// The memory that a process had when this was opened.
pub(crate) struct ProcessMemory(OwnedFd);

impl ProcessMemory {
    /// Writes regardless of page protections.
    ///
    /// Errors: EFAULT where nothing is mapped, and when the memory is gone.
    pub(crate) fn write(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < buf.len() {
            match fs::pwrite(&self.0, &buf[done..], addr.wrapping_add(done as u64)) {
                Ok(written) if written > 0 => done += written,
                _ if done > 0 => break,
                _ => return Err(Errno::EFAULT),
            }
        }
        Ok(done)
    }
}

/// Parses one line of `/proc/[pid]/maps`, `proc_pid_maps(5)`; `None` for one not understood and
/// for `[vsyscall]`, which is no mapping.
pub(crate) fn parse_mapping(line: &str) -> Option<HostMapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let flags = fields.next()?.as_bytes();
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?;
    let name = fields.next().unwrap_or("").trim_start();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    // A name is a path, which may look like anything, unless the memory belongs to no file.
    let inode = inode.parse().ok()?;
    let is_label = inode == 0 && name.starts_with('[');
    (name != "[vsyscall]" && flags.len() == 4).then(|| {
        Some(HostMapping {
            range: hex(start)?..hex(end)?,
            read: flags[0] == b'r',
            write: flags[1] == b'w',
            exec: flags[2] == b'x',
            shared: flags[3] == b's',
            offset: hex(offset)?,
            dev: (hex(major)? as u32, hex(minor)? as u32),
            inode,
            label: if is_label { name.to_owned() } else { String::new() },
        })
    })?
}

fn parse_usage(text: &str) -> Option<MemoryUsage> {
    let mut pages = text.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let mut next = || pages.next().flatten().map(|count| count * PAGE_BYTES);
    let (virtual_size, resident, shared) = (next()?, next()?, next()?);
    let (_text, _lib, data) = (next()?, next()?, next()?);
    Some(MemoryUsage { virtual_size, resident, shared, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_understood() {
        let line = "7ffd1000-7ffd2000 rw-s 00001000 fe:02 1234                       /a b [x]";
        let mapping = parse_mapping(line).expect("a file mapping");
        assert_eq!(mapping.range, 0x7ffd_1000..0x7ffd_2000);
        assert!(mapping.read && mapping.write && !mapping.exec && mapping.shared);
        assert_eq!((mapping.offset, mapping.dev, mapping.inode), (0x1000, (0xfe, 2), 1234));
        assert_eq!(mapping.label, "");
        let vdso = parse_mapping("7fff0000-7fff2000 r-xp 00000000 00:00 0     [vdso]");
        assert_eq!(vdso.expect("vdso").label, "[vdso]");
        let anonymous = parse_mapping("1000-2000 ---p 00000000 00:00 0 ").expect("anonymous");
        assert_eq!(anonymous.label, "");
    }

    #[test]
    fn odd_lines_are_skipped() {
        for line in ["", "x", "1-2", "1000-2000 rw 0 0:0 0", "zz-11 rw-p 0 00:00 0"] {
            assert_eq!(parse_mapping(line), None, "{line}");
        }
        let vsyscall = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]";
        assert_eq!(parse_mapping(vsyscall), None);
    }

    #[test]
    fn statm_counts_pages() {
        let usage = parse_usage("10 5 2 1 0 4 0\n").expect("statm");
        assert_eq!((usage.virtual_size, usage.data), (40960, 16384));
        assert_eq!(parse_usage("10 5"), None);
    }
}
