//! devpts: the names of pseudoterminals, pts(4).
//!
//! Each mount is an instance of its own, with its own `ptmx` and its own numbers.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use linux_abi::Errno;
use linux_abi::fs::{DEVPTS_SUPER_MAGIC, FileKind, OpenFlags};

use super::pty::{MasterFile, Pty, PtyOwner, SLAVE_MAJOR};
use super::{Terminal, open_controlling, open_terminal};
use crate::fs::synthetic::{
    Child, Children, NodeAttributes, NodeSource, SyntheticDir, SyntheticFs,
};
use crate::fs::{DeviceOpen, Devices};
use crate::kernel::Kernel;
use crate::sync::{Mutex, Rank};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, File, FileSystem, Inode, InodeCommon, IoContext,
    Location,
};

/// Major number of `/dev/tty` and `/dev/ptmx`, and their minors.
const TTY_MAJOR: u32 = 5;
const TTY_MINOR: u32 = 0;
const PTMX_MINOR: u32 = 2;
/// Pseudoterminals of an instance (`kernel.pty.max`).
const MAX_PTYS: u32 = 4096;
/// Place of `ptmx` in a listing: behind no number.
const PTMX_POSITION: u64 = 0;

/// Mount options.
#[derive(Clone, Copy, Debug, Default)]
pub struct DevptsOptions {
    /// Permissions of new terminals; 0600 if not given.
    pub mode: Option<u32>,
    /// Group of new terminals; the opener's if not given.
    pub gid: Option<u32>,
    /// Permissions of `ptmx`; none for anybody if not given.
    pub ptmxmode: Option<u32>,
}

/// Registers `/dev/tty`, `/dev/ptmx` and the slaves.
pub fn register(devices: &Devices) {
    devices.register_char(TTY_MAJOR, TTY_MINOR, |open| open_controlling(open.flags, open.io));
    devices.register_char(TTY_MAJOR, PTMX_MINOR, open_master);
    devices.register_char_major(SLAVE_MAJOR, open_slave);
}

/// Makes an instance.
pub fn new_devpts(kernel: &Kernel, options: &DevptsOptions) -> Arc<dyn FileSystem> {
    let nodes = NodeSource::new(kernel.vfs.new_device());
    let instance = Instance::new(nodes.clone(), *options);
    let root = SyntheticDir::new(nodes.attributes(FileKind::Directory, 0o755), Entries(instance));
    let mut shown = vec![format!("mode={:03o}", options.mode.unwrap_or(0o600))];
    if let Some(gid) = options.gid {
        shown.insert(0, format!("gid={gid}"));
    }
    shown.push(format!("ptmxmode={:03o}", options.ptmxmode.unwrap_or(0)));
    let fs = SyntheticFs::new("devpts", DEVPTS_SUPER_MAGIC, root);
    Arc::new(fs.volatile().with_options(shown.join(",")))
}

/// An instance of the file system.
pub struct Instance {
    this: Weak<Instance>,
    nodes: Arc<NodeSource>,
    options: DevptsOptions,
    ptmx: Arc<Node>,
    ptys: Mutex<Ptys>,
}

#[derive(Default)]
struct Ptys {
    named: BTreeMap<u32, Arc<Node>>,
    /// Numbers in use; those of nameless pairs are not given out either.
    taken: BTreeSet<u32>,
}

impl Instance {
    fn new(nodes: Arc<NodeSource>, options: DevptsOptions) -> Arc<Instance> {
        let rdev = DeviceId { major: TTY_MAJOR, minor: PTMX_MINOR };
        let permissions = options.ptmxmode.unwrap_or(0);
        let attributes = nodes.attributes(FileKind::CharDevice, permissions).with_rdev(rdev);
        Arc::new_cyclic(|this: &Weak<Instance>| Instance {
            this: this.clone(),
            nodes,
            options,
            ptmx: Node::new(attributes, NodeKind::Ptmx(this.clone())),
            ptys: Mutex::new(Rank::FileObject, Ptys::default()),
        })
    }

    /// Takes the lowest free number. Errors: ENOSPC.
    fn take_index(&self) -> Result<u32, Errno> {
        let mut ptys = self.ptys.lock();
        let index = (0..MAX_PTYS).find(|index| !ptys.taken.contains(index));
        let index = index.ok_or(Errno::ENOSPC)?;
        ptys.taken.insert(index);
        Ok(index)
    }

    fn add_node(&self, index: u32, kind: NodeKind, owner: (u32, u32)) {
        let rdev = DeviceId { major: SLAVE_MAJOR, minor: index };
        let permissions = self.options.mode.unwrap_or(0o600);
        let attributes = self.nodes.attributes(FileKind::CharDevice, permissions);
        let gid = self.options.gid.unwrap_or(owner.1);
        let node = Node::new(attributes.with_rdev(rdev).owned_by(owner.0, gid), kind);
        self.ptys.lock().named.insert(index, node);
    }

    /// Makes a pair with a name here. Errors: ENOSPC.
    fn new_pty(&self, owner: (u32, u32)) -> Result<Arc<Pty>, Errno> {
        let index = self.take_index()?;
        let this: Weak<dyn PtyOwner> = self.this.clone();
        let pty = Pty::new(index, this);
        self.add_node(index, NodeKind::Pty(Arc::downgrade(&pty)), owner);
        Ok(pty)
    }

    /// Gives a terminal from outside a name here; answers with its number. Errors: ENOSPC.
    pub fn add_terminal(
        &self,
        terminal: Arc<dyn Terminal>,
        owner: (u32, u32),
    ) -> Result<u32, Errno> {
        let index = self.take_index()?;
        self.add_node(index, NodeKind::Terminal(terminal), owner);
        Ok(index)
    }
}

impl PtyOwner for Instance {
    fn master_closed(&self, index: u32) {
        let removed = self.ptys.lock().named.remove(&index);
        drop(removed);
    }

    fn released(&self, index: u32) {
        self.ptys.lock().taken.remove(&index);
    }
}

/// The root directory's entries.
struct Entries(Arc<Instance>);

impl Children for Entries {
    fn find(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        if name == b"ptmx" {
            return Ok(self.0.ptmx.clone());
        }
        let text = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        let index: u32 = text.parse().map_err(|_| Errno::ENOENT)?;
        if index.to_string() != text {
            return Err(Errno::ENOENT);
        }
        let node = self.0.ptys.lock().named.get(&index).cloned();
        node.map(|node| -> Arc<dyn Inode> { node }).ok_or(Errno::ENOENT)
    }

    fn list(&self, _: &IoContext<'_>) -> Result<Vec<Child>, Errno> {
        let child = |position, name: String, node: &Node| Child {
            position,
            name: name.into_bytes(),
            inode: node.attributes.number(),
            kind: FileKind::CharDevice,
        };
        let mut list = vec![child(PTMX_POSITION, "ptmx".to_owned(), &self.0.ptmx)];
        // Attributes have a lock of lower rank.
        let named = self.0.ptys.lock().named.clone();
        for (index, node) in named {
            list.push(child(u64::from(index) + 1, index.to_string(), &node));
        }
        Ok(list)
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.find(name).is_ok_and(|found| Arc::ptr_eq(&found, child))
    }
}

enum NodeKind {
    Ptmx(Weak<Instance>),
    Pty(Weak<Pty>),
    Terminal(Arc<dyn Terminal>),
}

/// A device node of the file system.
struct Node {
    common: InodeCommon,
    attributes: NodeAttributes,
    kind: NodeKind,
}

impl Node {
    fn new(attributes: NodeAttributes, kind: NodeKind) -> Arc<Node> {
        Arc::new(Node { common: InodeCommon::default(), attributes, kind })
    }
}

impl Inode for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::CharDevice
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    /// Errors: ENXIO; the VFS opens device nodes by their drivers.
    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Err(Errno::ENXIO)
    }
}

/// The instance that is mounted with its root at `root`.
pub fn instance_at(root: &Location) -> Option<Arc<Instance>> {
    let ptmx = root.dentry().inode().lookup(b"ptmx").ok()?;
    match &ptmx.as_any().downcast_ref::<Node>()?.kind {
        NodeKind::Ptmx(instance) => instance.upgrade(),
        _ => None,
    }
}

/// The instance that a `ptmx` node belongs to: its own file system, or the one mounted at `pts`
/// beside it (`/dev/ptmx` as a device node). Errors: ENODEV.
fn instance_of(node: &Location) -> Result<(Arc<Instance>, Location), Errno> {
    let (directory, _) = node.dentry().parent_and_name().ok_or(Errno::ENODEV)?;
    let directory = node.with_dentry(directory);
    if let Some(instance) = instance_at(&directory) {
        return Ok((instance, directory));
    }
    let pts = directory.dentry().lookup(b"pts").map_err(|_| Errno::ENODEV)?;
    let root = directory.with_dentry(pts).through_mounts();
    let instance = instance_at(&root).ok_or(Errno::ENODEV)?;
    Ok((instance, root))
}

/// Opens `ptmx`: a new pair. Errors: ENODEV, ENOSPC.
fn open_master(open: &DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> {
    let (instance, root) = instance_of(open.location)?;
    let owner = open.io.task.map_or((0, 0), |task| {
        let credentials = task.credentials();
        (credentials.fsuid, credentials.fsgid)
    });
    let pty = instance.new_pty(owner)?;
    Ok(Box::new(MasterFile::new(pty, Some(root))))
}

/// Opens a slave by its node. Errors: EIO for a node that is not of devpts, and those of the slave.
fn open_slave(open: &DeviceOpen<'_>) -> Result<Box<dyn File>, Errno> {
    let inode = open.location.inode();
    let node = inode.as_any().downcast_ref::<Node>().ok_or(Errno::EIO)?;
    match &node.kind {
        NodeKind::Ptmx(_) => Err(Errno::EIO),
        NodeKind::Pty(pty) => open_terminal(&pty.upgrade().ok_or(Errno::EIO)?, open),
        NodeKind::Terminal(terminal) => open_terminal(terminal, open),
    }
}
