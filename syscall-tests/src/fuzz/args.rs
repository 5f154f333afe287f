//! Arguments: mostly of the right kind, sometimes not.

use crate::code;
use crate::pointers::{Arena, PAGE, PLAYGROUND_PAGES, number, wild};
use crate::rng::Rng;
use crate::support::sys::sys;
use crate::world;

/// Makes an argument of the kind that a letter of [`crate::table::CALLS`] stands for.
pub fn argument(kind: u8, rng: &Rng, arena: &Arena) -> usize {
    if rng.one_in(24) {
        return if rng.one_in(2) { number(rng) as usize } else { wild(rng) };
    }
    match kind {
        b'f' => descriptor(rng),
        b'd' if rng.one_in(2) => libc::AT_FDCWD as usize,
        b'd' => descriptor(rng),
        b'p' => path(rng, arena),
        b'b' => arena.data(rng),
        b'l' => length(rng),
        b'o' => offset(rng),
        b'n' => small(rng),
        b'x' => flags(rng),
        b'P' => process(rng),
        b's' => signal(rng),
        b't' | b'T' => times(kind, rng, arena),
        b'v' => vectors(rng, arena),
        b'B' if rng.one_in(10) => number(rng) as usize,
        b'B' => rng.below(9),
        b'a' => address(rng, arena),
        b'j' => rng.pick(&[0, 1, 2, 3, 16, 28, 20, 110, 111, 128, 129]),
        b'J' => arena.put_words(rng, &[rng_word(rng)]),
        b'm' => message(rng, arena),
        b'M' => messages(rng, arena),
        b'A' => arena.mapping(rng),
        b'L' => {
            rng.below(PLAYGROUND_PAGES) * PAGE + if rng.one_in(9) { rng.below(PAGE) } else { 0 }
        }
        b'S' => arena.put_words(rng, &[rng_set(rng)]),
        b'z' if rng.one_in(16) => number(rng) as usize,
        b'z' => 8,
        b'k' => action(rng, arena),
        b'K' => alternate_stack(rng, arena),
        b'e' => event(rng, arena),
        b'c' => rng.below(13),
        b'u' => rng.pick(&[0, 0, 1, 1000, 65534, u32::MAX as usize, usize::MAX]),
        b'r' => arena.put_words(rng, &[limit(rng), limit(rng)]),
        b'R' => rng.below(17),
        b'O' => open_flags(rng),
        b'q' => rng.pick(&[0, 1, 3, 3, 3, 5, 7, 2, 4, 8, 0x0100_0003, 0x0200_0003]),
        b'Q' => map_flags(rng),
        b'I' => world::ioctl(rng),
        b'C' => rng.pick(&[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 36, 37, 38, 1024, 1025, 1026,
            1027, 1028, 1029, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 1040,
        ]),
        b'F' => rng.below(14) | rng.pick(&[0, 128, 256, 384]),
        b'w' => arena.playground + rng.below(4) * 4 + if rng.one_in(20) { 1 } else { 0 },
        b'D' => rng.pick(&[1, 1, 1, 1, 2, 2, 10, 16, 17, 0, 3, 38, 40]),
        b'y' => rng.pick(&[1, 2, 5, 1, 2, 5, 3, 4]) | rng.pick(&[0, 0, 0o4000, 0o2000000]),
        b'h' => rng.pick(&[1, 1, 1, 0, 6, 17, 41, 270]),
        b'H' => rng.below(80),
        b'g' => arguments(rng, arena),
        b'E' => sigevent(rng, arena),
        b'N' => name(rng, arena),
        b'X' => rng.pick(&[rng_small(rng), rng_small(rng), 0x59616d61, 0x53564d41, 1499557217]),
        _ => number(rng) as usize,
    }
}

fn rng_small(rng: &Rng) -> usize {
    rng.below(76)
}

fn rng_word(rng: &Rng) -> u64 {
    rng.pick(&[0, 1, 2, 16, 110, 128, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
}

/// A signal set; seldom one that shuts out what wakes the fuzzer's threads.
fn rng_set(rng: &Rng) -> u64 {
    let all = if rng.one_in(2) { rng.next() } else { 1 << rng.below(64) };
    if rng.one_in(16) { all } else { all & !(1 << (libc::SIGUSR1 - 1)) }
}

fn limit(rng: &Rng) -> u64 {
    rng.pick(&[0, 1, 64, 4096, 1 << 20, 64 << 20, 1 << 30, u64::MAX])
}

/// A descriptor, most likely an open one.
pub fn descriptor(rng: &Rng) -> usize {
    match rng.below(20) {
        0..17 => rng.below(world::DESCRIPTORS),
        17 => rng.pick(&[-1i64 as usize, -100i64 as usize, 1023, 1024, 65536, 1 << 20]),
        18 => rng.below(256),
        _ => number(rng) as u32 as usize,
    }
}

fn length(rng: &Rng) -> usize {
    match rng.below(10) {
        0..3 => rng.below(256),
        3..6 => rng.pick(&[0, 1, 8, 64, 128, 4096, 4097, 8192]),
        6..8 => rng.below(65537),
        8 => rng.below(1 << 20),
        _ => number(rng) as usize,
    }
}

fn offset(rng: &Rng) -> usize {
    match rng.below(10) {
        0..5 => rng.pick(&[0, 1, 100, 4095, 4096, 4097, 65536]),
        5..7 => rng.below(1 << 20),
        7 => (rng.below(1 << 16) as isize).wrapping_neg() as usize,
        _ => number(rng) as usize,
    }
}

fn small(rng: &Rng) -> usize {
    match rng.below(10) {
        0..7 => rng.below(8),
        7 => rng.below(64),
        8 => -1i64 as usize,
        _ => number(rng) as usize,
    }
}

fn flags(rng: &Rng) -> usize {
    match rng.below(10) {
        0..4 => 0,
        4..7 => 1 << rng.below(32),
        7 => 1 << rng.below(32) | 1 << rng.below(32),
        8 => rng.below(16),
        _ => number(rng) as usize,
    }
}

fn open_flags(rng: &Rng) -> usize {
    // O_NONBLOCK often, or too many threads wait at fifos.
    let base = rng.pick(&[0, 1, 2, 2, 3]) | if rng.one_in(4) { 0 } else { 0o4000 };
    let extra = [
        0, 0o100,      // O_CREAT
        0o100,      // O_CREAT
        0o1000,     // O_TRUNC
        0o2000,     // O_APPEND
        0o200000,   // O_DIRECTORY
        0o400000,   // O_NOFOLLOW
        0o2000000,  // O_CLOEXEC
        0o10000000, // O_PATH
        0o20200000, // O_TMPFILE
        0o300,      // O_CREAT | O_EXCL
        0o40000,    // O_DIRECT
    ];
    base | rng.pick(&extra) | rng.pick(&extra)
}

fn map_flags(rng: &Rng) -> usize {
    let fixed = libc::MAP_FIXED as usize;
    let anonymous = libc::MAP_ANONYMOUS as usize;
    let kind = rng.pick(&[1, 2, 2, 3]);
    let what = rng.pick(&[0, anonymous, anonymous]);
    let place = rng.pick(&[0, fixed, fixed, libc::MAP_FIXED_NOREPLACE as usize]);
    let extra = [0, 0, 0, 0x100, 0x800, 0x2000, 0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000];
    kind | what | place | rng.pick(&extra)
}

/// A process or thread: the caller and its relatives mostly, seldom all that there are.
fn process(rng: &Rng) -> usize {
    let own = sys!(getpid).unwrap_or(1) as usize;
    match rng.below(16) {
        0..5 => 0,
        5..9 => own,
        9..12 => own + rng.below(12),
        12..14 => rng.below(64).max(2),
        14 => own.wrapping_neg(),
        _ if rng.one_in(16) => -1i64 as usize,
        _ => number(rng) as usize,
    }
}

fn signal(rng: &Rng) -> usize {
    match rng.below(12) {
        // What ends or stops the target whatever it does about it.
        0 => rng.pick(&[9, 19, 15, 11]),
        1 => number(rng) as usize,
        2..6 => rng.pick(&[10, 12, 17, 18, 20, 23]),
        _ => 32 + rng.below(34),
    }
}

/// A `timespec`, or two of them (`itimerspec`): short times mostly.
fn times(kind: u8, rng: &Rng, arena: &Arena) -> usize {
    if rng.one_in(8) {
        return 0;
    }
    let mut words = [0; 4];
    let used = if kind == b'T' { 4 } else { 2 };
    for pair in words[..used].chunks_mut(2) {
        pair[0] = if rng.one_in(10) { number(rng) } else { 0 };
        pair[1] = if rng.one_in(10) { number(rng) } else { rng.below(5_000_000) as u64 };
    }
    arena.put_words(rng, &words[..used])
}

/// An array of eight `iovec`s.
fn vectors(rng: &Rng, arena: &Arena) -> usize {
    let mut words = [0; 16];
    for pair in words.chunks_mut(2) {
        pair[0] = arena.data(rng) as u64;
        pair[1] = if rng.one_in(20) { number(rng) } else { rng.below(9000) as u64 };
    }
    arena.put_words(rng, &words)
}

/// A path, now and then at the edge of what can be read.
pub fn path(rng: &Rng, arena: &Arena) -> usize {
    let mut buffer = [0; PAGE];
    let len = world::path(rng, &mut buffer);
    let at = arena.room(rng, len);
    crate::support::sys::poke_bytes(at, &buffer[..len]);
    at
}

fn name(rng: &Rng, arena: &Arena) -> usize {
    let names: [&[u8]; 14] = [
        b"user.a\0",
        b"user.b\0",
        b"trusted.overlay.opaque\0",
        b"security.capability\0",
        b"system.posix_acl_access\0",
        b"user.\0",
        b"\0",
        b"tmpfs\0",
        b"proc\0",
        b"sysfs\0",
        b"devpts\0",
        b"mqueue\0",
        b"/q\0",
        b"overlay\0",
    ];
    let name = rng.pick(&names);
    arena.put(rng, name)
}

fn address(rng: &Rng, arena: &Arena) -> usize {
    let mut bytes = [0; 128];
    match rng.below(8) {
        0..3 => {
            // A name in the abstract space, which all children share.
            bytes[..4].copy_from_slice(&[1, 0, 0, b'a' + rng.below(4) as u8]);
        }
        3..6 => {
            bytes[0] = 1;
            let name = [b's', b'0' + rng.below(6) as u8];
            bytes[2..4].copy_from_slice(&name);
        }
        6 => {
            bytes[..8].copy_from_slice(&[2, 0, 0x1f, rng.below(4) as u8, 127, 0, 0, 1]);
        }
        _ => bytes[0] = rng.below(20) as u8,
    }
    arena.put(rng, &bytes)
}

/// A `msghdr` with addresses, vectors and control messages that carry descriptors.
fn message_words(rng: &Rng, arena: &Arena) -> [u64; 7] {
    let name = if rng.one_in(3) { address(rng, arena) as u64 } else { 0 };
    let control = arena.room(rng, 256);
    let mut used = 0;
    for _ in 0..rng.below(3) {
        let count = rng.below(5);
        let len = if rng.one_in(10) { number(rng) } else { 16 + 4 * count as u64 };
        let kind: u64 = rng.pick(&[1, 1, 1, 2, 3]);
        crate::support::sys::poke(control + used, len);
        crate::support::sys::poke(control + used + 8, 1 | kind << 32);
        for index in 0..count {
            let fd = descriptor(rng) as u32;
            crate::support::sys::poke(control + used + 16 + index * 4, fd);
        }
        used += 16 + (4 * count).next_multiple_of(8);
    }
    let control_len = match rng.below(6) {
        0 => number(rng),
        1 => 256,
        _ => used as u64,
    };
    let vectors = vectors(rng, arena) as u64;
    let count = if rng.one_in(16) { number(rng) } else { rng.below(4) as u64 };
    let name_len = rng.pick(&[0, 3, 4, 16, 110, 128]);
    let control = if used == 0 && rng.one_in(2) { 0 } else { control as u64 };
    [name, name_len, vectors, count, control, control_len, 0]
}

fn message(rng: &Rng, arena: &Arena) -> usize {
    let words = message_words(rng, arena);
    arena.put_words(rng, &words)
}

/// An array of three `mmsghdr`s.
fn messages(rng: &Rng, arena: &Arena) -> usize {
    let mut words = [0; 24];
    for one in words.chunks_mut(8) {
        one[..7].copy_from_slice(&message_words(rng, arena));
    }
    arena.put_words(rng, &words)
}

/// A `sigaction`: handlers that scribble, defaults, garbage.
fn action(rng: &Rng, arena: &Arena) -> usize {
    let handler = match rng.below(8) {
        _ if !arena.is_disposable => code::harmless_handler(rng),
        0 => 0,
        1 => 1,
        2 => wild(rng) as u64,
        _ => code::handler_address(rng),
    };
    let flag = rng.pick(&[0, 1, 2, 4, 0x0800_0000, 0x1000_0000, 0x4000_0000, 0x8000_0000]);
    let restorer = if arena.is_disposable && rng.one_in(20) {
        wild(rng) as u64
    } else {
        code::restorer_address()
    };
    arena.put_words(rng, &[handler, flag | 0x0400_0004, restorer, rng_set(rng)])
}

fn alternate_stack(rng: &Rng, arena: &Arena) -> usize {
    let start = match rng.below(4) {
        0 => wild(rng) as u64,
        1 => arena.start as u64,
        _ => arena.playground as u64,
    };
    let flags = rng.pick(&[0, 0, 0, 1, 2, 0x8000_0000]);
    let size = rng.pick(&[0, 2047, 2048, 8192, 32768, u64::MAX]);
    arena.put_words(rng, &[start, flags, size])
}

/// An `epoll_event`.
fn event(rng: &Rng, arena: &Arena) -> usize {
    let events = rng.pick(&[1, 4, 5, 0x2000, 0x2001, 0x8000_0001, 0x4000_0001, 0x1000_0001])
        | if rng.one_in(10) { rng.next() as u32 as u64 } else { 0 };
    arena.put_words(rng, &[events | rng.next() << 32, rng.next()])
}

/// A `sigevent`: signo after the value, then how to notify.
fn sigevent(rng: &Rng, arena: &Arena) -> usize {
    let signo = signal(rng) as u32 as u64;
    let how = rng.pick(&[0, 1, 2, 4, 3]);
    let thread = process(rng) as u32 as u64;
    arena.put_words(rng, &[rng_word(rng), signo | how << 32, thread, 0, 0, 0, 0, 0])
}

/// An argument or environment list.
fn arguments(rng: &Rng, arena: &Arena) -> usize {
    if rng.one_in(4) {
        return arena.data(rng);
    }
    let seed: [u8; 4] = [b'0', b'1', b'2', b'3'].map(|digit| digit + rng.below(6) as u8);
    let words = [
        arena.put(rng, b"x\0"),
        arena.put(rng, b"--leaf\0"),
        arena.put(rng, &[seed[0], seed[1], seed[2], seed[3], 0]),
        if rng.one_in(20) { wild(rng) } else { 0 },
        0,
    ];
    arena.put_words(rng, &words.map(|word| word as u64))
}
