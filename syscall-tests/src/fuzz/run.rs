//! The threads of a child: one random step after the other.

use crate::Options;
use crate::args::argument;
use crate::code;
use crate::pointers::{self, Arena, PAGE, number, wild};
use crate::rng::Rng;
use crate::support::numbers::{self, ALL};
use crate::support::sys::{call, exit, sys};
use crate::table::CALLS;
use crate::world;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Highest number that is called; a little beyond the kernel's own.
const NUMBERS: usize = 472;
/// Forks below one child, in depth.
const GENERATIONS: u32 = 3;
/// Calls of an image that a child has executed.
const LEAF_CALLS: u64 = 200;
/// How long a thread may be in one call before it is woken.
const PATIENCE_MS: u64 = 10;
/// Rounds of the waker without any progress until the child gives up.
const IDLE_ROUNDS: u32 = 20;

/// How often each number was called, in memory that all children share.
pub struct Counters(usize);

impl Counters {
    /// Maps the counters.
    pub fn new() -> Counters {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        match sys!(mmap, 0, 2 * PAGE, prot, flags, -1, 0) {
            Ok(addr) => Counters(addr as usize),
            Err(_) => exit(9),
        }
    }

    fn slot(&self, number: usize) -> &AtomicU64 {
        // SAFETY: 1. The mapping holds 1024 words and lives as long as the process, unless the
        // process itself destroys it, which it may. 2. Nobody makes references but atomic ones.
        unsafe { &*((self.0 + number % 1024 * 8) as *const AtomicU64) }
    }

    fn count(&self, number: usize) {
        self.slot(number).fetch_add(1, Relaxed);
    }

    /// Returns how many calls were made.
    pub fn total(&self) -> u64 {
        // The memory is the children's too: what they wrote there may be anything.
        let counts = (0..1024).map(|number| self.slot(number).load(Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    /// Prints every call's number, most frequent first.
    pub fn print(&self) {
        let of = |(name, number): &(&'static str, i64)| {
            (self.slot(*number as usize).load(Relaxed), *name)
        };
        let mut all: Vec<(u64, &str)> = ALL.iter().map(of).collect();
        all.sort_unstable();
        all.iter().rev().for_each(|(count, name)| println!("{count:9} {name}"));
    }
}

/// Progress of each thread of a child.
static PROGRESS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
/// Thread ids.
static THREADS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

/// A thread that fuzzes.
struct Fuzzer<'a> {
    rng: Rng,
    arena: Arena,
    counters: &'a Counters,
    generation: u32,
    index: usize,
    /// The calls of the table, each as often as its weight.
    menu: &'a [(i64, &'static str)],
}

/// Fuzzes in this process until all its threads have made their calls. Never returns.
pub fn child(options: &Options, counters: &Counters, seed: u64) -> ! {
    let rng = Rng::new(seed);
    code::install_wake_handlers();
    world::make_files(&rng);
    world::open_all(&rng);
    let menu = menu();
    let playground = pointers::playground();
    let threads = options.threads.clamp(1, PROGRESS.len());
    let calls = options.calls;
    std::thread::scope(|scope| {
        for index in 0..threads {
            let rng = Rng::new(rng.next());
            let menu = &menu;
            scope.spawn(move || {
                let arena = Arena::new(playground);
                let mut fuzzer = Fuzzer { rng, arena, counters, generation: 0, index, menu };
                fuzzer.steps(calls);
            });
        }
        watch(&rng, threads);
    });
    exit(0)
}

/// Fuzzes a little in an executed image. Never returns.
pub fn leaf(seed: u64) -> ! {
    code::install_wake_handlers();
    let _ = sys!(alarm, 1);
    let menu = menu();
    let arena = Arena::new(pointers::playground());
    let counters = Counters::new();
    let mut fuzzer = Fuzzer {
        rng: Rng::new(seed),
        arena,
        counters: &counters,
        generation: GENERATIONS,
        index: 0,
        menu: &menu,
    };
    fuzzer.steps(LEAF_CALLS);
    exit(0)
}

fn menu() -> Vec<(i64, &'static str)> {
    let number = |name: &str| ALL.iter().find(|(known, _)| *known == name).map(|(_, nr)| *nr);
    let mut menu = Vec::new();
    for &(name, weight, kinds) in CALLS {
        let Some(number) = number(name) else {
            panic!("{name} is no call");
        };
        menu.extend(std::iter::repeat_n((number, kinds), weight as usize));
    }
    menu
}

/// Wakes threads that wait, and returns when no thread gets on any more.
fn watch(rng: &Rng, threads: usize) {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: (PATIENCE_MS * 1_000_000) as i64 };
    let mut seen = [0; 16];
    let mut idle = 0;
    while idle < IDLE_ROUNDS {
        let _ = sys!(nanosleep, &pause, 0);
        idle += 1;
        for index in 0..threads {
            let now = PROGRESS[index].load(Relaxed);
            if now != seen[index] {
                seen[index] = now;
                idle = 0;
                continue;
            }
            let tid = THREADS[index].load(Relaxed);
            let signal = if rng.one_in(4) { rng.pick(&code::WAKING) } else { libc::SIGUSR1 };
            if tid != 0 {
                let _ = sys!(tgkill, sys!(getpid).unwrap_or(0), tid, signal);
            }
        }
    }
    exit(0)
}

impl Fuzzer<'_> {
    fn steps(&mut self, count: u64) {
        THREADS[self.index].store(sys!(gettid).unwrap_or(0) as u32, Relaxed);
        for step in 0..count {
            PROGRESS[self.index].fetch_add(1, Relaxed);
            if step % 64 == 0 {
                self.arena.renew();
            }
            self.step();
        }
    }

    fn step(&mut self) {
        match self.rng.below(1000) {
            0..10 => self.anything(),
            10..40 => world::open_one(&self.rng),
            40..45 => self.fork(),
            45..47 => self.clone(),
            47..49 => self.garbage(),
            49..52 => self.execute(),
            52..60 => self.repeat(),
            _ => self.call(),
        }
    }

    /// A call of the table with arguments of its kinds.
    fn call(&mut self) {
        let (number, kinds) = self.menu[self.rng.below(self.menu.len())];
        self.call_with(number, kinds);
    }

    fn call_with(&mut self, number: i64, kinds: &str) {
        let mut args = [0; 6];
        for (arg, kind) in args.iter_mut().zip(kinds.bytes()) {
            *arg = argument(kind, &self.rng, &self.arena);
        }
        let is_deadly = [numbers::rt_sigreturn, numbers::setrlimit, numbers::arch_prctl];
        if !self.arena.is_disposable && is_deadly.contains(&number) {
            return;
        }
        // The supervisor keeps its limits: it could not go on.
        if number == numbers::prlimit64 && args[0] == 1 {
            args[0] = 0;
        }
        self.counters.count(number as usize);
        let _ = call(number, args);
    }

    /// Any number with anything.
    fn anything(&mut self) {
        let mut number = self.rng.below(NUMBERS) as i64;
        let ends = [numbers::exit, numbers::exit_group, numbers::kill, numbers::clone];
        let forks = [numbers::fork, numbers::vfork, numbers::clone3];
        if ends.contains(&number) || forks.contains(&number) {
            return;
        }
        let mut args = [0; 6];
        for arg in &mut args {
            let kind = self.rng.pick(b"fbpnix");
            *arg = argument(kind, &self.rng, &self.arena);
        }
        self.counters.count(number as usize);
        match self.rng.below(30) {
            0 => number |= 0x4000_0000,
            1 => number |= 1 << 32,
            2 => number = wild(&self.rng) as i64,
            _ => {}
        }
        let _ = call(number, args);
    }

    /// The same few calls again and again: descriptors fill up, queues overflow.
    fn repeat(&mut self) {
        let (number, kinds) = self.menu[self.rng.below(self.menu.len())];
        for _ in 0..self.rng.below(60) {
            self.call_with(number, kinds);
        }
    }

    /// A copy of this process that fuzzes on its own and ends.
    fn fork(&mut self) {
        if self.generation >= GENERATIONS {
            return;
        }
        let number = if self.rng.one_in(4) { numbers::clone } else { numbers::fork };
        let signal = self.rng.pick(&[17, 17, 17, 0, 10, 64]);
        let result = call(number, [signal, 0, 0, 0, 0, 0]);
        self.counters.count(number as usize);
        if result == Ok(0) {
            self.in_child(80);
        }
    }

    fn in_child(&mut self, calls: u64) -> ! {
        self.generation += 1;
        self.arena.is_disposable = true;
        self.rng = Rng::new(self.rng.next() ^ 0x5555);
        let _ = sys!(alarm, 1);
        self.steps(calls);
        exit(0)
    }

    /// `clone` and `clone3` with odd flags. What shares our stack with us will end badly, for both.
    fn clone(&mut self) {
        if self.generation >= GENERATIONS || self.fork_guard() {
            return;
        }
        let harmless = [
            0x200,
            0x400,
            0x1000,
            0x2000,
            0x8000,
            0x4_0000,
            0x10_0000,
            0x20_0000,
            0x100_0000,
            0x800,
            0x0200_0000,
            0x8000_0000,
            0x2000_0000,
            0x1000_0000,
            0x4000_0000,
        ];
        let mut flags = 17;
        for _ in 0..self.rng.below(4) {
            flags |= self.rng.pick(&harmless);
        }
        if self.rng.one_in(8) {
            flags |= 0x100 | self.rng.pick(&[0, 0x4000, 0x1_0000, 0x1_0800]);
        }
        if self.rng.one_in(8) {
            flags = number(&self.rng) as usize;
        }
        let data = |fuzzer: &mut Self| fuzzer.arena.data(&fuzzer.rng);
        let args = [flags, 0, data(self), data(self), data(self), 0];
        let result = match self.rng.one_in(2) {
            true => call(numbers::clone, args),
            false => {
                let words = [flags & !0xff, data(self), data(self), data(self), 17, 0, 0, 0];
                let words = words.map(|word| word as u64);
                let at = self.arena.put_words(&self.rng, &words);
                let size = self.rng.pick(&[64, 64, 64, 80, 88, 0, 63, 4096, usize::MAX]);
                call(numbers::clone3, [at, size, 0, 0, 0, 0])
            }
        };
        if result == Ok(0) {
            self.in_child(20);
        }
    }

    /// Makes a disposable copy to do something dangerous in; true in the original.
    fn fork_guard(&mut self) -> bool {
        match call(numbers::fork, [0; 6]) {
            Ok(0) => {
                let _ = sys!(alarm, 1);
                self.arena.is_disposable = true;
                self.rng = Rng::new(self.rng.next() ^ 0xaaaa);
                false
            }
            _ => true,
        }
    }

    fn garbage(&mut self) {
        if self.generation < GENERATIONS && !self.fork_guard() {
            code::run_garbage(&self.rng);
        }
    }

    /// Executes something, in a copy or, seldom, in this process with all its threads.
    fn execute(&mut self) {
        if !self.rng.one_in(30) && self.fork_guard() {
            return;
        }
        for _ in 0..8 {
            let path = match self.rng.below(3) {
                0 => self.arena.put(&self.rng, b"/proc/self/exe\0"),
                1 => {
                    let name = [b'x', b'0' + self.rng.below(7) as u8, 0];
                    self.arena.put(&self.rng, &name)
                }
                _ => argument(b'p', &self.rng, &self.arena),
            };
            let argv = argument(b'g', &self.rng, &self.arena);
            let envp = if self.rng.one_in(2) { 0 } else { self.arena.data(&self.rng) };
            self.counters.count(numbers::execve as usize);
            let _ = call(numbers::execve, [path, argv, envp, 0, 0, 0]);
        }
        exit(0)
    }
}
