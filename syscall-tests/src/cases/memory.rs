//! mremap, madvise, msync, mlock family, mincore, brk and the limits of memory.

use crate::support::prelude::*;

const RW: i32 = PROT_READ | PROT_WRITE;
const PRIVATE_ANON: i32 = MAP_PRIVATE | MAP_ANONYMOUS;

case!(mremap_shrinks_in_place, [mremap], {
    let area = anon(4 * PAGE);
    poke(area, 3u8);
    check_eq!(sys!(mremap, area, 4 * PAGE, PAGE, 0), Ok(area as i64));
    check_eq!(peek::<u8>(area), 3);
    check!(read_fault(area + PAGE).is_some());
});

case!(mremap_grows_in_place_or_moves, [mremap], {
    let area = anon(4 * PAGE);
    sys!(munmap, area + PAGE, 3 * PAGE).must();
    poke(area, 3u8);
    check_eq!(sys!(mremap, area, PAGE, 2 * PAGE, 0), Ok(area as i64), "there is room");
    let blocked = anon(2 * PAGE);
    poke(blocked, 4u8);
    check_eq!(sys!(mremap, blocked, PAGE, 8 * PAGE, 0), Err(ENOMEM), "something is in the way");
    let moved = sys!(mremap, blocked, PAGE, 8 * PAGE, MREMAP_MAYMOVE).must() as usize;
    check!(moved != blocked);
    check_eq!((peek::<u8>(moved), peek::<u8>(moved + 7 * PAGE)), (4, 0));
    check!(read_fault(blocked).is_some(), "the old place is gone");
    check_eq!(read_fault(blocked + PAGE), None, "but not what was next to it");
});

case!(mremap_to_a_fixed_place, [mremap], {
    let (from, to) = (anon(PAGE), anon(PAGE));
    poke(from, 5u8);
    poke(to, 6u8);
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    check_eq!(sys!(mremap, from, PAGE, PAGE, flags, to), Ok(to as i64));
    check_eq!(peek::<u8>(to), 5);
    check!(read_fault(from).is_some());
});

case!(mremap_dontunmap_leaves_empty_pages, [mremap], {
    let from = anon(PAGE);
    poke(from, 5u8);
    let flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
    let to = sys!(mremap, from, PAGE, PAGE, flags, 0).must() as usize;
    check_eq!((peek::<u8>(to), peek::<u8>(from)), (5, 0));
});

case!(mremap_of_a_shared_mapping_with_size_zero_duplicates, [mremap], {
    let area = shared(PAGE);
    poke(area, 1u8);
    let copy = sys!(mremap, area, 0, PAGE, MREMAP_MAYMOVE).must() as usize;
    poke(copy, 9u8);
    check_eq!(peek::<u8>(area), 9);
    check_eq!(sys!(mremap, anon(PAGE), 0, PAGE, MREMAP_MAYMOVE), Err(EINVAL));
});

case!(mremap_keeps_the_file, [mremap], {
    create(c"f", &[8u8; 2 * PAGE]);
    let fd = open(c"f", O_RDWR);
    let area = map(PAGE, RW, MAP_SHARED, fd, 0);
    let bigger = sys!(mremap, area, PAGE, 2 * PAGE, MREMAP_MAYMOVE).must() as usize;
    poke(bigger + PAGE, b'x');
    check_eq!(content(c"f")[PAGE], b'x');
});

case!(mremap_errors, [mremap], {
    let area = anon(2 * PAGE);
    check_eq!(sys!(mremap, area + 1, PAGE, PAGE, 0), Err(EINVAL));
    check_eq!(sys!(mremap, area, PAGE, 0, 0), Err(EINVAL));
    check_eq!(sys!(mremap, area, PAGE, PAGE, 0x10), Err(EINVAL));
    check_eq!(sys!(mremap, area, PAGE, PAGE, MREMAP_FIXED, area), Err(EINVAL), "needs MAYMOVE");
    let both = MREMAP_MAYMOVE | MREMAP_FIXED;
    check_eq!(sys!(mremap, area, 2 * PAGE, PAGE, both, area), Err(EINVAL), "overlapping");
    sys!(munmap, area, 2 * PAGE).must();
    check_eq!(sys!(mremap, area, PAGE, 2 * PAGE, MREMAP_MAYMOVE), Err(EFAULT));
});

case!(dontneed_drops_private_pages, [madvise], {
    let area = anon(2 * PAGE);
    poke(area, 1u8);
    poke(area + PAGE, 1u8);
    check_eq!(sys!(madvise, area, PAGE, MADV_DONTNEED), Ok(0));
    check_eq!((peek::<u8>(area), peek::<u8>(area + PAGE)), (0, 1));
    create(c"f", b"file");
    let file = map(PAGE, RW, MAP_PRIVATE, open(c"f", O_RDONLY), 0);
    poke(file, b'x');
    sys!(madvise, file, PAGE, MADV_DONTNEED).must();
    check_eq!(peek::<u8>(file), b'f', "back to the file's content");
    let common = shared(PAGE);
    poke(common, 1u8);
    sys!(madvise, common, PAGE, MADV_DONTNEED).must();
    check_eq!(peek::<u8>(common), 1, "shared pages stay");
});

case!(advice_that_changes_nothing_is_accepted, [madvise], {
    let area = anon(2 * PAGE);
    poke(area, 1u8);
    for advice in [MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTDUMP] {
        check_eq!(sys!(madvise, area, 2 * PAGE, advice), Ok(0), "advice {advice}");
    }
    check_eq!(peek::<u8>(area), 1);
});

case!(madvise_errors, [madvise], {
    let area = anon(3 * PAGE);
    check_eq!(sys!(madvise, area + 1, PAGE, MADV_NORMAL), Err(EINVAL));
    check_eq!(sys!(madvise, area, PAGE, 9999), Err(EINVAL));
    check_eq!(sys!(madvise, area, 0, MADV_NORMAL), Ok(0));
    sys!(munmap, area + PAGE, PAGE).must();
    poke(area + 2 * PAGE, 1u8);
    check_eq!(sys!(madvise, area, 3 * PAGE, MADV_DONTNEED), Err(ENOMEM));
    check_eq!(peek::<u8>(area + 2 * PAGE), 0, "applied to all that is mapped");
});

case!(dontfork_and_wipeonfork, [madvise, fork], {
    let (gone, wiped) = (anon(PAGE), anon(PAGE));
    poke(gone, 1u8);
    poke(wiped, 1u8);
    sys!(madvise, gone, PAGE, MADV_DONTFORK).must();
    sys!(madvise, wiped, PAGE, MADV_WIPEONFORK).must();
    fork(|| {
        check_eq!(peek::<u8>(wiped), 0);
        check!(read_fault(gone).is_some());
    })
    .ok();
    check_eq!((peek::<u8>(gone), peek::<u8>(wiped)), (1, 1));
});

case!(populate_read_and_write, [madvise, mincore], {
    let area = anon(2 * PAGE);
    check_eq!(sys!(madvise, area, 2 * PAGE, MADV_POPULATE_WRITE), Ok(0));
    let mut pages = [0u8; 2];
    sys!(mincore, area, 2 * PAGE, &mut pages).must();
    check_eq!((pages[0] & 1, pages[1] & 1), (1, 1));
    let none = map(PAGE, PROT_NONE, PRIVATE_ANON, -1, 0);
    check_eq!(sys!(madvise, none, PAGE, MADV_POPULATE_READ), Err(EINVAL));
});

case!(msync_checks_the_range, [msync], {
    create(c"f", &[0; PAGE]);
    let area = map(PAGE, RW, MAP_SHARED, open(c"f", O_RDWR), 0);
    check_eq!(sys!(msync, area, PAGE, MS_ASYNC), Ok(0));
    check_eq!(sys!(msync, area, PAGE, MS_SYNC | MS_INVALIDATE), Ok(0));
    check_eq!(sys!(msync, area, PAGE, MS_SYNC | MS_ASYNC), Err(EINVAL));
    check_eq!(sys!(msync, area, PAGE, 0x100), Err(EINVAL));
    check_eq!(sys!(msync, area + 1, PAGE, MS_SYNC), Err(EINVAL));
    sys!(munmap, area, PAGE).must();
    check_eq!(sys!(msync, area, PAGE, MS_SYNC), Err(ENOMEM));
});

case!(mlock_checks_range_and_limit, [mlock, munlock, mlock2], {
    let area = anon(2 * PAGE);
    check_eq!(sys!(mlock, area, PAGE), Ok(0));
    check_eq!(sys!(munlock, area, PAGE), Ok(0));
    check_eq!(sys!(mlock2, area, PAGE, 1), Ok(0), "MLOCK_ONFAULT");
    check_eq!(sys!(mlock2, area, PAGE, 8), Err(EINVAL));
    check_eq!(sys!(munlock, area, PAGE), Ok(0));
    as_nobody(|| {
        let limit = rlimit { rlim_cur: PAGE as u64, rlim_max: PAGE as u64 };
        sys!(setrlimit, RLIMIT_MEMLOCK, &limit).must();
        check_eq!(sys!(mlock, area, 2 * PAGE), Err(ENOMEM));
        let limit = rlimit { rlim_cur: 0, rlim_max: 0 };
        sys!(setrlimit, RLIMIT_MEMLOCK, &limit).must();
        check_eq!(sys!(mlock, area, PAGE), Err(EPERM));
    });
    sys!(munmap, area, 2 * PAGE).must();
    check_eq!(sys!(mlock, area, PAGE), Err(ENOMEM));
    check_eq!(sys!(munlock, area, PAGE), Err(ENOMEM));
});

case!(mlockall_flags, [mlockall, munlockall], {
    check_eq!(sys!(mlockall, 0), Err(EINVAL));
    check_eq!(sys!(mlockall, 8), Err(EINVAL));
    check_eq!(sys!(mlockall, MCL_ONFAULT), Err(EINVAL), "alone it means nothing");
    check_eq!(sys!(munlockall), Ok(0));
});

case!(mincore_tells_resident_pages, [mincore], {
    let area = anon(3 * PAGE);
    poke(area + PAGE, 1u8);
    let mut pages = [0xffu8; 4];
    check_eq!(sys!(mincore, area, 3 * PAGE, &mut pages), Ok(0));
    check_eq!((pages[0] & 1, pages[1] & 1, pages[2] & 1), (0, 1, 0));
    check_eq!(pages[3], 0xff, "one byte a page and no more");
});

case!(mincore_errors, [mincore], {
    let area = anon(2 * PAGE);
    let mut pages = [0u8; 2];
    check_eq!(sys!(mincore, area + 1, PAGE, &mut pages), Err(EINVAL));
    check_eq!(sys!(mincore, area, 2 * PAGE, BAD), Err(EFAULT));
    sys!(munmap, area + PAGE, PAGE).must();
    check_eq!(sys!(mincore, area, 2 * PAGE, &mut pages), Err(ENOMEM));
    check_eq!(sys!(mincore, area, 0, &mut pages), Ok(0));
});

case!(brk_grows_and_shrinks, [brk], {
    let start = sys!(brk, 0).must() as usize;
    let aligned = start.next_multiple_of(PAGE);
    check_eq!(sys!(brk, aligned + 2 * PAGE), Ok((aligned + 2 * PAGE) as i64));
    poke(aligned + PAGE, 7u8);
    check_eq!(sys!(brk, aligned + PAGE), Ok((aligned + PAGE) as i64));
    check!(read_fault(aligned + PAGE).is_some(), "given back");
    check_eq!(sys!(brk, aligned + 2 * PAGE), Ok((aligned + 2 * PAGE) as i64));
    check_eq!(peek::<u8>(aligned + PAGE), 0, "and zero when it comes again");
});

case!(brk_failure_returns_the_old_break, [brk], {
    let start = sys!(brk, 0).must();
    check_eq!(sys!(brk, 1), Ok(start), "below the heap");
    check_eq!(sys!(brk, 1u64 << 47), Ok(start));
    let limit = rlimit { rlim_cur: 0, rlim_max: 0 };
    sys!(setrlimit, RLIMIT_DATA, &limit).must();
    check_eq!(sys!(brk, start as usize + (16 << 20)), Ok(start), "over RLIMIT_DATA");
});

case!(address_space_limit_is_enomem, [mmap, mremap, setrlimit], {
    let area = anon(PAGE);
    let limit = rlimit { rlim_cur: 64 << 20, rlim_max: 64 << 20 };
    sys!(setrlimit, RLIMIT_AS, &limit).must();
    check_eq!(sys!(mmap, 0, 128 << 20, RW, PRIVATE_ANON, -1, 0), Err(ENOMEM));
    check_eq!(sys!(mmap, 0, 128 << 20, PROT_NONE, PRIVATE_ANON, -1, 0), Err(ENOMEM));
    check!(sys!(mmap, 0, 1 << 20, RW, PRIVATE_ANON, -1, 0).is_ok());
    check_eq!(sys!(mremap, area, PAGE, 128 << 20, MREMAP_MAYMOVE), Err(ENOMEM));
});

case!(data_limit_counts_private_writable_memory, [mmap, mprotect, setrlimit], {
    let limit = rlimit { rlim_cur: 32 << 20, rlim_max: 32 << 20 };
    sys!(setrlimit, RLIMIT_DATA, &limit).must();
    check_eq!(sys!(mmap, 0, 64 << 20, RW, PRIVATE_ANON, -1, 0), Err(ENOMEM));
    let area = sys!(mmap, 0, 64 << 20, PROT_READ, PRIVATE_ANON, -1, 0).must();
    check_eq!(sys!(mprotect, area, 64 << 20, RW), Err(ENOMEM));
    check!(sys!(mmap, 0, 64 << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0).is_ok());
});

case!(stack_grows_on_demand_up_to_its_limit, [setrlimit], {
    fn deep(depth: usize) -> u8 {
        let frame = std::hint::black_box([depth as u8; 4096]);
        if depth == 0 { frame[7] } else { deep(depth - 1).wrapping_add(frame[9]) }
    }
    let limit = rlimit { rlim_cur: 8 << 20, rlim_max: 8 << 20 };
    sys!(setrlimit, RLIMIT_STACK, &limit).must();
    check_eq!(
        fault_of(|| {
            std::hint::black_box(deep(1000));
        }),
        None
    );
    let child = fork(|| {
        std::hint::black_box(deep(1_000_000));
    });
    check_eq!(child.wait(), Status::Signaled(SIGSEGV));
});

case!(mseal_protects_a_mapping, [mseal], {
    let area = anon(PAGE);
    match sys!(mseal, area, PAGE, 0) {
        Err(ENOSYS) => skip!("no mseal before Linux 6.10"),
        other => check_eq!(other, Ok(0)),
    }
    check_eq!(sys!(munmap, area, PAGE), Err(EPERM));
    check_eq!(sys!(mprotect, area, PAGE, PROT_READ), Err(EPERM));
    poke(area, 1u8);
});

case!(process_vm_copies_between_processes, [process_vm_readv, process_vm_writev], {
    let area = anon(PAGE);
    poke_bytes(area, b"parent");
    let gate = Gate::new();
    let child = fork(|| {
        poke_bytes(area, b"child!");
        gate.open();
        sleep_ms(100_000);
    });
    gate.wait();
    let mut buf = [0u8; 6];
    let local = iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: 6 };
    let remote = iovec { iov_base: std::ptr::without_provenance_mut(area), iov_len: 6 };
    match sys!(process_vm_readv, child.pid, &local, 1, &remote, 1, 0) {
        Err(EPERM) => skip!("may not read another process"),
        other => check_eq!(other, Ok(6)),
    }
    check_eq!(&buf, b"child!");
    check_eq!(sys!(process_vm_writev, child.pid, &local, 1, &remote, 1, 0), Ok(6));
    let bad = iovec { iov_base: std::ptr::without_provenance_mut(8), iov_len: 6 };
    check_eq!(sys!(process_vm_readv, child.pid, &local, 1, &bad, 1, 0), Err(EFAULT));
    check_eq!(sys!(process_vm_readv, child.pid, &local, 1, &remote, 1, 1), Err(EINVAL));
    check_eq!(sys!(process_vm_readv, i32::MAX, &local, 1, &remote, 1, 0), Err(ESRCH));
    child.end();
});

case!(stack_grows_for_the_kernel_too, [read], {
    let local = 0u8;
    let below = (&raw const local as usize & !15) - (512 << 10);
    let zero = open(c"/dev/zero", O_RDONLY);
    check_eq!(sys!(read, zero, below, 16), Ok(16));
    check_eq!(peek::<u64>(below), 0);
    check_eq!(sys!(read, zero, below - (1 << 30), 16), Err(EFAULT), "beyond its limit");
});
