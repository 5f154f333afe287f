//! Times, clocks and timers: `time(7)`, `clock_gettime(2)`, `setitimer(2)`, `timerfd_create(2)`,
//! `adjtimex(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: i64 = 1_000_000_000;
/// Microseconds in a second.
pub const USEC_PER_SEC: i64 = 1_000_000;

/// `struct timespec`, `timespec(3)`.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[repr(C)]
pub struct Timespec {
    pub sec: i64,
    pub nsec: i64,
}

impl Timespec {
    /// Whether this is a proper time: not negative, less than a second of nanoseconds.
    pub const fn is_valid(self) -> bool {
        self.sec >= 0 && self.nsec >= 0 && self.nsec < NSEC_PER_SEC
    }

    /// The time as nanoseconds, kept within the range of `i64`.
    pub const fn to_nanos(self) -> i64 {
        self.sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.nsec)
    }

    /// Makes a time from nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Timespec {
        Timespec { sec: nanos.div_euclid(NSEC_PER_SEC), nsec: nanos.rem_euclid(NSEC_PER_SEC) }
    }
}

/// `struct timeval`, `timeval(3)`.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[repr(C)]
pub struct Timeval {
    pub sec: i64,
    pub usec: i64,
}

impl Timeval {
    /// Whether this is a proper time: not negative, less than a second of microseconds.
    pub const fn is_valid(self) -> bool {
        self.sec >= 0 && self.usec >= 0 && self.usec < USEC_PER_SEC
    }

    /// The time as nanoseconds, kept within the range of `i64`.
    pub const fn to_nanos(self) -> i64 {
        self.sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.usec.saturating_mul(1000))
    }

    /// Makes a time from nanoseconds, rounding down.
    pub const fn from_nanos(nanos: i64) -> Timeval {
        Timeval { sec: nanos.div_euclid(NSEC_PER_SEC), usec: nanos.rem_euclid(NSEC_PER_SEC) / 1000 }
    }
}

/// `struct itimerval`, `setitimer(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Itimerval {
    pub interval: Timeval,
    pub value: Timeval,
}

/// `struct itimerspec`, `timer_settime(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Itimerspec {
    pub interval: Timespec,
    pub value: Timespec,
}

/// `struct timezone`, `gettimeofday(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Timezone {
    pub minuteswest: i32,
    pub dsttime: i32,
}

/// `struct utimbuf`, `utime(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Utimbuf {
    pub actime: i64,
    pub modtime: i64,
}

// Timers of `setitimer(2)`.
pub const ITIMER_REAL: i32 = 0;
pub const ITIMER_VIRTUAL: i32 = 1;
pub const ITIMER_PROF: i32 = 2;

// Clocks, `clock_gettime(2)`. A negative number means a process, a thread or a device.
pub const CLOCK_REALTIME: i32 = 0;
pub const CLOCK_MONOTONIC: i32 = 1;
pub const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
pub const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
pub const CLOCK_MONOTONIC_RAW: i32 = 4;
pub const CLOCK_REALTIME_COARSE: i32 = 5;
pub const CLOCK_MONOTONIC_COARSE: i32 = 6;
pub const CLOCK_BOOTTIME: i32 = 7;
pub const CLOCK_REALTIME_ALARM: i32 = 8;
pub const CLOCK_BOOTTIME_ALARM: i32 = 9;
pub const CLOCK_TAI: i32 = 11;
/// The flag of `clock_nanosleep(2)` and `timer_settime(2)`: the time is absolute.
pub const TIMER_ABSTIME: u32 = 1;

// Special values of the nanoseconds of `utimensat(2)`.
pub const UTIME_NOW: i64 = 0x3fffffff;
pub const UTIME_OMIT: i64 = 0x3ffffffe;

bitflags::bitflags! {
    /// Flags of `timerfd_create(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TimerfdFlags: u32 {
        const CLOEXEC = 0o2000000;
        const NONBLOCK = 0o4000;
    }
}

bitflags::bitflags! {
    /// Flags of `timerfd_settime(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TimerfdSetFlags: u32 {
        const ABSTIME = 0x1;
        const CANCEL_ON_SET = 0x2;
    }
}

/// `struct timex` of x86-64, `adjtimex(2)`.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Timex {
    pub modes: u32,
    pub _pad0: u32,
    pub offset: i64,
    pub freq: i64,
    pub maxerror: i64,
    pub esterror: i64,
    pub status: i32,
    pub _pad1: u32,
    pub constant: i64,
    pub precision: i64,
    pub tolerance: i64,
    pub time: Timeval,
    pub tick: i64,
    pub ppsfreq: i64,
    pub jitter: i64,
    pub shift: i32,
    pub _pad2: u32,
    pub stabil: i64,
    pub jitcnt: i64,
    pub calcnt: i64,
    pub errcnt: i64,
    pub stbcnt: i64,
    pub tai: i32,
    pub _pad3: [i32; 11],
}

// Modes, status bits and states of the clock.
pub const ADJ_OFFSET: u32 = 0x1;
pub const ADJ_FREQUENCY: u32 = 0x2;
pub const ADJ_MAXERROR: u32 = 0x4;
pub const ADJ_ESTERROR: u32 = 0x8;
pub const ADJ_STATUS: u32 = 0x10;
pub const ADJ_TIMECONST: u32 = 0x20;
pub const ADJ_TAI: u32 = 0x80;
pub const ADJ_SETOFFSET: u32 = 0x100;
pub const ADJ_MICRO: u32 = 0x1000;
pub const ADJ_NANO: u32 = 0x2000;
pub const ADJ_TICK: u32 = 0x4000;
pub const ADJ_OFFSET_SINGLESHOT: u32 = 0x8001;
pub const ADJ_OFFSET_SS_READ: u32 = 0xa001;
pub const STA_UNSYNC: i32 = 0x40;
pub const STA_NANO: i32 = 0x2000;
pub const STA_PLL: i32 = 0x1;
pub const TIME_OK: i32 = 0;
pub const TIME_ERROR: i32 = 5;
