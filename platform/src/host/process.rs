//! The sentry process itself: its signals, processors and the machine it runs on.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

use linux_abi::Errno;
use rustix::system::Sysinfo;
use rustix::thread::CpuSet;

use super::{errno, fs, last_errno, retry};

/// Process id of the sentry in its own pid namespace.
pub fn pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Kills all processes of the sentry's pid namespace but itself, which is the first there; nothing if it
/// is not.
pub fn kill_all_others() {
    if pid() == 1 {
        // Nobody may be left.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::SIGKILL);
    }
}

/// Host thread id of the caller.
pub fn tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// The process group of a process, `getpgid(2)`.
///
/// # Errors
/// ESRCH if it is gone.
pub fn group(pid: i32) -> Result<i32, Errno> {
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid)).map_err(errno)?;
    Ok(group.as_raw_nonzero().get())
}

/// How many processors the calling thread may use; at least 1.
pub fn cpu_count() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (set.count() as usize).max(1),
        Err(_) => 1,
    }
}

/// A set of host processors.
#[derive(Clone, Debug)]
pub struct Processors(CpuSet);

impl Processors {
    /// Where the calling thread may run; none if the host does not tell.
    pub fn of_caller() -> Processors {
        Processors(rustix::thread::sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new()))
    }

    /// One processor.
    pub fn only(cpu: usize) -> Processors {
        let mut set = CpuSet::new();
        set.set(cpu);
        Processors(set)
    }

    pub fn count(&self) -> u32 {
        self.0.count()
    }

    pub fn has(&self, cpu: usize) -> bool {
        cpu < CpuSet::MAX_CPU && self.0.is_set(cpu)
    }

    /// Some processor of the set that is not `cpu`.
    pub fn other_than(&self, cpu: usize) -> Option<usize> {
        (0..CpuSet::MAX_CPU).find(|&other| other != cpu && self.0.is_set(other))
    }

    /// The set less `cpu`.
    pub fn without(mut self, cpu: usize) -> Processors {
        self.0.unset(cpu);
        self
    }

    /// Those whose number `is_allowed` accepts.
    pub fn filter(&self, is_allowed: &dyn Fn(u32) -> bool) -> Processors {
        let mut allowed = CpuSet::new();
        for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| self.0.is_set(cpu) && is_allowed(cpu as u32))
        {
            allowed.set(cpu);
        }
        Processors(allowed)
    }

    /// Lets a thread run on these only, `sched_setaffinity(2)`.
    ///
    /// # Errors
    /// ESRCH if it is gone; EINVAL for an empty set.
    pub fn bind(&self, tid: i32) -> Result<(), Errno> {
        let tid = rustix::thread::Pid::from_raw(tid).ok_or(Errno::ESRCH)?;
        rustix::thread::sched_setaffinity(Some(tid), &self.0).map_err(errno)
    }

    /// Lets the calling thread run on these only.
    ///
    /// # Errors
    /// As [`Processors::bind`].
    pub fn bind_caller(&self) -> Result<(), Errno> {
        rustix::thread::sched_setaffinity(None, &self.0).map_err(errno)
    }
}

/// Processor that the caller runs on.
pub fn current_cpu() -> usize {
    rustix::thread::sched_getcpu()
}

/// What the host says about its memory and uptime, `sysinfo(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineInfo {
    pub uptime_s: u64,
    /// Load averages over 1, 5 and 15 minutes, scaled by 65536.
    pub loads: [u64; 3],
    pub total_ram_bytes: u64,
    pub free_ram_bytes: u64,
    pub total_swap_bytes: u64,
    pub free_swap_bytes: u64,
}

pub fn machine_info() -> MachineInfo {
    let info: Sysinfo = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit);
    MachineInfo {
        uptime_s: info.uptime.max(0) as u64,
        loads: info.loads,
        total_ram_bytes: info.totalram * unit,
        free_ram_bytes: info.freeram * unit,
        total_swap_bytes: info.totalswap * unit,
        free_swap_bytes: info.freeswap * unit,
    }
}

/// A soft and a hard limit of the sentry process, `getrlimit(2)`; `u64::MAX` is "no limit".
pub fn limit(resource: i32) -> Result<(u64, u64), Errno> {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: 1. pid 0 is the caller. 2. No new limit is given. 3. The old one is written to
    // memory of the right type.
    let result = unsafe {
        libc::prlimit64(0, resource as libc::c_uint, std::ptr::null(), limit.as_mut_ptr())
    };
    if result != 0 {
        return Err(last_errno());
    }
    // SAFETY: the call succeeded, so it was written.
    let limit = unsafe { limit.assume_init() };
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit of open files to the hard one; the sentry holds a descriptor for most
/// open host files of its guests. Returns the limit now in force.
pub fn raise_file_limit() -> Result<u64, Errno> {
    let (_, hard) = limit(libc::RLIMIT_NOFILE as i32)?;
    let new = libc::rlimit64 { rlim_cur: hard, rlim_max: hard };
    // SAFETY: 1. pid 0 is the caller. 2. `new` is live. 3. The old limit is not asked for.
    let result =
        unsafe { libc::prlimit64(0, libc::RLIMIT_NOFILE, &raw const new, std::ptr::null_mut()) };
    if result == 0 { Ok(hard) } else { Err(last_errno()) }
}

/// Signals sent to the sentry from outside, as a descriptor, `signalfd(2)`.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// One signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivedSignal {
    pub signo: i32,
    pub code: i32,
    /// Sender, as seen from the sentry's namespaces; 0 for the kernel (a terminal).
    pub pid: i32,
    pub uid: u32,
}

impl SignalFd {
    /// Blocks `signals` in the calling thread and all it will start, and gives a non-blocking
    /// descriptor that becomes readable when one arrives. Call it before other threads start.
    ///
    /// Errors: EINVAL for a number that is no signal or that the platform needs itself (SIGURG).
    pub fn new(signals: &[i32]) -> Result<SignalFd, Errno> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for &signo in signals {
            // SAFETY: the set was initialised above.
            let result = unsafe { libc::sigaddset(set.as_mut_ptr(), signo) };
            if result != 0 || signo == libc::SIGURG {
                return Err(Errno::EINVAL);
            }
        }
        // SAFETY: the set is initialised; the old mask is not asked for.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) };
        if error != 0 {
            return Err(Errno::from_raw(error));
        }
        // SAFETY: -1 makes a new descriptor; the set is initialised.
        let fd =
            unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(last_errno());
        }
        // SAFETY: the descriptor is new and owned by nobody else.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal. Errors: EAGAIN if there is none.
    pub fn next(&self) -> Result<ArrivedSignal, Errno> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        fs::read(&self.0, &mut info)?;
        // Layout of struct signalfd_siginfo: ssi_signo, ssi_errno, ssi_code, ssi_pid, ssi_uid.
        let word = |index: usize| {
            let bytes = &info[index * 4..index * 4 + 4];
            u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        Ok(ArrivedSignal {
            signo: word(0) as i32,
            code: word(2) as i32,
            pid: word(3) as i32,
            uid: word(4),
        })
    }
}

impl std::os::fd::AsFd for SignalFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sets the name of the calling thread as host tools show it (15 bytes are kept).
pub fn set_thread_name(name: &std::ffi::CStr) -> Result<(), Errno> {
    retry(|| rustix::thread::set_name(name))
}

/// Whether the processor and host let user code read and write FS.base itself (`FSGSBASE`).
pub fn has_fsgsbase() -> bool {
    // HWCAP2_FSGSBASE, arch/x86/include/uapi/asm/hwcap2.h.
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & 2 != 0 }
}

/// `AT_HWCAP`, `AT_HWCAP2`, `AT_PLATFORM`-style values that a guest's auxiliary vector repeats.
pub fn auxiliary_value(kind: u64) -> u64 {
    // SAFETY: getauxval has no preconditions; an unknown kind gives 0.
    unsafe { libc::getauxval(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_arrive_on_the_descriptor() {
        let signals = SignalFd::new(&[libc::SIGUSR2]).expect("signalfd");
        assert_eq!(signals.next(), Err(Errno::EAGAIN));
        // SAFETY: the signal goes to this thread, which blocks it.
        unsafe { libc::syscall(libc::SYS_tgkill, pid(), tid(), libc::SIGUSR2) };
        let signal = signals.next().expect("arrived");
        assert_eq!((signal.signo, signal.pid), (libc::SIGUSR2, pid()));
        assert_eq!(SignalFd::new(&[libc::SIGURG]).err(), Some(Errno::EINVAL));
        assert_eq!(SignalFd::new(&[4000]).err(), Some(Errno::EINVAL));
    }

    #[test]
    fn machine_has_memory_and_processors() {
        let info = machine_info();
        assert!(info.total_ram_bytes >= info.free_ram_bytes && info.free_ram_bytes > 0);
        assert!(cpu_count() >= 1);
        assert!(limit(libc::RLIMIT_NOFILE as i32).expect("limit").0 > 0);
    }
}
