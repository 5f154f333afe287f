//! `/dev/random` and `/dev/urandom`, random(4): the host's generator, always seeded.

use std::any::Any;

use linux_abi::Errno;
use linux_abi::random::{
    RNDADDENTROPY, RNDADDTOENTCNT, RNDCLEARPOOL, RNDGETENTCNT, RNDRESEEDCRNG, RNDZAPENTCNT,
};
use linux_abi::task::CAP_SYS_ADMIN;

use crate::fs::ioctl;
use crate::memory::{IoDest, IoSource};
use crate::sync::WaitQueue;
use crate::vfs::{File, IoContext, SeekFrom};

/// Bits that the generator claims to hold.
const ENTROPY_BITS: i32 = 256;

/// An open random device.
#[derive(Default)]
pub(super) struct Random {
    /// Never notified: it is always ready. Its presence lets epoll accept the file.
    queue: WaitQueue,
}

impl File for Random {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        dest.fill(dest.remaining(), |_, piece| {
            platform::host::random::fill(piece)?;
            Ok(piece.len())
        })
    }

    /// Accepts what is written, and has no use for it. Errors: EFAULT.
    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        let count = source.drain(source.remaining(), |_, piece| Ok(piece.len()))?;
        Ok((count, offset + count as u64))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    /// Linux `noop_llseek`: nothing moves.
    fn seek(&self, current: u64, _: SeekFrom, _: u64) -> Result<u64, Errno> {
        Ok(current)
    }

    /// Errors: EPERM for what changes the pool without CAP_SYS_ADMIN, EINVAL for unknown commands.
    fn ioctl(&self, command: u32, argument: u64, io: &IoContext<'_>) -> Result<usize, Errno> {
        match command {
            RNDGETENTCNT => ioctl::put(io, argument, &ENTROPY_BITS),
            RNDADDTOENTCNT | RNDADDENTROPY | RNDZAPENTCNT | RNDCLEARPOOL | RNDRESEEDCRNG => {
                let may = io.task.is_some_and(|task| task.credentials().has(CAP_SYS_ADMIN));
                if may { Ok(0) } else { Err(Errno::EPERM) }
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
}
