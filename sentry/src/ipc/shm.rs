//! System V shared memory, shmop(2), shmctl(2).
//!
//! A segment is a memory file of the host. A process that attaches it maps that file, and its
//! record of file mappings then holds the segment's place: how many are attached is counted there,
//! and a removed segment goes when the last such record goes.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, TMPFS_MAGIC};
use linux_abi::ipc::{IPC_PRIVATE, IpcPerm, SHM_DEST, SHM_LOCKED, ShmidDs};
use platform::host;

use super::registry::Lookup;
use super::{Owner, Registry};
use crate::fs::synthetic::{FixedChildren, NodeSource, SyntheticDir, SyntheticFs};
use crate::kernel::Kernel;
use crate::mm::{PAGE_SIZE, page_up};
use crate::sync::{Mutex, Rank};
use crate::task::{Credentials, Pid};
use crate::vfs::{
    AttributeChange, Attributes, Dentry, DeviceId, File, Inode, InodeCommon, IoContext, Location,
    Mount, SimpleAttributes, now,
};

/// Most segments (`SHMMNI`), and most bytes and pages of them (`SHMMAX`, `SHMALL`).
pub const SHMMNI: usize = 4096;
pub const SHMMAX: u64 = u64::MAX - (1 << 24);
pub const SHMALL: u64 = u64::MAX - (1 << 24);

/// All segments.
pub struct SharedMemory {
    table: Mutex<Registry<Entry>>,
    mount: OnceLock<(Arc<Mount>, DeviceId)>,
}

struct Entry {
    owner: Owner,
    handle: Handle,
    size: u64,
    attached: i64,
    detached: i64,
    changed: i64,
    creator: Pid,
    last: Pid,
}

/// A segment that is removed lives on for those who have it attached.
enum Handle {
    Kept(Arc<Segment>),
    Removed(Weak<Segment>),
}

impl Handle {
    fn get(&self) -> Option<Arc<Segment>> {
        match self {
            Handle::Kept(segment) => Some(segment.clone()),
            Handle::Removed(segment) => segment.upgrade(),
        }
    }
}

/// The memory of a segment: an inode that nobody can open.
pub struct Segment {
    common: InodeCommon,
    attributes: SimpleAttributes,
    fd: Arc<OwnedFd>,
    size: u64,
}

impl Default for SharedMemory {
    fn default() -> SharedMemory {
        SharedMemory {
            table: Mutex::new(Rank::FileObject, Registry::new(SHMMNI)),
            mount: OnceLock::new(),
        }
    }
}

/// A segment as one sees it from outside.
pub struct SegmentFacts {
    pub id: i32,
    /// Without the number of attachments.
    pub facts: ShmidDs,
    pub segment: Arc<Segment>,
}

impl SharedMemory {
    /// `shmget(2)`.
    ///
    /// # Errors
    /// EINVAL (size), ENOENT, EEXIST, EACCES, ENOSPC, ENOMEM.
    pub fn get(
        &self,
        kernel: &Kernel,
        key: i32,
        size: u64,
        flags: u32,
        pid: Pid,
        credentials: &Credentials,
    ) -> Result<i32, Errno> {
        let mut table = self.lock();
        match table.look_up(key, flags)? {
            Lookup::Existing(id) => {
                let entry = table.get(id)?;
                if size > entry.size {
                    return Err(Errno::EINVAL);
                }
                entry.owner.check(credentials, flags)?;
                Ok(id)
            }
            Lookup::Create => {
                if size == 0 || size > SHMMAX {
                    return Err(Errno::EINVAL);
                }
                let owner = Owner::new(key, flags, credentials);
                let handle = Handle::Kept(self.segment(kernel, size, &owner)?);
                table.insert(
                    key,
                    Entry {
                        owner,
                        handle,
                        size,
                        attached: 0,
                        detached: 0,
                        changed: now().sec,
                        creator: pid,
                        last: 0,
                    },
                )
            }
        }
    }

    fn segment(&self, kernel: &Kernel, size: u64, owner: &Owner) -> Result<Arc<Segment>, Errno> {
        let bytes = page_up(size).ok_or(Errno::ENOMEM)?;
        // Linux: what could never be filled is refused by the overcommit heuristic.
        if bytes > kernel.memory_total {
            return Err(Errno::ENOMEM);
        }
        let fd = host::fs::memfd_create("sysv")?;
        host::fs::ftruncate(&fd, bytes).map_err(|_| Errno::ENOMEM)?;
        let (_, device) = self.mount(kernel);
        let inode = host::fs::stat(&fd)?.ino;
        let attributes =
            SimpleAttributes::new(*device, inode, FileKind::Regular, owner.mode & 0o777)
                .owned_by(owner.uid, owner.gid);
        let common = InodeCommon::default();
        Ok(Arc::new(Segment { common, attributes, fd: Arc::new(fd), size }))
    }

    fn mount(&self, kernel: &Kernel) -> &(Arc<Mount>, DeviceId) {
        self.mount.get_or_init(|| {
            let source = NodeSource::new(kernel.vfs.new_device());
            let root = SyntheticDir::fixed(&source, FixedChildren::new());
            let fs = SyntheticFs::new("tmpfs", TMPFS_MAGIC, root);
            (Mount::internal(Arc::new(fs)), source.device())
        })
    }

    /// The segment `id` for who wants to attach it with the permissions `wanted`, and its place.
    ///
    /// # Errors
    /// EINVAL, EACCES.
    pub fn attach(
        &self,
        kernel: &Kernel,
        id: i32,
        wanted: u32,
        credentials: &Credentials,
    ) -> Result<(Arc<Segment>, Location), Errno> {
        let mut table = self.lock();
        let entry = table.get(id)?;
        entry.owner.check(credentials, wanted)?;
        let segment = entry.handle.get().ok_or(Errno::EINVAL)?;
        let name = format!("/SYSV{:08x} (deleted)", entry.owner.key);
        drop(table);
        let (mount, _) = self.mount(kernel);
        let superblock = mount.superblock().clone();
        let dentry = Dentry::unattached(superblock, segment.clone(), name.as_bytes());
        Ok((segment, Location::new(mount.clone(), dentry)))
    }

    /// Notes that process `pid` has attached or detached `segment` just now.
    pub fn note(&self, segment: &Segment, pid: Pid, is_attached: bool) {
        let mut table = self.lock();
        let ids: Vec<i32> = table.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Ok(entry) = table.get(id) else { continue };
            let is_same =
                entry.handle.get().is_some_and(|own| std::ptr::eq(Arc::as_ptr(&own), segment));
            if is_same {
                entry.last = pid;
                let time = if is_attached { &mut entry.attached } else { &mut entry.detached };
                *time = now().sec;
            }
        }
    }

    /// Segment `id`, for who has the permissions `wanted`. Errors: EINVAL, EACCES.
    pub fn stat(
        &self,
        id: i32,
        wanted: u32,
        credentials: &Credentials,
    ) -> Result<SegmentFacts, Errno> {
        let mut table = self.lock();
        let entry = table.get(id)?;
        entry.owner.check(credentials, wanted)?;
        entry.facts(id).ok_or(Errno::EINVAL)
    }

    /// The segment at `index`. Without credentials nothing is checked. Errors: EINVAL, EACCES.
    pub fn stat_at(
        &self,
        index: i32,
        wanted: u32,
        credentials: Option<&Credentials>,
    ) -> Result<SegmentFacts, Errno> {
        let mut table = self.lock();
        let (id, entry) = table.at(index)?;
        if let Some(credentials) = credentials {
            entry.owner.check(credentials, wanted)?;
        }
        entry.facts(id).ok_or(Errno::EINVAL)
    }

    /// All segments.
    pub fn list(&self) -> Vec<SegmentFacts> {
        self.lock().iter().filter_map(|(id, entry)| entry.facts(id)).collect()
    }

    /// Number of segments and the highest index in use.
    pub fn usage(&self) -> (usize, usize) {
        let table = self.lock();
        (table.len(), table.highest_index())
    }

    /// `IPC_SET`. Errors: EINVAL, EPERM.
    pub fn change(&self, id: i32, wanted: &IpcPerm, who: &Credentials) -> Result<(), Errno> {
        let mut table = self.lock();
        let entry = table.get(id)?;
        entry.owner.check_control(who)?;
        entry.owner.change(wanted)?;
        entry.changed = now().sec;
        Ok(())
    }

    /// `IPC_RMID`: gone at once, or when the last process has detached it. Errors: EINVAL, EPERM.
    pub fn remove(&self, id: i32, credentials: &Credentials) -> Result<(), Errno> {
        let _segment = {
            let mut table = self.lock();
            let entry = table.get(id)?;
            entry.owner.check_control(credentials)?;
            let key = std::mem::replace(&mut entry.owner.key, IPC_PRIVATE);
            entry.owner.mode |= SHM_DEST;
            let segment = entry.handle.get();
            let weak = segment.as_ref().map_or_else(Weak::new, Arc::downgrade);
            let old = std::mem::replace(&mut entry.handle, Handle::Removed(weak));
            table.forget_key(key);
            (segment, old)
        };
        Ok(())
    }

    /// `SHM_LOCK` and `SHM_UNLOCK`: noted. Errors: EINVAL, EPERM.
    pub fn set_locked(&self, id: i32, locked: bool, who: &Credentials) -> Result<(), Errno> {
        let mut table = self.lock();
        let entry = table.get(id)?;
        let is_owner = who.euid == entry.owner.uid || who.euid == entry.owner.creator_uid;
        if !is_owner && !who.has(linux_abi::task::CAP_IPC_LOCK) {
            return Err(Errno::EPERM);
        }
        match locked {
            true => entry.owner.mode |= SHM_LOCKED,
            false => entry.owner.mode &= !SHM_LOCKED,
        }
        Ok(())
    }

    /// The table, without segments that are gone.
    fn lock(&self) -> crate::sync::MutexGuard<'_, Registry<Entry>> {
        let mut table = self.table.lock();
        table.retain(|entry| match &entry.handle {
            Handle::Kept(_) => true,
            Handle::Removed(segment) => segment.strong_count() > 0,
        });
        table
    }
}

impl Entry {
    fn facts(&self, id: i32) -> Option<SegmentFacts> {
        let facts = ShmidDs {
            perm: self.owner.to_perm(id),
            segsz: self.size,
            atime: self.attached,
            dtime: self.detached,
            ctime: self.changed,
            cpid: self.creator,
            lpid: self.last,
            ..ShmidDs::default()
        };
        Some(SegmentFacts { id, facts, segment: self.handle.get()? })
    }
}

impl Segment {
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Pages that hold data.
    pub fn resident_pages(&self) -> u64 {
        host::fs::stat(&*self.fd).map_or(0, |stat| stat.blocks as u64 * 512 / PAGE_SIZE)
    }

    /// How many attachments all processes have.
    pub fn attachments(&self, kernel: &Kernel) -> u64 {
        let mut seen = std::collections::HashSet::new();
        let mut count = 0;
        for group in kernel.tasks.groups() {
            let Some(task) = group.leader() else { continue };
            let mm = task.mm();
            if seen.insert(mm.memory().space().id()) {
                count += mm.with_record(|record| {
                    record.files.iter().filter(|mapping| self.is_at(&mapping.location)).count()
                }) as u64;
            }
        }
        count
    }

    /// Whether `location` is this segment's place.
    pub fn is_at(&self, location: &Location) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(location.dentry().inode()), std::ptr::from_ref(self))
    }
}

impl Inode for Segment {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::Regular
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes { size: self.size, ..self.attributes.get() })
    }

    fn set_attributes(&self, _: &AttributeChange) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Err(Errno::ENXIO)
    }
}
