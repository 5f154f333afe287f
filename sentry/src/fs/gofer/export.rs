//! A connection to a gofer and what is bounded by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gofer_protocol::{Attr, Client, NodeId, Target};
use linux_abi::Errno;
use linux_abi::fs::{EXT4_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC};

use super::attributes::from_attr;
use super::budget::Budget;
use super::inode::GoferInode;
use super::inodes::Inodes;
use super::new_directories::Unmet;
use super::outdated::Outdated;
use super::unnamed::Pools;
use crate::sync::{Mutex, Rank};
use crate::vfs::{DeviceId, DeviceNumbers};

/// Idle descriptors kept for each export. With a few exports that is less than 20,000.
const IDLE_DESCRIPTORS: usize = 4096;

/// One exported tree.
pub(super) struct Export {
    client: Client,
    is_exclusive: bool,
    /// See [`Export::takes_for_granted`].
    trusted_device: Option<(u32, u32)>,
    numbers: Arc<DeviceNumbers>,
    /// Host device → ours. Few: one for each host mount in the tree.
    devices: Mutex<Vec<((u32, u32), DeviceId)>>,
    pub(super) inodes: Inodes,
    pub(super) nodes: Budget,
    pub(super) descriptors: Budget,
    pub(super) listings: Budget,
    /// Whether the host's file system makes files without a name, as far as known.
    pub(super) makes_unnamed: AtomicBool,
    pub(super) pools: Pools,
    /// Whether a file was given its name so.
    has_named: AtomicBool,
    /// Number of the first error of a quiet request, or zero.
    doubted: AtomicI32,
    pub(super) outdated: Outdated,
    pub(super) unmet: Unmet,
    pub(super) foresights: Budget,
    /// Counts the times that what was foreseen may have become wrong.
    departures: AtomicU64,
    /// Entries in the listings that are kept.
    pub(super) listed: AtomicUsize,
    /// Names that are known of directories.
    pub(super) named: AtomicUsize,
}

/// File systems of the host that do as they are told at once, by their magic numbers (`statfs(2)`):
/// ext4, xfs, btrfs, f2fs, tmpfs, overlay.
const LOCAL_FILE_SYSTEMS: [u64; 6] =
    [EXT4_SUPER_MAGIC, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC];

/// Directories whose listings are kept, for each export.
const LISTINGS_MAX: usize = 16_384;

/// Directories of which something is foreseen, for each export.
const FORESIGHTS_MAX: usize = 32;

/// A node of the gofer, given back when dropped.
pub(super) struct Node {
    export: Arc<Export>,
    id: NodeId,
    /// Whether the file has lost its last name.
    is_gone: AtomicBool,
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
        magic: u64,
    ) -> Arc<Export> {
        let is_trusted = is_exclusive && LOCAL_FILE_SYSTEMS.contains(&magic);
        let trusted_device = is_trusted.then(|| client.root().attr.dev());
        let max_nodes = usize::try_from(client.root().max_nodes).unwrap_or(usize::MAX);
        let export = Arc::new(Export {
            client,
            is_exclusive,
            trusted_device,
            numbers,
            devices: Mutex::new(Rank::Leaf, Vec::new()),
            inodes: Inodes::default(),
            nodes: Budget::new(max_nodes - max_nodes / 4, |inode| &inode.seats.node),
            descriptors: Budget::new(IDLE_DESCRIPTORS, |inode| &inode.seats.descriptors),
            listings: Budget::new(LISTINGS_MAX, |inode| &inode.seats.listing),
            makes_unnamed: AtomicBool::new(true),
            pools: Pools::default(),
            has_named: AtomicBool::new(false),
            doubted: AtomicI32::new(0),
            outdated: Outdated::default(),
            unmet: Unmet::default(),
            foresights: Budget::new(FORESIGHTS_MAX, |inode| &inode.seats.foresight),
            departures: AtomicU64::new(0),
            listed: AtomicUsize::new(0),
            named: AtomicUsize::new(0),
        });
        let shared = Arc::downgrade(&export);
        export.client.when_at_rest(move || {
            if let Some(export) = shared.upgrade() {
                export.meet_all();
                export.pools.shed_old();
                export.client.flush_releases();
            }
        });
        export
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Whether a change of what we have made ourselves on this device of the host succeeds unless
    /// the disk fails: the file system is a local one, and nobody but us changes the tree.
    pub(super) fn takes_for_granted(&self, device: (u32, u32)) -> bool {
        self.trusted_device == Some(device)
    }

    /// Whether new files on this device of the host may be taken from those made in advance.
    pub(super) fn makes_unnamed(&self, device: (u32, u32)) -> bool {
        self.takes_for_granted(device) && self.makes_unnamed.load(Ordering::Relaxed)
    }

    /// Whether the host lets files without a name get one: waits for the first time that it does.
    pub(super) fn has_named(&self) -> bool {
        if self.has_named.load(Ordering::Relaxed) {
            return true;
        }
        self.client.await_quiet();
        let can = self.take_doubt().is_none() && self.makes_unnamed.load(Ordering::Relaxed);
        self.has_named.store(can, Ordering::Relaxed);
        can
    }

    /// Why a quiet request has failed, should one have.
    pub(super) fn doubted(&self) -> Option<Errno> {
        match self.doubted.load(Ordering::Relaxed) {
            0 => None,
            raw => Some(Errno::from_raw(raw)),
        }
    }

    /// Asks the gofer; when it has no room for another node, gives some back and asks again, and when
    /// the host has none, once what was removed is gone.
    pub(super) fn call<T>(
        &self,
        request: impl Fn(&Client) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut result = request(&self.client);
        match result {
            Err(Errno::ENFILE) => {
                self.give_nodes_back();
                result = request(&self.client);
            }
            Err(Errno::ENOSPC | Errno::EDQUOT | Errno::EMLINK) => {
                self.make_room();
                result = request(&self.client);
            }
            _ => {}
        }
        self.take_doubt();
        result
    }

    /// The error of a quiet request that has failed, told once.
    pub(super) fn take_doubt(&self) -> Option<Errno> {
        let errno = self.client.take_quiet_error();
        errno.inspect(|errno| self.doubt(*errno))
    }

    /// Waits until all that was removed is gone; whether there was anything to wait for.
    pub(super) fn await_removals(&self) -> bool {
        let is_waiting = !self.client.is_served(self.client.quiet_mark());
        self.make_room();
        is_waiting
    }

    /// Gives the host back what is kept in stock, and waits until all that was removed is gone, which it
    /// is not as long as the gofer has a node of it.
    fn make_room(&self) {
        self.pools.empty();
        self.client.flush_releases();
        self.client.await_all();
    }

    /// What tells whether something that is foreseen now can be believed later.
    pub(super) fn departures(&self) -> u64 {
        self.departures.load(Ordering::Acquire)
    }

    /// Nothing that was foreseen is believed any more: an inode that was changed is gone.
    pub(super) fn forget_foresight(&self) {
        self.departures.fetch_add(1, Ordering::AcqRel);
    }

    /// A change that was taken for granted has failed, so nothing is that is known of the tree.
    fn doubt(&self, errno: Errno) {
        self.makes_unnamed.store(false, Ordering::Relaxed);
        if self.doubted().is_none() {
            self.doubted.store(errno.raw(), Ordering::Relaxed);
        }
        tracing::error!(?errno, "the host has refused a change that could not fail");
        self.forget_foresight();
        for inode in self.inodes.all() {
            inode.forget_names();
            inode.forget_listing();
            inode.outdate_attributes();
        }
    }

    /// Gives back half of the nodes that can be found again, and those in stock.
    pub(super) fn give_nodes_back(&self) {
        self.pools.empty();
        self.nodes.shed_half(GoferInode::give_node_back);
        self.client.flush_releases();
    }

    /// An inode is being dropped.
    pub(super) fn leave_budgets(&self, inode: &GoferInode) {
        [&self.nodes, &self.descriptors, &self.listings, &self.foresights]
            .into_iter()
            .for_each(|budget| budget.leave(inode));
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
        Node { export: export.clone(), id, is_gone: AtomicBool::new(false) }
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    /// The file has lost its last name.
    pub(super) fn note_gone(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        match *self.is_gone.get_mut() {
            true => self.export.client.release_gone(self.id),
            false => self.export.client.release(self.id),
        }
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
