//! A thread that writes to a conduit's memory while stubs of other processes, and the kernel, use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use platform::{
    Conduit, End, HostOp, Identity, Listener, Owner, ResumeMode, ServedFile, ServedHow, Spawn, Trap,
};

use super::Arena;
use super::scribble::scribble;
use super::stub::Random;
use crate::cases::guest::{CODE, DATA, DATA_BYTES, Guest, RW, RX, wait};
use crate::guest_code;

const IDENTITY: Identity = Identity { pid: 1, tid: 1, uid: 0, euid: 0, gid: 0, egid: 0 };

// Makes call r15 again and again.
guest_code!(working: ".fill 128, 1, 0x90", "2: mov rax, r15", "syscall", "mov r14, rax", "inc rbx",
    "jmp 2b");

const SCRIBBLE: u64 = CODE + 0x800;
const FD: i32 = 5;
const READ: u64 = 0;
const WRITE: u64 = 1;

/// Where workers read and write, a page between two that nobody may change.
const BUFFER: u64 = DATA + 0x1000;
const BUFFER_BYTES: u64 = 0x1000;
const WALL: u8 = 0x5a;
const PALETTE: u64 = DATA + 0x3000;

/// The longest that the kernel may have to wait for a lock, on a machine with other work as well.
const LIMIT: Duration = Duration::from_secs(4);

/// What is in a conduit that nobody here has.
const SECRET: [u8; 8] = *b"\xf1SECRET\xf2";

/// Parts of a conduit's memory: offset and a mask of offsets behind it.
const PARTS: [(u64, u64); 4] = [(0, 0x38), (0, 0x78), (0, 0xff8), (0, 0xfff8)];

#[derive(Default)]
struct Ear(AtomicU64);

impl Listener for Ear {
    fn changed(&self, _: bool) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A process that has the conduit, and reads or writes there.
fn worker(
    (arena, owner): (&Arena, &Owner),
    conduit: &Arc<Conduit>,
    number: u64,
    len: u64,
) -> (Guest, u64) {
    let mut guest = Guest::blank(&arena.platform);
    guest.map(CODE, 4096, RW);
    let pid = Guest::newest_host_pid();
    guest.map(DATA, DATA_BYTES, RW);
    guest.space.write(CODE, working()).expect("write");
    guest.space.write(SCRIBBLE, scribble()).expect("write");
    for wall in [DATA, DATA + 0x2000] {
        guest.space.write(wall, &[WALL; 0x1000]).expect("write");
    }
    guest.op(HostOp::Mprotect { addr: CODE, len: 4096, prot: RX }).expect("mprotect");
    guest.thread.set_identity(Some(&IDENTITY));
    wait(&arena.platform, guest.thread.map_conduit(conduit)).expect("its memory");
    let descriptors = guest.thread.descriptors().expect("descriptors");
    assert!(descriptors.claim(owner));
    let how = ServedHow::default();
    descriptors.set(FD, ServedFile::conduits(Some(conduit), Some(conduit), how));
    guest.thread.use_descriptors(true);
    let registers = guest.thread.registers_mut();
    (registers.rip, registers.rsp, registers.r15) = (CODE, DATA + DATA_BYTES, number);
    (registers.rdi, registers.rsi, registers.rdx) = (FD as u64, BUFFER, len);
    (registers.rbp, registers.r12, registers.r13) = (0xb, 0x12, 0x13);
    (guest, memory_of(pid))
}

/// Where a process has the conduit that it has.
fn memory_of(pid: i32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let line = maps.lines().find(|line| line.contains("memfd:conduit")).expect("a conduit");
    u64::from_str_radix(line.split('-').next().expect("its start"), 16).expect("a number")
}

/// A call that the stub did not make: another result each time.
fn answer(guest: &mut Guest, conduit: &Conduit, random: &mut Random) {
    let registers = guest.thread.registers_mut();
    let (number, len) = (registers.orig_rax, registers.rdx as usize);
    registers.rax = match (number, random.below(3)) {
        (READ, 0) => conduit.read(len).len() as u64,
        (WRITE, 0) => write(conduit, len, random.below(2) == 0) as u64,
        (READ | WRITE, _) => 1,
        other => panic!("{other:?}"),
    };
}

fn write(conduit: &Conduit, len: usize, is_packet: bool) -> usize {
    let give = |to: &mut [u8]| {
        to.fill(b'w');
        Ok(to.len())
    };
    conduit.write_with(len, is_packet, give).expect("nothing fails")
}

/// What the kernel does with a conduit.
fn use_it(conduit: &Conduit, random: &mut Random) {
    let len = random.one_of(&[1, 100, 4096, 65_536, 1 << 20]);
    match random.below(8) {
        0 => assert!(conduit.read(len).len() <= len),
        1 => assert!(write(conduit, len, false) <= len),
        2 => assert!(write(conduit, len, true) <= len),
        3 => assert!(conduit.peek(len).len() <= len),
        4 => assert!(conduit.len() <= 1 << 17, "{}", conduit.len()),
        5 => {
            let _ = (conduit.readiness(), conduit.is_empty(), conduit.written());
        }
        6 => {
            let _ = (conduit.watch(End::Reading), conduit.watch_next(End::Writing));
        }
        _ => conduit.unwatch(random.one_of(&[End::Reading, End::Writing])),
    }
}

/// Waits not longer than is said.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < LIMIT, "{what}: {:?}", start.elapsed());
    result
}

/// Nothing but the buffer was changed, and no bytes of others are there.
fn check(guest: &mut Guest) {
    let mut bytes = vec![0; 0x3000];
    assert_eq!(guest.space.read(DATA, &mut bytes), Ok(bytes.len()));
    assert!(bytes[..0x1000].iter().chain(&bytes[0x2000..]).all(|&byte| byte == WALL));
    assert!(bytes.windows(SECRET.len()).all(|part| part != SECRET), "bytes of others");
    if guest.bounded_complete().is_err() {
        return;
    }
    let registers = guest.thread.registers();
    assert_eq!((registers.rdi, registers.rsi), (FD as u64, BUFFER));
    assert_eq!((registers.rbp, registers.r12, registers.r13), (0xb, 0x12, 0x13));
}

/// Answers with how many calls the stubs of two workers made by themselves.
fn battle(arena: &mut Arena, random: &mut Random) -> u64 {
    let conduit = arena.platform.new_conduit().expect("a conduit");
    let secret = arena.platform.new_conduit().expect("a conduit");
    let filled = secret.write_with(65_536, false, |to| {
        to.iter_mut().zip(SECRET.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(to.len())
    });
    assert_eq!(filled, Ok(65_536));
    let ear = Arc::new(Ear::default());
    let listener: Arc<dyn Listener> = ear.clone();
    conduit.set_listener(Arc::downgrade(&listener));
    let owners = [(); 3].map(|()| Owner::default());
    let lens = [1, 7, 100, BUFFER_BYTES];
    let (mut reader, _) = worker((arena, &owners[0]), &conduit, READ, random.one_of(&lens));
    let (mut writer, _) = worker((arena, &owners[1]), &conduit, WRITE, random.one_of(&lens));
    let (mut attacker, memory) =
        worker((arena, &owners[2]), &conduit, random.below(2), random.one_of(&lens));
    let palette = (0..64).flat_map(|index: u64| {
        let word = match index % 8 {
            0 => random.next(),
            1 => random.below(32),
            2 => random.below(64) << 16 | random.below(1 << 16),
            3 => 0,
            4 => u64::MAX,
            5 => random.below(16) << 32 | random.below(16),
            6 => (1 << 48) - random.below(20),
            _ => random.below(3),
        };
        word.to_le_bytes()
    });
    attacker.space.write(PALETTE, &palette.collect::<Vec<_>>()).expect("write");
    let mut scribbler = attacker.spawn(Spawn::Thread);
    let (offset, mask) = random.one_of(&PARTS);
    let registers = scribbler.thread.registers_mut();
    (registers.rip, registers.rax, registers.r8) = (SCRIBBLE, random.next() | 1, PALETTE);
    (registers.rdi, registers.rsi) = (memory + offset, mask);
    registers.rbx = random.one_of(&[0, 100, 1000, 20_000, 200_000]);
    scribbler.thread.resume(ResumeMode::Run);
    let mut trapped = 0;
    for _ in 0..60 {
        let guests = [&mut reader, &mut writer, &mut attacker];
        for guest in guests {
            guest.thread.resume(ResumeMode::Run);
        }
        timed("the kernel", || use_it(&conduit, random));
        for guest in [&mut reader, &mut writer, &mut attacker] {
            match guest.bounded_trap() {
                Trap::Syscall | Trap::Waiting => {
                    trapped += 1;
                    timed("an answer", || answer(guest, &conduit, random));
                }
                Trap::Interrupted => {}
                other => panic!("{other:?} {:x?}", guest.thread.registers()),
            }
        }
    }
    let mut made = 0;
    for guest in [&mut reader, &mut writer] {
        check(guest);
        made += guest.thread.registers().rbx;
    }
    let left = timed("the end", || conduit.revoke());
    assert!(left.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() <= 1 << 16);
    for (bytes, _) in &left {
        assert!(bytes.windows(SECRET.len()).all(|part| part != SECRET), "bytes of others");
    }
    timed("its end", || drop(conduit));
    let kept = secret.read(65_536);
    assert!(kept.chunks_exact(SECRET.len()).all(|part| part == SECRET), "the secret was changed");
    drop((reader, writer, attacker, scribbler));
    arena.check();
    made.saturating_sub(trapped)
}

pub(super) fn battles(seed: u64, time: Duration) {
    let mut arena = Arena::new();
    // Nobody is to be killed here, on a busy machine either.
    arena.platform.set_patience(Duration::from_secs(10));
    let mut random = Random::new(seed);
    let (start, mut count, mut made) = (Instant::now(), 0, 0);
    while start.elapsed() < time || made == 0 && start.elapsed() < 6 * time {
        made += battle(&mut arena, &mut random);
        count += 1;
    }
    println!("{count} battles, {made} calls");
    assert!(made > 0, "no stub has used the conduit");
    arena.end();
}

pub fn scribbles_over_a_conduit() {
    battles(11, Duration::from_secs(5));
}
