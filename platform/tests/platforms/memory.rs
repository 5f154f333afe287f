//! Copies, host operations and what the host says about memory.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use linux_abi::Errno;
use platform::{Heap, HostOp, Spawn, Trap, host};

use super::guest::{ANONYMOUS, BLANK, CODE, DATA, DATA_BYTES, Guest, READ, RW, getpid_loop, wait};
use super::kind::{Kind, new_platform};

const END: u64 = DATA + DATA_BYTES;

fn file_with(content: &[u8]) -> OwnedFd {
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::pwrite(&file, content, 0).expect("pwrite");
    file
}

fn map_of(file: &OwnedFd, prot: i32, flags: i32) -> HostOp<'_> {
    HostOp::Mmap { addr: 0, len: 4096, prot, flags, fd: Some(file.as_fd()), offset: 0 }
}

pub fn copies_stop_at_the_first_bad_byte() {
    let guest = Guest::new(getpid_loop());
    let mut buf = [0; 10_000];
    assert_eq!(guest.space.write(END - 5, b"0123456789"), Ok(5));
    assert_eq!(guest.space.read(END - 5, &mut buf), Ok(5));
    assert_eq!(&buf[..5], b"01234");
    assert_eq!(guest.space.read(END - 8192, &mut buf), Ok(8192));
    assert_eq!(guest.space.read(END, &mut buf), Err(Errno::EFAULT));
    assert_eq!(guest.space.read(END, &mut []), Ok(0));
    assert_eq!(guest.space.write(CODE, b"x"), Err(Errno::EFAULT));
    assert_eq!(guest.space.read(0, &mut buf), Err(Errno::EFAULT));
    for addr in [u64::MAX, u64::MAX - 3, 1 << 47, 1 << 63, 0x7fff_ffff_f000] {
        assert_eq!(guest.space.read(addr, &mut buf), Err(Errno::EFAULT), "{addr:x}");
        assert_eq!(guest.space.write(addr, &buf), Err(Errno::EFAULT), "{addr:x}");
    }
}

pub fn large_copies_are_whole() {
    let mut guest = Guest::new(getpid_loop());
    let len = 20 << 20;
    let flags = ANONYMOUS;
    let op = HostOp::Mmap { addr: 0, len, prot: RW, flags, fd: None, offset: 0 };
    let addr = guest.op(op).expect("mmap");
    let data: Vec<u8> = (0..len).map(|index| (index / 4096) as u8).collect();
    assert_eq!(guest.space.write(addr, &data), Ok(data.len()));
    let mut back = vec![0; data.len()];
    assert_eq!(guest.space.read(addr, &mut back), Ok(data.len()));
    assert!(back == data);
}

pub fn forced_writes_ignore_protection() {
    let mut guest = Guest::new(getpid_loop());
    let child = guest.spawn(Spawn::CopyMemory);
    assert_eq!(guest.space.write_forced(CODE, &[0xb8, 40]), Ok(2));
    assert_eq!(guest.run_to_call(), 40);
    // The other process has its own copy.
    let mut bytes = [0; 2];
    assert_eq!(child.space.read(CODE, &mut bytes), Ok(2));
    assert_eq!(bytes, [0xb8, 39]);
    assert_eq!(guest.space.write_forced(END - 1, b"xy"), Ok(1));
    assert_eq!(guest.space.write_forced(0x1000, b"xy"), Err(Errno::EFAULT));
}

pub fn a_heap_is_where_it_was_placed() {
    let mut guest = Guest::new(getpid_loop());
    if !guest.space.layout().places_heap {
        return;
    }
    let start = 0x2000_0000_0000;
    let heap = Heap { start, data: [DATA, DATA + 4096], stack: END };
    guest.op(HostOp::PlaceHeap(heap)).expect("a place");
    guest.space.set_heap(start);
    assert_eq!(guest.op(HostOp::Brk { addr: 0 }), Ok(start));
    assert_eq!(guest.op(HostOp::Brk { addr: start + 5000 }), Ok(start + 5000));
    assert_eq!(guest.space.write(start + 8188, b"heap"), Ok(4));
    let child = guest.spawn(Spawn::CopyMemory);
    assert_eq!(guest.op(HostOp::Brk { addr: start + 1 }), Ok(start + 1));
    let mut bytes = [0; 4];
    assert_eq!(guest.space.read(start + 8188, &mut bytes), Err(Errno::EFAULT));
    assert_eq!(child.space.read(start + 8188, &mut bytes), Ok(4));
    assert_eq!(&bytes, b"heap");
    // What is in the way stays.
    let room = HostOp::Mmap {
        addr: start + 0x10_0000,
        len: 4096,
        prot: RW,
        flags: ANONYMOUS | libc::MAP_FIXED,
        fd: None,
        offset: 0,
    };
    guest.op(room).expect("mmap");
    assert_eq!(guest.op(HostOp::Brk { addr: start + 0x20_0000 }), Ok(start + 1));
    let maps = guest.space.mappings().expect("mappings");
    let heap = maps.iter().find(|mapping| mapping.range.start == start).expect("a heap");
    assert_eq!(heap.label, "[heap]");
}

pub fn files_map_with_the_rights_they_have() {
    let mut guest = Guest::new(getpid_loop());
    let file = file_with(b"content");
    let shared = guest.op(map_of(&file, RW, libc::MAP_SHARED)).expect("shared");
    let private = guest.op(map_of(&file, RW, libc::MAP_PRIVATE)).expect("private");
    guest.space.write(private, b"C").expect("write");
    guest.space.write(shared + 1, b"O").expect("write");
    let mut text = [0; 7];
    host::fs::pread(&file, &mut text, 0).expect("pread");
    assert_eq!(&text, b"cOntent");
    guest.space.read(private, &mut text).expect("read");
    assert_eq!(text[0], b'C');
    // The host's errors come through.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let read_only = OwnedFd::from(std::fs::File::open(path).expect("open"));
    assert_eq!(guest.op(map_of(&read_only, RW, libc::MAP_SHARED)), Err(Errno::EACCES));
    assert!(guest.op(map_of(&read_only, READ, libc::MAP_SHARED)).is_ok());
    let (pipe, _writer) = host::fs::pipe().expect("pipe");
    assert_eq!(guest.op(map_of(&pipe, READ, libc::MAP_PRIVATE)), Err(Errno::ENODEV));
    // Shared mappings stay shared with a child.
    let child = guest.spawn(Spawn::CopyMemory);
    child.space.write(shared, b"K").expect("write");
    guest.space.read(shared, &mut text).expect("read");
    assert_eq!(&text, b"KOntent");
}

/// How many descriptors a stub process has; none if it is no more.
fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |listing| listing.count())
}

/// The same file, only to be read.
fn read_only(file: &OwnedFd) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    std::fs::File::open(path).expect("open").into()
}

pub fn a_stub_keeps_no_descriptor_to_write_by() {
    let mut guest = Guest::new(getpid_loop());
    let file = file_with(b"text");
    for flags in [libc::MAP_PRIVATE, libc::MAP_SHARED] {
        guest.op(map_of(&file, READ, flags)).expect("mmap");
        // Stubs of ptrace get descriptors by a socket.
        let pid = Guest::newest_host_pid();
        assert_eq!(descriptors(pid), usize::from(!Kind::is_systrap()));
    }
}

pub fn files_are_held_for_their_domain() {
    let platform = new_platform();
    let public = std::fs::File::open("/bin/sh").expect("a shell").into();
    let secret = read_only(&file_with(b"text"));
    let begin = |file: &OwnedFd, domain| {
        let mut guest = Guest::blank(&platform);
        guest.thread.set_domain(NonZeroU32::new(domain));
        let op = HostOp::Mmap {
            addr: BLANK,
            len: 4096,
            prot: RW,
            flags: ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            fd: None,
            offset: 0,
        };
        assert_eq!(wait(&platform, guest.thread.host_ops(&[op])), Ok(()));
        let early = descriptors(Guest::newest_host_pid());
        let start = guest.op(map_of(file, READ, libc::MAP_PRIVATE)).expect("mmap");
        let mut found = [[0; 4]; 2];
        guest.space.read(start, &mut found[0]).expect("read");
        host::fs::pread(file, &mut found[1], 0).expect("pread");
        assert_eq!(found[0], found[1]);
        early
    };
    // From the third process on; others get nothing.
    let found = [1, 1, 1, 2, 0, 1].map(|domain| begin(&public, domain));
    let expected = if Kind::is_systrap() { [0, 0, 1, 0, 0, 1] } else { [1; 6] };
    assert_eq!(found, expected);
    let found = [3; 4].map(|domain| begin(&secret, domain));
    assert_eq!(found, [usize::from(!Kind::is_systrap()); 4]);
}

pub fn a_stub_keeps_one_descriptor_at_most() {
    let mut guest = Guest::new(getpid_loop());
    let files = [b"one", b"two"].map(|text| read_only(&file_with(text)));
    for index in 0..50 {
        // In runs, and in turns.
        let file = &files[if index < 20 { index / 5 % 2 } else { index % 2 }];
        let start = guest.op(map_of(file, READ, libc::MAP_PRIVATE)).expect("mmap");
        let shared = guest.op(map_of(file, READ, libc::MAP_SHARED)).expect("mmap");
        let mut found = [[0; 3]; 2];
        guest.space.read(start, &mut found[0]).expect("read");
        guest.space.read(shared, &mut found[1]).expect("read");
        let mut expected = [0; 3];
        host::fs::pread(file, &mut expected, 0).expect("pread");
        assert_eq!(found, [expected; 2], "{index}");
    }
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.complete().expect("complete");
    let count: usize = Guest::host_children().into_iter().map(descriptors).sum();
    assert!(count <= if Kind::is_systrap() { 1 } else { 3 });
    let start = child.op(map_of(&files[0], READ, libc::MAP_PRIVATE)).expect("mmap");
    let mut found = [0; 3];
    child.space.read(start, &mut found).expect("read");
    assert_eq!(&found, b"one");
}

pub fn a_thread_goes_on_unless_its_operation_fails() {
    const FREE: u64 = 0x1_0000_0000;
    let mut guest = Guest::new(getpid_loop());
    let file = file_with(b"text");
    let map = |addr| HostOp::Mmap {
        addr,
        len: 4096,
        prot: READ,
        flags: libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE,
        fd: Some(file.as_fd()),
        offset: 0,
    };
    for round in 0..3 {
        assert_eq!(guest.run_to_call(), 39);
        guest.complete().expect("complete");
        let place = FREE + round * 4096;
        assert!(guest.thread.resume_unless_failed(map(place), 77));
        assert_eq!(guest.await_trap(), Trap::Syscall);
        let mut found = [0; 4];
        assert_eq!(guest.space.read(place, &mut found), Ok(4));
        assert_eq!(&found, b"text");
        // What is taken stays, and the thread can do something else.
        guest.complete().expect("complete");
        let rip = guest.thread.registers().rip;
        assert!(guest.thread.resume_unless_failed(map(place), 77));
        assert_eq!(guest.await_trap(), Trap::Failed);
        let registers = *guest.thread.registers();
        assert_eq!((registers.rax as i64, registers.rip), (-i64::from(libc::EEXIST), rip));
        guest.map(place + 0x10_0000, 4096, RW);
    }
    assert_eq!(guest.run_to_call(), 39);
}

pub fn operations_in_a_row_end_at_the_first_failure() {
    const FREE: u64 = 0x1_0000_0000;
    const SPACING: u64 = 0x10_0000;
    let mut guest = Guest::new(getpid_loop());
    assert_eq!(guest.run_to_call(), 39);
    let platform = guest.platform.clone();
    let files = [file_with(b"first"), file_with(b"second")];
    let anonymous = |index: u64| HostOp::Mmap {
        addr: FREE + index * SPACING,
        len: 4096,
        prot: RW,
        flags: ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
        fd: None,
        offset: 0,
    };
    let map = |index: u64| match files.get(index as usize % 3) {
        None => anonymous(index),
        Some(file) => HostOp::Mmap {
            addr: FREE + index * SPACING,
            len: 4096,
            prot: RW,
            flags: libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE,
            fd: Some(file.as_fd()),
            offset: 0,
        },
    };
    // More than the stub makes at once.
    let ops: Vec<_> = (0..40).map(map).collect();
    assert_eq!(wait(&platform, guest.thread.host_ops(&ops)), Ok(()));
    for (index, text) in [(36, b"first"), (37, b"secon"), (38, &[0; 5])] {
        let mut found = [1; 5];
        assert_eq!(guest.space.read(FREE + index * SPACING, &mut found), Ok(5));
        assert_eq!(&found, text);
    }
    let reserved = guest.space.layout().reserved.start;
    let refused = HostOp::Munmap { addr: reserved, len: 4096 };
    let ends = [(anonymous(0), Errno::EEXIST), (refused, Errno::EINVAL)];
    for (round, (bad, error)) in ends.into_iter().enumerate() {
        let next = 50 + 10 * round as u64;
        let ops = [map(next), bad, anonymous(next + 1)];
        assert_eq!(wait(&platform, guest.thread.host_ops(&ops)), Err(error));
        assert_eq!(guest.space.write(FREE + next * SPACING, b"x"), Ok(1));
        let behind = guest.space.write(FREE + (next + 1) * SPACING, b"x");
        assert_eq!(behind, Err(Errno::EFAULT));
    }
    assert_eq!(guest.run_to_call(), 39);
    assert!(Guest::host_children().into_iter().map(descriptors).all(|count| count <= 1));
}

pub fn the_reserved_region_is_out_of_reach() {
    let mut guest = Guest::new(getpid_loop());
    let reserved = guest.space.layout().reserved.clone();
    let (addr, len) = (reserved.start, 4096);
    let refused = [
        HostOp::Munmap { addr, len },
        HostOp::Munmap { addr: 0x60_0000, len: addr },
        HostOp::Mprotect { addr, len, prot: 7 },
        HostOp::Madvise { addr, len, advice: libc::MADV_DONTNEED },
        HostOp::Mremap { addr, old_len: len, new_len: 8192, flags: 1, new_addr: 0 },
        HostOp::Mremap { addr: DATA, old_len: len, new_len: len, flags: 3, new_addr: addr },
        HostOp::Mincore { addr, len, vec: DATA },
    ];
    for op in refused {
        assert_eq!(guest.op(op), Err(Errno::EINVAL), "{op:?}");
    }
    let flags = ANONYMOUS | libc::MAP_FIXED;
    let op = HostOp::Mmap { addr, len, prot: RW, flags, fd: None, offset: 0 };
    assert_eq!(guest.op(op), Err(Errno::ENOMEM));
    let hint = HostOp::Mmap { addr, len, prot: RW, flags: ANONYMOUS, fd: None, offset: 0 };
    assert!(guest.op(hint).expect("elsewhere") != addr);
    for addr in [reserved.start, reserved.end - 1] {
        assert_eq!(guest.space.read(addr, &mut [0]), Err(Errno::EFAULT));
        assert_eq!(guest.space.write(addr, b"x"), Err(Errno::EFAULT));
        assert_eq!(guest.space.write_forced(addr, b"x"), Err(Errno::EFAULT));
    }
    guest.map(reserved.start - 4096, 4096, RW);
    assert_eq!(guest.space.write_forced(reserved.start - 2, b"abcd"), Ok(2));
    assert_eq!(guest.run_to_call(), 39);
}

pub fn memory_operations_work() {
    let mut guest = Guest::new(getpid_loop());
    guest.space.write(DATA, b"moves").expect("write");
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let target = 0x70_0000;
    let op = HostOp::Mremap { addr: DATA, old_len: 4096, new_len: 8192, flags, new_addr: target };
    assert_eq!(guest.op(op), Ok(target));
    let mut text = [0; 5];
    assert_eq!(guest.space.read(target, &mut text), Ok(5));
    assert_eq!(&text, b"moves");
    assert_eq!(guest.space.read(DATA, &mut text), Err(Errno::EFAULT));
    let vec = DATA + 4096;
    assert_eq!(guest.op(HostOp::Mincore { addr: target, len: 8192, vec }), Ok(0));
    let mut resident = [0; 2];
    guest.space.read(vec, &mut resident).expect("read");
    assert_eq!(resident, [1, 0]);
    let advice = libc::MADV_DONTNEED;
    assert_eq!(guest.op(HostOp::Madvise { addr: target, len: 4096, advice }), Ok(0));
    guest.space.read(target, &mut text).expect("read");
    assert_eq!(text, [0; 5]);
    assert_eq!(guest.op(HostOp::Mlock { addr: target, len: 4096, flags: 0 }), Ok(0));
    assert_eq!(guest.op(HostOp::Munlock { addr: target, len: 4096 }), Ok(0));
    assert_eq!(guest.op(HostOp::Msync { addr: target, len: 4096, flags: 4 }), Ok(0));
    assert!(guest.op(HostOp::Membarrier { cmd: 0, flags: 0, cpu: 0 }).is_ok());
    assert_eq!(guest.op(HostOp::Yield), Ok(0));
    assert_eq!(guest.op(HostOp::Munmap { addr: target, len: 8192 }), Ok(0));
    assert_eq!(guest.op(HostOp::Munmap { addr: 1, len: 4096 }), Err(Errno::EINVAL));
    assert_eq!(guest.run_to_call(), 39);
}

pub fn all_memory_can_be_locked() {
    let mut guest = Guest::new(getpid_loop());
    let locked = |guest: &Guest| guest.space.usage().expect("usage").resident;
    let before = locked(&guest);
    assert_eq!(guest.op(HostOp::Mlockall { flags: libc::MCL_CURRENT }), Ok(0));
    assert!(locked(&guest) >= before + DATA_BYTES);
    assert!(locked(&guest) < before + (1 << 20), "no more than the guest has");
    assert_eq!(guest.op(HostOp::Munlockall), Ok(0));
    let future = libc::MCL_CURRENT | libc::MCL_FUTURE;
    assert_eq!(guest.op(HostOp::Mlockall { flags: future }), Ok(0));
    let before = locked(&guest);
    guest.map(0x80_0000, 65536, RW);
    assert!(locked(&guest) >= before + 65536);
    assert_eq!(guest.op(HostOp::Munlockall), Ok(0));
    assert_eq!(guest.op(HostOp::Mlockall { flags: 64 }), Err(Errno::EINVAL));
    assert_eq!(guest.op(HostOp::Mlockall { flags: 64 | 1 }), Err(Errno::EINVAL));
    guest.space.set_limit(libc::RLIMIT_MEMLOCK as i32, 8192).expect("limit");
    let refused = guest.op(HostOp::Mlockall { flags: libc::MCL_CURRENT });
    assert_eq!(refused, Err(Errno::ENOMEM));
    assert_eq!(guest.run_to_call(), 39);
}

pub fn mappings_and_usage_leave_out_the_stub() {
    let mut guest = Guest::new(getpid_loop());
    let reserved = guest.space.layout().reserved.clone();
    // Neighbours that the host merges with the stub's pages.
    guest.map(reserved.end, 4096, RW);
    let maps = guest.space.mappings().expect("maps");
    let bytes: u64 = maps.iter().map(|mapping| mapping.range.end - mapping.range.start).sum();
    assert!(maps.iter().all(|m| m.range.end <= reserved.start || m.range.start >= reserved.end));
    let neighbour = maps.iter().find(|m| m.range.start == reserved.end).expect("neighbour");
    assert!(neighbour.range.end == reserved.end + 4096 && neighbour.write);
    let code = maps.iter().find(|m| m.range.start == CODE).expect("code");
    assert!(code.read && code.exec && !code.write && !code.shared);
    let usage = guest.space.usage().expect("usage");
    assert_eq!(usage.virtual_size, bytes);
    assert!(usage.data >= DATA_BYTES + 4096 && usage.resident >= 4096);
}

pub fn limits_bind_the_host() {
    let mut guest = Guest::new(getpid_loop());
    let used = guest.space.usage().expect("usage").virtual_size;
    let limit = libc::RLIMIT_AS as i32;
    let map = |len| HostOp::Mmap { addr: 0, len, prot: RW, flags: ANONYMOUS, fd: None, offset: 0 };
    guest.space.set_limit(limit, used + 8192).expect("limit");
    assert_eq!(guest.op(map(12_288)), Err(Errno::ENOMEM));
    assert!(guest.op(map(8192)).is_ok());
    assert_eq!(guest.op(map(4096)), Err(Errno::ENOMEM));
    guest.space.set_limit(limit, u64::MAX).expect("limit");
    assert!(guest.op(map(1 << 20)).is_ok());
    for resource in [libc::RLIMIT_DATA, libc::RLIMIT_STACK, libc::RLIMIT_MEMLOCK] {
        assert_eq!(guest.space.set_limit(resource as i32, 1 << 20), Ok(()));
    }
    assert_eq!(guest.space.set_limit(libc::RLIMIT_CPU as i32, 1), Err(Errno::EINVAL));
}

pub fn stacks_grow_for_the_kernel_as_for_the_guest() {
    let mut guest = Guest::new(getpid_loop());
    let (top, len) = (0x7000_0000, 64 << 10);
    guest.space.set_limit(libc::RLIMIT_STACK as i32, 1 << 20).expect("limit");
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let addr = top - len;
    let mut map = |addr, flags| {
        guest.op(HostOp::Mmap { addr, len, prot: RW, flags, fd: None, offset: 0 }).expect("map")
    };
    map(addr, flags | libc::MAP_GROWSDOWN);
    map(addr - (16 << 20), flags);
    let below = top - (512 << 10);
    assert_eq!(guest.space.write(below, b"deep"), Ok(4));
    let mut text = [0; 4];
    assert_eq!(guest.space.read(below, &mut text), Ok(4));
    assert_eq!(&text, b"deep");
    assert_eq!(guest.space.read(below - (8 << 10), &mut text), Ok(4));
    // Beyond the limit, and below a mapping that is no stack.
    assert_eq!(guest.space.write(top - (2 << 20), b"x"), Err(Errno::EFAULT));
    assert_eq!(guest.space.write(addr - (17 << 20), b"x"), Err(Errno::EFAULT));
}
