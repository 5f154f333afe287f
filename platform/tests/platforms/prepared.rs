//! Code in which the platform has replaced `cpuid`.

use std::arch::x86_64::__cpuid_count;
use std::os::fd::AsFd;
use std::sync::Arc;

use platform::{HostOp, PreparedCode, Spawn, Trap};

use super::guest::{Guest, RX};
use crate::guest_code;

// Leaf and subleaf are in ebp and edi.
guest_code!(ask: ".fill 128, 1, 0x90",
    "2: mov eax, ebp", "mov ecx, edi", "cpuid", "mov r8d, eax", "mov eax, 500", "syscall", "jmp 2b",
    ".fill 16, 1, 0x90");
guest_code!(forbidden: "int 0x90");

const PLACE: u64 = 0x60_0000;

fn prepared(guest: &mut Guest, has_room: bool) -> Option<Arc<PreparedCode>> {
    let mut code = ask().to_vec();
    let used = code.len();
    code.resize(4096, 0);
    // Without room for more there are no jumps.
    let used = if has_room { used } else { 4096 };
    let code = Arc::new(guest.platform.prepare_code(&code, used)?);
    let op = HostOp::Mmap {
        addr: PLACE,
        len: code.len,
        prot: RX,
        flags: libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE,
        fd: Some(code.file.as_fd()),
        offset: 0,
    };
    assert_eq!(guest.op(op), Ok(PLACE));
    guest.space.set_prepared(PLACE, &code);
    guest.thread.registers_mut().rip = PLACE;
    Some(code)
}

fn answers(guest: &mut Guest, leaf: u32, subleaf: u32) -> [u32; 4] {
    let registers = guest.thread.registers_mut();
    (registers.rbp, registers.rdi) = (leaf.into(), subleaf.into());
    assert_eq!(guest.run(), Trap::Syscall);
    let found = guest.registers();
    [found.r8, found.rbx, found.rcx, found.rdx].map(|word| word as u32)
}

pub fn cpuid_says_what_the_processor_says() {
    for has_room in [false, true] {
        let mut guest = Guest::new(forbidden());
        // Where processors differ nothing is prepared.
        let Some(_code) = prepared(&mut guest, has_room) else { return };
        check_answers(&mut guest);
    }
}

fn check_answers(guest: &mut Guest) {
    let mut child = guest.spawn(Spawn::CopyMemory);
    for (leaf, subleaf) in [(0, 0), (2, 0), (4, 0), (4, 1), (7, 0), (0x8000_0000, 5), (0xd, 1)] {
        let real = __cpuid_count(leaf, subleaf);
        // A call has its return address in rcx.
        let expected = [real.eax, real.ebx, real.edx];
        for guest in [&mut *guest, &mut child] {
            let [eax, ebx, _, edx] = answers(guest, leaf, subleaf);
            assert_eq!([eax, ebx, edx], expected, "leaf {leaf:#x}, {subleaf}");
        }
    }
    // What differs between processors, too: all but the number of the processor.
    let real = __cpuid_count(1, 0);
    let [eax, ebx, _, edx] = answers(guest, 1, 0);
    assert_eq!([eax, ebx & 0xff_ffff, edx], [real.eax, real.ebx & 0xff_ffff, real.edx]);
}

pub fn prepared_code_reads_as_the_file_has_it() {
    let mut guest = Guest::new(forbidden());
    let Some(_code) = prepared(&mut guest, true) else { return };
    let mut seen = vec![0; ask().len()];
    assert_eq!(guest.space.read(PLACE, &mut seen), Ok(seen.len()));
    assert_eq!(seen, ask());
    // A breakpoint leaves nothing of a jump behind.
    let site = PLACE + 129;
    assert_eq!(guest.space.write_forced(site, &[0xcc]), Ok(1));
    assert_eq!(guest.space.write_forced(site, &seen[129..130]), Ok(1));
    check_answers(&mut guest);
}

pub fn what_stands_for_cpuid_is_forbidden_elsewhere() {
    let mut guest = Guest::new(forbidden());
    let start = guest.thread.registers().rip;
    let Some(_code) = prepared(&mut guest, false) else { return };
    guest.thread.registers_mut().rip = start;
    let fault = guest.run_to_fault();
    assert_eq!((fault.signo, fault.trapno, fault.addr), (libc::SIGSEGV, 13, 0));
    assert_eq!(guest.thread.registers().rip, start);
}
