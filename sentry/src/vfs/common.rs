//! State the VFS keeps for every inode.

#[derive(Default)]
pub struct InodeCommon {}
