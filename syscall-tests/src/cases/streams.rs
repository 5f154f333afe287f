//! Many calls in quick succession: a kernel may find a shorter way for them, which must not show.

use crate::support::prelude::*;

case!(each_call_counts_once_under_signals, [lseek], {
    const CALLS: i64 = 30_000;
    create(c"f", b"");
    let file = open(c"f", O_RDWR);
    storm(1000, SA_RESTART);
    for number in 1..=CALLS {
        check_eq!(sys!(lseek, file, 1, SEEK_CUR), Ok(number));
    }
    // However fast that was.
    while counted(SIGALRM) < 5 {
        let before = sys!(lseek, file, 0, SEEK_CUR).must();
        check_eq!(sys!(lseek, file, 1, SEEK_CUR), Ok(before + 1));
    }
    calm();
});

case!(bytes_stay_in_order_under_signals, [read, write], {
    let (r, w) = pipe();
    storm(1000, SA_RESTART);
    let mut next = 0_u8;
    for len in (1..=300).cycle().take(6000) {
        let sent: Vec<u8> = (0..len).map(|at| next.wrapping_add(at as u8)).collect();
        next = next.wrapping_add(len as u8);
        check_eq!(sys!(write, w, sent.as_ptr(), len), Ok(len as i64));
        let mut got = vec![0_u8; 300];
        check_eq!(sys!(read, r, got.as_mut_ptr(), 300), Ok(len as i64));
        check_eq!(&got[..len], &sent[..]);
        check!(got[len..].iter().all(|&byte| byte == 0));
    }
    calm();
});

case!(long_and_short_transfers_alternate, [pread64, pwrite64], {
    let file = open(c"f", O_RDWR | O_CREAT);
    for round in 0..600_usize {
        let len = [1, 100, 4096, 8192, 8193, 16384, 16385, 40_000][round % 8];
        let data: Vec<u8> = (0..len).map(|at| (at + round) as u8).collect();
        check_eq!(sys!(pwrite64, file, data.as_ptr(), len, round), Ok(len as i64));
        let mut back = vec![0_u8; len + 5];
        check_eq!(sys!(pread64, file, back.as_mut_ptr(), len, round), Ok(len as i64));
        check_eq!(&back[..len], &data[..]);
        check_eq!(&back[len..], &[0; 5]);
    }
});

case!(bad_addresses_are_found_among_good_ones, [pread64, write, newfstatat], {
    const PAGE: usize = 4096;
    create(c"f", &[7; 64]);
    let file = open(c"f", O_RDWR);
    let memory = anon(2 * PAGE);
    sys!(munmap, memory + PAGE, PAGE).must();
    let sink = open(c"/dev/null", O_WRONLY);
    let edge = memory + PAGE;
    for round in 0..1500 {
        check_eq!(sys!(pread64, file, edge - 16, 16, 0), Ok(16));
        check_eq!(sys!(write, sink, edge - 16, 16), Ok(16));
        if round % 50 == 49 {
            check_eq!(sys!(pread64, file, edge, 16, 0), Err(EFAULT));
            // As far as the memory goes.
            check_eq!(sys!(pread64, file, edge - 4, 16, 0), Ok(4));
            check_eq!(sys!(pread64, file, 8, 16, 0), Err(EFAULT));
            check_eq!(sys!(newfstatat, AT_FDCWD, c"f", edge - 16, 0), Err(EFAULT));
            check_eq!(sys!(newfstatat, AT_FDCWD, edge, memory, 0), Err(EFAULT));
        }
    }
});

case!(memory_may_change_between_calls, [pread64, mprotect, munmap], {
    const PAGE: usize = 4096;
    create(c"f", b"0123456789abcdef");
    let file = open(c"f", O_RDONLY);
    let mut memory = anon(PAGE);
    for round in 0..30 {
        for _ in 0..100 {
            check_eq!(sys!(pread64, file, memory, 16, 0), Ok(16));
        }
        match round % 3 {
            0 => {
                sys!(mprotect, memory, PAGE, PROT_READ).must();
                check_eq!(sys!(pread64, file, memory, 16, 0), Err(EFAULT));
                sys!(mprotect, memory, PAGE, PROT_READ | PROT_WRITE).must();
            }
            1 => {
                sys!(munmap, memory, PAGE).must();
                check_eq!(sys!(pread64, file, memory, 16, 0), Err(EFAULT));
                memory = anon(PAGE);
            }
            _ => {}
        }
    }
});

case!(other_threads_and_children_go_on_beside_it, [read, lseek], {
    let zero = open(c"/dev/zero", O_RDONLY);
    let stop = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| while stop.load(SeqCst) == 0 {});
        let mut children = Vec::new();
        for number in 0..4_u8 {
            for _ in 0..2000 {
                let mut byte = [1_u8];
                check_eq!(sys!(read, zero, &mut byte, 1), Ok(1));
                check_eq!(byte, [0]);
            }
            children.push(fork(move || {
                let file = open(c"/dev/zero", O_RDONLY);
                for _ in 0..1000 {
                    let mut bytes = [number + 1; 9];
                    check_eq!(sys!(read, file, &mut bytes, 9), Ok(9));
                    check_eq!(bytes, [0; 9]);
                }
            }));
        }
        stop.store(1, SeqCst);
        for child in children {
            child.ok();
        }
    });
});
