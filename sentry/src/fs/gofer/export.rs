//! A connection to a gofer and what is bounded by it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use gofer_protocol::{Attr, Client, NodeId, Target};
use linux_abi::Errno;

use super::attributes::from_attr;
use super::budget::Budget;
use super::inode::GoferInode;
use super::inodes::Inodes;
use crate::sync::{Mutex, Rank};
use crate::vfs::{DeviceId, DeviceNumbers};

/// Idle descriptors kept for each export. With a few exports that is less than 20,000.
const IDLE_DESCRIPTORS: usize = 4096;

/// One exported tree.
pub(super) struct Export {
    client: Client,
    is_exclusive: bool,
    numbers: Arc<DeviceNumbers>,
    /// Host device → ours. Few: one for each host mount in the tree.
    devices: Mutex<Vec<((u32, u32), DeviceId)>>,
    pub(super) inodes: Inodes,
    pub(super) nodes: Budget,
    pub(super) descriptors: Budget,
    pub(super) listings: Budget,
    /// Entries in the listings that are kept.
    pub(super) listed: AtomicUsize,
    /// Names that are known of directories.
    pub(super) named: AtomicUsize,
}

/// Directories whose listings are kept, for each export.
const LISTINGS_MAX: usize = 16_384;

/// A node of the gofer, given back when dropped.
pub(super) struct Node {
    export: Arc<Export>,
    id: NodeId,
}

/// How the gofer is told which file is meant; keeps the node from being given back.
pub(super) enum Named {
    Node(Arc<Node>),
    Entry(Arc<Node>, Arc<[u8]>),
}

impl Export {
    pub(super) fn new(
        client: Client,
        numbers: Arc<DeviceNumbers>,
        is_exclusive: bool,
    ) -> Arc<Export> {
        let max_nodes = usize::try_from(client.root().max_nodes).unwrap_or(usize::MAX);
        Arc::new(Export {
            client,
            is_exclusive,
            numbers,
            devices: Mutex::new(Rank::Leaf, Vec::new()),
            inodes: Inodes::default(),
            nodes: Budget::new(max_nodes - max_nodes / 4),
            descriptors: Budget::new(IDLE_DESCRIPTORS),
            listings: Budget::new(LISTINGS_MAX),
            listed: AtomicUsize::new(0),
            named: AtomicUsize::new(0),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Asks the gofer; when it has no room for another node, gives some back and asks again.
    pub(super) fn call<T>(
        &self,
        request: impl Fn(&Client) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match request(&self.client) {
            Err(Errno::ENFILE) => {
                self.give_nodes_back();
                request(&self.client)
            }
            result => result,
        }
    }

    /// Gives half of the nodes back that can be found again.
    pub(super) fn give_nodes_back(&self) {
        self.nodes.shed_half(GoferInode::give_node_back);
        self.client.flush_releases();
    }

    /// The inode of the host file that `attr`, asked for at `asked_at`, describes.
    ///
    /// Errors: EIO for a file of no known type.
    pub(super) fn inode(
        self: &Arc<Self>,
        attr: &Attr,
        node: Option<Node>,
        asked_at: Option<Duration>,
    ) -> Result<Arc<GoferInode>, Errno> {
        let attributes = from_attr(attr, self.device(attr.dev())).ok_or(Errno::EIO)?;
        let inode = self.inodes.find_or_make(self, attr, &attributes, asked_at);
        if let Some(node) = node {
            inode.keep_node(node);
        }
        Ok(inode)
    }

    /// Our number for a device of the host.
    fn device(&self, host: (u32, u32)) -> DeviceId {
        let mut devices = self.devices.lock();
        if let Some((_, device)) = devices.iter().find(|(other, _)| *other == host) {
            return *device;
        }
        let device = self.numbers.take();
        devices.push((host, device));
        device
    }
}

impl Node {
    pub(super) fn new(export: &Arc<Export>, id: NodeId) -> Node {
        Node { export: export.clone(), id }
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.export.client.release(self.id);
    }
}

impl Named {
    pub(super) fn target(&self) -> Target<'_> {
        match self {
            Named::Node(node) => node.id.into(),
            Named::Entry(dir, name) => Target::child(dir.id, name),
        }
    }
}
