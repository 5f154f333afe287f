//! Flags of requests. Those with a Linux counterpart have its value.

use bitflags::bitflags;

bitflags! {
    /// How [`crate::Client::walk`] walks.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WalkFlags: u32 {
        /// Keep a node for each directory reached.
        const DIRECTORY_NODES = 1;
        /// Keep a node for the last component also if it is no directory.
        const FILE_NODE = 2;
        /// Open the last component with the given [`OpenFlags`] if it is a regular file.
        const OPEN = 4;
    }

    /// How a file is opened (`open(2)`). A descriptor has the least rights these ask for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        const RDONLY = 0;
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const DSYNC = 0o10000;
        const DIRECT = 0o40000;
        const NOATIME = 0o1000000;
        /// `O_SYNC`, which includes `O_DSYNC`.
        const SYNC = 0o4010000;
    }

    /// What [`crate::Client::read_dir`] returns.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ReadDirFlags: u32 {
        /// Attributes of each entry.
        const ATTRIBUTES = 1;
    }

    /// What [`crate::Client::survey`] returns besides attributes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SurveyFlags: u32 {
        /// For directories a node, and what they hold, as far as that fits into the message.
        const LIST = 1;
        /// For regular files a descriptor to read.
        const OPEN = 2;
    }

    /// Flags of `renameat2(2)`; `RENAME_WHITEOUT` is not offered.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 1;
        const EXCHANGE = 2;
    }

    /// Flags of `setxattr(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct XattrFlags: u32 {
        const CREATE = 1;
        const REPLACE = 2;
    }

    /// Which fields of [`crate::message::SetAttrRequest`] count.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SetAttrMask: u32 {
        const MODE = 1;
        const UID = 2;
        const GID = 4;
        const SIZE = 8;
        const ATIME = 16;
        const MTIME = 32;
        /// The access time becomes the current time.
        const ATIME_NOW = 64;
        /// The modification time becomes the current time.
        const MTIME_NOW = 128;
    }
}

impl OpenFlags {
    /// Whether the flags ask to change the file, be it only by truncating it.
    pub fn is_write(self) -> bool {
        self.intersects(OpenFlags::WRONLY | OpenFlags::RDWR | OpenFlags::TRUNC)
    }
}
