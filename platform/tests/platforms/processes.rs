//! Processes and threads.

use platform::{HostOp, Spawn, Trap};

use super::guest::{DATA, Guest, RW, getpid_loop, park_until, spin};
use super::kind::{Kind, new_platform};
use crate::guest_code;

guest_code!(count: "2: lock inc qword ptr [rdi]", "mov eax, 39", "syscall", "jmp 2b");

pub fn fork_copies_memory() {
    let mut parent = Guest::new(count());
    parent.thread.registers_mut().rdi = DATA;
    parent.run_to_call();
    let mut child = parent.spawn(Spawn::CopyMemory);
    assert_ne!(child.space.id(), parent.space.id());
    assert_eq!(child.thread.registers(), parent.thread.registers());
    child.thread.registers_mut().rax = 0;
    for _ in 0..3 {
        child.run_to_call();
    }
    parent.run_to_call();
    assert_eq!((parent.read_u64(DATA), child.read_u64(DATA)), (2, 4));
    // What one maps the other has not.
    child.map(0x80_0000, 4096, RW);
    assert!(parent.space.read(0x80_0000, &mut [0]).is_err());
}

pub fn a_word_is_written_at_birth() {
    let mut parent = Guest::new(count());
    parent.thread.registers_mut().rdi = DATA;
    parent.run_to_call();
    for (addr, word) in [(DATA + 8, 77), (0x80_0000, 0), (DATA + 8, 78)] {
        let mut child = parent.spawn(Spawn::CopyMemory);
        let is_written = child.thread.write_at_birth(addr, word);
        assert_eq!(is_written, Kind::is_systrap());
        child.run_to_call();
        child.run_to_call();
        let expected = if is_written { word.into() } else { 0 };
        assert_eq!((child.read_u64(DATA), child.read_u64(DATA + 8)), (3, expected));
    }
    let reserved = parent.space.layout().reserved.start;
    let mut child = parent.spawn(Spawn::CopyMemory);
    assert!(!child.thread.write_at_birth(reserved, 1) && !child.thread.write_at_birth(DATA + 2, 1));
    assert_eq!((parent.read_u64(DATA), parent.read_u64(DATA + 8)), (1, 0));
}

pub fn vfork_shares_memory() {
    let mut parent = Guest::new(count());
    parent.thread.registers_mut().rdi = DATA;
    parent.run_to_call();
    let mut child = parent.spawn(Spawn::ShareMemory);
    assert_eq!(child.space.id(), parent.space.id());
    child.run_to_call();
    child.run_to_call();
    assert_eq!(parent.read_u64(DATA), 3);
    child.map(0x80_0000, 4096, RW);
    assert_eq!(parent.space.write(0x80_0000, b"x"), Ok(1));
    // The memory can be reached through either of them.
    let space = child.space.clone();
    drop(child);
    assert_eq!(parent.read_u64(DATA), 3);
    assert_eq!(space.read(DATA, &mut [0]), Ok(1));
    parent.run_to_call();
}

pub fn threads_share_memory() {
    let mut first = Guest::new(count());
    first.thread.registers_mut().rdi = DATA;
    let mut others: Vec<Guest> = (0..20).map(|_| first.spawn(Spawn::Thread)).collect();
    assert_eq!(first.platform.thread_count(), 21);
    for other in &mut others {
        other.thread.resume(platform::ResumeMode::Run);
    }
    for other in &mut others {
        assert_eq!(other.await_trap(), Trap::Syscall);
    }
    assert_eq!(first.read_u64(DATA), 20);
    // A thread can do operations for all.
    let addr = 0x80_0000;
    others[3].map(addr, 4096, RW);
    assert_eq!(first.op(HostOp::Munmap { addr, len: 4096 }), Ok(0));
    first.run_to_call();
    assert_eq!(first.read_u64(DATA), 21);
}

pub fn a_dropped_thread_leaves_the_others() {
    let mut first = Guest::new(count());
    first.thread.registers_mut().rdi = DATA;
    let second = first.spawn(Spawn::Thread);
    let mut third = first.spawn(Spawn::Thread);
    drop(second);
    first.run_to_call();
    third.run_to_call();
    park_until(&*first.platform.clone(), || first.platform.thread_count() == 2);
    assert_eq!(first.read_u64(DATA), 2);
}

pub fn a_dropped_leader_leaves_the_others() {
    let mut leader = Guest::new(count());
    leader.thread.registers_mut().rdi = DATA;
    let mut second = leader.spawn(Spawn::Thread);
    let mut third = leader.spawn(Spawn::Thread);
    let platform = leader.platform.clone();
    drop(leader);
    second.run_to_call();
    assert_eq!(second.read_u64(DATA), 1);
    let mut child = second.spawn(Spawn::CopyMemory);
    drop(second);
    third.run_to_call();
    child.run_to_call();
    assert_eq!((third.read_u64(DATA), child.read_u64(DATA)), (2, 2));
    assert!(third.space.mappings().expect("maps").len() > 2);
    assert_eq!(third.space.set_limit(libc::RLIMIT_STACK as i32, 1 << 20), Ok(()));
    let space = third.space.clone();
    drop(third);
    assert_eq!(space.read(DATA, &mut [0]), Err(linux_abi::Errno::ESRCH));
    park_until(&*platform, || platform.thread_count() == 1);
    // The template and the child.
    Guest::await_host_children(2);
}

pub fn a_running_thread_can_be_dropped() {
    let mut first = Guest::new(spin());
    let mut spinning = first.spawn(Spawn::Thread);
    spinning.thread.resume(platform::ResumeMode::Run);
    drop(spinning);
    let platform = first.platform.clone();
    park_until(&*platform, || platform.thread_count() == 1);
    first.thread.resume(platform::ResumeMode::Run);
    drop(first);
    park_until(&*platform, || platform.thread_count() == 0);
    Guest::await_host_children(1);
}

pub fn many_processes_trap_together() {
    let platform = new_platform();
    let mut all: Vec<Guest> = (0..100).map(|_| Guest::on(&platform, getpid_loop())).collect();
    for _ in 0..20 {
        for guest in &mut all {
            guest.thread.resume(platform::ResumeMode::Run);
        }
        for guest in &mut all {
            assert_eq!(guest.await_trap(), Trap::Syscall);
            guest.thread.registers_mut().rax = 1;
        }
    }
    drop(all);
    park_until(&*platform, || platform.thread_count() == 0);
}

pub fn a_copy_outlives_its_parent() {
    let mut parent = Guest::new(count());
    parent.thread.registers_mut().rdi = DATA;
    let mut generations = Vec::new();
    for _ in 0..10 {
        let child = parent.spawn(Spawn::CopyMemory);
        generations.push(std::mem::replace(&mut parent, child));
        generations.remove(0);
        parent.run_to_call();
    }
    assert_eq!(parent.read_u64(DATA), 10);
}

pub fn stubs_have_no_rights() {
    let mut guest = Guest::new(getpid_loop());
    let _second = guest.spawn(Spawn::CopyMemory);
    for pid in Guest::host_children() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
            line.split_ascii_whitespace().nth(1).expect("a value").to_owned()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:", "SigIgn:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGURG, SIGSYS enter the stub of systrap.
        let caught = if Kind::is_systrap() { "00000000404004d8" } else { "0000000000000000" };
        assert_eq!(field("SigCgt:"), caught);
        assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".into(), "2".into()));
        assert_eq!(field("PPid:"), std::process::id().to_string());
        assert_eq!(field("Name:"), "guest");
    }
}
