//! Files that stand for namespaces, namespaces(7).
//!
//! A sandbox has one namespace of each kind but mount namespaces, which `unshare` copies. Their
//! numbers are not those of a machine's first namespaces, by which programs tell that they run in
//! a container.

use std::any::Any;
use std::sync::{Arc, OnceLock, Weak};

use linux_abi::Errno;
use linux_abi::fs::{FileKind, NSFS_MAGIC, OpenFlags};
use linux_abi::task::CloneFlags;

use super::ioctl;
use super::synthetic::{
    ChildCache, FixedChildren, NodeAttributes, NodeSource, SyntheticDir, SyntheticFs,
};
use crate::kernel::Kernel;
use crate::sync::{Mutex, Rank};
use crate::task::Task;
use crate::vfs::{
    AttributeChange, Attributes, Dentry, DeviceId, File, Inode, InodeCommon, IoContext, Location,
    Mount, MountNamespace,
};

const NS_GET_USERNS: u32 = 0xb701;
const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_NSTYPE: u32 = 0xb703;
const NS_GET_OWNER_UID: u32 = 0xb704;

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceKind {
    /// As in `/proc/[pid]/ns`.
    pub name: &'static str,
    /// The flag of `clone` and `setns`.
    pub flag: CloneFlags,
    /// Number of the sandbox' first.
    number: u64,
}

const fn kind(name: &'static str, flag: CloneFlags, number: u64) -> NamespaceKind {
    NamespaceKind { name, flag, number }
}

pub const MOUNT: NamespaceKind = kind("mnt", CloneFlags::NEWNS, 4_026_532_185);
pub const USER: NamespaceKind = kind("user", CloneFlags::NEWUSER, 4_026_532_184);
pub const CGROUP: NamespaceKind = kind("cgroup", CloneFlags::NEWCGROUP, 4_026_532_190);
pub const IPC: NamespaceKind = kind("ipc", CloneFlags::NEWIPC, 4_026_532_187);
pub const NET: NamespaceKind = kind("net", CloneFlags::NEWNET, 4_026_532_191);
pub const PID: NamespaceKind = kind("pid", CloneFlags::NEWPID, 4_026_532_188);
pub const TIME: NamespaceKind = kind("time", CloneFlags::NEWTIME, 4_026_532_192);
pub const UTS: NamespaceKind = kind("uts", CloneFlags::NEWUTS, 4_026_532_186);

/// Numbers of further mount namespaces start behind this one.
const LAST_FIXED: u64 = 4_026_532_200;

/// All namespaces of the sandbox that anybody has looked at.
pub struct Namespaces {
    home: OnceLock<Home>,
    files: ChildCache<u64>,
    mounts: Mutex<MountNumbers>,
}

struct Home {
    mount: Arc<Mount>,
    device: DeviceId,
}

/// Mount namespaces by number.
struct MountNumbers {
    known: Vec<(Weak<MountNamespace>, u64)>,
    last: u64,
}

impl Default for Namespaces {
    fn default() -> Namespaces {
        let numbers = MountNumbers { known: Vec::new(), last: LAST_FIXED };
        Namespaces {
            home: OnceLock::new(),
            files: ChildCache::default(),
            mounts: Mutex::new(Rank::Leaf, numbers),
        }
    }
}

impl Namespaces {
    /// Number of the namespace of `kind` that `task` is in.
    pub fn number(&self, kind: NamespaceKind, task: &Task) -> u64 {
        if kind != MOUNT {
            return kind.number;
        }
        let namespace = task.fs().namespace();
        let weak = Arc::downgrade(&namespace);
        let mut numbers = self.mounts.lock();
        numbers.known.retain(|(known, _)| known.strong_count() > 0);
        if let Some((_, number)) = numbers.known.iter().find(|(known, _)| known.ptr_eq(&weak)) {
            return *number;
        }
        // The first one that is looked at is the container's own.
        let number = if numbers.last == LAST_FIXED { kind.number } else { numbers.last };
        numbers.last += 1;
        numbers.known.push((weak, number));
        number
    }

    /// The file of the namespace of `kind` that `task` is in.
    pub fn location(&self, kernel: &Kernel, kind: NamespaceKind, task: &Task) -> Location {
        let home = self.home.get_or_init(|| Home::new(kernel));
        let number = self.number(kind, task);
        let inode = self.files.get_or_make(number, || {
            let attributes =
                NodeAttributes::new(home.device, number, FileKind::Regular, 0o444).fixed();
            let mounts = (kind == MOUNT).then(|| task.fs().namespace());
            let common = InodeCommon::default();
            Arc::new(NamespaceInode { common, attributes, kind, mounts })
        });
        let name = shown(kind, number);
        let superblock = home.mount.superblock().clone();
        let dentry = Dentry::unattached(superblock, inode, name.as_bytes());
        Location::new(home.mount.clone(), dentry)
    }
}

/// What a link to a namespace shows.
pub fn shown(kind: NamespaceKind, number: u64) -> String {
    format!("{}:[{number}]", kind.name)
}

impl Home {
    fn new(kernel: &Kernel) -> Home {
        let source = NodeSource::new(kernel.vfs.new_device());
        let root = SyntheticDir::fixed(&source, FixedChildren::new());
        let mount = Mount::internal(Arc::new(SyntheticFs::new("nsfs", NSFS_MAGIC, root)));
        Home { mount, device: source.device() }
    }
}

/// A namespace's file.
pub struct NamespaceInode {
    common: InodeCommon,
    attributes: NodeAttributes,
    pub kind: NamespaceKind,
    /// The mount namespace, which an open file keeps alive.
    pub mounts: Option<Arc<MountNamespace>>,
}

impl Inode for NamespaceInode {
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
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Ok(Box::new(NamespaceFile { kind: self.kind }))
    }
}

/// Good for `setns` and a few questions.
struct NamespaceFile {
    kind: NamespaceKind,
}

impl File for NamespaceFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// Errors: EPERM for namespaces outside of the sandbox, EINVAL for kinds without parents or
    /// owners, ENOTTY.
    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            NS_GET_NSTYPE => Ok(self.kind.flag.bits() as usize),
            NS_GET_USERNS => Err(Errno::EPERM),
            NS_GET_PARENT if self.kind == USER || self.kind == PID => Err(Errno::EPERM),
            NS_GET_OWNER_UID if self.kind == USER => ioctl::put(io, argument, &0_u32),
            NS_GET_PARENT | NS_GET_OWNER_UID => Err(Errno::EINVAL),
            _ => Err(Errno::ENOTTY),
        }
    }
}
