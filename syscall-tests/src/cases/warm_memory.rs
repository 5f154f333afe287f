//! Memory that streams in much use are to be read to or written from, and lengths.

use crate::support::prelude::*;

/// Three pages, behind which nobody has any; answers with where they end.
fn edge() -> usize {
    let memory = anon(4 * PAGE);
    sys!(munmap, memory + 3 * PAGE, PAGE).must();
    memory + 3 * PAGE
}

/// A page that cannot be accessed so.
fn guarded(prot: i32) -> usize {
    let memory = anon(PAGE);
    poke(memory, 1_u8);
    sys!(mprotect, memory, PAGE, prot).must();
    memory
}

/// A page of a file that has none.
fn beyond_the_file() -> usize {
    let file = open(c"empty", O_RDWR | O_CREAT);
    let memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    sys!(close, file).must();
    memory
}

each_stream!(a_read_to_bad_memory_takes_nothing, [read], |kind| {
    let stream = kind.warm();
    let bad = [BAD, 8, edge(), guarded(PROT_READ), guarded(PROT_NONE), beyond_the_file()];
    for round in 0..50 {
        let sent = bytes_at(round * 100, 100);
        check_eq!(sys!(write, stream.w, &sent[..], 100), Ok(100));
        for address in bad {
            check_eq!(sys!(read, stream.r, address, 100), Err(EFAULT), "{address:#x}");
        }
        check!(read_exactly(stream.r, 100) == sent);
    }
});

each_stream!(a_write_from_bad_memory_brings_nothing, [write], |kind| {
    let stream = kind.warm();
    let bad = [BAD, 8, edge(), guarded(PROT_NONE), beyond_the_file()];
    for round in 0..50 {
        for address in bad {
            check_eq!(sys!(write, stream.w, address, 100), Err(EFAULT), "{address:#x}");
        }
        let sent = bytes_at(round * 100, 100);
        check_eq!(sys!(write, stream.w, &sent[..], 100), Ok(100));
        check!(read_exactly(stream.r, 100) == sent);
    }
});

each_stream!(a_read_goes_as_far_as_the_memory, [read], |kind| {
    let stream = kind.warm();
    let edge = edge();
    let mut at = 0;
    for round in 0..50 {
        sys!(write, stream.w, &bytes_at(at, 6000)[..], 6000).must();
        let room = 1 + round * 110;
        // What is taken is there; what is not taken is still to come.
        let count = match sys!(read, stream.r, edge - room, 6000) {
            Ok(count) => count as usize,
            Err(errno) => {
                check_eq!(errno, EFAULT);
                0
            }
        };
        // Linux: a page of a pipe is taken as a whole, or not at all.
        check!(count <= room, "{count} of {room}");
        check!(!kind.is_pipe() || room < PAGE || count >= PAGE, "{count} of {room}");
        check!(peek_bytes(edge - room, count) == bytes_at(at, count));
        check!(read_exactly(stream.r, 6000 - count) == bytes_at(at + count, 6000 - count));
        at += 6000;
    }
});

each_stream!(a_write_goes_as_far_as_the_memory, [write], |kind| {
    let stream = kind.warm();
    let edge = edge();
    for room in [1, 100, 2000, 4000] {
        poke_bytes(edge - room, &bytes_at(0, room));
        let count = match sys!(write, stream.w, edge - room, 6000) {
            Ok(count) => count as usize,
            Err(errno) => {
                check_eq!(errno, EFAULT);
                0
            }
        };
        // Linux: a page of a pipe is written as a whole, or not at all.
        check!(count <= room, "{count} of {room}");
        check!(read_exactly(stream.r, count) == bytes_at(0, count));
        stream.warm_up();
    }
});

each_stream!(memory_that_was_never_touched_is_good, [read, write], |kind| {
    let stream = kind.warm();
    for round in 0..30 {
        let memory = anon(64 * PAGE) + 100;
        check_eq!(sys!(write, stream.w, memory, 20_000), Ok(20_000));
        check!(read_exactly(stream.r, 20_000).iter().all(|&byte| byte == 0));
        let sent = bytes_at(round, 20_000);
        write_all(stream.w, &sent);
        let fresh = memory + 32 * PAGE;
        let mut done = 0;
        while done < 20_000 {
            done += sys!(read, stream.r, fresh + done, 20_000 - done).must() as usize;
        }
        check!(peek_bytes(fresh, 20_000) == sent);
    }
});

each_stream!(memory_of_files_is_good, [read, write], |kind| {
    let stream = kind.warm();
    create(c"f", &bytes_at(0, 40_000));
    let file = open(c"f", O_RDWR);
    for round in 0..30 {
        let flags = if round % 2 == 0 { MAP_SHARED } else { MAP_PRIVATE };
        let memory = map(40_000, PROT_READ | PROT_WRITE, flags, file, 0);
        check_eq!(sys!(write, stream.w, memory + 5000, 9000), Ok(9000));
        check!(read_exactly(stream.r, 9000) == bytes_at(5000, 9000));
        check_eq!(sys!(write, stream.w, b"news", 4), Ok(4));
        check_eq!(sys!(read, stream.r, memory + 20_000, 100), Ok(4));
        check_eq!(peek_bytes(memory + 20_000, 4), *b"news");
        let mut there = [0; 4];
        sys!(pread64, file, &mut there, 4, 20_000).must();
        check_eq!(there == *b"news", flags == MAP_SHARED);
        sys!(pwrite64, file, &bytes_at(20_000, 4)[..], 4, 20_000).must();
        sys!(munmap, memory, 40_000).must();
    }
});

each_stream!(a_read_goes_to_the_own_copy_of_memory, [read, fork], |kind| {
    let stream = kind.warm();
    let memory = anon(PAGE);
    for round in 0..20_u8 {
        poke(memory, [round; 16]);
        sys!(write, stream.w, &[0xee_u8; 16], 16).must();
        fork(|| {
            check_eq!(sys!(read, stream.r, memory, 16), Ok(16));
            check_eq!(peek::<[u8; 16]>(memory), [0xee; 16]);
        })
        .ok();
        check_eq!(peek::<[u8; 16]>(memory), [round; 16]);
    }
});

each_stream!(memory_may_go_while_it_is_read_to, [read, mprotect], 20, |kind| {
    let stream = kind.warm();
    let memory = anon(16 * PAGE);
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(SeqCst) == 0 {
                for prot in [PROT_READ, PROT_READ | PROT_WRITE] {
                    sys!(mprotect, memory + PAGE, PAGE, prot).must();
                }
            }
        });
        let mut at = 0;
        for _ in 0..4000 {
            let sent = bytes_at(at, 6000);
            check_eq!(sys!(write, stream.w, &sent[..], 6000), Ok(6000));
            let count = match sys!(read, stream.r, memory, 6000) {
                Ok(count) => count as usize,
                Err(errno) => {
                    check_eq!((kind.is_pipe(), errno), (false, EFAULT));
                    0
                }
            };
            check!(count == 6000 || count <= PAGE, "{count}");
            let mut got = vec![0_u8; 6000];
            got[..count].copy_from_slice(&peek_bytes(memory, count));
            got[count..].copy_from_slice(&read_exactly(stream.r, 6000 - count));
            check!(got == sent);
            at += 6000;
        }
        done.store(1, SeqCst);
    });
});

each_stream!(lengths_of_nothing_and_of_too_much, [read, write], |kind| {
    let stream = kind.warm();
    let memory = anon(PAGE);
    for _ in 0..30 {
        check_eq!(sys!(read, stream.r, memory, 0), Ok(0), "although there is nothing");
        check_eq!(sys!(read, stream.r, NULL, 0), Ok(0));
        check_eq!(sys!(write, stream.w, memory, 0), Ok(0));
        check_eq!(sys!(write, stream.w, NULL, 0), Ok(0));
        check_eq!(sys!(read, stream.r, memory, usize::MAX), Err(EFAULT));
        check_eq!(sys!(write, stream.w, memory, usize::MAX), Err(EFAULT));
        check_eq!(sys!(write, stream.w, b"xyz", 3), Ok(3));
        // As much as there is, although there is not so much memory.
        check_eq!(sys!(read, stream.r, memory, 1_usize << 31), Ok(3));
        check_eq!(sys!(write, stream.w, b"xyz", 3), Ok(3));
        check_eq!(sys!(read, stream.r, memory, 1 << 20), Ok(3));
    }
});

case!(wrong_ends_of_a_pipe, [read, write, pread64, pwrite64, preadv, lseek], {
    let Stream { r, w } = Kind::Pipe.warm();
    let mut byte = [0_u8];
    for _ in 0..50 {
        check_eq!(sys!(read, w, &mut byte, 1), Err(EBADF));
        check_eq!(sys!(write, r, &byte, 1), Err(EBADF));
        check_eq!(sys!(read, w, &mut byte, 0), Err(EBADF));
        check_eq!(sys!(write, r, &byte, 0), Err(EBADF));
        check_eq!(sys!(pread64, r, &mut byte, 1, 0), Err(ESPIPE));
        check_eq!(sys!(pwrite64, w, &byte, 1, 0), Err(ESPIPE));
        check_eq!(sys!(lseek, r, 0, SEEK_CUR), Err(ESPIPE));
        let part = [iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 }];
        check_eq!(sys!(preadv, r, &part, 1, 0, 0), Err(ESPIPE));
        check_eq!(sys!(writev, w, &part, 1), Ok(1));
        check_eq!(sys!(readv, r, &part, 1), Ok(1));
    }
});

case!(zeros_for_bad_memory, [read], {
    let zero = open(c"/dev/zero", O_RDONLY);
    let edge = edge();
    for round in 0..60 {
        let room = 1 + round * 60;
        poke_bytes(edge - room, &vec![7; room]);
        check_eq!(sys!(read, zero, edge - room, 10_000), Ok(room as i64));
        check!(peek_bytes(edge - room, room).iter().all(|&byte| byte == 0));
        check_eq!(sys!(read, zero, edge, 10), Err(EFAULT));
        check_eq!(sys!(read, zero, guarded(PROT_READ), 10), Err(EFAULT));
        check_eq!(sys!(read, zero, BAD, 10), Err(EFAULT));
        check_eq!(sys!(read, zero, 8, 0), Ok(0));
        check_eq!(sys!(write, zero, edge - room, room), Err(EBADF));
        check_eq!(sys!(read, zero, edge - room, usize::MAX), Err(EFAULT));
    }
    const WIDE: usize = 64 << 20;
    let wide = anon(WIDE + PAGE);
    sys!(munmap, wide + WIDE, PAGE).must();
    check_eq!(sys!(read, zero, wide, 3_usize << 30), Ok(WIDE as i64));
});

case!(nothing_is_read_and_written_whatever_the_memory, [read, write], {
    let null = open(c"/dev/null", O_RDWR);
    let reading = open(c"/dev/null", O_RDONLY);
    for _ in 0..60 {
        for address in [BAD, NULL, 8] {
            let is_address = address != BAD;
            let written = if is_address { Ok(100) } else { Err(EFAULT) };
            let read = if is_address { Ok(0) } else { Err(EFAULT) };
            check_eq!(sys!(write, null, address, 100), written);
            check_eq!(sys!(read, null, address, 100), read);
            let parts = [iovec { iov_base: address as *mut c_void, iov_len: 100 }; 2];
            check_eq!(sys!(writev, null, &parts, 2), written.map(|count| 2 * count));
            check_eq!(sys!(readv, null, &parts, 2), read);
            check_eq!(sys!(read, reading, address, 100), read);
        }
        check_eq!(sys!(write, reading, NULL, 1), Err(EBADF));
        check_eq!(sys!(write, null, PAGE, 1_usize << 40), Ok(0x7fff_f000));
        check_eq!(sys!(write, null, PAGE, usize::MAX), Err(EFAULT));
    }
});
