//! [`AddressSpace`] by ptrace: the memory of a stub process.

use std::sync::Arc;

use linux_abi::Errno;

use super::copy;
use super::procfs::Procfs;
use super::stub::{PAGE_BYTES, Region};
use super::tracer::{Process, Tracer};
use crate::contract::{AddressSpace, HostMapping, Layout, MemoryUsage};
use crate::host::last_errno;

pub(super) struct PtraceSpace {
    tracer: Arc<Tracer>,
    process: Arc<Process>,
}

impl PtraceSpace {
    pub(super) fn new(tracer: Arc<Tracer>, process: Arc<Process>) -> PtraceSpace {
        PtraceSpace { tracer, process }
    }

    /// How many of `len` bytes at `addr` come before the platform's own region, which no access
    /// may reach: the guest could make its code page call the host.
    ///
    /// Errors: EFAULT if that is none.
    fn accessible(&self, addr: u64, len: usize) -> Result<usize, Errno> {
        let reserved = &self.tracer.layout.reserved;
        if addr >= reserved.end || len == 0 {
            return Ok(len);
        }
        let before = reserved.start.saturating_sub(addr);
        if before == 0 { Err(Errno::EFAULT) } else { Ok(len.min(before as usize)) }
    }

    fn with_procfs<T>(&self, ask: impl FnOnce(&Procfs) -> Result<T, Errno>) -> Result<T, Errno> {
        self.tracer.procfs.read().as_ref().ok_or(Errno::ENOSYS).and_then(ask)
    }
}

impl AddressSpace for PtraceSpace {
    fn layout(&self) -> &Layout {
        &self.tracer.layout
    }

    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        copy::read(self.process.memory.user()?, addr, &mut buf[..len])
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        copy::write(self.process.memory.user()?, addr, &buf[..len])
    }

    fn write_forced(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        let tid = self.process.memory.user()?;
        self.with_procfs(|procfs| procfs.write_memory(tid, addr, &buf[..len]))
    }

    fn mappings(&self) -> Result<Vec<HostMapping>, Errno> {
        let tid = self.process.memory.user()?;
        let all = self.with_procfs(|procfs| procfs.mappings(tid))?;
        let reserved = &self.tracer.layout.reserved;
        Ok(all.into_iter().flat_map(|mapping| without(mapping, reserved)).collect())
    }

    fn usage(&self) -> Result<MemoryUsage, Errno> {
        let tid = self.process.memory.user()?;
        let mut usage = self.with_procfs(|procfs| procfs.usage(tid))?;
        usage.virtual_size = usage.virtual_size.saturating_sub(Region::BYTES);
        usage.resident = usage.resident.saturating_sub(Region::BYTES);
        usage.data = usage.data.saturating_sub(PAGE_BYTES);
        Ok(usage)
    }

    fn set_limit(&self, resource: i32, soft: u64) -> Result<(), Errno> {
        let own_bytes = match resource as u32 {
            libc::RLIMIT_AS => Region::BYTES,
            libc::RLIMIT_DATA => PAGE_BYTES,
            libc::RLIMIT_STACK | libc::RLIMIT_MEMLOCK => 0,
            _ => return Err(Errno::EINVAL),
        };
        let tgid = self.process.tgid;
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: no new limit is given; `limit` is live and gets the old one.
        let result =
            unsafe { libc::prlimit64(tgid, resource as u32, std::ptr::null(), &raw mut limit) };
        if result != 0 {
            return Err(last_errno());
        }
        limit.rlim_cur = soft.saturating_add(own_bytes).min(limit.rlim_max);
        // SAFETY: `limit` is live; the old limit is not asked for.
        let result = unsafe {
            libc::prlimit64(tgid, resource as u32, &raw const limit, std::ptr::null_mut())
        };
        if result == 0 { Ok(()) } else { Err(last_errno()) }
    }

    fn id(&self) -> u64 {
        self.process.memory.id
    }
}

/// The parts of a mapping outside `hole`. The host may have merged guest memory with ours.
fn without(mapping: HostMapping, hole: &std::ops::Range<u64>) -> impl Iterator<Item = HostMapping> {
    let range = mapping.range.clone();
    let below = range.start..range.end.min(hole.start);
    let above = range.start.max(hole.end)..range.end;
    [below, above].into_iter().filter(|part| part.start < part.end).map(move |part| HostMapping {
        offset: match mapping.inode {
            0 => mapping.offset,
            _ => mapping.offset + (part.start - range.start),
        },
        range: part,
        ..mapping.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hole_is_cut_out_of_merged_mappings() {
        let mapping = HostMapping {
            range: 0x1000..0x9000,
            read: true,
            write: true,
            exec: false,
            shared: false,
            offset: 0,
            dev: (0, 0),
            inode: 0,
            label: String::new(),
        };
        let ranges =
            |hole| -> Vec<_> { without(mapping.clone(), &hole).map(|part| part.range).collect() };
        assert_eq!(ranges(0x3000..0x5000), [0x1000..0x3000, 0x5000..0x9000]);
        assert_eq!(ranges(0x1000..0x9000), []);
        assert_eq!(ranges(0xa000..0xc000), std::slice::from_ref(&mapping.range));
        assert_eq!(ranges(0..0x2000).first(), Some(&(0x2000..0x9000)));
    }
}
