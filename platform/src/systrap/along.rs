//! A thread's memory as its present system call sees it.
//!
//! Of a call by the line some bytes have come along, and some go back with its result ([`calling`]).
//! Everything else, and all calls that came another way, are for the address space itself.
//!
//! [`calling`]: super::calling

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::slot::Slot;
use crate::contract::{AddressSpace, HostMapping, Layout, MemoryUsage};
use crate::process::space::{Disguise, Space};

pub(super) struct Along {
    pub(super) slot: Arc<Slot>,
    pub(super) space: Space,
}

impl Along {
    fn is_along(&self) -> bool {
        self.slot.is_along.load(Ordering::Relaxed)
    }

    /// What went back with the result so far is to be seen by a look at the memory.
    fn flush(&self) {
        if self.is_along() {
            self.slot.flush_along();
        }
    }
}

impl AddressSpace for Along {
    fn layout(&self) -> &Layout {
        self.space.layout()
    }

    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.is_along() {
            if let Some(done) = self.slot.read_along(addr, buf) {
                self.slot.process.patching.hide(addr, &mut buf[..done]);
                return Ok(done);
            }
            self.slot.flush_along();
        }
        self.space.read(addr, buf)
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        if self.is_along()
            && let Some(done) = self.slot.write_along(addr, buf)
        {
            return Ok(done);
        }
        self.space.write(addr, buf)
    }

    fn write_forced(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
        self.flush();
        self.space.write_forced(addr, buf)
    }

    fn mappings(&self) -> Result<Vec<HostMapping>, Errno> {
        self.space.mappings()
    }

    fn usage(&self) -> Result<MemoryUsage, Errno> {
        self.space.usage()
    }

    fn set_limit(&self, resource: i32, soft: u64) -> Result<(), Errno> {
        self.space.set_limit(resource, soft)
    }

    fn id(&self) -> u64 {
        self.space.id()
    }
}
