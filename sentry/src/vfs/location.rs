//! Places in the mount tree.

use std::sync::Arc;

use super::Inode;

#[derive(Clone)]
pub struct Location {
    inode: Arc<dyn Inode>,
}

impl Location {
    pub fn inode(&self) -> Arc<dyn Inode> {
        self.inode.clone()
    }

    /// Whether the mount forbids execution.
    pub fn is_noexec(&self) -> bool {
        false
    }
}

#[derive(Default)]
pub struct FdTable {}
#[derive(Default)]
pub struct FsContext {}
