//! What streams in much use carry: all of the bytes, in order, and records as a whole.

use crate::support::prelude::*;

/// Lengths of blocks, from one byte to more than any stream holds.
const LENGTHS: [usize; 12] =
    [1, 100, 511, 512, 4095, 4096, 4097, 10_000, 65_536, 65_537, 100_000, 200_000];

/// Sends a party's blocks out and checks that they come back.
fn ask(party: Stream, rounds: usize) {
    let mut at = 0;
    for round in 0..rounds {
        let len = if round % 30 == 29 { LENGTHS[round / 30 % 12] } else { 1 + round % 300 };
        let sent = bytes_at(at, len);
        // The other party reads while this one writes, and the other way round.
        write_all(party.w, &sent);
        check!(read_exactly(party.r, len) == sent, "block {round} of {len} bytes has changed");
        at += len;
    }
}

/// Sends blocks back.
fn answer(party: Stream, rounds: usize) {
    for round in 0..rounds {
        let len = if round % 30 == 29 { LENGTHS[round / 30 % 12] } else { 1 + round % 300 };
        write_all(party.w, &read_exactly(party.r, len));
    }
}

each_stream!(blocks_go_to_and_fro_between_threads, [read, write], |kind| {
    const ROUNDS: usize = 1500;
    let [one, other] = kind.parties();
    let thread = spawn(move || answer(other, ROUNDS));
    ask(one, ROUNDS);
    thread.join().ok().must();
});

each_stream!(blocks_go_to_and_fro_between_processes, [read, write], |kind| {
    const ROUNDS: usize = 1500;
    let [one, other] = kind.parties();
    let child = fork(|| answer(other, ROUNDS));
    ask(one, ROUNDS);
    child.ok();
});

each_stream!(blocks_go_to_and_fro_in_a_storm, [read, write], 20, |kind| {
    const ROUNDS: usize = 1000;
    let [one, other] = kind.parties();
    let child = fork(|| {
        storm(700, 0);
        answer(other, ROUNDS);
        calm();
    });
    storm(1000, SA_RESTART);
    ask(one, ROUNDS);
    calm();
    child.ok();
});

/// A number for each round, the same in all processes.
fn scatter(round: usize) -> usize {
    (round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) ^ round
}

each_stream!(all_lengths_mix, [read, write, readv, writev], 20, |kind| {
    const TOTAL: usize = 3_000_000;
    let stream = kind.warm();
    let child = fork(|| {
        let (mut at, mut round) = (0, 0);
        while at < TOTAL {
            let len = (scatter(round) % 9000).min(TOTAL - at);
            let block = bytes_at(at, len);
            let half = len / 2;
            let parts =
                [(&block[..half], half), (&block[half..], len - half)].map(|(part, len)| iovec {
                    iov_base: part.as_ptr().cast_mut().cast(),
                    iov_len: len,
                });
            let done = match round % 7 {
                0 => sys!(writev, stream.w, &parts, 2),
                _ => sys!(write, stream.w, &block[..], len),
            };
            check_eq!(done, Ok(len as i64));
            (at, round) = (at + len, round + 1);
        }
    });
    let (mut at, mut round) = (0, 7);
    let mut block = vec![0_u8; 20_000];
    while at < TOTAL {
        let len = scatter(round) % 20_000;
        let (first, second) = block.split_at_mut(len / 3);
        let parts = [(first, len / 3), (second, len - len / 3)]
            .map(|(part, len)| iovec { iov_base: part.as_mut_ptr().cast(), iov_len: len });
        let count = match round % 5 {
            0 => sys!(readv, stream.r, &parts, 2),
            _ => sys!(read, stream.r, &mut block[..], len),
        };
        let count = count.must() as usize;
        check!(count <= len && (count > 0 || len == 0), "{count} of {len}");
        check!(block[..count] == bytes_at(at, count)[..], "out of order after {at} bytes");
        (at, round) = (at + count, round + 1);
    }
    child.ok();
});

/// A record of one writer: number, writer, and a fill that follows from both.
fn record(writer: usize, number: usize, len: usize) -> Vec<u8> {
    let head = [(number as u32).to_ne_bytes(), (writer as u32).to_ne_bytes()].concat();
    head.into_iter().chain((8..len).map(|at| (at ^ number ^ writer << 4) as u8)).collect()
}

/// Which record this is, if it is a whole one.
fn identify(bytes: &[u8]) -> Option<(usize, usize)> {
    let word = |at| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let (number, writer) = (word(0)? as usize, word(4)? as usize);
    (record(writer, number, bytes.len()) == bytes).then_some((writer, number))
}

/// Writers and readers of records of a length at one pipe: each record comes whole, and once.
fn records_are_delivered(len: usize, readers: usize, count: usize) {
    const WRITERS: usize = 3;
    let (r, w) = pipe();
    let seen = words();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            fork(move || {
                storm(900 + 100 * writer as i64, SA_RESTART);
                for number in 0..count {
                    let record = record(writer, number, len);
                    check_eq!(sys!(write, w, &record[..], len), Ok(len as i64));
                }
                calm();
            })
        })
        .collect();
    let readers: Vec<_> = (0..readers)
        .map(|reader| {
            fork(move || {
                sys!(close, w).must();
                storm(1100 + 100 * reader as i64, SA_RESTART);
                let mut bytes = vec![0; len];
                loop {
                    let got = sys!(read, r, &mut bytes[..], len).must() as usize;
                    if got == 0 {
                        break;
                    }
                    check_eq!(got, len);
                    let (writer, number) = identify(&bytes).must();
                    // A bit for each record.
                    let at = writer * count + number;
                    let bit = 1 << (at % 32);
                    let before = seen[at / 32].fetch_or(bit, SeqCst);
                    check_eq!(before & bit, 0, "record {number} of {writer} came twice");
                }
            })
        })
        .collect();
    sys!(close, w).must();
    for child in writers.into_iter().chain(readers) {
        child.ok();
    }
    for at in 0..WRITERS * count {
        check!(seen[at / 32].load(SeqCst) & 1 << (at % 32) != 0, "record {at} is lost");
    }
}

case!(small_records_are_whole_and_unique, [read, write], 60, {
    records_are_delivered(64, 3, 6000);
});

case!(middle_records_are_whole_and_unique, [read, write], 60, {
    records_are_delivered(1000, 2, 3000);
});

case!(large_records_are_whole_and_unique, [read, write], 60, {
    records_are_delivered(PAGE, 2, 1500);
});

case!(records_of_threads_are_whole_and_unique, [read, write], 60, {
    const LEN: usize = 512;
    const COUNT: usize = 4000;
    let (r, w) = pipe();
    let seen = words();
    storm(800, SA_RESTART);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                for number in 0..COUNT {
                    let record = record(writer, number, LEN);
                    check_eq!(sys!(write, w, &record[..], LEN), Ok(LEN as i64));
                }
            });
        }
        for reader in 0..2 {
            scope.spawn(move || {
                let mut bytes = [0; LEN];
                for _ in 0..COUNT * 3 / 2 {
                    check_eq!(sys!(read, r, &mut bytes, LEN), Ok(LEN as i64));
                    let (writer, number) = identify(&bytes).must();
                    seen[writer * 2 + reader].fetch_add(1, SeqCst);
                    let at = writer * COUNT + number;
                    let bit = 1 << (at % 32);
                    check_eq!(seen[32 + at / 32].fetch_or(bit, SeqCst) & bit, 0);
                }
            });
        }
    });
    calm();
});

case!(zeros_and_nothing_are_what_they_are_in_a_storm, [read, write], {
    let (zero, null) = (open(c"/dev/zero", O_RDWR), open(c"/dev/null", O_RDWR));
    storm(500, SA_RESTART);
    let mut bytes = vec![1_u8; 100_000];
    for round in 0..20_000_usize {
        let len = if round % 100 == 0 { 100_000 } else { 1 + round % 5000 };
        bytes[..len].fill(7);
        // Linux: a signal ends it behind a page.
        let count = sys!(read, zero, &mut bytes[..], len).must() as usize;
        check!(count == len || count > 0 && count.is_multiple_of(PAGE), "{count} of {len}");
        check!(bytes[..count].iter().all(|&byte| byte == 0));
        check!(bytes[count..len].iter().all(|&byte| byte == 7));
        check_eq!(sys!(read, null, &mut bytes[..], len), Ok(0));
        check_eq!(sys!(write, zero, &bytes[..], len), Ok(len as i64));
        check_eq!(sys!(write, null, &bytes[..], len), Ok(len as i64));
    }
    calm();
});
