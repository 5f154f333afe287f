//! mmap, munmap, mprotect: mappings and what accesses to them do.

use std::ffi::CStr;

use crate::support::prelude::*;

const RW: i32 = PROT_READ | PROT_WRITE;
const PRIVATE_ANON: i32 = MAP_PRIVATE | MAP_ANONYMOUS;

fn segv(code: i32, addr: usize) -> Option<Fault> {
    Some(Fault { signal: SIGSEGV, code, addr })
}

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;

case!(anonymous_memory_is_zero_and_writable, [mmap, munmap], {
    let area = anon(4 * PAGE);
    check_eq!(area % PAGE, 0);
    check!(peek_bytes(area, 4 * PAGE).iter().all(|b| *b == 0));
    poke(area + 3 * PAGE, 7u8);
    check_eq!(peek::<u8>(area + 3 * PAGE), 7);
    check_eq!(sys!(munmap, area, 4 * PAGE), Ok(0));
    check_eq!(read_fault(area), segv(SEGV_MAPERR, area));
});

case!(argument_errors, [mmap], {
    check_eq!(sys!(mmap, 0, 0, RW, PRIVATE_ANON, -1, 0), Err(EINVAL));
    check_eq!(sys!(mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0), Err(EINVAL), "no type");
    check_eq!(sys!(mmap, 0, PAGE, RW, PRIVATE_ANON, -1, 1), Err(EINVAL), "offset not a page");
    check_eq!(sys!(mmap, 1, PAGE, RW, PRIVATE_ANON | MAP_FIXED, -1, 0), Err(EINVAL));
    check_eq!(sys!(mmap, 0, PAGE, RW, MAP_PRIVATE, 99, 0), Err(EBADF));
    check_eq!(sys!(mmap, 0, u64::MAX, RW, PRIVATE_ANON, -1, 0), Err(ENOMEM));
    check_eq!(sys!(mmap, 0, 1u64 << 48, RW, PRIVATE_ANON, -1, 0), Err(ENOMEM));
    let past = 0x7fff_ffff_f000u64;
    check_eq!(sys!(mmap, past, PAGE, RW, PRIVATE_ANON | MAP_FIXED, -1, 0), Err(ENOMEM));
    check_eq!(sys!(mmap, 1u64 << 63, PAGE, RW, PRIVATE_ANON | MAP_FIXED, -1, 0), Err(ENOMEM));
});

case!(length_is_rounded_up, [mmap, munmap], {
    let area = anon(2 * PAGE);
    sys!(munmap, area, 2 * PAGE).must();
    let flags = PRIVATE_ANON | MAP_FIXED;
    check_eq!(sys!(mmap, area, PAGE + 1, RW, flags, -1, 0), Ok(area as i64));
    poke(area + 2 * PAGE - 1, 1u8);
    check_eq!(sys!(munmap, area, 1), Ok(0));
    check_eq!(read_fault(area + PAGE - 1), segv(SEGV_MAPERR, area + PAGE - 1));
    check_eq!(read_fault(area + PAGE), None);
});

case!(hint_is_used_when_free, [mmap], {
    let area = anon(2 * PAGE);
    sys!(munmap, area, 2 * PAGE).must();
    check_eq!(sys!(mmap, area + 5, PAGE, RW, PRIVATE_ANON, -1, 0), Ok(area as i64), "rounded down");
    let other = sys!(mmap, area, PAGE, RW, PRIVATE_ANON, -1, 0).must();
    check!(other != area as i64, "a taken hint is only a hint");
});

case!(fixed_replaces_what_is_there, [mmap], {
    let area = anon(3 * PAGE);
    poke(area, 1u8);
    poke(area + PAGE, 1u8);
    check_eq!(
        sys!(mmap, area + PAGE, PAGE, RW, PRIVATE_ANON | MAP_FIXED, -1, 0),
        Ok((area + PAGE) as i64)
    );
    check_eq!((peek::<u8>(area), peek::<u8>(area + PAGE)), (1, 0));
});

case!(fixed_noreplace_refuses_taken_addresses, [mmap], {
    let area = anon(3 * PAGE);
    sys!(munmap, area + PAGE, PAGE).must();
    let flags = PRIVATE_ANON | MAP_FIXED_NOREPLACE;
    check_eq!(sys!(mmap, area, PAGE, RW, flags, -1, 0), Err(EEXIST));
    check_eq!(sys!(mmap, area + PAGE, 2 * PAGE, RW, flags, -1, 0), Err(EEXIST));
    check_eq!(sys!(mmap, area + PAGE, PAGE, RW, flags, -1, 0), Ok((area + PAGE) as i64));
});

case!(low_addresses_are_kept_free, [mmap], {
    as_nobody(|| {
        let flags = PRIVATE_ANON | MAP_FIXED;
        let result = sys!(mmap, 0, PAGE, RW, flags, -1, 0);
        check!(matches!(result, Err(EPERM | EACCES)), "{result:?}");
    });
    check!(anon(PAGE) >= 0x10000);
});

case!(map_32bit_stays_low, [mmap], {
    let area = map(PAGE, RW, PRIVATE_ANON | MAP_32BIT, -1, 0);
    check!(area < 1 << 31, "{area:#x}");
});

case!(protection_is_enforced, [mmap, mprotect], {
    let area = map(PAGE, PROT_NONE, PRIVATE_ANON, -1, 0);
    check_eq!(read_fault(area + 9), segv(SEGV_ACCERR, area + 9));
    check_eq!(sys!(mprotect, area, PAGE, PROT_READ), Ok(0));
    check_eq!(read_fault(area), None);
    check_eq!(write_fault(area + 7), segv(SEGV_ACCERR, area + 7));
    check_eq!(sys!(mprotect, area, PAGE, RW), Ok(0));
    check_eq!(write_fault(area), None);
});

case!(code_runs_only_with_prot_exec, [mmap, mprotect], {
    let area = anon(PAGE);
    poke(area, 0xc3u8); // ret
    let run = || sys_run(area);
    check_eq!(fault_of(run), segv(SEGV_ACCERR, area));
    sys!(mprotect, area, PAGE, PROT_READ | PROT_EXEC).must();
    check_eq!(fault_of(run), None);
});

/// Calls the code at an address.
fn sys_run(addr: usize) {
    crate::support::sys::run_code(addr);
}

case!(mprotect_errors, [mprotect], {
    let area = anon(3 * PAGE);
    check_eq!(sys!(mprotect, area + 1, PAGE, PROT_READ), Err(EINVAL));
    check_eq!(sys!(mprotect, area, PAGE, 0x100), Err(EINVAL));
    check_eq!(sys!(mprotect, area, 0, PROT_READ), Ok(0));
    sys!(munmap, area + PAGE, PAGE).must();
    check_eq!(sys!(mprotect, area, 3 * PAGE, PROT_READ), Err(ENOMEM), "a hole in the range");
    check_eq!(write_fault(area), segv(SEGV_ACCERR, area), "what comes before the hole is changed");
    check_eq!(sys!(mprotect, area, u64::MAX - 0xfff, PROT_READ), Err(ENOMEM));
});

case!(munmap_errors_and_holes, [munmap], {
    let area = anon(3 * PAGE);
    check_eq!(sys!(munmap, area + 1, PAGE), Err(EINVAL));
    check_eq!(sys!(munmap, area, 0), Err(EINVAL));
    check_eq!(sys!(munmap, 1u64 << 63, PAGE), Err(EINVAL));
    check_eq!(sys!(munmap, area, u64::MAX), Err(EINVAL));
    check_eq!(sys!(munmap, area + PAGE, PAGE), Ok(0));
    check_eq!(sys!(munmap, area + PAGE, PAGE), Ok(0), "nothing there is no error");
    check_eq!(sys!(munmap, area, 3 * PAGE), Ok(0));
});

case!(private_file_mapping_is_copied_on_write, [mmap], {
    create(c"f", b"hello");
    let fd = open(c"f", O_RDONLY);
    let area = map(PAGE, RW, MAP_PRIVATE, fd, 0);
    sys!(close, fd).must();
    check_eq!(peek_bytes(area, 7), b"hello\0\0");
    poke(area, b'J');
    check_eq!(peek_bytes(area, 5), b"Jello");
    check_eq!(content(c"f"), b"hello");
});

case!(shared_file_mapping_writes_the_file, [mmap, msync], {
    create(c"f", b"hello");
    let fd = open(c"f", O_RDWR);
    let area = map(PAGE, RW, MAP_SHARED, fd, 0);
    poke(area, b'J');
    check_eq!(content(c"f"), b"Jello", "seen at once by read");
    sys!(pwrite64, fd, b"p", 1, 4).must();
    check_eq!(peek_bytes(area, 5), b"Jellp", "and write is seen by the mapping");
    check_eq!(sys!(msync, area, PAGE, MS_SYNC), Ok(0));
    poke(area + 100, b'x');
    check_eq!(fstat(fd).st_size, 5, "writing past the end does not grow the file");
});

case!(two_shared_mappings_see_each_other, [mmap, fork], {
    create(c"f", &[0; PAGE]);
    let fd = open(c"f", O_RDWR);
    let one = map(PAGE, RW, MAP_SHARED, fd, 0);
    let two = map(PAGE, PROT_READ, MAP_SHARED, open(c"f", O_RDONLY), 0);
    poke(one, 5u8);
    check_eq!(peek::<u8>(two), 5);
    fork(|| poke(one, 6u8)).ok();
    check_eq!(peek::<u8>(two), 6);
});

case!(file_mapping_at_an_offset, [mmap], {
    let mut bytes = vec![1u8; PAGE];
    bytes.extend([2; PAGE]);
    create(c"f", &bytes);
    let fd = open(c"f", O_RDONLY);
    let area = map(PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE as i64);
    check_eq!(peek::<u8>(area), 2);
    check_eq!(sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), Err(EINVAL));
});

case!(access_beyond_the_end_of_file_is_sigbus, [mmap], {
    create(c"f", b"hello");
    let fd = open(c"f", O_RDWR);
    let area = map(3 * PAGE, RW, MAP_SHARED, fd, 0);
    check_eq!(read_fault(area + PAGE - 1), None, "the rest of the last page reads as zero");
    let bus = |addr| Some(Fault { signal: SIGBUS, code: 2, addr });
    check_eq!(read_fault(area + PAGE), bus(area + PAGE));
    sys!(ftruncate, fd, 2 * PAGE).must();
    check_eq!(read_fault(area + PAGE), None, "the file has grown");
    poke(area + PAGE, 9u8);
    sys!(ftruncate, fd, PAGE).must();
    check_eq!(read_fault(area + PAGE), bus(area + PAGE), "and was cut again");
});

case!(truncated_page_tail_reads_zero, [mmap, ftruncate], {
    create(c"f", &[7u8; PAGE]);
    let fd = open(c"f", O_RDWR);
    let area = map(PAGE, PROT_READ, MAP_SHARED, fd, 0);
    check_eq!(peek::<u8>(area + 200), 7);
    sys!(ftruncate, fd, 100).must();
    check_eq!((peek::<u8>(area + 99), peek::<u8>(area + 100)), (7, 0));
});

case!(file_must_be_open_the_right_way, [mmap, mprotect], {
    create(c"f", &[0; PAGE]);
    let (r, w) = (open(c"f", O_RDONLY), open(c"f", O_WRONLY));
    check_eq!(sys!(mmap, 0, PAGE, RW, MAP_SHARED, r, 0), Err(EACCES));
    check_eq!(sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, w, 0), Err(EACCES));
    check_eq!(sys!(mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, w, 0), Err(EACCES));
    let area = map(PAGE, PROT_READ, MAP_SHARED, r, 0);
    check_eq!(sys!(mprotect, area, PAGE, RW), Err(EACCES), "nor later");
    let private = map(PAGE, PROT_READ, MAP_PRIVATE, r, 0);
    check_eq!(sys!(mprotect, private, PAGE, RW), Ok(0));
    check_eq!(sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, open(c".", O_RDONLY), 0), Err(ENODEV));
    let (pipe, _w) = pipe();
    check_eq!(sys!(mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, pipe, 0), Err(ENODEV));
});

case!(a_file_open_for_reading_is_never_writable, [mmap, mprotect, memfd_create], {
    use std::sync::atomic::{AtomicBool, Ordering};
    let writable = sys!(memfd_create, c"f", 0).must();
    sys!(ftruncate, writable, PAGE).must();
    let fd = open(&cstr(&format!("/proc/self/fd/{writable}")), O_RDONLY);
    let area = anon(PAGE);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = sys!(mprotect, area, PAGE, RW);
            }
        });
        for _ in 0..300 {
            sys!(mmap, area, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0).must();
            check_eq!(sys!(getrandom, area, 1, 0), Err(EFAULT));
            sys!(mmap, area, PAGE, RW, PRIVATE_ANON | MAP_FIXED, -1, 0).must();
        }
        is_over.store(true, Ordering::Relaxed);
    });
});

case!(private_memory_is_copied_by_fork_and_shared_memory_is_not, [mmap, fork], {
    let (private, common) = (anon(PAGE), shared(PAGE));
    poke(private, 1u8);
    poke(common, 1u8);
    fork(|| {
        check_eq!((peek::<u8>(private), peek::<u8>(common)), (1, 1));
        poke(private, 2u8);
        poke(common, 2u8);
    })
    .ok();
    check_eq!((peek::<u8>(private), peek::<u8>(common)), (1, 2));
});

case!(dev_zero_maps_as_anonymous_memory, [mmap], {
    let fd = open(c"/dev/zero", O_RDWR);
    let private = map(PAGE, RW, MAP_PRIVATE, fd, 0);
    let common = map(PAGE, RW, MAP_SHARED, fd, 0);
    fork(|| {
        poke(private, 2u8);
        poke(common, 2u8);
    })
    .ok();
    check_eq!((peek::<u8>(private), peek::<u8>(common)), (0, 2));
});

case!(unlinked_file_lives_while_mapped, [mmap, unlink], {
    create(c"f", b"hello");
    let fd = open(c"f", O_RDWR);
    let area = map(PAGE, RW, MAP_SHARED, fd, 0);
    sys!(close, fd).must();
    sys!(unlink, c"f").must();
    poke(area, b'J');
    check_eq!(peek_bytes(area, 5), b"Jello");
});

case!(grows_down_flag_and_stack, [mmap], {
    let flags = PRIVATE_ANON | MAP_GROWSDOWN | MAP_STACK;
    let area = map(PAGE, RW, flags, -1, 0);
    poke(area, 1u8);
});

case!(shared_validate_refuses_unknown_flags, [mmap], {
    create(c"f", &[0; PAGE]);
    let fd = open(c"f", O_RDWR);
    check!(sys!(mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0).is_ok());
    let unknown = MAP_SHARED_VALIDATE | 1 << 22;
    check_eq!(sys!(mmap, 0, PAGE, RW, unknown, fd, 0), Err(EOPNOTSUPP));
    check!(sys!(mmap, 0, PAGE, RW, MAP_SHARED | 1 << 22, fd, 0).is_ok(), "ignored otherwise");
});

case!(many_small_mappings, [mmap, munmap], {
    // Alternating protections keep the kernel from merging them.
    let base = anon(2000 * PAGE);
    for i in 0..1000 {
        sys!(mprotect, base + 2 * i * PAGE, PAGE, PROT_READ).must();
    }
    poke(base + PAGE, 1u8);
    check_eq!(write_fault(base + 1000 * PAGE), segv(SEGV_ACCERR, base + 1000 * PAGE));
    check_eq!(sys!(munmap, base, 2000 * PAGE), Ok(0));
});

case!(threads_map_and_unmap_at_once, [mmap, munmap], {
    let workers: Vec<_> = (0..4)
        .map(|_| {
            spawn(|| {
                for i in 0..200u32 {
                    let area = anon(8 * PAGE);
                    poke(area + 7 * PAGE, i);
                    check_eq!(peek::<u32>(area + 7 * PAGE), i);
                    check_eq!(sys!(munmap, area, 8 * PAGE), Ok(0));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().ok().must();
    }
});

/// The line of `/proc/self/maps` for what is mapped at an address, without the address.
fn mapped_at(addr: usize) -> Option<String> {
    let maps = String::from_utf8_lossy(&content(c"/proc/self/maps")).into_owned();
    let line = maps.lines().find(|line| line.starts_with(&format!("{addr:08x}-")))?;
    Some(line.split_once(' ')?.1.to_owned())
}

/// A new file of three pages with one byte all over.
fn file_of(name: &CStr, byte: u8) -> i32 {
    create(name, &[byte; 3 * PAGE]);
    open(name, O_RDWR)
}

case!(a_fixed_mapping_that_fails_changes_nothing, [mmap, munmap, setrlimit], {
    let fd = file_of(c"a-mapped-file", 7);
    let area = sys!(mmap, 0, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0).must() as usize;
    let before = mapped_at(area).must();
    check!(before.ends_with("a-mapped-file"), "{before}");
    let limit = rlimit { rlim_cur: PAGE as u64, rlim_max: RLIM_INFINITY };
    sys!(setrlimit, RLIMIT_AS, &limit).must();
    let flags = MAP_PRIVATE | MAP_FIXED;
    check_eq!(sys!(mmap, area, 64usize << 20, PROT_READ, flags, fd, 0), Err(ENOMEM));
    let anonymous = flags | MAP_ANONYMOUS;
    check_eq!(sys!(mmap, area, 64usize << 20, PROT_READ, anonymous, -1, 0), Err(ENOMEM));
    let unlimited = rlimit { rlim_cur: RLIM_INFINITY, rlim_max: RLIM_INFINITY };
    sys!(setrlimit, RLIMIT_AS, &unlimited).must();
    check_eq!(mapped_at(area), Some(before));
    check_eq!(peek::<u8>(area + 3 * PAGE - 1), 7);
    check_eq!(sys!(munmap, area, 3 * PAGE), Ok(0));
    check_eq!(mapped_at(area), None);
});

case!(files_mapped_in_turns_are_told_apart, [mmap, munmap], {
    let fds = [file_of(c"one", 1), file_of(c"two", 2)];
    let area = anon(16 * PAGE);
    for round in 0..16usize {
        let which = if round < 8 { round / 4 } else { round % 2 };
        let (place, offset) = (area + round * PAGE, round % 2 * PAGE);
        let flags = MAP_PRIVATE | MAP_FIXED;
        check_eq!(sys!(mmap, place, PAGE, RW, flags, fds[which], offset), Ok(place as i64));
        check_eq!(peek::<u8>(place), which as u8 + 1);
        poke(place, 9u8);
    }
    sys!(unlink, c"one").must();
    sys!(close, fds[0]).must();
    // Another file may get the number, of the descriptor and of the inode.
    let next = file_of(c"three", 3);
    let place = sys!(mmap, area, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, next, 0).must();
    check_eq!(peek::<u8>(place as usize), 3);
    check_eq!(sys!(munmap, area, 16 * PAGE), Ok(0));
    check_eq!(read_fault(area), segv(SEGV_MAPERR, area));
});
