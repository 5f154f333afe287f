//! The heap of brk(2): where it is, what limits it, who has which.

use crate::support::prelude::*;
use crate::support::sys::run_code;

/// The present break, which is made a whole page.
fn heap() -> usize {
    let start = (sys!(brk, 0).must() as usize).next_multiple_of(PAGE);
    check_eq!(sys!(brk, start), Ok(start as i64));
    start
}

/// The line of the memory map that has an address.
fn mapping_of(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").must();
    let has = |line: &&str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        Some((parse(start)?..parse(end)?).contains(&address))
    };
    maps.lines().find(|line| has(line) == Some(true)).map(str::to_owned)
}

case!(the_heap_is_called_so_in_the_memory_map, [brk], {
    let end = heap();
    check_eq!(sys!(brk, end + 4 * PAGE), Ok((end + 4 * PAGE) as i64));
    let line = mapping_of(end + PAGE).must();
    check!(line.ends_with("[heap]") && line.contains(" rw-p 00000000 00:00 0 "), "{line}");
});

case!(the_heap_starts_where_the_process_says, [brk], {
    let stat = std::fs::read_to_string("/proc/self/stat").must();
    let fields: Vec<_> = stat.rsplit(") ").next().must().split(' ').collect();
    // start_brk is the 47th of all fields, and the third is the first here.
    let start: i64 = fields[47 - 3].parse().ok().must();
    let end = heap() as i64;
    check!(end >= start && start % PAGE as i64 == 0);
    check_eq!(sys!(brk, start - 1), Ok(end), "no more than all of it can be given back");
    check!(end == start || mapping_of(start as usize).must().ends_with("[heap]"));
});

case!(a_break_need_not_be_a_whole_page, [brk], {
    let end = heap();
    check_eq!(sys!(brk, end + 1), Ok((end + 1) as i64));
    poke(end + PAGE - 1, 1u8);
    check_eq!(sys!(brk, end + PAGE), Ok((end + PAGE) as i64));
    check_eq!(peek::<u8>(end + PAGE - 1), 1);
    check_eq!(sys!(brk, end + 5), Ok((end + 5) as i64));
    check_eq!(peek::<u8>(end + PAGE - 1), 1, "the page is still in use");
    check_eq!(sys!(brk, end), Ok(end as i64));
    check!(read_fault(end).is_some());
});

case!(a_heap_does_not_grow_over_what_is_mapped, [brk, mmap], {
    let end = heap();
    let fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    let above = end + 8 * PAGE;
    check_eq!(sys!(mmap, above, PAGE, PROT_READ, fixed, -1, 0), Ok(above as i64));
    check_eq!(sys!(brk, above + 4 * PAGE), Ok(end as i64));
    check_eq!(sys!(brk, end + 4 * PAGE), Ok((end + 4 * PAGE) as i64));
    sys!(munmap, above, PAGE).must();
    check_eq!(sys!(brk, above + 4 * PAGE), Ok((above + 4 * PAGE) as i64));
    check_eq!(peek::<u8>(above), 0);
});

case!(processes_have_their_own_heaps, [brk, fork], {
    let end = heap();
    check_eq!(sys!(brk, end + 2 * PAGE), Ok((end + 2 * PAGE) as i64));
    poke(end, 1u8);
    fork(|| {
        check_eq!(sys!(brk, 0), Ok((end + 2 * PAGE) as i64), "a copy has the same break");
        check_eq!(sys!(brk, end + PAGE), Ok((end + PAGE) as i64));
        poke(end, 2u8);
        check!(read_fault(end + PAGE).is_some());
    })
    .ok();
    check_eq!((peek::<u8>(end), peek::<u8>(end + PAGE)), (1, 0));
    check_eq!(sys!(brk, 0), Ok((end + 2 * PAGE) as i64));
});

case!(the_data_limit_counts_the_heap, [brk, setrlimit], {
    let end = heap();
    let limit = |bytes: u64| rlimit { rlim_cur: bytes, rlim_max: RLIM_INFINITY };
    sys!(setrlimit, RLIMIT_DATA, &limit(64 << 20)).must();
    check_eq!(sys!(brk, end + (16 << 20)), Ok((end + (16 << 20)) as i64));
    check_eq!(sys!(brk, end + (128 << 20)), Ok((end + (16 << 20)) as i64));
    sys!(setrlimit, RLIMIT_DATA, &limit(RLIM_INFINITY)).must();
    check_eq!(sys!(brk, end + (128 << 20)), Ok((end + (128 << 20)) as i64));
});

case!(threads_share_a_heap, [brk, clone], {
    let end = heap();
    let rounds = 200;
    let grow = move || {
        for _ in 0..rounds {
            let now = sys!(brk, 0).must() as usize;
            sys!(brk, now + PAGE).must();
        }
    };
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(grow)).collect();
    threads.into_iter().for_each(|thread| thread.join().ok().must());
    let now = sys!(brk, 0).must() as usize;
    check!(now > end && now <= end + 3 * rounds * PAGE);
    (end..now).step_by(PAGE).for_each(|page| poke(page, 1u8));
});

case!(code_in_the_heap_goes_with_it, [brk, mprotect, getpid], {
    let end = heap();
    // mov eax, 39; syscall; ret
    let call = [0xb8_u8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3];
    for round in 0..4 {
        check_eq!(sys!(brk, end + 2 * PAGE), Ok((end + 2 * PAGE) as i64));
        check!((0..2 * PAGE).all(|at| peek::<u8>(end + at) == 0), "round {round}");
        let places = [end + 8 * round, end + PAGE + 64, end + 2 * PAGE - 8];
        places.iter().for_each(|&place| poke(place, call));
        sys!(mprotect, end, 2 * PAGE, PROT_READ | PROT_EXEC).must();
        for _ in 0..100 {
            places.iter().for_each(|&place| run_code(place));
        }
        check!(places.iter().all(|&place| peek::<[u8; 8]>(place) == call));
        check_eq!(sys!(brk, end), Ok(end as i64));
        check!(read_fault(end).is_some());
    }
});
