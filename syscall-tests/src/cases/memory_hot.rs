//! mmap, munmap, mprotect, mremap and madvise from places that call them again and again: a kernel
//! may serve those in a shorter way, which must not show.

use crate::support::prelude::*;
use crate::support::sys::run_code;

const RW: i32 = PROT_READ | PROT_WRITE;
const ROUNDS: usize = 300;

/// The lines of the process' memory map that name `what`.
fn mapped(what: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").must();
    maps.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
}

/// How many bytes the process has mapped.
fn size() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").must();
    statm.split(' ').next().must().parse::<u64>().ok().must()
}

fn heat() {
    for _ in 0..ROUNDS {
        let area = anon(PAGE);
        sys!(mprotect, area, PAGE, PROT_READ).must();
        sys!(madvise, area, PAGE, MADV_DONTNEED).must();
        sys!(munmap, area, PAGE).must();
    }
}

case!(new_memory_is_empty_each_time, [mmap, munmap], {
    heat();
    let before = size();
    for round in 0..ROUNDS {
        let area = anon(3 * PAGE);
        check_eq!(peek::<u64>(area + 2 * PAGE), 0);
        for page in 0..3 {
            poke(area + page * PAGE, round as u64);
        }
        sys!(munmap, area, 3 * PAGE).must();
    }
    check!(size() <= before + 16);
});

case!(changes_have_their_effects, [mprotect, madvise, mremap, munmap], {
    heat();
    for _ in 0..10 {
        let area = anon(4 * PAGE);
        poke(area, 1u8);
        poke(area + PAGE, 2u8);
        sys!(madvise, area, PAGE, MADV_DONTNEED).must();
        check_eq!((peek::<u8>(area), peek::<u8>(area + PAGE)), (0, 2));
        sys!(mprotect, area, PAGE, PROT_READ).must();
        check!(write_fault(area).is_some());
        check_eq!(write_fault(area + PAGE), None);
        sys!(mprotect, area, PAGE, PROT_NONE).must();
        check!(read_fault(area).is_some());
        let moved = sys!(mremap, area + PAGE, PAGE, 64 * PAGE, MREMAP_MAYMOVE).must() as usize;
        check_eq!(peek::<u8>(moved), 2);
        check!(read_fault(area + PAGE).is_some());
        sys!(munmap, moved, 64 * PAGE).must();
        sys!(munmap, area, 4 * PAGE).must();
        check!(read_fault(area + 3 * PAGE).is_some());
    }
});

case!(errors_stay, [mmap, munmap, mprotect, mremap, madvise], {
    heat();
    let area = anon(2 * PAGE);
    let private = MAP_PRIVATE | MAP_ANONYMOUS;
    check_eq!(sys!(mmap, 0, 0, RW, private, -1, 0), Err(EINVAL));
    check_eq!(sys!(mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0), Err(EINVAL));
    check_eq!(sys!(mmap, 0, usize::MAX, RW, private, -1, 0), Err(ENOMEM));
    check_eq!(sys!(mmap, 0, PAGE, RW, private, -1, 1), Err(EINVAL));
    check_eq!(sys!(munmap, area + 1, PAGE), Err(EINVAL));
    check_eq!(sys!(munmap, area, 0), Err(EINVAL));
    check_eq!(sys!(munmap, area, usize::MAX), Err(EINVAL));
    check_eq!(sys!(mprotect, area + 1, PAGE, PROT_READ), Err(EINVAL));
    check_eq!(sys!(mprotect, area, 0, PROT_READ), Ok(0));
    check_eq!(sys!(madvise, area + 1, PAGE, MADV_DONTNEED), Err(EINVAL));
    check_eq!(sys!(madvise, area, PAGE, 99), Err(EINVAL));
    check_eq!(sys!(mremap, area + 1, PAGE, PAGE, 0), Err(EINVAL));
    check_eq!(sys!(mremap, area, PAGE, 0, 0), Err(EINVAL));
    check_eq!(sys!(mremap, area, PAGE, 2 * PAGE, 0), Err(ENOMEM));
    sys!(munmap, area, PAGE).must();
    check_eq!(sys!(munmap, area, PAGE), Ok(0), "there is nothing");
    check_eq!(sys!(mprotect, area, PAGE, PROT_READ), Err(ENOMEM));
    check_eq!(sys!(madvise, area, PAGE, MADV_DONTNEED), Err(ENOMEM));
    check_eq!(sys!(mremap, area, PAGE, 2 * PAGE, MREMAP_MAYMOVE), Err(EFAULT));
});

case!(files_in_between_are_noticed, [mmap, munmap, mremap], {
    create(c"kept", &[7; 3 * PAGE]);
    let fd = open(c"kept", O_RDWR);
    for round in 0..40 {
        heat_a_little();
        // Where the file comes to lie was anonymous memory a moment ago.
        let hole = anon(8 * PAGE);
        sys!(munmap, hole, 8 * PAGE).must();
        let flags = if round % 2 == 0 { MAP_SHARED } else { MAP_PRIVATE };
        let file = map(3 * PAGE, RW, flags, fd, 0);
        check_eq!(peek::<u8>(file + PAGE), 7);
        check_eq!(mapped("/kept").len(), 1);
        sys!(munmap, file + PAGE, PAGE).must();
        check_eq!(mapped("/kept").len(), 2);
        let memory = anon(PAGE);
        check_eq!(peek::<u8>(memory), 0);
        sys!(munmap, memory, PAGE).must();
        sys!(munmap, file, 3 * PAGE).must();
        check_eq!(mapped("/kept").len(), 0);
    }
    let file = map(PAGE, RW, MAP_SHARED, fd, 0);
    let moved = sys!(mremap, file, PAGE, 2 * PAGE, MREMAP_MAYMOVE).must() as usize;
    check_eq!(mapped("/kept").len(), 1);
    sys!(munmap, moved, 2 * PAGE).must();
    check_eq!(mapped("/kept").len(), 0);
});

fn heat_a_little() {
    for _ in 0..20 {
        let area = anon(PAGE);
        sys!(munmap, area, PAGE).must();
    }
}

case!(a_program_that_is_mapped_cannot_be_written_until_it_is_gone, [mmap, munmap], {
    heat();
    create(c"f", &[1; PAGE]);
    let fd = open(c"f", O_RDONLY);
    let area = map(PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    sys!(close, fd).must();
    sys!(unlink, c"f").must();
    check_eq!(mapped("/f (deleted)").len(), 1);
    check_eq!(peek::<u8>(area), 1);
    sys!(munmap, area, PAGE).must();
    check_eq!(mapped("/f (deleted)").len(), 0);
});

case!(signals_do_not_double_changes, [mmap, munmap], {
    heat();
    count_signal(SIGUSR1, SA_RESTART);
    static DONE: AtomicU32 = AtomicU32::new(0);
    let (pid, tid) = (getpid(), gettid());
    let storm = spawn(move || {
        while DONE.load(SeqCst) == 0 {
            sys!(tgkill, pid, tid, SIGUSR1).must();
            // The other thread has to get on in between.
            sys!(nanosleep, &timespec { tv_sec: 0, tv_nsec: 100_000 }, 0).must();
        }
    });
    // The other thread has its memory by then.
    while counted(SIGUSR1) == 0 {
        sleep_ms(1);
    }
    let before = size();
    let neighbour = anon(PAGE);
    poke(neighbour, 9u8);
    for round in 0..4000u64 {
        let area = anon(PAGE);
        check_eq!(peek::<u64>(area), 0);
        poke(area, round);
        check_eq!(sys!(mprotect, area, PAGE, PROT_READ), Ok(0));
        check_eq!(peek::<u64>(area), round);
        check_eq!(sys!(munmap, area, PAGE), Ok(0));
        check_eq!(peek::<u8>(neighbour), 9);
    }
    let after = size();
    DONE.store(1, SeqCst);
    storm.join().ok().must();
    check!(after <= before + 64, "{before} pages, then {after}");
});

case!(threads_change_memory_side_by_side, [mmap, munmap, mprotect, fork], {
    heat();
    let threads: Vec<_> = (0..4u64)
        .map(|own| {
            spawn(move || {
                for round in 0..1500u64 {
                    let area = anon(2 * PAGE);
                    poke(area + PAGE, own << 32 | round);
                    check_eq!(sys!(mprotect, area, PAGE, PROT_NONE), Ok(0));
                    check_eq!(peek::<u64>(area + PAGE), own << 32 | round);
                    check_eq!(sys!(munmap, area, 2 * PAGE), Ok(0));
                }
            })
        })
        .collect();
    for _ in 0..20 {
        fork(|| {
            heat_a_little();
            let area = anon(PAGE);
            poke(area, 1u8);
        })
        .ok();
    }
    for thread in threads {
        thread.join().ok().must();
    }
});

case!(limits_bind_hot_calls, [mmap, setrlimit], {
    heat();
    fork(|| {
        let limit = (size() + 64) * PAGE as u64;
        sys!(setrlimit, RLIMIT_AS, &[limit, limit]).must();
        let private = MAP_PRIVATE | MAP_ANONYMOUS;
        check_eq!(sys!(mmap, 0, 1024 * PAGE, RW, private, -1, 0), Err(ENOMEM));
        let area = anon(PAGE);
        check_eq!(sys!(mremap, area, PAGE, 1024 * PAGE, MREMAP_MAYMOVE), Err(ENOMEM));
    })
    .ok();
});

/// Code with many places that call getpid(2); each is 16 bytes long.
fn many_sites() -> usize {
    let code = anon(PAGE);
    for index in 0..PAGE / 16 {
        // mov eax, 39; syscall; ret
        poke(code + 16 * index, [0xb8_u8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3]);
    }
    sys!(mprotect, code, PAGE, PROT_READ | PROT_EXEC).must();
    code
}

fn call_all(code: usize) {
    (0..PAGE / 16).for_each(|index| run_code(code + 16 * index));
}

/// What is mapped, in order.
fn mappings() -> Vec<(usize, usize)> {
    let range = |line: &String| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    };
    mapped("").iter().filter_map(range).collect()
}

case!(memory_that_is_none_cannot_be_protected, [mprotect, getpid], 60, {
    const REACH: usize = 2 << 30;
    const STEP: usize = 64 << 10;
    let code = many_sites();
    for _ in 0..20 {
        call_all(code);
    }
    let mapped = mappings();
    let lowest = code.saturating_sub(REACH).max(PAGE) / PAGE * PAGE;
    for page in (lowest..code + REACH).step_by(STEP) {
        if mapped.iter().all(|&(start, end)| end <= page || start > page) {
            let result = sys!(mprotect, page, PAGE, PROT_READ);
            check!(matches!(result, Err(ENOMEM)), "{page:#x}: {result:?}");
        }
    }
    call_all(code);
});
