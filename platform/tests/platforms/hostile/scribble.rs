//! A thread that writes to all that its sibling's stub works with.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{HostOp, ResumeMode, Spawn, Trap, host};

use super::Arena;
use super::single::{jump_everywhere, ring_all};
use super::stub::{Random, SLOT_BYTES, interesting};
use crate::cases::guest::{CODE, DATA, DATA_BYTES, Guest, READ, RW, RX};
use crate::guest_code;

// Calls of both kinds, and faults.
guest_code!(busy: "2: mov eax, 39", "syscall", "mov eax, 27", "syscall", "ud2", "jmp 2b");
// rax: random state. [rdi]: where to write, rsi: mask of offsets there. [r8]: what to write, 64
// words. rbx: how long to pause in between.
guest_code!(
    scribble:
    "2: mov rdx, rax", "shl rdx, 13", "xor rax, rdx",
    "mov rdx, rax", "shr rdx, 7", "xor rax, rdx",
    "mov rdx, rax", "shl rdx, 17", "xor rax, rdx",
    "mov rcx, rax", "shr rcx, 8", "and rcx, rsi",
    "mov rdx, rax", "shr rdx, 40", "and edx, 63",
    "mov rdx, [r8 + rdx * 8]",
    "mov [rdi + rcx], rdx",
    "mov rdx, rbx",
    "3: pause", "dec rdx", "jns 3b",
    "jmp 2b",
);

// Replaces `SYS_mprotect` by `SYS_futex` wherever the control block at rdi has it.
guest_code!(
    forge:
    "2: xor ecx, ecx",
    "3: cmp qword ptr [rdi + rcx], 10", "jne 4f",
    "mov qword ptr [rdi + rcx], 202",
    "4: add ecx, 8", "cmp ecx, 512", "jb 3b",
    "jmp 2b",
);

const SCRIBBLE: u64 = CODE + 0x800;
const PALETTE: u64 = DATA + 0x1000;

/// Parts of a slot: offset and a mask of offsets behind it.
const PARTS: [(u64, u64); 5] = [
    // The control block, all of its page, ...
    (0, 0x1f8),
    (0, 0xff8),
    // ... the end of the alternate stack, where frames lie, ...
    (SLOT_BYTES - 0x1000, 0xff8),
    (SLOT_BYTES - 0x4000, 0x3ff8),
    // ... everything.
    (0, 0xfff8),
];

/// A process with a thread that works and one that scribbles.
struct Battle {
    victim: Guest,
    /// Kept, so that it goes on.
    _attacker: Guest,
}

impl Battle {
    fn start(arena: &Arena, random: &mut Random) -> Battle {
        let mut victim = Guest::blank(&arena.platform);
        victim.map(CODE, 4096, RW);
        victim.map(DATA, DATA_BYTES, RW);
        victim.space.write(CODE, busy()).expect("write");
        victim.space.write(SCRIBBLE, scribble()).expect("write");
        victim.op(HostOp::Mprotect { addr: CODE, len: 4096, prot: RX }).expect("mprotect");
        let stub = &arena.stub;
        let palette = (0..64).flat_map(|_| interesting(random, stub).to_le_bytes());
        victim.space.write(PALETTE, &palette.collect::<Vec<_>>()).expect("write");
        victim.thread.registers_mut().rip = CODE;
        victim.thread.registers_mut().rsp = DATA + DATA_BYTES;
        let mut attacker = victim.spawn(Spawn::Thread);
        let (offset, mask) = random.one_of(&PARTS);
        let registers = attacker.thread.registers_mut();
        registers.rip = SCRIBBLE;
        registers.rax = random.next() | 1;
        registers.rdi = stub.slots + offset;
        registers.rsi = mask;
        registers.r8 = PALETTE;
        registers.rbx = random.one_of(&[0, 10, 100, 1000, 20_000]);
        // Some write to their children's slots too.
        if random.below(4) == 0 {
            registers.rdi += 2 * SLOT_BYTES;
        }
        attacker.thread.resume(ResumeMode::Run);
        Battle { victim, _attacker: attacker }
    }

    /// Works until the process is dead, or long enough.
    fn fight(&mut self, file: &OwnedFd, random: &mut Random) {
        let mut children = Vec::new();
        for _ in 0..200 {
            let is_over = match random.below(12) {
                0 => self.victim.bounded_complete().is_err(),
                1 => {
                    let fd = Some(file.as_fd());
                    let flags = libc::MAP_PRIVATE;
                    let (addr, len, prot, offset) = (0, 4096, READ, 0);
                    let op = HostOp::Mmap { addr, len, prot, flags, fd, offset };
                    self.victim.bounded_op(op) == Err(Errno::ESRCH)
                }
                2 => self.victim.bounded_op(HostOp::Yield) == Err(Errno::ESRCH),
                3 => {
                    let kind =
                        random.one_of(&[Spawn::Thread, Spawn::CopyMemory, Spawn::ShareMemory]);
                    let is_complete = self.victim.bounded_complete().is_ok();
                    if is_complete && let Ok(mut child) = self.victim.bounded_spawn(kind) {
                        child.bounded_run(ResumeMode::Run);
                        if children.len() < 3 {
                            children.push(child);
                        }
                    }
                    false
                }
                4 => {
                    let image = self.victim.thread.fp_state();
                    let _ = image.and_then(|image| self.victim.thread.set_fp_state(&image));
                    false
                }
                5 => {
                    self.victim.thread.interrupter().interrupt();
                    false
                }
                6 => self.serve(ResumeMode::SingleStep),
                7 => self.victim.bounded_run_with(HostOp::Yield) == Some(Trap::Dead),
                _ => self.serve(ResumeMode::Run),
            };
            if is_over {
                return;
            }
        }
    }

    /// `true` when it is dead.
    fn serve(&mut self, mode: ResumeMode) -> bool {
        match self.victim.bounded_run(mode) {
            Trap::Dead => return true,
            Trap::Fault(_) => {
                let registers = self.victim.thread.registers_mut();
                (registers.rip, registers.rsp) = (CODE, DATA + DATA_BYTES);
            }
            _ => self.victim.thread.registers_mut().rax = 0,
        }
        false
    }
}

fn battles(seed: u64, time: Duration) {
    let mut arena = Arena::new();
    let mut random = Random::new(seed);
    let file = host::fs::memfd_create("file").expect("memfd");
    host::fs::ftruncate(&file, 4096).expect("ftruncate");
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        let mut battle = Battle::start(&arena, &mut random);
        battle.fight(&file, &mut random);
        drop(battle);
        arena.check();
        count += 1;
    }
    println!("{count} battles");
    arena.end();
}

/// A sibling turns `mprotect` into `futex`, which waits for ever: the command's end must not be
/// waited for as long.
pub fn a_command_without_end() {
    let mut arena = Arena::new();
    let mut victim = Guest::on(&arena.platform, forge());
    let mut attacker = victim.spawn(Spawn::Thread);
    attacker.thread.registers_mut().rdi = arena.stub.slots;
    attacker.thread.resume(ResumeMode::Run);
    // FUTEX_WAIT, as long as there is a zero.
    let op = HostOp::Mprotect { addr: DATA, len: 0, prot: 0 };
    let start = Instant::now();
    loop {
        match victim.bounded_op(op) {
            Ok(_) => {}
            Err(Errno::ESRCH) => break,
            Err(error) => assert_eq!(error, Errno::EAGAIN),
        }
        assert!(start.elapsed() < Duration::from_secs(10), "it was never forged");
    }
    assert_eq!(attacker.await_trap(), Trap::Dead);
    drop((victim, attacker));
    arena.check();
    arena.end();
}

pub fn scribbling_siblings() {
    battles(3, Duration::from_secs(4));
}

/// Some minutes, each time others.
pub fn soak() {
    for _ in 0..20 {
        let seed = host::random::number().expect("random");
        println!("seed {seed}");
        battles(seed, Duration::from_secs(20));
        super::conduit::battles(seed, Duration::from_secs(20));
        ring_all(seed);
        jump_everywhere(seed);
    }
}
