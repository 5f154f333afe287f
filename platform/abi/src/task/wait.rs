//! Waiting for children: `wait4(2)`, `waitid(2)`.

bitflags::bitflags! {
    /// Options of `wait4(2)` and `waitid(2)`; `WSTOPPED` is `UNTRACED`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct WaitOptions: u32 {
        const NOHANG = 0x1;
        const UNTRACED = 0x2;
        const EXITED = 0x4;
        const CONTINUED = 0x8;
        const NOWAIT = 0x1000000;
        const NOTHREAD = 0x20000000;
        const ALL = 0x40000000;
        const CLONE = 0x80000000;
    }
}

// Kinds of ids of `waitid(2)`.
pub const P_ALL: i32 = 0;
pub const P_PID: i32 = 1;
pub const P_PGID: i32 = 2;
pub const P_PIDFD: i32 = 3;

/// The bit of a wait status that says that the process dumped core.
pub const WCOREFLAG: i32 = 0x80;

/// The status of a process that left with `code`, `wait(2)`.
pub const fn exited_status(code: i32) -> i32 {
    (code & 0xff) << 8
}

/// The status of a process that a signal ended.
pub const fn signaled_status(signal: i32, dumped_core: bool) -> i32 {
    (signal & 0x7f) | if dumped_core { WCOREFLAG } else { 0 }
}

/// The status of a stopped process; a ptrace event number may sit above the signal.
pub const fn stopped_status(signal: i32) -> i32 {
    (signal << 8) | 0x7f
}

/// The status of a process that goes on after a stop.
pub const CONTINUED_STATUS: i32 = 0xffff;
