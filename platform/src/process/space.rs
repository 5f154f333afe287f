//! [`AddressSpace`]: the memory of a stub process.
//!
//! Locks (each held for a few instructions, none while another is taken): `Common::procfs`,
//! `Memory::users`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linux_abi::Errno;
use parking_lot::{Mutex, RwLock};

use super::procfs::Procfs;
use super::{PAGE_BYTES, Tid, copy};
use crate::contract::{AddressSpace, HostMapping, Layout, MemoryUsage, PreparedCode};
use crate::host::last_errno;

/// What all address spaces of a platform share.
pub(crate) struct Common {
    pub(crate) layout: Layout,
    pub(crate) procfs: RwLock<Option<Procfs>>,
    pub(crate) own: OwnMemory,
    next_id: AtomicU64,
}

/// How much of a stub's memory is the platform's and not the guest's, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnMemory {
    pub(crate) mapped: u64,
    pub(crate) resident: u64,
    /// Private and writable.
    pub(crate) data: u64,
}

impl Common {
    pub(crate) fn new(layout: Layout, own: OwnMemory) -> Common {
        let procfs = RwLock::new(Procfs::mounted());
        Common { layout, procfs, own, next_id: AtomicU64::new(1) }
    }

    pub(crate) fn new_memory(&self, disguise: Option<Arc<dyn Disguise>>) -> Arc<Memory> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Arc::new(Memory { id, disguise, users: Mutex::default() })
    }

    /// Whether a host thread waits in the host without end in sight: for a disk, or stopped.
    pub(crate) fn is_held_up(&self, tid: Tid) -> bool {
        self.state(tid).is_some_and(|state| matches!(state, b'D' | b'T' | b't'))
    }

    /// What a host thread does, `proc_pid_stat(5)`; `None` if that cannot be known.
    pub(crate) fn state(&self, tid: Tid) -> Option<u8> {
        self.procfs.read().as_ref().and_then(|procfs| procfs.state(tid).ok())
    }

    /// CPU time of a host thread in nanoseconds, zero when it is gone.
    ///
    /// All of it counts as user time: what the guest does in "its kernel" happens in the sentry.
    pub(crate) fn cpu_time_ns(&self, tid: Tid) -> u64 {
        let procfs = self.procfs.read();
        let time = procfs.as_ref().map(|procfs| procfs.run_time_ns(tid));
        time.and_then(Result::ok).unwrap_or(0)
    }
}

/// Reads bytes at an address; `false` if that cannot be done.
pub(crate) type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

/// Writes bytes to an address.
pub(crate) type Write<'a> = &'a mut dyn FnMut(u64, &[u8]);

/// What a platform has put among the guest's memory, and shows to nobody.
pub(crate) trait Disguise: Send + Sync {
    /// Puts the guest's own bytes into what was read at `addr`.
    fn hide(&self, addr: u64, bytes: &mut [u8]);

    /// Mappings that are the platform's.
    fn areas(&self) -> Vec<Range<u64>>;

    /// See [`AddressSpace::set_plain_range`].
    fn set_plain(&self, range: Range<u64>);

    /// See [`AddressSpace::set_heap`].
    fn set_heap(&self, start: u64);

    /// See [`AddressSpace::set_prepared`].
    fn set_prepared(&self, start: u64, code: &Arc<PreparedCode>);

    /// Puts the guest's own bytes into a range of memory, for good.
    fn uncover(&self, range: Range<u64>, read: Read<'_>, write: Write<'_>);
}

/// An address space, which several processes may share.
pub(crate) struct Memory {
    pub(crate) id: u64,
    disguise: Option<Arc<dyn Disguise>>,
    /// Threads through which it can be reached.
    users: Mutex<Vec<Tid>>,
}

impl Memory {
    /// A thread through which the memory can be reached. Errors: ESRCH if there is none.
    fn user(&self) -> Result<Tid, Errno> {
        self.users.lock().first().copied().ok_or(Errno::ESRCH)
    }

    /// Number of threads that have the memory.
    pub(crate) fn user_count(&self) -> usize {
        self.users.lock().len()
    }

    pub(crate) fn add_user(&self, tid: Tid) {
        self.users.lock().push(tid);
    }

    pub(crate) fn remove_user(&self, tid: Tid) {
        self.users.lock().retain(|&user| user != tid);
    }
}

/// The memory of a stub process and of those that share it.
pub(crate) struct Space {
    common: Arc<Common>,
    /// Whose resource limits count.
    tgid: Tid,
    memory: Arc<Memory>,
}

impl Space {
    pub(crate) fn new(common: Arc<Common>, tgid: Tid, memory: Arc<Memory>) -> Space {
        Space { common, tgid, memory }
    }

    /// How many of `len` bytes at `addr` come before the platform's own region, which no access
    /// may reach: the guest could make its code page call the host.
    ///
    /// Errors: EFAULT if that is none.
    fn accessible(&self, addr: u64, len: usize) -> Result<usize, Errno> {
        let reserved = &self.common.layout.reserved;
        if addr >= reserved.end || len == 0 {
            return Ok(len);
        }
        let before = reserved.start.saturating_sub(addr);
        if before == 0 { Err(Errno::EFAULT) } else { Ok(len.min(before as usize)) }
    }

    /// Makes a stack whose lowest page lies above `addr` grow down to it, as it would if the guest
    /// itself touched that address; answers whether the page is there now.
    ///
    /// `process_vm_readv` and its kin do not grow stacks (since Linux 6.5), `/proc/[pid]/mem` does. It
    /// looks at the limit of the caller, so that of the guest is checked here.
    fn grow_stack(&self, tid: Tid, addr: u64) -> bool {
        let fits = || -> Option<bool> {
            let mappings = self.with_procfs(|procfs| procfs.mappings(tid)).ok()?;
            let above = mappings.iter().find(|mapping| mapping.range.end > addr)?;
            let size = above.range.end - addr / PAGE_BYTES * PAGE_BYTES;
            let limit = limit(self.tgid, libc::RLIMIT_STACK).ok()?.rlim_cur;
            Some(above.range.start > addr && size <= limit)
        };
        fits() == Some(true) && self.with_procfs(|procfs| procfs.touch(tid, addr)).is_ok()
    }

    /// A resource limit in bytes.
    pub(crate) fn limit(&self, resource: u32) -> Result<u64, Errno> {
        limit(self.tgid, resource).map(|limit| limit.rlim_cur)
    }

    fn areas(&self) -> Vec<Range<u64>> {
        self.memory.disguise.as_ref().map_or(Vec::new(), |disguise| disguise.areas())
    }

    fn with_procfs<T>(&self, ask: impl FnOnce(&Procfs) -> Result<T, Errno>) -> Result<T, Errno> {
        self.common.procfs.read().as_ref().ok_or(Errno::ENOSYS).and_then(ask)
    }
}

impl AddressSpace for Space {
    fn layout(&self) -> &Layout {
        &self.common.layout
    }

    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        let tid = self.memory.user()?;
        let result = match copy::read(tid, addr, &mut buf[..len]) {
            Err(Errno::EFAULT) if self.grow_stack(tid, addr) => {
                copy::read(tid, addr, &mut buf[..len])
            }
            result => result,
        };
        if let (Ok(done), Some(disguise)) = (result, &self.memory.disguise) {
            disguise.hide(addr, &mut buf[..done]);
        }
        result
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        let tid = self.memory.user()?;
        match copy::write(tid, addr, &buf[..len]) {
            Err(Errno::EFAULT) if self.grow_stack(tid, addr) => copy::write(tid, addr, &buf[..len]),
            result => result,
        }
    }

    fn write_forced(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        let len = self.accessible(addr, buf.len())?;
        let tid = self.memory.user()?;
        self.with_procfs(|procfs| {
            if let Some(disguise) = &self.memory.disguise {
                let range = addr..addr.saturating_add(len as u64);
                // What is not mapped any more needs no change either.
                let read = |at, bytes: &mut [u8]| copy::read(tid, at, bytes) == Ok(bytes.len());
                disguise.uncover(range, &read, &mut |at, bytes| {
                    let _ = procfs.write_memory(tid, at, bytes);
                });
            }
            procfs.write_memory(tid, addr, &buf[..len])
        })
    }

    fn mappings(&self) -> Result<Vec<HostMapping>, Errno> {
        let tid = self.memory.user()?;
        let all = self.with_procfs(|procfs| procfs.mappings(tid))?;
        let mut holes = vec![self.common.layout.reserved.clone()];
        holes.extend(self.areas());
        let cut = |mappings: Vec<HostMapping>, hole: &Range<u64>| {
            mappings.into_iter().flat_map(|mapping| without(mapping, hole)).collect()
        };
        Ok(holes.iter().fold(all, cut))
    }

    fn usage(&self) -> Result<MemoryUsage, Errno> {
        let tid = self.memory.user()?;
        let mut usage = self.with_procfs(|procfs| procfs.usage(tid))?;
        let areas = self.areas().iter().map(|area| area.end - area.start).sum::<u64>();
        let own_bytes = self.common.own.mapped + areas;
        usage.virtual_size = usage.virtual_size.saturating_sub(own_bytes);
        usage.resident = usage.resident.saturating_sub(self.common.own.resident);
        usage.data = usage.data.saturating_sub(self.common.own.data);
        Ok(usage)
    }

    fn set_limit(&self, resource: i32, soft: u64) -> Result<(), Errno> {
        let own_bytes = match resource as u32 {
            libc::RLIMIT_AS => self.common.own.mapped,
            libc::RLIMIT_DATA => self.common.own.data,
            libc::RLIMIT_STACK | libc::RLIMIT_MEMLOCK => 0,
            _ => return Err(Errno::EINVAL),
        };
        let tgid = self.tgid;
        let mut limit = limit(tgid, resource as u32)?;
        let soft = soft.saturating_add(own_bytes).min(limit.rlim_max);
        if soft == limit.rlim_cur {
            return Ok(());
        }
        limit.rlim_cur = soft;
        // SAFETY: `limit` is live; the old limit is not asked for.
        let result = unsafe {
            libc::prlimit64(tgid, resource as u32, &raw const limit, std::ptr::null_mut())
        };
        if result == 0 { Ok(()) } else { Err(last_errno()) }
    }

    fn set_plain_range(&self, range: Range<u64>) {
        if let Some(disguise) = &self.memory.disguise {
            disguise.set_plain(range);
        }
    }

    fn set_heap(&self, start: u64) {
        if let Some(disguise) = &self.memory.disguise {
            disguise.set_heap(start);
        }
    }

    fn set_prepared(&self, start: u64, code: &Arc<PreparedCode>) {
        if let Some(disguise) = &self.memory.disguise {
            disguise.set_prepared(start, code);
        }
    }

    fn id(&self) -> u64 {
        self.memory.id
    }
}

/// A host resource limit of a process.
fn limit(tgid: Tid, resource: u32) -> Result<libc::rlimit64, Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given; `limit` is live and gets the old one.
    let result = unsafe { libc::prlimit64(tgid, resource, std::ptr::null(), &raw mut limit) };
    if result == 0 { Ok(limit) } else { Err(last_errno()) }
}

/// The parts of a mapping outside `hole`. The host may have merged guest memory with ours.
fn without(mapping: HostMapping, hole: &Range<u64>) -> impl Iterator<Item = HostMapping> {
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
