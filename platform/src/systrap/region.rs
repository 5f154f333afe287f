//! Where the platform's window lies in every guest process, and the stub's code for it.

use std::ops::Range;
use std::os::fd::OwnedFd;

use linux_abi::Errno;

use super::layout::{
    ANCHOR_OFFSET, CHANNEL_BYTES, CHANNEL_OFFSET, CODE_BYTES, CODE_OFFSET, DOORBELL, Header,
    WINDOW_BYTES,
};
use crate::filter;
use crate::host;

/// Windows are drawn from here: high, where sanitizers expect program mappings, but well below the
/// stack and the top-down mappings of the host (its randomisation takes 1 TiB at most by default).
const WINDOWS: Range<u64> = 0x7e80..0x7f00;

/// The stub, as its build left it.
static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.bin"));

/// Offsets of the fields of [`Header`] that are known when the stub is built.
const ENTRIES: usize = std::mem::offset_of!(Header, on_signal);

/// The window of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    window: u64,
}

impl Region {
    pub(super) fn random() -> Result<Region, Errno> {
        let draw = host::random::number()? % (WINDOWS.end - WINDOWS.start);
        Ok(Region { window: (WINDOWS.start + draw) * WINDOW_BYTES })
    }

    pub(super) fn range(self) -> Range<u64> {
        self.window..self.window + WINDOW_BYTES
    }

    pub(super) fn code(self) -> Range<u64> {
        let start = self.window + CODE_OFFSET;
        start..start + CODE_BYTES
    }

    /// Whether an instruction pointer behind a `syscall` is that of the stub's code.
    pub(super) fn is_code(self, ip: u64) -> bool {
        self.code().contains(&ip)
    }

    pub(super) fn channel(self) -> Range<u64> {
        let start = self.window + CHANNEL_OFFSET;
        start..start + CHANNEL_BYTES
    }

    /// What the stubs' filter has to know.
    pub(super) fn filter(self) -> filter::systrap::Layout {
        filter::systrap::Layout { window: self.window, code: self.code(), channel: self.channel() }
    }

    /// The word of private memory that belongs to a slot.
    pub(super) fn anchor(self, index: u64) -> u64 {
        self.window + ANCHOR_OFFSET + index * 8
    }

    /// Address of the entry whose field in [`Header`] is at `field`.
    pub(super) fn entry(self, field: usize) -> u64 {
        debug_assert!(field >= ENTRIES);
        let mut word = [0; 8];
        word.copy_from_slice(&STUB[field..field + 8]);
        self.window + CODE_OFFSET + u64::from_le_bytes(word)
    }

    /// The code for this window, in a memory file that nobody can change.
    ///
    /// Errors: those of `memfd_create(2)` and `write(2)`.
    pub(super) fn code_file(self) -> Result<OwnedFd, Errno> {
        let mut code = STUB.to_vec();
        let has_fsgsbase = u64::from(host::process::has_fsgsbase());
        code[..8].copy_from_slice(&self.window.to_le_bytes());
        code[8..16].copy_from_slice(&has_fsgsbase.to_le_bytes());
        code.resize(CODE_BYTES as usize, 0xcc);
        let file = host::fs::memfd_create("stub")?;
        let mut done = 0;
        while done < code.len() {
            done += host::fs::write(&file, &code[done..])?;
        }
        let seals =
            libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        host::fs::add_seals(&file, seals as u32)?;
        Ok(file)
    }
}

const _: () = assert!(std::mem::offset_of!(Header, has_fsgsbase) == 8);
const _: () = assert!(DOORBELL == filter::systrap::DOORBELL);
const _: () = assert!(WINDOW_BYTES == filter::systrap::WINDOW_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stub_fits_its_place() {
        assert!(STUB.len() as u64 <= CODE_BYTES, "{} bytes of code", STUB.len());
        let region = Region::random().expect("random");
        let code = region.code();
        for field in (ENTRIES..size_of::<Header>()).step_by(8) {
            assert!(code.contains(&region.entry(field)));
        }
    }
}
