//! Hardware exceptions of guest code.

use std::os::fd::AsFd;

use platform::{Fault, HostOp, Trap, host};

use super::guest::{CODE, DATA, DATA_BYTES, Guest, READ, getpid_loop};
use crate::guest_code;

guest_code!(load: "mov rax, [rdi]", "syscall");
guest_code!(store: "mov [rdi], rax", "syscall");
guest_code!(jump: "jmp rdi");
guest_code!(divide: "xor ecx, ecx", "div ecx");
guest_code!(undefined: "ud2");
guest_code!(breakpoint: "nop", "int3", "syscall");
guest_code!(privileged: "hlt");
guest_code!(simd: "ldmxcsr [rdi]", "xorps xmm0, xmm0", "movsd xmm1, [rdi + 8]", "divsd xmm1, xmm0");

fn fault_of(guest: &mut Guest, code: &[u8], rdi: u64) -> Fault {
    let mut guest = Guest::on(&guest.platform, code);
    guest.space.write(DATA, &[0]).expect("write");
    guest.op(HostOp::Mprotect { addr: DATA, len: 4096, prot: READ }).expect("mprotect");
    guest.thread.registers_mut().rdi = rdi;
    guest.run_to_fault()
}

pub fn page_faults_tell_address_and_access() {
    let mut guest = Guest::new(getpid_loop());
    let fault =
        |code, addr, error_code| Fault { signo: libc::SIGSEGV, code, addr, trapno: 14, error_code };
    const MAPERR: i32 = 1;
    const ACCERR: i32 = 2;
    assert_eq!(fault_of(&mut guest, load(), 16), fault(MAPERR, 16, 4));
    assert_eq!(fault_of(&mut guest, store(), DATA + 8), fault(ACCERR, DATA + 8, 7));
    assert_eq!(fault_of(&mut guest, jump(), DATA), fault(ACCERR, DATA, 4 + 1 + 16));
    let edge = DATA + DATA_BYTES;
    assert_eq!(fault_of(&mut guest, load(), edge - 4), fault(MAPERR, edge, 4));
    let kernel = fault_of(&mut guest, load(), 0xffff_ffff_8000_0000);
    assert_eq!((kernel.signo, kernel.addr), (libc::SIGSEGV, 0xffff_ffff_8000_0000));
}

pub fn other_exceptions_have_their_signals() {
    let mut guest = Guest::new(getpid_loop());
    let (code_segv, code_trap) = (0x80, 0x80);
    let of = |fault: Fault| (fault.signo, fault.code, fault.trapno);
    assert_eq!(of(fault_of(&mut guest, divide(), 0)), (libc::SIGFPE, 1, 0));
    assert_eq!(of(fault_of(&mut guest, undefined(), 0)), (libc::SIGILL, 2, 6));
    assert_eq!(of(fault_of(&mut guest, breakpoint(), 0)), (libc::SIGTRAP, code_trap, 3));
    assert_eq!(of(fault_of(&mut guest, privileged(), 0)), (libc::SIGSEGV, code_segv, 13));
    assert_eq!(of(fault_of(&mut guest, load(), 1 << 62)), (libc::SIGSEGV, code_segv, 13));
    let mut guest = Guest::on(&guest.platform, simd());
    // All exceptions unmasked; 1.0 / 0.0.
    let mxcsr = 0x1f80_u64 & !(1 << 9);
    guest.space.write(DATA, &[mxcsr.to_le_bytes(), 1.0_f64.to_le_bytes()].concat()).expect("write");
    guest.thread.registers_mut().rdi = DATA;
    assert_eq!(of(guest.run_to_fault()), (libc::SIGFPE, 3, 19));
    // After a breakpoint the guest can go on.
    let mut guest = Guest::on(&guest.platform, breakpoint());
    guest.run_to_fault();
    assert_eq!(guest.thread.registers().rip, CODE + 2);
    assert_eq!(guest.run(), Trap::Syscall);
}

pub fn a_file_shorter_than_its_mapping_is_sigbus() {
    let mut guest = Guest::new(load());
    let file = host::fs::memfd_create("short").expect("memfd");
    host::fs::ftruncate(&file, 10).expect("ftruncate");
    let op = HostOp::Mmap {
        addr: 0,
        len: 8192,
        prot: READ,
        flags: libc::MAP_SHARED,
        fd: Some(file.as_fd()),
        offset: 0,
    };
    let addr = guest.op(op).expect("mmap");
    guest.thread.registers_mut().rdi = addr;
    assert_eq!(guest.run(), Trap::Syscall);
    guest.complete().expect("complete");
    guest.thread.registers_mut().rip = CODE;
    guest.thread.registers_mut().rdi = addr + 4096;
    let fault = guest.run_to_fault();
    assert_eq!((fault.signo, fault.code, fault.addr), (libc::SIGBUS, 2, addr + 4096));
}

pub fn hostile_registers_fault_in_the_guest() {
    let mut guest = Guest::new(getpid_loop());
    // A return address that the processor cannot take.
    guest.thread.registers_mut().rip = 0x8000_0000_0000_0000;
    assert_eq!(guest.run_to_fault().signo, libc::SIGSEGV);
    guest.thread.registers_mut().rip = 0xffff_ffff_8100_0000;
    assert_eq!(guest.run_to_fault().signo, libc::SIGSEGV);
    // Segment bases that the host refuses: a fault, and the old ones stay.
    guest.thread.registers_mut().rip = CODE;
    guest.thread.registers_mut().fs_base = 0xffff_ffff_8000_0000;
    assert_eq!(guest.run_to_fault().signo, libc::SIGSEGV);
    assert_eq!(guest.run_to_call(), 39);
    assert_eq!(guest.registers().fs_base, 0);
    // Selectors and flags that nobody may choose.
    guest.complete().expect("complete");
    let registers = guest.thread.registers_mut();
    (registers.cs, registers.ss, registers.ds, registers.gs) = (0x10, 0, 0x18, 0x28);
    registers.eflags = !0x100;
    assert_eq!(guest.run_to_call(), 39);
    let registers = guest.registers();
    assert_eq!((registers.cs, registers.ss, registers.ds, registers.gs), (0x33, 0x2b, 0, 0));
    assert_eq!(registers.eflags & 0x3000, 0, "no I/O privilege");
}
