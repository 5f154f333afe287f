//! `/proc/[pid]/ns`: the namespaces of a process, namespaces(7).
//!
//! A sandbox has one namespace of each kind. Their numbers are not those of a machine's first
//! namespaces, by which programs tell that they run in a container.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, NSFS_MAGIC};

use crate::fs::proc::Proc;
use crate::fs::proc::subject::{Area, Subject};
use crate::fs::synthetic::{
    Child, ChildCache, Children, FixedChildren, NodeAttributes, NodeSource, SyntheticDir,
    SyntheticFile, SyntheticFs, SyntheticLink,
};
use crate::kernel::Kernel;
use crate::task::AccessMode;
use crate::vfs::{Dentry, DeviceId, Inode, IoContext, Location, Mount};

/// Link, kind as shown, number.
const NAMESPACES: [(&str, &str, u64); 10] = [
    ("cgroup", "cgroup", 4_026_532_190),
    ("ipc", "ipc", 4_026_532_187),
    ("mnt", "mnt", 4_026_532_185),
    ("net", "net", 4_026_532_191),
    ("pid", "pid", 4_026_532_188),
    ("pid_for_children", "pid", 4_026_532_188),
    ("time", "time", 4_026_532_192),
    ("time_for_children", "time", 4_026_532_192),
    ("user", "user", 4_026_532_184),
    ("uts", "uts", 4_026_532_186),
];

/// The file system of namespace files, which nobody mounts.
pub(in crate::fs::proc) struct NamespaceFiles {
    mount: Arc<Mount>,
    device: DeviceId,
    files: ChildCache<u64>,
}

impl NamespaceFiles {
    pub fn new(kernel: &Kernel) -> NamespaceFiles {
        let source = NodeSource::new(kernel.vfs.new_device());
        let root = SyntheticDir::fixed(&source, FixedChildren::new());
        let mount = Mount::internal(Arc::new(SyntheticFs::new("nsfs", NSFS_MAGIC, root)));
        NamespaceFiles { mount, device: source.device(), files: ChildCache::default() }
    }

    /// The place of namespace `number` of `kind`.
    fn location(&self, kind: &str, number: u64) -> Location {
        let inode = self.files.get_or_make(number, || {
            let attributes =
                NodeAttributes::new(self.device, number, FileKind::Regular, 0o444).fixed();
            // Linux: such a file is only good for setns and ioctl.
            SyntheticFile::new(attributes, |_: &IoContext<'_>| Err(Errno::EINVAL))
        });
        let superblock = self.mount.superblock().clone();
        let dentry = Dentry::unattached(superblock, inode, shown(kind, number).as_bytes());
        Location::new(self.mount.clone(), dentry)
    }
}

fn shown(kind: &str, number: u64) -> String {
    format!("{kind}:[{number}]")
}

/// The directory `ns`.
pub(super) fn directory(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let made = ChildCache::default();
    SyntheticDir::new(attributes, Namespaces { subject: subject.clone(), made })
}

struct Namespaces {
    subject: Arc<Subject>,
    made: ChildCache<u32>,
}

impl Children for Namespaces {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let found = NAMESPACES.iter().position(|(link, ..)| link.as_bytes() == name);
        let index = found.filter(|_| self.subject.exists()).ok_or(Errno::ENOENT)?;
        Ok(self.made.get_or_make(index as u32, || link(&self.subject, index)))
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        if !self.subject.exists() {
            return Err(Errno::ENOENT);
        }
        let child = |(index, (name, ..)): (usize, &(&str, &str, u64))| Child {
            position: index as u64,
            name: name.as_bytes().to_vec(),
            inode: self.subject.number(Area::Namespace, index as u32),
            kind: FileKind::Symlink,
        };
        Ok(NAMESPACES.iter().enumerate().map(child).collect())
    }

    fn is_still(&self, _: &[u8], _: &Arc<dyn Inode>) -> bool {
        self.subject.exists()
    }
}

fn link(subject: &Arc<Subject>, index: usize) -> Arc<dyn Inode> {
    let (_, kind, namespace) = NAMESPACES[index];
    let number = subject.number(Area::Namespace, index as u32);
    let attributes = subject.attributes(number, FileKind::Symlink, 0o777);
    let (reader, follower) = (subject.clone(), subject.clone());
    let check = |subject: &Subject, io: &IoContext<'_>| -> Result<Arc<Proc>, Errno> {
        subject.group()?;
        subject.check_access(AccessMode::ReadAsFile, io)?;
        Ok(subject.proc.clone())
    };
    SyntheticLink::magic(
        attributes,
        move |io: &IoContext<'_>| {
            check(&reader, io)?;
            Ok(shown(kind, namespace).into_bytes())
        },
        move |io: &IoContext<'_>| Ok(check(&follower, io)?.namespaces.location(kind, namespace)),
    )
}
