//! Where the platform's window lies in every guest process, and the stub's code for it.

use std::mem::offset_of;
use std::ops::Range;
use std::os::fd::OwnedFd;

use linux_abi::Errno;

use super::conduit::bytes::MEMORY_BYTES;
use super::layout::{
    CATCH_ALL_OFFSET, CHANNEL_BYTES, CHANNEL_OFFSET, CODE_BYTES, CODE_OFFSET, CONDUIT_BYTES,
    CONDUIT_COUNT, CONDUIT_OFFSET, CPUID_BYTES, CPUID_OFFSET, DOORBELL, Header, WINDOW_BYTES,
};
use super::patch::Stub;
use crate::filter;
use crate::host;

/// Windows are drawn from here: high, where sanitizers expect program mappings, but well below the
/// stack and the top-down mappings of the host (its randomisation takes 1 TiB at most by default).
const WINDOWS: Range<u64> = 0x7e80..0x7f00;

/// The stub, as its build left it.
static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.bin"));

/// Offsets of the fields of [`Header`] that are known when the stub is built.
const ENTRIES: usize = offset_of!(Header, on_signal);

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

    /// Where the answers of `cpuid` are.
    pub(super) fn cpuid(self) -> Range<u64> {
        let start = self.window + CODE_OFFSET + CPUID_OFFSET;
        start..start + CPUID_BYTES
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
    pub(super) fn filter(self, has_native_futexes: bool) -> filter::systrap::Layout {
        let (code, channel) = (self.code(), self.channel());
        let (window, catch_all) = (self.window, self.catch_all());
        let start = window + CONDUIT_OFFSET;
        let conduits = start..start + CONDUIT_COUNT * CONDUIT_BYTES;
        let conduit_bytes = MEMORY_BYTES;
        filter::systrap::Layout {
            window,
            code,
            channel,
            conduits,
            conduit_bytes,
            catch_all,
            has_native_futexes,
        }
    }

    /// Address of the `struct sock_fprog` of the second filter.
    pub(super) fn catch_all(self) -> u64 {
        self.code().start + CATCH_ALL_OFFSET
    }

    /// Address of the entry whose field in [`Header`] is at `field`.
    pub(super) fn entry(self, field: usize) -> u64 {
        debug_assert!(field >= ENTRIES);
        let mut word = [0; 8];
        word.copy_from_slice(&STUB[field..field + 8]);
        self.window + CODE_OFFSET + u64::from_le_bytes(word)
    }

    /// What trampolines need to know of the stub.
    pub(super) fn stub(self) -> Stub {
        Stub { entry: self.entry(offset_of!(Header, fast_enter)), table: self.channel().start }
    }

    /// The code for this window, in a memory file that nobody can change.
    ///
    /// Errors: those of `memfd_create(2)` and `write(2)`; E2BIG if the second filter has no room.
    pub(super) fn code_file(self) -> Result<OwnedFd, Errno> {
        let mut code = STUB.to_vec();
        let has_fsgsbase = u64::from(host::process::has_fsgsbase());
        code[..8].copy_from_slice(&self.window.to_le_bytes());
        code[8..16].copy_from_slice(&has_fsgsbase.to_le_bytes());
        code.resize(CODE_BYTES as usize, 0xcc);
        // Which futexes the first filter lets through makes no difference to the second.
        let program = filter::systrap::catch_all(&self.filter(true)).map_err(|_| Errno::EINVAL)?;
        let head = [program.len() as u64 / 8, self.catch_all() + 16];
        let bytes: Vec<u8> =
            head.iter().flat_map(|word| word.to_le_bytes()).chain(program).collect();
        let place = code[CATCH_ALL_OFFSET as usize..].get_mut(..bytes.len()).ok_or(Errno::E2BIG)?;
        place.copy_from_slice(&bytes);
        host::fs::sealed_copy("stub", &code)
    }
}

const _: () = assert!(offset_of!(Header, has_fsgsbase) == 8);
const _: () = assert!(DOORBELL == filter::systrap::DOORBELL);
const _: () = assert!(WINDOW_BYTES == filter::systrap::WINDOW_BYTES);

#[cfg(test)]
mod tests {
    use iced_x86::{Code, Decoder, DecoderOptions, InstructionInfoFactory, OpKind, RflagsBits};

    use super::*;

    /// What is served without a signal's frame must leave alone what only a frame keeps.
    #[test]
    fn fast_code_uses_general_registers_only() {
        let field = |at: usize| u64::from_le_bytes(STUB[at..at + 8].try_into().expect("a word"));
        let start = field(offset_of!(Header, fast_enter));
        let end = field(offset_of!(Header, fast_last)) + 1;
        let code = &STUB[start as usize..end as usize];
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        let mut factory = InstructionInfoFactory::new();
        let mut count = 0;
        for instruction in &mut decoder {
            // Of the string instructions just those before which the direction flag is looked at.
            let is_copy = matches!(instruction.code(), Code::Movsb_m8_m8 | Code::Stosb_m8_AL);
            assert!(!instruction.is_invalid());
            assert!(is_copy || !instruction.is_string_instruction());
            if instruction.op0_kind() == OpKind::NearBranch64 {
                assert!((start..end).contains(&instruction.near_branch_target()));
            }
            // A call of the host gives back all flags.
            let is_call = instruction.code() == Code::Syscall;
            let changed = if is_call { 0 } else { instruction.rflags_modified() };
            assert_eq!(changed & (RflagsBits::DF | RflagsBits::IF | RflagsBits::AC), 0);
            for used in factory.info(&instruction).used_registers() {
                let register = used.register();
                assert!(register.is_gpr() || register.is_segment_register(), "{instruction:?}");
            }
            count += 1;
        }
        assert!(count > 100, "{count} instructions");
    }

    #[test]
    fn stub_fits_its_place() {
        assert!(STUB.len() as u64 <= CATCH_ALL_OFFSET, "{} bytes of code", STUB.len());
        let region = Region::random().expect("random");
        let code = region.code();
        for field in (ENTRIES..size_of::<Header>()).step_by(8) {
            assert!(code.contains(&region.entry(field)));
        }
    }
}
