//! Synthetic symbolic links.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::{NodeAttributes, NodeSource};
use crate::vfs::{AttributeChange, Attributes, File, Inode, InodeCommon, IoContext, Location};

type TextFn = Box<dyn Fn(&IoContext<'_>) -> Result<Vec<u8>, Errno> + Send + Sync>;
type PlaceFn = Box<dyn Fn(&IoContext<'_>) -> Result<Location, Errno> + Send + Sync>;

/// A symbolic link with a made-up target.
pub struct SyntheticLink {
    common: InodeCommon,
    attributes: NodeAttributes,
    text: TextFn,
    place: Option<PlaceFn>,
}

impl SyntheticLink {
    /// A link whose text is asked for each time.
    pub fn new(
        attributes: NodeAttributes,
        text: impl Fn(&IoContext<'_>) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> Arc<SyntheticLink> {
        let common = InodeCommon::default();
        Arc::new(SyntheticLink { common, attributes, text: Box::new(text), place: None })
    }

    /// A link (mode 0777) whose target never changes.
    pub fn fixed(source: &NodeSource, target: impl Into<Vec<u8>>) -> Arc<SyntheticLink> {
        let target = target.into();
        let attributes = source.attributes(FileKind::Symlink, 0o777);
        SyntheticLink::new(attributes, move |_: &IoContext<'_>| Ok(target.clone()))
    }

    /// A "magic" link: it leads to `place` itself; `text` is only what `readlink` shows.
    pub fn magic(
        attributes: NodeAttributes,
        text: impl Fn(&IoContext<'_>) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
        place: impl Fn(&IoContext<'_>) -> Result<Location, Errno> + Send + Sync + 'static,
    ) -> Arc<SyntheticLink> {
        Arc::new(SyntheticLink {
            common: InodeCommon::default(),
            attributes,
            text: Box::new(text),
            place: Some(Box::new(place)),
        })
    }
}

impl Inode for SyntheticLink {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn kind(&self) -> FileKind {
        FileKind::Symlink
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.attributes.get())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.change(change)
    }

    fn open(self: Arc<Self>, _: OpenFlags, _: &IoContext<'_>) -> Result<Box<dyn File>, Errno> {
        Err(Errno::ELOOP)
    }

    fn readlink(&self, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
        (self.text)(io)
    }

    fn magic_target(&self, io: &IoContext<'_>) -> Option<Result<Location, Errno>> {
        self.place.as_ref().map(|place| place(io))
    }
}
