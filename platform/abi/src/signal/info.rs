//! `siginfo_t`: why a signal was sent, `sigaction(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// Codes of any signal: who sent it.
pub const SI_USER: i32 = 0;
pub const SI_KERNEL: i32 = 128;
pub const SI_QUEUE: i32 = -1;
pub const SI_TIMER: i32 = -2;
pub const SI_MESGQ: i32 = -3;
pub const SI_ASYNCIO: i32 = -4;
pub const SI_SIGIO: i32 = -5;
pub const SI_TKILL: i32 = -6;
pub const SI_DETHREAD: i32 = -7;
pub const SI_ASYNCNL: i32 = -60;
// Codes of SIGILL.
pub const ILL_ILLOPC: i32 = 1;
pub const ILL_ILLOPN: i32 = 2;
pub const ILL_ILLADR: i32 = 3;
pub const ILL_ILLTRP: i32 = 4;
pub const ILL_PRVOPC: i32 = 5;
pub const ILL_PRVREG: i32 = 6;
pub const ILL_COPROC: i32 = 7;
pub const ILL_BADSTK: i32 = 8;
// Codes of SIGFPE.
pub const FPE_INTDIV: i32 = 1;
pub const FPE_INTOVF: i32 = 2;
pub const FPE_FLTDIV: i32 = 3;
pub const FPE_FLTOVF: i32 = 4;
pub const FPE_FLTUND: i32 = 5;
pub const FPE_FLTRES: i32 = 6;
pub const FPE_FLTINV: i32 = 7;
pub const FPE_FLTSUB: i32 = 8;
// Codes of SIGSEGV.
pub const SEGV_MAPERR: i32 = 1;
pub const SEGV_ACCERR: i32 = 2;
pub const SEGV_BNDERR: i32 = 3;
pub const SEGV_PKUERR: i32 = 4;
// Codes of SIGBUS.
pub const BUS_ADRALN: i32 = 1;
pub const BUS_ADRERR: i32 = 2;
pub const BUS_OBJERR: i32 = 3;
pub const BUS_MCEERR_AR: i32 = 4;
pub const BUS_MCEERR_AO: i32 = 5;
// Codes of SIGTRAP.
pub const TRAP_BRKPT: i32 = 1;
pub const TRAP_TRACE: i32 = 2;
pub const TRAP_BRANCH: i32 = 3;
pub const TRAP_HWBKPT: i32 = 4;
pub const TRAP_UNK: i32 = 5;
// Codes of SIGCHLD.
pub const CLD_EXITED: i32 = 1;
pub const CLD_KILLED: i32 = 2;
pub const CLD_DUMPED: i32 = 3;
pub const CLD_TRAPPED: i32 = 4;
pub const CLD_STOPPED: i32 = 5;
pub const CLD_CONTINUED: i32 = 6;
// Codes of SIGIO.
pub const POLL_IN: i32 = 1;
pub const POLL_OUT: i32 = 2;
pub const POLL_MSG: i32 = 3;
pub const POLL_ERR: i32 = 4;
pub const POLL_PRI: i32 = 5;
pub const POLL_HUP: i32 = 6;
/// The code of SIGSYS that seccomp sends.
pub const SYS_SECCOMP: i32 = 1;
pub const SYS_USER_DISPATCH: i32 = 2;

/// `siginfo_t`: 128 bytes. The meaning of `data` depends on the signal and the code.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct SigInfo {
    pub signo: i32,
    pub errno: i32,
    pub code: i32,
    pub _pad0: i32,
    /// The union from offset 16 on.
    pub data: [u64; 14],
}

/// Two 32-bit fields in one word of the union.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

impl SigInfo {
    const fn new(signo: i32, code: i32, words: [u64; 4]) -> SigInfo {
        let mut data = [0; 14];
        data[0] = words[0];
        data[1] = words[1];
        data[2] = words[2];
        data[3] = words[3];
        SigInfo { signo, errno: 0, code, _pad0: 0, data }
    }

    /// A signal of the kernel itself, without further facts (`SI_KERNEL`).
    pub const fn kernel(signo: i32) -> SigInfo {
        SigInfo::new(signo, SI_KERNEL, [0; 4])
    }

    /// A signal of `kill(2)` (`SI_USER`) or `tgkill(2)` (`SI_TKILL`).
    pub const fn kill(signo: i32, code: i32, pid: i32, uid: u32) -> SigInfo {
        SigInfo::new(signo, code, [pair(pid as u32, uid), 0, 0, 0])
    }

    /// A signal with a value: `sigqueue(3)` (`SI_QUEUE`), `mq_notify(3)` (`SI_MESGQ`).
    pub const fn queue(signo: i32, code: i32, pid: i32, uid: u32, value: u64) -> SigInfo {
        SigInfo::new(signo, code, [pair(pid as u32, uid), value, 0, 0])
    }

    /// The expiry of a POSIX timer, `timer_create(2)`.
    pub const fn timer(signo: i32, timer_id: i32, overrun: i32, value: u64) -> SigInfo {
        SigInfo::new(signo, SI_TIMER, [pair(timer_id as u32, overrun as u32), value, 0, 0])
    }

    /// A change of a child's state; `code` is one of `CLD_*`, times in clock ticks.
    pub const fn child(
        code: i32,
        pid: i32,
        uid: u32,
        status: i32,
        utime: i64,
        stime: i64,
    ) -> SigInfo {
        let words = [pair(pid as u32, uid), status as u32 as u64, utime as u64, stime as u64];
        SigInfo::new(super::SIGCHLD, code, words)
    }

    /// A fault of the program: SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGTRAP.
    pub const fn fault(signo: i32, code: i32, addr: u64) -> SigInfo {
        SigInfo::new(signo, code, [addr, 0, 0, 0])
    }

    /// A system call that a seccomp filter refused, `seccomp(2)`; `errno` is the filter's data.
    pub const fn sigsys(call_addr: u64, syscall: i32, arch: u32, errno: i32) -> SigInfo {
        let words = [call_addr, pair(syscall as u32, arch), 0, 0];
        let mut info = SigInfo::new(super::SIGSYS, SYS_SECCOMP, words);
        info.errno = errno;
        info
    }

    /// Readiness of a descriptor with `F_SETSIG`; `band` holds poll events.
    pub const fn poll(signo: i32, code: i32, band: i64, fd: i32) -> SigInfo {
        SigInfo::new(signo, code, [band as u64, fd as u32 as u64, 0, 0])
    }

    /// The sender's process id (kill, queue, child).
    pub const fn pid(&self) -> i32 {
        self.data[0] as i32
    }

    /// The sender's user id (kill, queue, child).
    pub const fn uid(&self) -> u32 {
        (self.data[0] >> 32) as u32
    }

    /// Replaces the sender, as seen from another pid or user namespace.
    pub const fn set_sender(&mut self, pid: i32, uid: u32) {
        self.data[0] = pair(pid as u32, uid);
    }

    /// The value of `sigqueue(3)` or of a timer.
    pub const fn value(&self) -> u64 {
        self.data[1]
    }

    /// The exit status or signal of a child.
    pub const fn status(&self) -> i32 {
        self.data[1] as i32
    }

    /// The child's user time in clock ticks.
    pub const fn utime(&self) -> i64 {
        self.data[2] as i64
    }

    /// The child's system time in clock ticks.
    pub const fn stime(&self) -> i64 {
        self.data[3] as i64
    }

    /// The id of the timer.
    pub const fn timer_id(&self) -> i32 {
        self.data[0] as i32
    }

    /// How many expiries the timer's signal stands for besides its own.
    pub const fn overrun(&self) -> i32 {
        (self.data[0] >> 32) as i32
    }

    /// Sets the timer's overrun count when the signal is taken.
    pub const fn set_overrun(&mut self, overrun: i32) {
        self.data[0] = pair(self.data[0] as u32, overrun as u32);
    }

    /// The faulting address.
    pub const fn addr(&self) -> u64 {
        self.data[0]
    }

    /// The address of the refused system call (SIGSYS).
    pub const fn call_addr(&self) -> u64 {
        self.data[0]
    }

    /// The number of the refused system call (SIGSYS).
    pub const fn syscall(&self) -> i32 {
        self.data[1] as i32
    }

    /// The architecture of the refused system call, `AUDIT_ARCH_*` (SIGSYS).
    pub const fn arch(&self) -> u32 {
        (self.data[1] >> 32) as u32
    }

    /// The poll events of a SIGIO.
    pub const fn band(&self) -> i64 {
        self.data[0] as i64
    }

    /// The descriptor of a SIGIO.
    pub const fn fd(&self) -> i32 {
        self.data[1] as i32
    }
}
