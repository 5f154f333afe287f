//! A guest process with a little code in it, and a loop that waits for its traps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use linux_abi::Errno;
use platform::ptrace::Ptrace;
use platform::{AddressSpace, HostOp, NewProcess, Platform, ResumeMode, Thread, Trap};

/// Where the code of a guest is mapped, readable and executable.
pub const CODE: u64 = 0x40_0000;
/// A few writable pages.
pub const DATA: u64 = 0x50_0000;
pub const DATA_BYTES: u64 = 4 * 4096;

pub const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
pub const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Remembers that it was woken.
#[derive(Default)]
pub struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub struct Guest {
    pub platform: Arc<Ptrace>,
    pub space: Arc<dyn AddressSpace>,
    pub thread: Box<dyn Thread>,
}

impl Guest {
    /// A fresh process that is about to run `code`.
    pub fn new(code: &[u8]) -> Guest {
        Guest::on(Ptrace::new().expect("platform"), code)
    }

    pub fn on(platform: Arc<Ptrace>, code: &[u8]) -> Guest {
        let (space, thread) = platform.new_address_space().expect("address space");
        let mut guest = Guest { platform, space, thread };
        guest.map(CODE, 4096, RW);
        guest.map(DATA, DATA_BYTES, RW);
        assert_eq!(guest.space.write(CODE, code), Ok(code.len()));
        let prot = libc::PROT_READ | libc::PROT_EXEC;
        guest.op(HostOp::Mprotect { addr: CODE, len: 4096, prot }).expect("mprotect");
        guest.thread.registers_mut().rip = CODE;
        guest.thread.registers_mut().rsp = DATA + DATA_BYTES;
        guest
    }

    pub fn from(platform: &Arc<Ptrace>, (space, thread): NewProcess) -> Guest {
        Guest { platform: Arc::clone(platform), space, thread }
    }

    pub fn map(&mut self, addr: u64, len: u64, prot: i32) {
        let flags = ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let op = HostOp::Mmap { addr, len, prot, flags, fd: None, offset: 0 };
        assert_eq!(self.op(op), Ok(addr));
    }

    pub fn op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        op_on(&mut *self.thread, op)
    }

    pub fn run(&mut self) -> Trap {
        run_thread(&self.platform, &mut *self.thread)
    }

    pub fn step(&mut self) -> Trap {
        self.thread.resume(ResumeMode::SingleStep);
        await_trap(&self.platform, &mut *self.thread)
    }

    /// Runs to the next system call and answers with its number.
    pub fn run_to_call(&mut self) -> u64 {
        assert_eq!(self.run(), Trap::Syscall, "{:x?}", self.thread.registers());
        self.thread.registers().orig_rax
    }

    pub fn read_u64(&self, addr: u64) -> u64 {
        let mut bytes = [0; 8];
        assert_eq!(self.space.read(addr, &mut bytes), Ok(8));
        u64::from_le_bytes(bytes)
    }
}

pub fn op_on(thread: &mut dyn Thread, op: HostOp<'_>) -> Result<u64, Errno> {
    thread.start_host_op(op);
    match thread.poll_host_op(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("ptrace operations are synchronous"),
    }
}

pub fn run_thread(platform: &Ptrace, thread: &mut dyn Thread) -> Trap {
    thread.resume(ResumeMode::Run);
    await_trap(platform, thread)
}

pub fn await_trap(platform: &Ptrace, thread: &mut dyn Thread) -> Trap {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(trap) = thread.poll_trap(&mut cx) {
            return trap;
        }
        platform.park(None);
    }
}

/// Parks until `is_done`, or fails after some seconds.
pub fn park_until(platform: &Ptrace, mut is_done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !is_done() {
        assert!(Instant::now() < limit, "timed out");
        platform.park(Some(Instant::now() + Duration::from_millis(20)));
    }
}
