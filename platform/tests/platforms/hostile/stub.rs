//! The stub as its guest sees it, and a kernel that does not wait for ever.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{BoxFuture, HostOp, Interrupter, ResumeMode, Spawn, Trap};

use crate::cases::guest::Guest;

/// When the kernel begins to want a thread to end.
const CALM: Duration = Duration::from_millis(30);
/// What the platform is told to allow then.
pub const PATIENCE: Duration = Duration::from_millis(300);
/// By when the platform must have ended it, on a machine with other work as well.
const LIMIT: Duration = Duration::from_secs(20);

/// Where things lie in the window.
#[derive(Clone, Debug)]
pub struct Stub {
    pub code: u64,
    pub bytes: Vec<u8>,
    pub slots: u64,
}

pub const SLOT_BYTES: u64 = 0x1_0000;
/// The table, and what threads share, come before the slots.
const SHARED_BYTES: u64 = (8 << 16) + SLOT_BYTES;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

impl Stub {
    /// Asks the newest process; it is the same in all.
    pub fn of_newest(guest: &Guest) -> Stub {
        let reserved = guest.space.layout().reserved.clone();
        let pid = Guest::newest_host_pid();
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
        let start = |rights: &str| {
            let starts = maps
                .lines()
                .filter(|line| line.contains(rights))
                .filter_map(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
            starts.into_iter().find(|start| reserved.contains(start)).expect("in the window")
        };
        let code = start(" r-xp ");
        let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("mem");
        let mut bytes = vec![0; 0x4000];
        memory.read_exact_at(&mut bytes, code).expect("code");
        // The rest is filled up.
        let len = bytes.iter().rposition(|&byte| byte != 0xcc).map_or(0, |last| last + 1);
        bytes.truncate(len);
        Stub { code, bytes, slots: start(" rw-s ") + SHARED_BYTES }
    }

    /// All places from which it calls the host.
    pub fn calls(&self) -> Vec<u64> {
        let pairs = self.bytes.windows(2).enumerate();
        pairs.filter(|(_, pair)| *pair == SYSCALL).map(|(at, _)| self.code + at as u64).collect()
    }

    /// A call that is followed by an instruction that faults.
    pub fn call_and_fault(&self) -> u64 {
        let pattern = [SYSCALL, [0x0f, 0x0b]].concat();
        let at = self.bytes.windows(4).position(|bytes| bytes == pattern).expect("a last call");
        self.code + at as u64
    }
}

/// Small and fast; the same numbers for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Values that mean something to the stub, and some that do not.
pub fn interesting(random: &mut Random, stub: &Stub) -> u64 {
    let calls = [0, 3, 9, 10, 11, 14, 15, 24, 25, 56, 60, 131, 158, 202, 436, 0x4d_5a00];
    match random.below(9) {
        0 => random.next(),
        1 => random.below(16),
        2 => random.one_of(&calls),
        3 => stub.code + random.below(stub.bytes.len() as u64),
        4 => stub.slots + random.below(2 * SLOT_BYTES) / 8 * 8,
        5 => random.one_of(&[0x8011, 0x8111, 0x5_0f00, u64::MAX, 1 << 47, 1 << 63]),
        6 => crate::cases::guest::DATA + random.below(4096),
        7 => crate::cases::guest::CODE + random.below(16),
        _ => random.one_of(&[0x101, 0x301, 0x201, 2, 3, 4]),
    }
}

impl Guest {
    /// Waits as a kernel does that wants the thread to end before long.
    fn bounded<T>(&mut self, mut poll: impl FnMut(&mut Guest, &mut Context<'_>) -> Poll<T>) -> T {
        let interrupter = self.thread.interrupter();
        let platform = self.platform.clone();
        let waker = self.waker().clone();
        let mut cx = Context::from_waker(&waker);
        let mut patience = Patience::new(interrupter);
        loop {
            match poll(self, &mut cx) {
                Poll::Ready(result) => return result,
                Poll::Pending => platform.park(Some(patience.deadline())),
            }
        }
    }

    pub fn bounded_run(&mut self, mode: ResumeMode) -> Trap {
        self.thread.resume(mode);
        self.bounded_trap()
    }

    pub fn bounded_trap(&mut self) -> Trap {
        self.bounded(|guest, cx| guest.thread.poll_trap(cx))
    }

    /// `None` where the platform has no such way.
    pub fn bounded_run_with(&mut self, op: HostOp<'_>) -> Option<Trap> {
        self.thread.resume_with(op).then(|| self.bounded(|guest, cx| guest.thread.poll_trap(cx)))
    }

    pub fn bounded_op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        self.thread.start_host_op(op);
        self.bounded(|guest, cx| guest.thread.poll_host_op(cx))
    }

    pub fn bounded_complete(&mut self) -> Result<(), Errno> {
        let interrupter = self.thread.interrupter();
        let platform = self.platform.clone();
        let waker = self.waker().clone();
        bounded(&*platform, &waker, interrupter, self.thread.complete())
    }

    pub fn bounded_spawn(&mut self, kind: Spawn) -> Result<Guest, Errno> {
        let interrupter = self.thread.interrupter();
        let platform = self.platform.clone();
        let waker = self.waker().clone();
        let made = bounded(&*platform, &waker, interrupter, self.thread.spawn(kind))?;
        Ok(Guest::from(&platform, made))
    }
}

fn bounded<T>(
    platform: &dyn platform::Platform,
    waker: &std::task::Waker,
    interrupter: Arc<dyn Interrupter>,
    mut future: BoxFuture<'_, T>,
) -> T {
    let mut cx = Context::from_waker(waker);
    let mut patience = Patience::new(interrupter);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(result) => return result,
            Poll::Pending => platform.park(Some(patience.deadline())),
        }
    }
}

struct Patience {
    start: Instant,
    interrupter: Arc<dyn Interrupter>,
    has_interrupted: bool,
}

impl Patience {
    fn new(interrupter: Arc<dyn Interrupter>) -> Patience {
        Patience { start: Instant::now(), interrupter, has_interrupted: false }
    }

    /// Until when to park.
    fn deadline(&mut self) -> Instant {
        let elapsed = self.start.elapsed();
        if elapsed < CALM {
            return self.start + CALM;
        }
        if !self.has_interrupted {
            self.interrupter.interrupt();
            self.has_interrupted = true;
            // That may have told the end already.
            return Instant::now();
        }
        assert!(elapsed < LIMIT, "the platform waits for ever");
        self.start + LIMIT
    }
}
