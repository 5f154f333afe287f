//! A process that the case traces, `ptrace(2)`.

use super::check::{Must, fail};
use super::errno::Errno;
use super::process::{Status, fork, getpid};
use super::sys::{Result, sys, zeroed};
use libc::user_regs_struct;

/// Requests that the C library has no name for everywhere.
pub const GETREGS: i32 = 12;
pub const SETREGS: i32 = 13;
pub const GETFPREGS: i32 = 14;
pub const SETFPREGS: i32 = 15;
pub const DETACH: i32 = 17;
pub const ARCH_PRCTL: i32 = 30;
pub const SYSEMU: i32 = 31;
pub const SYSEMU_SINGLESTEP: i32 = 32;
pub const SIGMASK_GET: i32 = 0x420a;
pub const SIGMASK_SET: i32 = 0x420b;
pub const CALL_INFO: i32 = 0x420e;

/// `PTRACE_EVENT_STOP`, as `stopped` shows it.
pub const EVENT_STOP: i32 = 128;

/// A request, as the kernel takes it.
pub fn ptrace(request: i32, pid: i32, addr: usize, data: usize) -> Result {
    sys!(ptrace, request, pid, addr, data)
}

/// What a wait for a tracee tells: its signal and its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop(pub i32, pub i32);

/// A thread that the calling thread traces.
#[derive(Clone, Copy, Debug)]
pub struct Tracee {
    /// Its thread id.
    pub pid: i32,
}

/// Runs the function in a child that the caller traces, and that has stopped before it.
#[track_caller]
pub fn traced(body: impl FnOnce()) -> Tracee {
    let child = fork(|| {
        sys!(ptrace, libc::PTRACE_TRACEME, 0, 0, 0).must();
        // What it answers is the tracer's to say.
        let _ = sys!(kill, getpid(), libc::SIGSTOP);
        body();
    });
    let tracee = Tracee { pid: child.pid };
    super::check::check_eq!(tracee.stop(), Stop(libc::SIGSTOP, 0));
    tracee
}

/// Waits for a stop or the end of any thread that matches; its number and the status word.
#[track_caller]
pub fn wait_any(pid: i32) -> (i32, i32) {
    let mut word = 0i32;
    loop {
        match sys!(wait4, pid, &mut word, libc::__WALL, 0) {
            Err(Errno(libc::EINTR)) => {}
            other => return (other.must() as i32, word),
        }
    }
}

/// The signal and the event of a status word.
pub fn decode(word: i32) -> Option<Stop> {
    libc::WIFSTOPPED(word).then_some(Stop((word >> 8) & 0xff, word >> 16))
}

impl Tracee {
    /// Makes a request that must succeed.
    #[track_caller]
    pub fn must(self, request: i32, addr: usize, data: usize) -> i64 {
        ptrace(request, self.pid, addr, data).must()
    }

    /// Attaches to it.
    #[track_caller]
    pub fn must_attach(self) {
        self.must(libc::PTRACE_ATTACH as i32, 0, 0);
    }

    /// Waits for its next stop.
    #[track_caller]
    pub fn stop(self) -> Stop {
        let (_, word) = wait_any(self.pid);
        match decode(word) {
            Some(stop) => stop,
            None => fail!("no stop but {:?} ({word:#x})", Status::decode(word)),
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(self) -> Status {
        let (_, word) = wait_any(self.pid);
        Status::decode(word)
    }

    /// Whether it has nothing to tell.
    #[track_caller]
    pub fn is_quiet(self) -> bool {
        let mut word = 0i32;
        sys!(wait4, self.pid, &mut word, libc::__WALL | libc::WNOHANG, 0).must() == 0
    }

    /// Lets it go on, with a signal or 0.
    #[track_caller]
    pub fn cont(self, signal: i32) {
        self.must(libc::PTRACE_CONT as i32, 0, signal as usize);
    }

    /// Lets it go on to the next stop at a system call, or another one.
    #[track_caller]
    pub fn call(self) -> Stop {
        self.must(libc::PTRACE_SYSCALL as i32, 0, 0);
        self.stop()
    }

    /// Lets it execute an instruction.
    #[track_caller]
    pub fn step(self) -> Stop {
        self.must(libc::PTRACE_SINGLESTEP as i32, 0, 0);
        self.stop()
    }

    /// Lets it go on to its end, which must be with status 0.
    #[track_caller]
    pub fn ok(self) {
        self.cont(0);
        super::check::check_eq!(self.end(), Status::Exited(0));
    }

    /// Its registers.
    #[track_caller]
    pub fn regs(self) -> user_regs_struct {
        let mut regs: user_regs_struct = zeroed();
        self.must(GETREGS, 0, &raw mut regs as usize);
        regs
    }

    /// Replaces its registers.
    #[track_caller]
    pub fn set_regs(self, regs: &user_regs_struct) {
        self.must(SETREGS, 0, std::ptr::from_ref(regs) as usize);
    }

    /// Sets `PTRACE_O_*`.
    #[track_caller]
    pub fn options(self, options: i32) {
        self.must(libc::PTRACE_SETOPTIONS as i32, 0, options as usize);
    }

    /// The message of its event.
    #[track_caller]
    pub fn message(self) -> u64 {
        let mut message = 0u64;
        self.must(libc::PTRACE_GETEVENTMSG as i32, 0, &raw mut message as usize);
        message
    }

    /// The facts of its stop.
    #[track_caller]
    pub fn info(self) -> super::signal::SigInfo {
        let mut info: super::signal::SigInfo = zeroed();
        self.must(libc::PTRACE_GETSIGINFO as i32, 0, &raw mut info as usize);
        info
    }

    /// The word at an address.
    #[track_caller]
    pub fn peek(self, addr: usize) -> u64 {
        let mut word = 0u64;
        self.must(libc::PTRACE_PEEKDATA as i32, addr, &raw mut word as usize);
        word
    }

    /// Kills and reaps it.
    #[track_caller]
    pub fn kill(self) {
        sys!(kill, self.pid, libc::SIGKILL).must();
        loop {
            if decode(wait_any(self.pid).1).is_none() {
                break;
            }
        }
    }
}

/// The letter of the state of a thread, and its tracer, from `/proc/PID/status`.
#[track_caller]
pub fn state(pid: i32) -> (char, i32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).must();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    (field("State:").chars().next().unwrap_or('?'), field("TracerPid:").parse().unwrap_or(-1))
}
