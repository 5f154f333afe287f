//! Inodes of host files.

use std::any::Any;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use gofer_protocol::{Attr, NodeId, Target};
use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, RenameFlags};

use super::attributes::{CachedAttributes, from_attr};
use super::budget::Seat;
use super::descriptors::Descriptors;
use super::directory::{GoferDir, Kept};
use super::export::{Export, Named, Node};
use super::file::GoferFile;
use super::find::Absent;
use super::foresight::Foresight;
use super::inodes::{Identity, Told};
use super::names::Names;
use super::unnamed::{Origin, Pool};
use crate::hash::HashMap;
use crate::sync::{Mutex, Rank};
use crate::vfs::{
    AttributeChange, Attributes, DeviceId, File, Inode, InodeCommon, IoContext, NewNode, XattrFlags,
};

/// A host file.
pub struct GoferInode {
    common: InodeCommon,
    pub(super) this: Weak<GoferInode>,
    pub(super) export: Arc<Export>,
    /// Not known at first of a directory that was made quietly.
    identity: OnceLock<Identity>,
    /// What was told of such a directory.
    told: Option<Told>,
    /// The host's number of its device.
    device: (u32, u32),
    kind: FileKind,
    is_protected: bool,
    pub(super) state: Mutex<State>,
    /// Whether it was made quietly, and nothing was written or changed since.
    pub(super) is_fresh: AtomicBool,
    /// Whether we have told a change time that we stay with (`foretold`).
    pub(super) is_foretold: AtomicBool,
    /// Held by what uses the position of a host file: appending, seeking for data.
    pub(super) position: Mutex<()>,
    /// Where it stands among those who hold something.
    pub(super) seats: Seats,
}

/// One for each [`super::budget::Budget`] of an export.
#[derive(Default)]
pub(super) struct Seats {
    pub(super) node: Seat,
    pub(super) descriptors: Seat,
    pub(super) listing: Seat,
    pub(super) foresight: Seat,
    pub(super) unmet: Seat,
}

/// What changes about an inode.
pub(super) struct State {
    /// Where it was found last; none for the root and for what was removed.
    pub(super) place: Option<Place>,
    /// Whether it was made through this export.
    pub(super) is_ours: bool,
    pub(super) node: Option<Arc<Node>>,
    pub(super) is_node_used: bool,
    pub(super) attributes: CachedAttributes,
    pub(super) descriptors: Descriptors,
    /// When the last quiet request that concerns it was sent.
    pub(super) quiet_mark: u64,
    /// When the last of them that sets times was sent.
    pub(super) times_mark: u64,
    /// When the request that gives it its name was sent.
    pub(super) name_mark: u64,
    /// Where new files in this directory come from.
    pub(super) pool: Option<Arc<Pool>>,
    /// What a new file was before it was taken, if it could be that again.
    pub(super) origin: Option<Box<Origin>>,
    /// A name that this directory did not have when its attributes had this version.
    pub(super) lacks: Option<(Arc<[u8]>, u64)>,
    /// The inodes found in this directory, by name.
    pub(super) children: HashMap<Arc<[u8]>, Weak<GoferInode>>,
    /// A name that the last walk through here did not find.
    pub(super) absent: Option<Absent>,
    /// All names in this directory, where they are known.
    pub(super) names: Option<Names>,
    /// What it holds, as it was read last.
    pub(super) listing: Option<Kept>,
    /// What is known of entries that nobody has asked for yet.
    pub(super) foresight: Foresight,
    /// The target of a symbolic link, which cannot change.
    pub(super) link_target: Option<Arc<[u8]>>,
}

/// A name in a directory.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) parent: Arc<GoferInode>,
    pub(super) name: Arc<[u8]>,
}

impl GoferInode {
    /// One on this device of the host. If that has not told its identity we have told a number.
    pub(super) fn new(
        export: Arc<Export>,
        (device, identity, told): ((u32, u32), Option<Identity>, Option<Told>),
        is_protected: bool,
        attributes: CachedAttributes,
    ) -> Arc<GoferInode> {
        let kind = attributes.kind();
        let is_foretold = attributes.foretold.told().is_some();
        let state = State {
            place: None,
            is_ours: false,
            node: None,
            is_node_used: false,
            attributes,
            descriptors: Descriptors::default(),
            quiet_mark: 0,
            times_mark: 0,
            name_mark: 0,
            pool: None,
            origin: None,
            lacks: None,
            children: HashMap::default(),
            absent: None,
            names: None,
            listing: None,
            foresight: Foresight::default(),
            link_target: None,
        };
        Arc::new_cyclic(|this| GoferInode {
            common: InodeCommon::default(),
            this: this.clone(),
            export,
            identity: identity.map_or_else(OnceLock::new, OnceLock::from),
            told,
            device,
            kind,
            is_protected,
            state: Mutex::new(Rank::Leaf, state),
            is_fresh: AtomicBool::new(false),
            is_foretold: AtomicBool::new(is_foretold),
            position: Mutex::new(Rank::FileObject, ()),
            seats: Seats::default(),
        })
    }

    /// The host's number of its device.
    pub(super) fn device(&self) -> (u32, u32) {
        self.device
    }

    /// What the host calls it, if that is known.
    pub(super) fn known_identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// What we have told of it.
    pub(super) fn told(&self) -> Option<Told> {
        self.told
    }

    /// Its inode number, as the guest knows it.
    pub(super) fn number(&self) -> u64 {
        let told = self.told.map(|told| told.inode);
        told.or(self.identity.get().map(Identity::ino)).unwrap_or_default()
    }

    /// The attributes that the host tells, as the guest gets them.
    pub(super) fn told_attributes(&self, attr: &Attr, device: DeviceId) -> Option<Attributes> {
        let attributes = from_attr(attr, device)?;
        Some(self.told.map_or(attributes, |told| told.applied_to(attributes)))
    }

    /// Whether `attr` describes it, which is so if its identity was not known before.
    pub(super) fn recognises(&self, attr: &Attr) -> bool {
        let told = Identity::of(attr);
        if self.identity.get().is_none()
            && let Ok(shared) = self.shared()
        {
            self.export.inodes.introduce(&shared, told);
            self.export.unmet.remove(self);
        }
        self.identity.get().is_none_or(|identity| *identity == told)
    }

    /// To be called by the table of inodes.
    pub(super) fn set_identity(&self, identity: Identity) {
        // It has one already if somebody else was told, too.
        let _ = self.identity.set(identity);
    }

    /// Whether it can be changed without waiting for the host's consent.
    pub(super) fn is_ours(&self) -> bool {
        self.export.takes_for_granted(self.device) && self.state.lock().is_ours
    }

    /// Whether it is certain that `entry` can be taken out of this directory: it was put there by us.
    pub(super) fn gives_up(&self, entry: &GoferInode) -> bool {
        let is_certain = self.is_ours() || (entry.is_ours() && !self.is_protected);
        is_certain && self.device == entry.device
    }

    /// Whether quiet requests that concern it may not have been served.
    pub(super) fn is_awaited(&self) -> bool {
        let mark = self.state.lock().quiet_mark;
        !self.export.client().is_served(mark)
    }

    /// Waits until the quiet requests that set its times are served: what is written comes after them.
    pub(super) fn await_times(&self) {
        let mark = self.state.lock().times_mark;
        if !self.export.client().is_served(mark) {
            self.export.client().await_quiet();
        }
    }

    /// Waits until the quiet requests that concern it are served: what happens on its descriptors
    /// comes after them.
    pub(super) fn await_quiet(&self) {
        if self.is_awaited() {
            self.export.client().await_quiet();
        }
    }

    /// Notes that a quiet request which concerns it has been sent.
    pub(super) fn note_quiet(&self) {
        self.state.lock().quiet_mark = self.export.client().quiet_mark();
    }

    /// Itself as it is shared. Errors: ESTALE, which only one that is being dropped answers.
    pub(super) fn shared(&self) -> Result<Arc<GoferInode>, Errno> {
        self.this.upgrade().ok_or(Errno::ESTALE)
    }

    /// How to name it to the gofer for what is checked afterwards.
    ///
    /// Errors: ESTALE when it was removed, and those of a walk.
    pub(super) fn named(&self) -> Result<Named, Errno> {
        let place = {
            let mut state = self.state.lock();
            state.is_node_used = true;
            match (&state.node, &state.place) {
                (Some(node), _) => return Ok(Named::Node(node.clone())),
                (None, Some(place)) => place.clone(),
                (None, None) => return Err(Errno::ESTALE),
            }
        };
        Ok(Named::Entry(place.parent.node()?, place.name))
    }

    /// Runs `request` on this object of the gofer.
    pub(super) fn with_node<T>(
        &self,
        request: impl Fn(&gofer_protocol::Client, NodeId) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let node = self.node()?;
        self.export.call(|client| request(client, node.id()))
    }

    fn read_link_text(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != FileKind::Symlink {
            return Err(Errno::EINVAL);
        }
        if let Some(target) = &self.state.lock().link_target {
            return Ok(target.to_vec());
        }
        let target = self.with_node(|client, node| client.read_link(Target::from(node)))?;
        self.keep_link_target(&target);
        Ok(target)
    }

    /// Remembers the target of a symbolic link, if no other link can be taken for this one.
    pub(super) fn keep_link_target(&self, target: &[u8]) {
        if self.export.is_exclusive() || self.known_identity().is_some_and(Identity::is_certain) {
            self.state.lock().link_target = Some(Arc::from(target));
        }
    }
}

impl Inode for GoferInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        self.current_attributes()
    }

    fn attributes_at_hand(&self) -> Option<Attributes> {
        self.settled_attributes()
    }

    fn ownership(&self) -> Result<Attributes, Errno> {
        self.current_ownership()
    }

    fn is_nameless(&self) -> Result<bool, Errno> {
        // We count the names that we give and take.
        match self.export.is_exclusive() {
            true => Ok(self.state.lock().attributes.links() == 0),
            false => Ok(self.current_attributes()?.links == 0),
        }
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.change_attributes(change)
    }

    fn open(self: Arc<Self>, flags: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        match self.kind {
            FileKind::Regular => Ok(Box::new(GoferFile::open(self, flags)?)),
            FileKind::Directory => Ok(Box::new(GoferDir::new(self))),
            FileKind::Symlink => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let found: Arc<dyn Inode> = self.find(name)?;
        Ok(found)
    }

    fn lookup_chain(&self, names: &[&[u8]], opens: bool) -> Vec<Arc<dyn Inode>> {
        let chain = self.find_chain(names, opens).unwrap_or_default();
        chain.into_iter().map(|inode| inode as Arc<dyn Inode>).collect()
    }

    fn is_still(&self, name: &[u8], child: &Arc<dyn Inode>) -> bool {
        self.export.is_exclusive() || self.still_has(name, child)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>) -> Result<Arc<dyn Inode>, Errno> {
        let made: Arc<dyn Inode> = self.make(name, node)?;
        Ok(made)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.add_link(name, target)
    }

    fn unlink(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove(name, target, false)
    }

    fn rmdir(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove(name, target, true)
    }

    fn rename(
        &self,
        old_name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        self.rename_entry(old_name, new_parent, new_name, flags)
    }

    fn readlink(&self, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        self.read_link_text()
    }

    fn xattr_get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.get_xattr(name)
    }

    fn xattr_set(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
        self.set_xattr(name, value, flags)
    }

    fn xattr_list(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.list_xattr()
    }

    fn xattr_remove(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove_xattr(name)
    }
}

impl GoferInode {
    /// Takes leave of the export; answers with where it was.
    fn leave(&mut self) -> Option<Place> {
        let foretold = self.last_foretold();
        if let Some(identity) = self.identity.get() {
            self.export.inodes.forget_dead(identity, foretold);
        }
        self.export.leave_budgets(self);
        self.forget_listing();
        self.forget_names();
        self.go_back_unnamed();
        let state = self.state.get_mut();
        let is_changed = state.attributes.version() > 0 || state.descriptors.writable().is_some();
        let is_alone = self.kind != FileKind::Directory && state.attributes.links() <= 1;
        if is_changed && !is_alone {
            self.export.forget_foresight();
        }
        state.place.take()
    }
}

impl Drop for GoferInode {
    /// Lets go of the ancestors one by one: directories may be nested deeper than our stack.
    fn drop(&mut self) {
        let mut place = self.leave();
        while let Some(Place { parent, name }) = place {
            parent.forget_dead_child(&name);
            place = Arc::into_inner(parent).and_then(|mut inode| inode.leave());
        }
    }
}
