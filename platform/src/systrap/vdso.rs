//! The host's vDSO, as far as the stub may call it: to read clocks.
//!
//! The stub keeps no vector registers of the guest, so a function that it calls must not touch any.
//! Nothing promises that, so every instruction that can be reached is looked at. Where the vDSO
//! cannot read clocks by itself it makes a system call, which would cost more than the stub's own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Register,
};

use crate::host::time::{Clock, now};
use crate::process::{Tid, copy};

/// No vDSO is larger.
const BYTES_MAX: usize = 64 << 10;
/// More than its functions have.
const INSTRUCTIONS_MAX: usize = 4096;
const NAME: &[u8] = b"__vdso_clock_gettime\0";

const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const SYMBOL_BYTES: u64 = 24;

/// The vDSO of all guest processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Vdso {
    pub(super) code: Range<u64>,
    /// Address of the function that reads a clock, 0 if the stub shall not call it.
    pub(super) clock_gettime: u64,
}

/// The vDSO, looked at when the first call is about to be patched: nobody asks it before, and the
/// disassembler takes time and memory to start.
#[derive(Debug)]
pub(super) struct LazyVdso {
    /// A stub that no guest has ever used, and where it has the vDSO.
    template: Tid,
    base: Option<u64>,
    found: OnceLock<Vdso>,
}

impl LazyVdso {
    pub(super) fn new(template: Tid, base: Option<u64>) -> LazyVdso {
        LazyVdso { template, base, found: OnceLock::new() }
    }

    pub(super) fn get(&self) -> &Vdso {
        self.found.get_or_init(|| Vdso::read(self.template, self.base))
    }

    /// `None` while nothing was patched.
    pub(super) fn known(&self) -> Option<&Vdso> {
        self.found.get()
    }
}

impl Vdso {
    /// Looks at the vDSO that a stub has at `base`.
    fn read(tid: Tid, base: Option<u64>) -> Vdso {
        let Some(base) = base else { return Vdso::default() };
        let mut image = vec![0; BYTES_MAX];
        let len = copy::read(tid, base, &mut image).unwrap_or(0);
        image.truncate(len);
        let offset = find(&image).filter(|&offset| is_callable(&image, offset) && is_quick());
        let clock_gettime = offset.map_or(0, |offset| base + offset);
        Vdso { code: base..base + len as u64, clock_gettime }
    }
}

fn bytes<const N: usize>(image: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    image.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn long(image: &[u8], at: u64) -> Option<u64> {
    bytes(image, at).map(u64::from_le_bytes)
}

/// The function's offset in the image, whose file is mapped as it is.
fn find(image: &[u8]) -> Option<u64> {
    let headers = long(image, 32)?;
    let count = u64::from(u16::from_le_bytes(bytes(image, 56)?));
    let dynamic = (0..count).map(|index| headers.wrapping_add(index * 56)).find_map(|header| {
        let kind = u32::from_le_bytes(bytes(image, header)?);
        if kind == PT_DYNAMIC { long(image, header.wrapping_add(16)) } else { None }
    })?;
    let entry = |wanted: u64| {
        let entries = (0..64).map(|index| dynamic.wrapping_add(index * 16));
        let found =
            entries.map_while(|at| Some((long(image, at)?, long(image, at.wrapping_add(8))?)));
        found.take_while(|(tag, _)| *tag != 0).find(|(tag, _)| *tag == wanted).map(|(_, at)| at)
    };
    let (strings, symbols) = (entry(DT_STRTAB)?, entry(DT_SYMTAB)?);
    // The names come behind the symbols.
    let count = strings.checked_sub(symbols)? / SYMBOL_BYTES;
    (0..count.min(256)).map(|index| symbols.wrapping_add(index * SYMBOL_BYTES)).find_map(|symbol| {
        let name = strings.wrapping_add(u32::from_le_bytes(bytes(image, symbol)?).into());
        let is_it = image.get(name as usize..)?.starts_with(NAME);
        if is_it { long(image, symbol.wrapping_add(8)) } else { None }
    })
}

/// Whether all that can be reached from a function uses general registers only, and stays in the
/// image.
fn is_callable(image: &[u8], function: u64) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let mut seen = BTreeSet::new();
    let mut starts = vec![function];
    while let Some(start) = starts.pop() {
        let Some(code) = image.get(start as usize..) else { return false };
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        while seen.insert(decoder.ip()) {
            let instruction = decoder.decode();
            let is_good = !instruction.is_invalid()
                && seen.len() < INSTRUCTIONS_MAX
                && uses_general_registers(&mut factory, &instruction);
            if !is_good {
                return false;
            }
            match instruction.flow_control() {
                FlowControl::Next => {}
                FlowControl::Return => break,
                FlowControl::ConditionalBranch => starts.push(instruction.near_branch_target()),
                FlowControl::UnconditionalBranch => {
                    starts.push(instruction.near_branch_target());
                    break;
                }
                FlowControl::Call if instruction.is_call_near() => {
                    starts.push(instruction.near_branch_target());
                }
                // `syscall` is a call, too.
                FlowControl::Call if instruction.code() == iced_x86::Code::Syscall => {}
                _ => return false,
            }
        }
    }
    true
}

fn uses_general_registers(factory: &mut InstructionInfoFactory, instruction: &Instruction) -> bool {
    factory.info(instruction).used_registers().iter().all(|used| {
        let register = used.register();
        register.is_gpr() || register.is_segment_register() || register == Register::RIP
    })
}

/// Whether the C library, which asks the vDSO, is clearly quicker than a call.
fn is_quick() -> bool {
    let by_library = least(|| {
        now(Clock::Monotonic);
    });
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let by_call = least(|| {
        let place = &raw mut time;
        // SAFETY: writes to a live `timespec`.
        unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, place) };
    });
    by_library * 3 < by_call * 2
}

/// The least time that a few calls took.
fn least(mut call: impl FnMut()) -> Duration {
    let times = (0..8).map(|_| {
        let start = Instant::now();
        (0..16).for_each(|_| call());
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_vdso() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).expect("a vDSO");
        let base = line.split('-').next().and_then(|start| u64::from_str_radix(start, 16).ok());
        let mut image = vec![0; BYTES_MAX];
        let tid = crate::host::process::tid();
        let len = copy::read(tid, base.expect("an address"), &mut image).expect("readable");
        image.truncate(len);
        image
    }

    #[test]
    fn the_function_is_found_and_looked_at() {
        let image = own_vdso();
        let function = find(&image).expect("clock_gettime");
        assert!(is_callable(&image, function));
        // xorps xmm0, xmm0; ret
        let vector = [0x0f, 0x57, 0xc0, 0xc3];
        assert!(!is_callable(&vector, 0));
        assert!(is_callable(&vector, 3));
        // jmp rax
        assert!(!is_callable(&[0xff, 0xe0], 0));
        // It leads out of the image.
        assert!(!is_callable(&[0xeb, 0x7f], 0));
    }

    #[test]
    fn nonsense_has_no_function() {
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[0xff; 4096]), None);
        let mut image = own_vdso();
        for at in 0..4096 {
            image[at] ^= 0xff;
            let _ = find(&image);
            image[at] ^= 0xff;
        }
    }
}
