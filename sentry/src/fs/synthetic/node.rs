//! Attributes of synthetic nodes, and nodes that are nothing but attributes.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::NodeSource;
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, File, Inode, InodeCommon, IoContext, SimpleAttributes,
};

type OwnerFn = Box<dyn Fn() -> (u32, u32) + Send + Sync>;

/// Attributes of a synthetic node: kept ones, with an owner that may be asked for each time.
pub struct NodeAttributes {
    kept: SimpleAttributes,
    owner: Option<OwnerFn>,
    is_fixed: bool,
}

impl NodeAttributes {
    pub fn new(device: DeviceId, inode: u64, kind: FileKind, permissions: u32) -> NodeAttributes {
        let kept = SimpleAttributes::new(device, inode, kind, permissions);
        NodeAttributes { kept, owner: None, is_fixed: false }
    }

    /// The owner (user, group) is what `owner` answers at the time (`/proc/[pid]`).
    pub fn with_owner(mut self, owner: impl Fn() -> (u32, u32) + Send + Sync + 'static) -> Self {
        self.owner = Some(Box::new(owner));
        self
    }

    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        self.kept = self.kept.owned_by(uid, gid);
        self
    }

    pub fn with_rdev(mut self, rdev: DeviceId) -> Self {
        self.kept = self.kept.with_rdev(rdev);
        self
    }

    pub fn with_links(mut self, links: u64) -> Self {
        self.kept = self.kept.with_links(links);
        self
    }

    pub fn with_size(mut self, size: u64) -> Self {
        self.kept = self.kept.with_size(size);
        self
    }

    /// Mode, owner and times cannot be changed (EPERM), as in `/proc/[pid]`.
    pub fn fixed(mut self) -> Self {
        self.is_fixed = true;
        self
    }

    pub fn kind(&self) -> FileKind {
        self.kept.kind()
    }

    pub fn number(&self) -> u64 {
        self.kept.get().inode
    }

    pub fn get(&self) -> Attributes {
        let mut attributes = self.kept.get();
        if let Some(owner) = &self.owner {
            (attributes.uid, attributes.gid) = owner();
        }
        attributes
    }

    pub fn change(&self, change: &AttributeChange) -> Result<(), Errno> {
        let is_size_only = change.permissions.is_none()
            && change.uid.is_none()
            && change.gid.is_none()
            && change.accessed.is_none()
            && change.modified.is_none();
        if self.is_fixed && !is_size_only {
            return Err(Errno::EPERM);
        }
        self.kept.change(change)
    }
}

/// A device node or another special file of a synthetic file system.
pub struct SyntheticNode {
    common: InodeCommon,
    attributes: NodeAttributes,
}

impl SyntheticNode {
    pub fn new(attributes: NodeAttributes) -> Arc<SyntheticNode> {
        Arc::new(SyntheticNode { common: InodeCommon::default(), attributes })
    }

    /// A character device node.
    pub fn char_device(
        source: &NodeSource,
        permissions: u32,
        rdev: DeviceId,
    ) -> Arc<SyntheticNode> {
        SyntheticNode::new(source.attributes(FileKind::CharDevice, permissions).with_rdev(rdev))
    }
}

impl Inode for SyntheticNode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        self.attributes.kind()
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    /// Errors: ENXIO; the VFS opens device nodes and FIFOs itself.
    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Err(Errno::ENXIO)
    }
}
