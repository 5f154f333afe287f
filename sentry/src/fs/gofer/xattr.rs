//! Extended attributes of host files.

use gofer_protocol::{Target, XattrFlags as WireFlags};
use linux_abi::Errno;

use super::inode::GoferInode;
use crate::vfs::XattrFlags;

impl GoferInode {
    pub(super) fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.with_node(|client, node| client.get_xattr(Target::from(node), name))
    }

    pub(super) fn set_xattr(
        &self,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<(), Errno> {
        let flags = match flags {
            XattrFlags::Any => WireFlags::empty(),
            XattrFlags::Create => WireFlags::CREATE,
            XattrFlags::Replace => WireFlags::REPLACE,
        };
        self.with_node(|client, node| client.set_xattr(Target::from(node), name, value, flags))?;
        self.outdate_attributes();
        self.forget_pool();
        self.forget_origin();
        Ok(())
    }

    pub(super) fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.with_node(|client, node| client.list_xattr(Target::from(node)))
    }

    pub(super) fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.with_node(|client, node| client.remove_xattr(Target::from(node), name))?;
        self.outdate_attributes();
        self.forget_pool();
        self.forget_origin();
        Ok(())
    }
}
