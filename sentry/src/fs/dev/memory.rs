//! `/dev/null`, `/dev/zero`, `/dev/full`, null(4) and full(4).

use std::any::Any;

use linux_abi::Errno;

use crate::memory::{IoDest, IoSource, MakeConduit};
use crate::vfs::{File, IoContext, MapRequest, MapSource, SeekFrom, SelfServed};

/// One of the devices, open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryDevice {
    Null,
    Zero,
    Full,
}

impl File for MemoryDevice {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, dest: &mut IoDest<'_>, _: u64, _: &IoContext<'_>) -> Result<usize, Errno> {
        if *self == MemoryDevice::Null {
            return Ok(0);
        }
        // The buffer that is filled from starts out as zeros and nobody writes to it.
        dest.fill(dest.remaining(), |_, piece| Ok(piece.len()))
    }

    /// Takes everything without looking at it: a bad address is no error. Errors: ENOSPC.
    fn write(
        &self,
        source: &mut IoSource<'_>,
        offset: u64,
        _: &IoContext<'_>,
    ) -> Result<(usize, u64), Errno> {
        match self {
            MemoryDevice::Full if source.remaining() > 0 => Err(Errno::ENOSPC),
            _ => Ok((source.remaining(), offset)),
        }
    }

    fn is_seekable(&self) -> bool {
        true
    }

    /// Linux `null_lseek`: always at the start.
    fn seek(&self, _: u64, _: SeekFrom, _: u64) -> Result<u64, Errno> {
        Ok(0)
    }

    fn self_served(&self, _: MakeConduit<'_>) -> Option<SelfServed> {
        match self {
            MemoryDevice::Null => Some(SelfServed::Null),
            MemoryDevice::Zero => Some(SelfServed::Zero),
            MemoryDevice::Full => None,
        }
    }

    fn map(&self, _: &MapRequest) -> Result<MapSource, Errno> {
        match self {
            MemoryDevice::Zero => Ok(MapSource::Anonymous),
            _ => Err(Errno::ENODEV),
        }
    }
}

#[cfg(test)]
mod tests {
    use linux_abi::fs::OpenFlags;

    use super::*;

    const IO: IoContext<'static> = IoContext { task: None, flags: OpenFlags::RDWR };

    fn read(device: MemoryDevice) -> Vec<u8> {
        let mut bytes = Vec::new();
        device.read(&mut IoDest::collect(&mut bytes, 5000), 0, &IO).unwrap();
        bytes
    }

    #[test]
    fn reads_are_empty_or_zeros() {
        assert!(read(MemoryDevice::Null).is_empty());
        assert_eq!(read(MemoryDevice::Zero), vec![0; 5000]);
        assert_eq!(read(MemoryDevice::Full), vec![0; 5000]);
    }

    #[test]
    fn writes_vanish_or_find_the_device_full() {
        let write = |device: MemoryDevice, data| {
            device.write(&mut IoSource::kernel(data), 0, &IO).map(|(count, _)| count)
        };
        assert_eq!(write(MemoryDevice::Null, b"abc"), Ok(3));
        assert_eq!(write(MemoryDevice::Zero, b"abc"), Ok(3));
        assert_eq!(write(MemoryDevice::Full, b"abc"), Err(Errno::ENOSPC));
        assert_eq!(write(MemoryDevice::Full, b""), Ok(0));
    }
}
