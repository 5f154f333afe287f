//! Things that unit tests of the VFS need.

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags, ResolveFlags};

use super::{
    AttributeChange, DeviceId, File, FileDescription, IoContext, Last, Location, MountNamespace,
    MountOptions, NewNodeKind, PathContext, Vfs, create_entry,
};
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::task::Credentials;

struct Nothing;

impl File for Nothing {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A place that nobody else knows.
pub(crate) fn nowhere() -> Location {
    Vfs::default().anonymous().test_location("[nothing]", FileKind::Regular)
}

/// An open file that can do nothing.
pub(crate) fn open_nothing() -> Arc<FileDescription> {
    FileDescription::new(Box::new(Nothing), nowhere(), OpenFlags::RDWR)
}

/// A description over `file`.
pub(crate) fn open(file: Box<dyn File>) -> Arc<FileDescription> {
    FileDescription::new(file, nowhere(), OpenFlags::RDWR)
}

/// A mount namespace over a tmpfs, seen by root.
pub(crate) struct TestTree {
    pub(crate) namespace: Arc<MountNamespace>,
}

impl TestTree {
    pub(crate) fn new() -> TestTree {
        let device = DeviceId { major: 0, minor: 50 };
        let fs = Tmpfs::with_device(device, &TmpfsOptions::default());
        TestTree { namespace: MountNamespace::new(fs, MountOptions::empty()) }
    }

    pub(crate) fn root(&self) -> Location {
        self.namespace.root()
    }

    pub(crate) fn context(&self) -> PathContext<'static> {
        PathContext {
            root: self.root(),
            start: self.root(),
            credentials: Arc::new(Credentials::root()),
            io: IoContext { task: None, flags: OpenFlags::empty() },
            resolve: ResolveFlags::empty(),
        }
    }

    /// A user without capabilities.
    pub(crate) fn user(id: u32) -> Arc<Credentials> {
        Arc::new(Credentials { fsuid: id, fsgid: id, effective: 0, ..Credentials::root() })
    }

    pub(crate) fn lookup(&self, path: &str, follow: bool) -> Result<Location, Errno> {
        self.context().lookup(path.as_bytes(), follow, false)
    }

    pub(crate) fn make(&self, path: &str, kind: NewNodeKind<'_>) {
        let parent = self.context().parent(path.as_bytes()).expect("a test tree");
        let Last::Name(name) = parent.last else { panic!("{path} has no name") };
        create_entry(&Credentials::root(), &parent.at, &name, kind, 0o755).expect("a test tree");
    }

    pub(crate) fn chmod(&self, path: &str, permissions: u32) {
        let change =
            AttributeChange { permissions: Some(permissions), ..AttributeChange::default() };
        self.lookup(path, true)
            .expect("a test tree")
            .inode()
            .set_attributes(&change)
            .expect("a test tree");
    }
}
