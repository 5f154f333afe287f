//! System calls, registers, floating-point state.

use linux_abi::Errno;
use platform::{Fault, Registers, Spawn, Trap};

use super::guest::{CODE, DATA, DATA_BYTES, Guest, getpid_loop, spin};
use super::kind::{Kind, new_platform};
use crate::guest_code;

guest_code!(two_calls: "mov eax, 1", "mov edi, 2", "syscall", "mov rbx, rax", "mov eax, 3", "syscall");
guest_code!(int80: "mov eax, 20", "int 0x80", "mov eax, 21", "syscall");
guest_code!(x32: "mov eax, 0x40000027", "syscall", "mov rdi, rax", "mov eax, 7", "syscall");
guest_code!(steps: "nop", "nop", "mov eax, 5", "syscall", "nop", "nop");
guest_code!(load_xmm: "movq xmm3, rdi", "syscall", "movq rsi, xmm3", "mov eax, 39", "syscall");
guest_code!(write_fs: "wrfsbase rdi", "syscall", "rdfsbase rsi", "mov eax, 39", "syscall");
guest_code!(call_rdi: "call rdi", "syscall");

pub fn a_fresh_process_is_blank() {
    // Something to leak.
    std::hint::black_box(vec![0x55_u8; 1 << 20]);
    let platform = new_platform();
    let mut guest = Guest::blank(&platform);
    let registers = *guest.thread.registers();
    let expected =
        Registers { cs: 0x33, ss: 0x2b, eflags: 0x202, orig_rax: u64::MAX, ..Registers::default() };
    assert_eq!(registers, expected);
    let labels: Vec<_> =
        guest.space.mappings().expect("maps").into_iter().map(|mapping| mapping.label).collect();
    assert!(labels.iter().all(|label| label.starts_with("[v")), "{labels:?}");
    let here = &raw const platform as u64;
    assert_eq!(guest.space.read(here, &mut [0]), Err(Errno::EFAULT));
    let image = guest.thread.fp_state().expect("xsave");
    assert_eq!(&image[..4], [0x7f, 3, 0, 0]);
    assert!(image[32..416].iter().all(|&byte| byte == 0));
    let layout = guest.space.layout();
    assert!(layout.user.start <= 0x1_0000 && layout.user.end > layout.reserved.end);
}

pub fn a_syscall_traps_with_its_registers() {
    let mut guest = Guest::new(getpid_loop());
    guest.thread.registers_mut().rdi = 7;
    for _ in 0..3 {
        assert_eq!(guest.run_to_call(), 39);
        let registers = guest.thread.registers_mut();
        assert_eq!((registers.rip, registers.rdi), (CODE + 7, 7));
        assert_eq!(registers.rax, -38_i64 as u64);
        registers.rax = 1234;
    }
}

pub fn arguments_and_results_pass() {
    let mut guest = Guest::new(two_calls());
    assert_eq!(guest.run_to_call(), 1);
    assert_eq!(guest.thread.registers().rdi, 2);
    guest.thread.registers_mut().rax = 77;
    assert_eq!(guest.run_to_call(), 3);
    assert_eq!(guest.registers().rbx, 77);
    // Only the lower half of the number counts, as on the host.
    guest.thread.registers_mut().rip = CODE + 10;
    guest.thread.registers_mut().rax = 0xabcd_0000_0027;
    assert_eq!(guest.run_to_call(), 39);
}

pub fn foreign_calls_are_told_apart() {
    let mut guest = Guest::new(int80());
    assert_eq!(guest.run(), Trap::ForeignSyscall);
    assert_eq!(guest.thread.registers().rip, CODE + 7);
    guest.thread.registers_mut().rax = Errno::ENOSYS.to_return_value();
    assert_eq!(guest.run_to_call(), 21);
    let mut guest = Guest::on(&guest.platform, x32());
    assert_eq!(guest.run(), Trap::ForeignSyscall);
}

pub fn foreign_calls_do_not_exist() {
    let mut guest = Guest::new(int80());
    assert_eq!(guest.run_to_call(), 21);
    guest.thread.registers_mut().rax = 0;
    let mut guest = Guest::on(&guest.platform, x32());
    assert_eq!(guest.run_to_call(), 7);
    assert_eq!(guest.thread.registers().rdi, Errno::ENOSYS.to_return_value());
}

pub fn a_restart_code_stays_a_number() {
    let mut guest = Guest::new(two_calls());
    guest.run_to_call();
    guest.thread.registers_mut().rax = -512_i64 as u64;
    guest.run_to_call();
    assert_eq!(guest.registers().rbx, -512_i64 as u64);
}

pub fn single_steps_trap_once_each() {
    let mut guest = Guest::new(steps());
    let step_at = |trap: Trap, guest: &Guest, rip: u64| match trap {
        Trap::Fault(Fault { signo: libc::SIGTRAP, code: 2, trapno: 1, .. }) => {
            assert_eq!(guest.thread.registers().rip, rip);
        }
        other => panic!("{other:?}"),
    };
    for rip in [CODE + 1, CODE + 2, CODE + 7] {
        let trap = guest.step();
        step_at(trap, &guest, rip);
    }
    assert_eq!(guest.step(), Trap::Syscall);
    // The step over the call is over only when the call is.
    let trap = guest.step();
    step_at(trap, &guest, CODE + 9);
    let trap = guest.step();
    step_at(trap, &guest, CODE + 10);
    assert_eq!(guest.registers().eflags & 0x100, 0, "the trap flag is not visible");
}

pub fn the_vdso_works() {
    let mut guest = Guest::new(spin());
    let Some(vdso) = guest.space.layout().vdso else { return };
    let mut magic = [0; 4];
    assert_eq!(guest.space.read(vdso, &mut magic), Ok(4));
    assert_eq!(&magic, b"\x7fELF");
    let maps = guest.space.mappings().expect("maps");
    let text = maps.iter().find(|mapping| mapping.label == "[vdso]").expect("a vDSO");
    assert_eq!(text.range.start, vdso);
    assert!(maps.iter().any(|mapping| mapping.label.starts_with("[vvar")));
    // It is inherited.
    let child = guest.spawn(Spawn::CopyMemory);
    assert_eq!(child.space.read(vdso, &mut magic), Ok(4));
}

pub fn floating_point_state_is_per_thread() {
    let mut guest = Guest::new(load_xmm());
    guest.thread.registers_mut().rdi = 0x1122_3344;
    guest.run_to_call();
    guest.complete().expect("complete");
    let image = guest.thread.fp_state().expect("xsave");
    assert_eq!(image[160 + 48..][..4], 0x1122_3344_u32.to_le_bytes());
    // A copy has the same state; changing one leaves the other.
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.complete().expect("complete");
    assert_eq!(child.thread.fp_state().expect("xsave")[160..416], image[160..416]);
    child.thread.reset_fp_state().expect("reset");
    child.run_to_call();
    assert_eq!(child.thread.registers().rsi, 0);
    let mut changed = image.clone();
    changed[160 + 48] = 0x55;
    guest.thread.set_fp_state(&changed).expect("set");
    guest.run_to_call();
    assert_eq!(guest.thread.registers().rsi, 0x1122_3355);
    // Legacy images are short; broken ones are refused.
    guest.complete().expect("complete");
    assert_eq!(guest.thread.set_fp_state(&image[..512]), Ok(()));
    assert_eq!(guest.thread.set_fp_state(&image[..100]), Err(Errno::EINVAL));
    changed[24..28].fill(0xff);
    assert_eq!(guest.thread.set_fp_state(&changed), Err(Errno::EINVAL));
    changed.resize(1 << 16, 0);
    assert_eq!(guest.thread.set_fp_state(&changed), Err(Errno::EINVAL));
}

pub fn segment_bases_are_kept() {
    let mut guest = Guest::new(getpid_loop());
    guest.thread.registers_mut().fs_base = DATA + 8;
    guest.run_to_call();
    assert_eq!(guest.registers().fs_base, DATA + 8);
    guest.complete().expect("complete");
    guest.thread.registers_mut().gs_base = DATA + 16;
    guest.run_to_call();
    let registers = guest.registers();
    assert_eq!((registers.fs_base, registers.gs_base), (DATA + 8, DATA + 16));
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.run_to_call();
    assert_eq!(child.registers().fs_base, DATA + 8);
    if !platform::host::process::has_fsgsbase() {
        return;
    }
    // What user code may load by itself, the host's ptrace would not: it must survive all the same.
    let mut guest = Guest::on(&guest.platform, write_fs());
    let kernel = 0xffff_8000_0000_1000;
    guest.thread.registers_mut().rdi = kernel;
    guest.run_to_call();
    guest.thread.registers_mut().rax = 3;
    assert_eq!(guest.op(platform::HostOp::Yield), Ok(0));
    let (mut child, mut thread) = (guest.spawn(Spawn::CopyMemory), guest.spawn(Spawn::Thread));
    for each in [&mut guest, &mut child, &mut thread] {
        each.run_to_call();
        assert_eq!(each.registers().rsi, kernel);
    }
    guest.complete().expect("complete");
    guest.thread.registers_mut().rip = CODE + 5;
    guest.thread.registers_mut().gs_base = DATA;
    if Kind::is_systrap() {
        guest.run_to_call();
        let registers = guest.registers();
        assert_eq!((registers.fs_base, registers.gs_base), (kernel, DATA));
        return;
    }
    // When another base is set, this one cannot be kept; the thread lives on.
    assert!(matches!(guest.run(), Trap::Fault(Fault { signo: libc::SIGSEGV, .. })));
    guest.run_to_call();
    assert_eq!(guest.registers().gs_base, DATA);
}

pub fn the_vsyscall_page_is_as_the_host_has_it() {
    let mut guest = Guest::new(call_rdi());
    // time(NULL) of the oldest C libraries.
    guest.thread.registers_mut().rsi = 0;
    guest.thread.registers_mut().rdi = 0xffff_ffff_ff60_0400;
    match guest.run() {
        Trap::Syscall => {
            assert!(guest.thread.registers().rip == CODE + 4, "back behind the call");
        }
        // vsyscall=none.
        Trap::Fault(Fault { signo: libc::SIGSEGV, .. }) => {}
        other => panic!("{other:?}"),
    }
}

pub fn a_call_from_the_stub_page_traps() {
    let mut guest = Guest::new(call_rdi());
    let reserved = guest.space.layout().reserved.clone();
    guest.thread.registers_mut().rdi = reserved.start;
    guest.thread.registers_mut().rsp = DATA + DATA_BYTES;
    assert_eq!(guest.run(), Trap::Syscall);
    assert_eq!(guest.thread.registers().rip, reserved.start + 2);
    assert!(matches!(guest.run(), Trap::Fault(Fault { signo: libc::SIGTRAP, .. })));
    // Operations still work from there.
    assert_eq!(guest.op(platform::HostOp::Yield), Ok(0));
}
