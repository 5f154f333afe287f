//! Things that unit tests of the VFS need.

use std::any::Any;
use std::sync::Arc;

use linux_abi::fs::{FileKind, OpenFlags};

use super::{File, FileDescription, Location, Vfs};

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
