//! A guest process with a little code in it, and a loop that waits for its traps.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::{
    AddressSpace, BoxFuture, Fault, HostOp, NewProcess, Registers, ResumeMode, Spawn, Thread, Trap,
};

use super::kind::{AnyPlatform, new_platform};

/// Where the code of a guest is mapped, readable and executable.
pub const CODE: u64 = 0x40_0000;
/// A few writable pages, with nothing mapped before and behind them.
pub const DATA: u64 = 0x50_0000;
/// Where a guest that is [`Guest::blank`] may map something, to be told from others.
pub const BLANK: u64 = 0x1_0000_0000;
pub const DATA_BYTES: u64 = 4 * 4096;

pub const READ: i32 = libc::PROT_READ;
pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
pub const RX: i32 = libc::PROT_READ | libc::PROT_EXEC;
pub const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Defines a function that gives the bytes of assembled guest code.
#[macro_export]
macro_rules! guest_code {
    ($name:ident: $($line:literal),+ $(,)?) => {
        std::arch::global_asm!(
            ".pushsection .rodata.guest_code,\"a\",@progbits",
            concat!(".globl guest_", stringify!($name)),
            concat!("guest_", stringify!($name), ":"),
            $($line,)+
            concat!(".globl guest_end_", stringify!($name)),
            concat!("guest_end_", stringify!($name), ":"),
            ".popsection",
        );
        pub fn $name() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = concat!("guest_", stringify!($name))]
                static BEGIN: u8;
                #[link_name = concat!("guest_end_", stringify!($name))]
                static END: u8;
            }
            let (begin, end) = (&raw const BEGIN, &raw const END);
            // SAFETY: the symbols delimit constant bytes.
            unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
        }
    };
}

guest_code!(getpid_loop: "2: mov eax, 39", "syscall", "jmp 2b");
guest_code!(spin: "2: inc rbx", "jmp 2b");

pub struct Guest {
    pub platform: Arc<dyn AnyPlatform>,
    pub space: Arc<dyn AddressSpace>,
    pub thread: Box<dyn Thread>,
    waker: Waker,
}

impl Guest {
    /// A fresh process on a new platform that is about to run `code`.
    pub fn new(code: &[u8]) -> Guest {
        Guest::on(&new_platform(), code)
    }

    pub fn on(platform: &Arc<dyn AnyPlatform>, code: &[u8]) -> Guest {
        let mut guest = Guest::blank(platform);
        guest.map(CODE, 4096, RW);
        guest.map(DATA, DATA_BYTES, RW);
        assert_eq!(guest.space.write(CODE, code), Ok(code.len()));
        guest.op(HostOp::Mprotect { addr: CODE, len: 4096, prot: RX }).expect("mprotect");
        guest.thread.registers_mut().rip = CODE;
        guest.thread.registers_mut().rsp = DATA + DATA_BYTES;
        guest
    }

    pub fn blank(platform: &Arc<dyn AnyPlatform>) -> Guest {
        Guest::from(platform, wait(platform, platform.new_address_space()).expect("address space"))
    }

    pub fn from(platform: &Arc<dyn AnyPlatform>, (space, thread): NewProcess) -> Guest {
        Guest { platform: Arc::clone(platform), space, thread, waker: waker(platform) }
    }

    pub fn spawn(&mut self, kind: Spawn) -> Guest {
        self.complete().expect("complete");
        let child = self.try_spawn(kind).expect("child");
        Guest::from(&self.platform, child)
    }

    pub fn try_spawn(&mut self, kind: Spawn) -> Result<NewProcess, Errno> {
        wait(&self.platform, self.thread.spawn(kind))
    }

    pub fn complete(&mut self) -> Result<(), Errno> {
        wait(&self.platform, self.thread.complete())
    }

    pub fn map(&mut self, addr: u64, len: u64, prot: i32) {
        let flags = ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let op = HostOp::Mmap { addr, len, prot, flags, fd: None, offset: 0 };
        assert_eq!(self.op(op), Ok(addr));
    }

    pub fn op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        self.thread.start_host_op(op);
        self.finish_op()
    }

    pub fn finish_op(&mut self) -> Result<u64, Errno> {
        let mut cx = Context::from_waker(&self.waker);
        park_for(&*self.platform, || self.thread.poll_host_op(&mut cx))
    }

    pub fn run(&mut self) -> Trap {
        self.thread.resume(ResumeMode::Run);
        self.await_trap()
    }

    pub fn step(&mut self) -> Trap {
        self.thread.resume(ResumeMode::SingleStep);
        self.await_trap()
    }

    pub fn await_trap(&mut self) -> Trap {
        let mut cx = Context::from_waker(&self.waker);
        park_for(&*self.platform, || self.thread.poll_trap(&mut cx))
    }

    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    pub fn is_trapped(&mut self) -> Option<Trap> {
        match self.thread.poll_trap(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(trap) => Some(trap),
            Poll::Pending => None,
        }
    }

    /// All registers of the thread.
    pub fn registers(&mut self) -> Registers {
        self.complete().expect("complete");
        *self.thread.registers()
    }

    /// Runs to the next system call and answers with its number.
    pub fn run_to_call(&mut self) -> u64 {
        assert_eq!(self.run(), Trap::Syscall, "{:x?}", self.thread.registers());
        self.thread.registers().orig_rax
    }

    /// Runs into a fault.
    pub fn run_to_fault(&mut self) -> Fault {
        match self.run() {
            Trap::Fault(fault) => fault,
            other => panic!("{other:?} at {:x?}", self.thread.registers()),
        }
    }

    pub fn read_u64(&self, addr: u64) -> u64 {
        let mut bytes = [0; 8];
        assert_eq!(self.space.read(addr, &mut bytes), Ok(8));
        u64::from_le_bytes(bytes)
    }

    /// Host pids of all stub processes, oldest (the template) first.
    pub fn host_children() -> Vec<i32> {
        let text = std::fs::read_to_string("/proc/thread-self/children").expect("children");
        text.split_ascii_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }

    /// Waits until there are just so many stub processes; a platform may collect them late.
    pub fn await_host_children(count: usize) {
        let limit = Instant::now() + Duration::from_secs(10);
        while Guest::host_children().len() != count {
            assert!(Instant::now() < limit, "{:?} are left", Guest::host_children());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Host pid of the newest guest process; those that wait for a guest may be newer. Without a guest, that
    /// of the newest process.
    pub fn newest_host_pid() -> i32 {
        let children = Guest::host_children();
        let newest = children.iter().copied().rev().find(|&pid| has_guest(pid));
        newest.or(children.last().copied()).expect("a child")
    }
}

/// Whether a stub process has memory where these guests have theirs.
fn has_guest(pid: i32) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let starts = maps.lines().filter_map(|line| line.split_once('-'));
    starts
        .filter_map(|(start, _)| u64::from_str_radix(start, 16).ok())
        .any(|start| start == CODE || start == BLANK)
}

/// The result of a future of the platform.
pub fn wait<T>(platform: &Arc<dyn AnyPlatform>, mut future: BoxFuture<'_, T>) -> T {
    let waker = waker(platform);
    let mut cx = Context::from_waker(&waker);
    park_for(&**platform, || future.as_mut().poll(&mut cx))
}

/// Parks until `poll` is ready.
fn park_for<T>(platform: &dyn AnyPlatform, mut poll: impl FnMut() -> Poll<T>) -> T {
    loop {
        match poll() {
            Poll::Ready(result) => return result,
            Poll::Pending => platform.park(None),
        }
    }
}

/// Ends the parking of the kernel's worker, the thread that makes the waker.
fn waker(platform: &Arc<dyn AnyPlatform>) -> Waker {
    let worker = std::thread::current().id();
    Waker::from(Arc::new(Unpark { platform: Arc::downgrade(platform), worker }))
}

struct Unpark {
    platform: Weak<dyn AnyPlatform>,
    worker: ThreadId,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // The worker itself returns from `park` anyway, and then looks at everything.
        if std::thread::current().id() != self.worker
            && let Some(platform) = self.platform.upgrade()
        {
            platform.unpark();
        }
    }
}

/// Parks until `is_done`, or fails after some seconds.
pub fn park_until(platform: &dyn AnyPlatform, mut is_done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !is_done() {
        assert!(Instant::now() < limit, "timed out");
        platform.park(Some(Instant::now() + Duration::from_millis(20)));
    }
}

/// A signal from outside the sandbox.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: sending a signal touches no memory.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}
