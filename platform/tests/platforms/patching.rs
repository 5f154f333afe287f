//! Patched system call sites: what the stub serves by itself, and that nothing else shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::{Fault, HostOp, Identity, Interrupter, Registers, ResumeMode, Spawn, Trap};

use super::guest::{CODE, DATA, DATA_BYTES, Guest, RW, RX};
use crate::guest_code;

const IDENTITY: Identity = Identity { pid: 11, tid: 12, uid: 13, euid: 14, gid: 15, egid: 16 };

/// The call that ends a guest's code.
const END: u64 = 500;
const GETPID: u64 = 39;

// Where the instruction before a call begins is deduced from what comes before it.
guest_code!(leading: ".fill 128, 1, 0x90",
    "2: mov eax, 39", "syscall", "add r14, rax", "inc rbx", "dec r12", "jnz 2b",
    "mov eax, 500", "syscall");
guest_code!(general: ".fill 128, 1, 0x90",
    "2: mov rax, r15", "syscall", "lea r14, [r14 + rax]", "inc rbx", "dec r12", "jnz 2b",
    "mov eax, 500", "syscall");
// One site for the calls whose numbers are at rsi, until a 0; results go to rbx.
guest_code!(table: ".fill 128, 1, 0x90",
    "2: mov eax, [rbp]", "add rbp, 8", "test eax, eax", "jz 3f",
    "nop", "syscall", "mov [rbx + 0], rax", "add rbx, 8", "jmp 2b",
    "3: mov eax, 500", "syscall");
// Reads a clock to r15; the results are gathered in r14.
guest_code!(clock: ".fill 128, 1, 0x90",
    "2: mov edi, 1", "mov rsi, r15", "mov eax, 228", "syscall", "or r14, rax", "inc rbx", "dec r12",
    "jnz 2b", "mov eax, 500", "syscall");
// Stores the flags and r11 behind each call.
guest_code!(flags: ".fill 128, 1, 0x90",
    "2: push r13", "popfq", "mov rax, r15", "syscall", "lea r14, [r14 + rax]",
    "pushfq", "pop rbp", "dec r12", "jnz 2b", "push r13", "popfq", "nop", "nop",
    "mov rax, r15", "syscall", "lea r14, [r14 + rax]", "pushfq", "pop rbp", "mov rbx, r11",
    "mov eax, 500", "syscall");
guest_code!(wrfsbase: ".fill 128, 1, 0x90",
    "2: mov rax, r15", "syscall", "lea r14, [r14 + rax]", "wrfsbase rsi", "dec r12", "jnz 2b",
    "mov eax, 500", "syscall");

/// A guest about to run `code` with calls that may be served by the stub.
fn guest(code: &[u8]) -> Guest {
    let mut guest = Guest::new(code);
    guest.thread.set_identity(Some(&IDENTITY));
    guest
}

/// Answers what traps like the stub would until `END`; returns how many calls did.
fn run_to_end(guest: &mut Guest) -> u64 {
    let mut trapped = 0;
    loop {
        match guest.run_to_call() {
            END => return trapped,
            number => {
                let result = answer(number);
                guest.thread.registers_mut().rax = result;
                trapped += 1;
            }
        }
    }
}

fn answer(number: u64) -> u64 {
    let Identity { pid, tid, uid, euid, gid, egid } = IDENTITY;
    match number {
        39 => pid as u64,
        186 => tid as u64,
        102 => uid.into(),
        107 => euid.into(),
        104 => gid.into(),
        108 => egid.into(),
        24 => 0,
        other => panic!("call {other}"),
    }
}

fn set_counts(guest: &mut Guest, rounds: u64) {
    guest.complete().expect("complete");
    let registers = guest.thread.registers_mut();
    registers.r12 = rounds;
    registers.r14 = 0;
    registers.rbx = 0;
    registers.r15 = GETPID;
    registers.rip = CODE;
}

pub fn hot_sites_are_patched() {
    for code in [leading(), general()] {
        let mut guest = guest(code);
        for round in 0..3 {
            set_counts(&mut guest, 1000);
            let trapped = run_to_end(&mut guest);
            assert!(
                if round == 0 { (1..10).contains(&trapped) } else { trapped == 0 },
                "{trapped}"
            );
            let registers = guest.registers();
            assert_eq!((registers.rbx, registers.r14), (1000, 11_000));
        }
    }
}

pub fn nothing_is_patched_without_an_identity() {
    let mut guest = Guest::new(leading());
    set_counts(&mut guest, 50);
    assert_eq!(run_to_end(&mut guest), 50);
    guest.thread.set_identity(Some(&IDENTITY));
    set_counts(&mut guest, 50);
    assert!(run_to_end(&mut guest) < 10);
    set_counts(&mut guest, 50);
    guest.thread.set_identity(None);
    assert_eq!(run_to_end(&mut guest), 50);
    guest.platform.set_fast_calls(false);
    guest.thread.set_identity(Some(&IDENTITY));
    guest.complete().expect("complete");
    set_counts(&mut guest, 50);
    assert_eq!(run_to_end(&mut guest), 50);
}

pub fn served_calls_answer_like_the_host() {
    let mut guest = guest(table());
    let numbers: Vec<u64> = [[39; 8].as_slice(), &[39, 186, 102, 107, 104, 108, 24, 0]].concat();
    write_words(&guest, DATA, &numbers);
    let registers = guest.thread.registers_mut();
    (registers.rbp, registers.rbx) = (DATA, DATA + 4096);
    assert!(run_to_end(&mut guest) <= 3);
    let results: Vec<_> = (8..15).map(|index| guest.read_u64(DATA + 4096 + index * 8)).collect();
    assert_eq!(results, [11, 12, 13, 14, 15, 16, 0]);

    // The clocks: into memory that is there, and not.
    let mut time_call = |number: u64, rdi: u64, rsi: u64| {
        write_words(&guest, DATA, &[number, 0]);
        guest.complete().expect("complete");
        let registers = guest.thread.registers_mut();
        (registers.rbp, registers.rbx, registers.rip) = (DATA, DATA + 4096, CODE);
        (registers.rdi, registers.rsi) = (rdi, rsi);
        match guest.run_to_call() {
            END => Some((
                guest.read_u64(DATA + 4096),
                guest.read_u64(DATA + 64),
                guest.read_u64(DATA + 72),
            )),
            trapped => {
                assert_eq!(trapped, number);
                assert_eq!(
                    (guest.thread.registers().rdi, guest.thread.registers().rsi),
                    (rdi, rsi)
                );
                None
            }
        }
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let is_now = |seconds: u64| seconds.abs_diff(now.as_secs()) < 10;
    let to = DATA + 64;
    for clock in [0, 5] {
        let (result, seconds, _) = time_call(228, clock, to).expect("served");
        assert!(result == 0 && is_now(seconds), "{clock}: {result} {seconds}");
    }
    for clock in [1, 4, 6, 7] {
        assert_eq!(time_call(228, clock, to).expect("served").0, 0);
    }
    // By the host's call, or by the kernel's after the vDSO has failed to write.
    let bad = time_call(228, 0, 8).map(|(result, ..)| result);
    assert!(matches!(bad, None | Some(0xffff_ffff_ffff_fff2)), "{bad:x?}");
    // Clocks of processes and threads are the kernel's.
    for clock in [2, 3, -6_i64 as u64, 100] {
        assert_eq!(time_call(228, clock, to), None);
    }
    let (result, seconds, micros) = time_call(96, to, 0).expect("served");
    assert!(result == 0 && is_now(seconds) && micros < 1_000_000);
    assert_eq!(time_call(96, to, to), None, "time zones");
    assert_eq!(time_call(96, 8, 0), None, "the kernel answers EFAULT");
    let (result, seconds, _) = time_call(201, to, 0).expect("served");
    assert!(is_now(result) && seconds == result);
    assert!(is_now(time_call(201, 0, 0).expect("served").0));
    let (result, cpus, _) = time_call(309, to, to + 4).expect("served");
    assert!(result == 0 && cpus as u32 as usize <= 4096);
    assert_eq!(time_call(0, 0, 0).map(|_| ()), Some(()));
    assert_eq!(time_call(110, 1, 2), None);
}

fn write_words(guest: &Guest, at: u64, words: &[u64]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(guest.space.write(at, &bytes), Ok(bytes.len()));
}

pub fn flags_are_kept() {
    let mut guest = guest(flags());
    for flags in [0x202, 0x246, 0xed7, 0xa93, 0x602, 0x8c6 | 0x200, 0x4_0202] {
        guest.complete().expect("complete");
        let registers = guest.thread.registers_mut();
        registers.rsp = DATA + DATA_BYTES;
        registers.r13 = flags;
        let run = |guest: &mut Guest| {
            set_counts(guest, 5);
            run_to_end(guest);
            let registers = guest.registers();
            (registers.rbp, registers.rbx)
        };
        let first = run(&mut guest);
        assert_eq!(first, run(&mut guest));
        assert_eq!(first, (flags, flags), "{flags:x}");
    }
}

/// Interrupts a thread again and again.
pub struct Storm {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Storm {
    pub fn new(target: Arc<dyn Interrupter>, pause: Duration) -> Storm {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                target.interrupt();
                let start = std::time::Instant::now();
                while start.elapsed() < pause {
                    std::hint::spin_loop();
                }
            }
        });
        Storm { stop, thread: Some(thread) }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the storm");
        }
    }
}

pub fn nothing_is_lost_in_a_storm_of_interrupts() {
    const ROUNDS: u64 = 400_000;
    for (code, site) in [(leading(), 133), (general(), 131)] {
        let mut guest = guest(code);
        set_counts(&mut guest, 20);
        run_to_end(&mut guest);
        guest.complete().expect("complete");
        let mut image = guest.thread.fp_state().expect("xsave");
        image[160..416].iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        guest.thread.set_fp_state(&image).expect("set");
        let (mut interrupts, mut in_call) = (0, 0);
        // However seldom the storm gets a processor.
        while interrupts < 500 || in_call < 20 {
            set_counts(&mut guest, ROUNDS);
            let storm = Storm::new(guest.thread.interrupter(), Duration::from_micros(20));
            let ips = count_interrupted(&mut guest, ROUNDS);
            drop(storm);
            interrupts += ips.len();
            in_call += ips.iter().filter(|&&ip| ip == CODE + site).count();
            assert!(ips.iter().all(|ip| (CODE..CODE + code.len() as u64).contains(ip)));
            let registers = guest.registers();
            assert_eq!((registers.rbx, registers.r14), (ROUNDS, 11 * ROUNDS));
            let after = guest.thread.fp_state().expect("xsave");
            assert_eq!(after[160..416], image[160..416]);
        }
    }
}

/// Clocks are read by code of the host, and nothing of the guest's is lost there.
pub fn clocks_are_read_in_a_storm_of_interrupts() {
    const ROUNDS: u64 = 200_000;
    let mut guest = guest(clock());
    let mut image = guest.thread.fp_state().expect("xsave");
    image[160..416].iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    guest.thread.set_fp_state(&image).expect("set");
    let mut run = |rounds: u64| {
        set_counts(&mut guest, rounds);
        guest.thread.registers_mut().r15 = DATA;
        let mut trapped = 0_u64;
        let storm = Storm::new(guest.thread.interrupter(), Duration::from_micros(20));
        loop {
            match guest.run() {
                Trap::Interrupted => {}
                Trap::Syscall if guest.thread.registers().orig_rax == END => break,
                Trap::Syscall => {
                    assert_eq!(guest.thread.registers().orig_rax, 228);
                    guest.thread.registers_mut().rax = 0;
                    trapped += 1;
                }
                other => panic!("{other:?} at {:x?}", guest.thread.registers()),
            }
        }
        drop(storm);
        let registers = guest.registers();
        assert_eq!((registers.rbx, registers.r14), (rounds, 0));
        assert!(trapped <= rounds / 2, "{trapped}");
        guest.thread.fp_state().expect("xsave")
    };
    run(100);
    for _ in 0..5 {
        assert_eq!(run(ROUNDS)[160..416], image[160..416]);
    }
}

/// Runs counting code to its end; returns where it was interrupted.
fn count_interrupted(guest: &mut Guest, rounds: u64) -> Vec<u64> {
    let kept = |r: &Registers| [r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r13, r.r15];
    let registers = guest.thread.registers_mut();
    for (value, register) in [
        &mut registers.rdx,
        &mut registers.rsi,
        &mut registers.rdi,
        &mut registers.rbp,
        &mut registers.r8,
        &mut registers.r9,
        &mut registers.r10,
        &mut registers.r13,
    ]
    .into_iter()
    .enumerate()
    {
        *register = 0x1_0000_0001 * value as u64;
    }
    let expected = kept(registers);
    let mut ips = Vec::new();
    loop {
        match guest.run() {
            Trap::Interrupted => {
                let registers = *guest.thread.registers();
                ips.push(registers.rip);
                assert_eq!(kept(&registers), expected);
                let left_over = registers.rbx + registers.r12 - rounds;
                assert!(left_over <= 1, "{registers:x?}");
            }
            Trap::Syscall if guest.thread.registers().orig_rax == END => return ips,
            Trap::Syscall => guest.thread.registers_mut().rax = answer(GETPID),
            other => panic!("{other:?} {:x?}", guest.thread.registers()),
        }
    }
}

pub fn single_steps_see_the_guests_own_code() {
    let mut guest = guest(general());
    set_counts(&mut guest, 20);
    run_to_end(&mut guest);
    set_counts(&mut guest, 2);
    let at = |offset: u64| CODE + 128 + offset;
    guest.thread.registers_mut().rip = at(0);
    let step = |guest: &mut Guest| {
        let trap = guest.step();
        assert!(
            matches!(trap, Trap::Fault(Fault { signo: libc::SIGTRAP, .. }) | Trap::Syscall),
            "{trap:?}"
        );
        (trap == Trap::Syscall, guest.registers().rip)
    };
    for _ in 0..2 {
        assert_eq!(step(&mut guest), (false, at(3)));
        assert_eq!(step(&mut guest), (true, at(5)));
        guest.thread.registers_mut().rax = 11;
        assert_eq!(step(&mut guest), (false, at(5)));
        assert_eq!(step(&mut guest), (false, at(9)));
        assert_eq!(step(&mut guest), (false, at(12)));
        assert_eq!(step(&mut guest), (false, at(15)));
        step(&mut guest);
    }
    let registers = guest.registers();
    assert_eq!((registers.rbx, registers.r14, registers.rcx), (2, 22, at(5)));
}

pub fn patches_do_not_show() {
    for code in [leading(), general()] {
        let mut guest = guest(code);
        let mappings = guest.space.mappings().expect("maps");
        let size = guest.space.usage().expect("usage").virtual_size;
        set_counts(&mut guest, 100);
        run_to_end(&mut guest);
        let mut bytes = vec![0; code.len()];
        assert_eq!(guest.space.read(CODE, &mut bytes), Ok(code.len()));
        assert_eq!(bytes, code);
        assert_eq!(guest.space.mappings().expect("maps"), mappings);
        assert_eq!(guest.space.usage().expect("usage").virtual_size, size);
    }
}

pub fn forks_and_threads_are_told_apart() {
    let mut parent = guest(general());
    set_counts(&mut parent, 20);
    run_to_end(&mut parent);
    let check = |guest: &mut Guest, pid: i32, at_once: bool| {
        set_counts(guest, 200);
        let mut trapped = 0;
        while guest.run_to_call() != END {
            guest.thread.registers_mut().rax = pid as u64;
            trapped += 1;
        }
        assert_eq!(guest.registers().r14, 200 * pid as u64);
        assert!(!at_once || trapped == 0, "{trapped}");
        trapped
    };
    // A copy has the patches, and its own identity.
    let mut child = parent.spawn(Spawn::CopyMemory);
    assert_eq!(check(&mut child, 21, false), 200);
    child.complete().expect("complete");
    child.thread.set_identity(Some(&Identity { pid: 22, ..IDENTITY }));
    check(&mut child, 22, true);
    check(&mut parent, 11, true);
    // One that shares the memory and FS.base is found while its parent rests in the stub, and neither
    // of them when both go on.
    let mut child = parent.spawn(Spawn::ShareMemory);
    child.thread.set_identity(Some(&Identity { pid: 23, ..IDENTITY }));
    check(&mut child, 23, true);
    assert_eq!(check(&mut parent, 11, false), 200);
    assert_eq!(check(&mut child, 23, false), 200);
    drop(child);
    assert!(check(&mut parent, 11, false) < 200);
    check(&mut parent, 11, true);
    // The same for a thread, until it has an FS.base of its own.
    let mut thread = parent.spawn(Spawn::Thread);
    thread.thread.set_identity(Some(&Identity { pid: 24, ..IDENTITY }));
    assert_eq!(check(&mut thread, 24, false), 200);
    thread.complete().expect("complete");
    thread.thread.registers_mut().fs_base = DATA + 64;
    check(&mut thread, 24, true);
    parent.complete().expect("complete");
    check(&mut parent, 11, true);
}

pub fn threads_run_fast_calls_side_by_side() {
    const ROUNDS: u64 = 500_000;
    let mut first = guest(general());
    set_counts(&mut first, 20);
    run_to_end(&mut first);
    first.complete().expect("complete");
    let mut all: Vec<_> = (1..4).map(|_| first.spawn(Spawn::Thread)).collect();
    all.push(first);
    let mut storms = Vec::new();
    for (index, guest) in all.iter_mut().enumerate() {
        set_counts(guest, ROUNDS);
        guest.thread.set_identity(Some(&Identity { pid: 100 + index as i32, ..IDENTITY }));
        guest.thread.registers_mut().fs_base = DATA + 512 * index as u64;
        storms.push(Storm::new(guest.thread.interrupter(), Duration::from_micros(40)));
        guest.thread.resume(ResumeMode::Run);
    }
    let mut is_running = vec![true; all.len()];
    while is_running.contains(&true) {
        let platform = Arc::clone(&all[0].platform);
        for (index, guest) in all.iter_mut().enumerate() {
            match is_running[index].then(|| guest.is_trapped()).flatten() {
                None => continue,
                Some(Trap::Interrupted) => {}
                Some(Trap::Syscall) if guest.thread.registers().orig_rax == END => {
                    is_running[index] = false;
                    continue;
                }
                Some(Trap::Syscall) => guest.thread.registers_mut().rax = 100 + index as u64,
                other => panic!("{other:?}"),
            }
            guest.thread.resume(ResumeMode::Run);
        }
        platform.park(Some(std::time::Instant::now() + Duration::from_millis(5)));
    }
    drop(storms);
    for (index, guest) in all.iter_mut().enumerate() {
        let registers = guest.registers();
        assert_eq!((registers.rbx, registers.r14), (ROUNDS, (100 + index as u64) * ROUNDS));
    }
}

pub fn a_segment_base_that_the_guest_loads_is_not_found() {
    let mut guest = guest(wrfsbase());
    set_counts(&mut guest, 20);
    assert!(run_to_end(&mut guest) < 10);
    set_counts(&mut guest, 1000);
    guest.thread.registers_mut().rsi = DATA + 128;
    // After a while it is entered again, with the new one.
    let trapped = run_to_end(&mut guest);
    assert!((10..500).contains(&trapped), "{trapped}");
    let registers = guest.registers();
    assert_eq!((registers.r14, registers.fs_base), (11_000, DATA + 128));
}

pub fn forced_writes_go_below_patches() {
    let mut guest = guest(general());
    set_counts(&mut guest, 20);
    run_to_end(&mut guest);
    // The second byte of the call, as it is.
    assert_eq!(guest.space.write_forced(CODE + 128 + 4, &[0x05]), Ok(1));
    let mut bytes = vec![0; general().len()];
    assert_eq!(guest.space.read(CODE, &mut bytes), Ok(bytes.len()));
    assert_eq!(bytes, general());
    set_counts(&mut guest, 20);
    run_to_end(&mut guest);
    assert_eq!(guest.registers().r14, 220);
}

pub fn code_can_be_changed() {
    for threads in [1, 2] {
        let mut guest = guest(general());
        guest.complete().expect("complete");
        let _second = (threads == 2).then(|| guest.spawn(Spawn::Thread));
        let mut code = general().to_vec();
        for round in 0..20_u8 {
            set_counts(&mut guest, 20);
            run_to_end(&mut guest);
            let registers = guest.registers();
            let count = if round % 2 == 0 { 20 } else { -20_i64 as u64 };
            assert_eq!((registers.r14, registers.rbx), (220, count));
            guest.op(HostOp::Mprotect { addr: CODE, len: 4096, prot: RW }).expect("mprotect");
            let mut bytes = vec![0; code.len()];
            assert_eq!(guest.space.read(CODE, &mut bytes), Ok(code.len()));
            assert_eq!(bytes, code);
            // `inc rbx` or `dec rbx`.
            code[139] = if round % 2 == 0 { 0xcb } else { 0xc3 };
            assert_eq!(guest.space.write(CODE, &code), Ok(code.len()), "round {round}");
            guest.op(HostOp::Mprotect { addr: CODE, len: 4096, prot: RX }).expect("mprotect");
        }
    }
}

pub fn code_can_be_replaced() {
    for threads in [1, 2] {
        let mut guest = guest(general());
        guest.complete().expect("complete");
        let _second = (threads == 2).then(|| guest.spawn(Spawn::Thread));
        set_counts(&mut guest, 20);
        run_to_end(&mut guest);
        guest.complete().expect("complete");
        let (to, len) = (CODE + 0x1_0000, 4096);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let op = HostOp::Mremap { addr: CODE, old_len: len, new_len: len, flags, new_addr: to };
        assert_eq!(guest.op(op), Ok(to));
        let mut bytes = vec![0; general().len()];
        assert_eq!(guest.space.read(to, &mut bytes), Ok(bytes.len()));
        assert_eq!(bytes, general());
        guest.map(CODE, len, RW);
        assert_eq!(guest.space.write(CODE, leading()), Ok(leading().len()));
        guest.op(HostOp::Mprotect { addr: CODE, len, prot: RX }).expect("mprotect");
        for start in [CODE, to, CODE, to] {
            set_counts(&mut guest, 20);
            guest.thread.registers_mut().rip = start;
            run_to_end(&mut guest);
            assert_eq!(guest.registers().r14, 220);
        }
        guest.op(HostOp::Munmap { addr: to, len }).expect("munmap");
        guest.map(to, len, RX);
        assert_eq!(guest.space.read(to, &mut bytes), Ok(bytes.len()));
        assert!(bytes.iter().all(|&byte| byte == 0));
    }
}

/// Where the trampolines of the newest process are.
fn area(guest: &Guest) -> u64 {
    let path = format!("/proc/{}/maps", Guest::newest_host_pid());
    let shown = guest.space.mappings().expect("maps");
    let text = std::fs::read_to_string(path).expect("maps");
    let mut areas = text.lines().filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let is_shown = shown.iter().any(|mapping| mapping.range.contains(&start));
        let is_area = rest.contains(" r-xp 00000000 00:00 0") && !rest.ends_with(']');
        (is_area && !is_shown).then_some(start)
    });
    areas.next_back().expect("an area")
}

pub fn areas_are_free_memory() {
    const LEN: u64 = 1 << 16;
    let mut guest = guest(general());
    set_counts(&mut guest, 20);
    run_to_end(&mut guest);
    guest.complete().expect("complete");
    let area = area(&guest);
    let check = |guest: &mut Guest, at_once: bool| {
        set_counts(guest, 100);
        let trapped = run_to_end(guest);
        assert_eq!(guest.registers().r14, 1100);
        assert!(!at_once || trapped == 0, "{trapped}");
    };
    // It is right below the code.
    guest.map(area - 8192, 4096, RW);
    assert_eq!(guest.op(HostOp::Munmap { addr: area, len: LEN }), Ok(0));
    check(&mut guest, true);
    let dont_need = HostOp::Madvise { addr: area - 8192, len: LEN + 8192, advice: 4 };
    assert_eq!(guest.op(dont_need), Err(linux_abi::Errno::ENOMEM));
    check(&mut guest, true);
    let read_only = HostOp::Mprotect { addr: area + 4096, len: LEN - 4096, prot: libc::PROT_READ };
    assert_eq!(guest.op(read_only), Err(linux_abi::Errno::ENOMEM));
    check(&mut guest, true);
    assert_eq!(guest.op(HostOp::Munmap { addr: area - 8192, len: LEN + 8192 }), Ok(0));
    check(&mut guest, true);
    let resized =
        HostOp::Mremap { addr: area, old_len: 4096, new_len: 8192, flags: 1, new_addr: 0 };
    assert_eq!(guest.op(resized), Err(linux_abi::Errno::EFAULT));
    let mut child = guest.spawn(Spawn::CopyMemory);
    child.thread.set_identity(Some(&IDENTITY));
    // The guest wants just this place.
    guest.map(area + 4096, 4096, RW);
    assert_eq!(guest.space.write(area + 4096, &[0xcc; 4096]), Ok(4096));
    check(&mut guest, false);
    check(&mut guest, true);
    check(&mut child, true);
    // With another thread it is taken.
    let second = child.spawn(Spawn::Thread);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let op = HostOp::Mmap { addr: area, len: 4096, prot: RW, flags, fd: None, offset: 0 };
    assert_eq!(child.op(op), Err(linux_abi::Errno::EEXIST));
    check(&mut child, true);
    drop(second);
}

/// What served calls cost, natively, by the stub and by the kernel.
pub fn served_getpid() {
    const ROUNDS: u32 = 1_000_000;
    let per_call = |name: &str, rounds: u32, run: &mut dyn FnMut()| {
        let best = (0..10).map(|_| {
            let start = std::time::Instant::now();
            run();
            start.elapsed()
        });
        println!("{name}: best {:?}", best.min().unwrap_or_default() / rounds);
    };
    per_call("native getpid", ROUNDS, &mut || {
        for _ in 0..ROUNDS {
            // SAFETY: takes no arguments.
            unsafe { libc::syscall(libc::SYS_getppid) };
        }
    });
    for (name, number) in [("getpid", 39), ("clock_gettime", 228), ("sched_yield", 24)] {
        let mut guest = guest(general());
        set_counts(&mut guest, 20);
        run_to_end(&mut guest);
        per_call(&format!("{name} by the stub"), ROUNDS, &mut || {
            set_counts(&mut guest, ROUNDS.into());
            let registers = guest.thread.registers_mut();
            (registers.r15, registers.rdi, registers.rsi) = (number, 1, DATA);
            assert_eq!(run_to_end(&mut guest), 0);
        });
    }
    let mut guest = guest(general());
    set_counts(&mut guest, 20);
    run_to_end(&mut guest);
    guest.complete().expect("complete");
    guest.thread.set_identity(None);
    per_call("getpid, not served, from a patched site", 20_000, &mut || {
        set_counts(&mut guest, 20_000);
        run_to_end(&mut guest);
    });
    let mut guest = Guest::new(general());
    per_call("getpid, not patched", 20_000, &mut || {
        set_counts(&mut guest, 20_000);
        run_to_end(&mut guest);
    });
}
