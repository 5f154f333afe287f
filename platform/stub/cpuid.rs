//! `cpuid` in prepared code, where it is another instruction, one that raises SIGSEGV.

use super::layout::{
    CPUID_OFFSET, CPUID_TRAP, CpuidEntry, CpuidTable, PLAIN_OFFSET, Plain,
};
use super::entry;

const SIGSEGV: u64 = 11;
/// The exception of a forbidden `int`, and the error code that comes with this one: its number, and
/// that it is one of an interrupt.
const GENERAL_PROTECTION: u64 = 13;
const ERROR_CODE: u64 = (CPUID_TRAP[1] as u64) << 3 | 2;

/// Executes `cpuid` for the guest if that is what it has trapped for.
///
/// # Safety
/// `context` is the address of the `ucontext` of a signal.
pub(crate) unsafe fn serve(signo: u64, context: u64) -> bool {
    if signo != SIGSEGV {
        return false;
    }
    let registers = (context + Registers::OFFSET) as *mut Registers;
    let ip = load!((*registers).rip);
    if load!((*registers).trapno) != GENERAL_PROTECTION || !is_prepared(ip) {
        return false;
    }
    match load!((*registers).error_code) {
        ERROR_CODE => {}
        // Processors with FRED tell nothing.
        0 if load!(*(ip as *const [u8; 2])) == CPUID_TRAP => {}
        _ => return false,
    }
    let (leaf, subleaf) = (load!((*registers).rax) as u32, load!((*registers).rcx) as u32);
    let [eax, ebx, ecx, edx] = find(leaf, subleaf).unwrap_or_else(|| ask(leaf, subleaf));
    store!((*registers).rax, u64::from(eax));
    store!((*registers).rbx, u64::from(ebx));
    store!((*registers).rcx, u64::from(ecx));
    store!((*registers).rdx, u64::from(edx));
    store!((*registers).rip, ip + CPUID_TRAP.len() as u64);
    true
}

fn is_prepared(ip: u64) -> bool {
    let plain = (entry::channel() + PLAIN_OFFSET) as *const Plain;
    ip.wrapping_sub(load!((*plain).prepared.address)) < load!((*plain).prepared.len)
}

/// What the sentry has asked the processor before.
fn find(leaf: u32, subleaf: u32) -> Option<[u32; 4]> {
    let table = (entry::code() + CPUID_OFFSET) as *const CpuidTable;
    let count = load!((*table).count);
    let mut index = 0;
    while index < count && index < CpuidTable::MAX {
        // SAFETY: the index is within the array.
        let place = unsafe { (&raw const (*table).entries).cast::<CpuidEntry>().add(index as usize) };
        let found = load!(*place);
        if found.leaf == leaf && (found.subleaf == subleaf || found.subleaf == CpuidEntry::ANY) {
            return Some(found.registers);
        }
        index += 1;
    }
    None
}

fn ask(leaf: u32, subleaf: u32) -> [u32; 4] {
    let found = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// The registers in a signal frame, as far as they concern the stub: `struct sigcontext` from rbx on.
#[repr(C)]
struct Registers {
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    _rsp: u64,
    rip: u64,
    _flags: u64,
    _segments: u64,
    error_code: u64,
    trapno: u64,
}

impl Registers {
    /// Behind the start of `struct ucontext`.
    const OFFSET: u64 = 40 + 11 * 8;
}

