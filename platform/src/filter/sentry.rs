//! What the sentry itself may ask of the host.
//!
//! A sentry that a guest has taken over can do what is listed here and no more. Where a call is
//! dangerous only with some arguments, those are checked; what a filter cannot see (it sees
//! numbers, not memory) is noted with the entry: `openat` may name any path, but the sentry's root
//! is empty and its descriptors lead to its procfs only.

use std::io;

use linux_abi::Errno;
use syscall_filter::bpf::{self, Answer, Instruction};
use syscall_filter::{List, install_for_all_threads, translate};

use super::{Allowed, Check};
use Check::{Is, IsNot, Lacks, LacksLong};

const fn allow(number: i64, reason: &'static str) -> Allowed {
    Allowed::always(number, reason)
}

const fn allow_when(
    number: i64,
    when: &'static [&'static [Check]],
    reason: &'static str,
) -> Allowed {
    Allowed::when(number, when, reason)
}

/// Descriptors and data: `host::fs`, `host::stream`, `host::net`, `host::tty`.
pub const FILES: &[Allowed] = &[
    allow(libc::SYS_read, "data"),
    allow(libc::SYS_write, "data"),
    allow(libc::SYS_readv, "data"),
    allow(libc::SYS_writev, "data"),
    allow(libc::SYS_pread64, "data"),
    allow(libc::SYS_pwrite64, "data"),
    allow(libc::SYS_preadv, "data"),
    allow(libc::SYS_pwritev, "data"),
    allow(libc::SYS_preadv2, "data, without waiting"),
    allow(libc::SYS_pwritev2, "data, appending or without waiting"),
    allow(libc::SYS_copy_file_range, "data"),
    allow(libc::SYS_lseek, "positions, holes"),
    allow(libc::SYS_ftruncate, "sizes"),
    allow(libc::SYS_fallocate, "sizes, holes"),
    allow(libc::SYS_fsync, "durability"),
    allow(libc::SYS_fdatasync, "durability"),
    allow(libc::SYS_sync_file_range, "durability"),
    allow(libc::SYS_fadvise64, "advice"),
    allow(libc::SYS_fstat, "attributes of descriptors"),
    allow(libc::SYS_fstatfs, "attributes of descriptors"),
    allow_when(
        libc::SYS_newfstatat,
        &[&[Is(3, libc::AT_EMPTY_PATH as u32)]],
        "fstat of the C library",
    ),
    allow_when(libc::SYS_statx, &[&[Is(2, libc::AT_EMPTY_PATH as u32)]], "fstat of std"),
    allow(libc::SYS_fchmod, "permissions of memory files"),
    allow(libc::SYS_memfd_create, "tmpfs, memfd, shared anonymous memory"),
    allow(libc::SYS_close, "descriptors"),
    allow(libc::SYS_pipe2, "wake-ups"),
    allow_when(
        libc::SYS_fcntl,
        &[
            &[Is(1, libc::F_GETFD as u32)],
            &[Is(1, libc::F_SETFD as u32)],
            &[Is(1, libc::F_GETFL as u32)],
            &[Is(1, libc::F_SETFL as u32)],
            &[Is(1, libc::F_DUPFD_CLOEXEC as u32)],
            &[Is(1, libc::F_ADD_SEALS as u32)],
            &[Is(1, libc::F_GET_SEALS as u32)],
        ],
        "flags and copies of descriptors, seals; no locks, no leases, no signals",
    ),
    allow_when(
        libc::SYS_ioctl,
        &[
            &[Is(1, libc::FIONREAD as u32)],
            &[Is(1, libc::FIONBIO as u32)],
            &[Is(1, libc::TIOCOUTQ as u32)],
            &[Is(1, libc::TCGETS as u32)],
            &[Is(1, libc::TCSETS as u32)],
            &[Is(1, libc::TCSETSW as u32)],
            &[Is(1, libc::TCSETSF as u32)],
            &[Is(1, libc::TCGETS2 as u32)],
            &[Is(1, libc::TCSETS2 as u32)],
            &[Is(1, libc::TCSETSW2 as u32)],
            &[Is(1, libc::TCSETSF2 as u32)],
            &[Is(1, libc::TCSBRK as u32)],
            &[Is(1, libc::TCXONC as u32)],
            &[Is(1, libc::TCFLSH as u32)],
            &[Is(1, libc::TIOCGWINSZ as u32)],
            &[Is(1, libc::TIOCSWINSZ as u32)],
        ],
        "terminals that the launcher passed; above all no TIOCSTI",
    ),
    allow_when(
        libc::SYS_openat,
        &[&[
            IsNot(0, libc::AT_FDCWD as u32),
            Lacks(2, (libc::O_CREAT | libc::O_TRUNC | libc::O_PATH) as u32),
        ]],
        "files of the procfs that describe stubs, own files for reading; the path cannot be checked here",
    ),
    allow(libc::SYS_sendmsg, "gofer, control connection, descriptors for stubs"),
    allow(libc::SYS_recvmsg, "gofer, control connection"),
    allow(libc::SYS_sendto, "control connection"),
    allow(libc::SYS_recvfrom, "control connection"),
    allow(libc::SYS_accept4, "control connection"),
    allow(libc::SYS_shutdown, "control connection"),
    allow_when(libc::SYS_socketpair, &[&[Is(0, libc::AF_UNIX as u32)]], "pairs that are passed on"),
];

/// Waiting and time: `host::event`, `host::time`, std.
pub const EVENTS: &[Allowed] = &[
    allow(libc::SYS_poll, "readiness of descriptors"),
    allow(libc::SYS_ppoll, "readiness of descriptors"),
    allow(libc::SYS_epoll_create1, "readiness of descriptors"),
    allow(libc::SYS_epoll_ctl, "readiness of descriptors"),
    allow(libc::SYS_epoll_wait, "readiness of descriptors"),
    allow(libc::SYS_epoll_pwait, "readiness of descriptors"),
    allow(libc::SYS_epoll_pwait2, "readiness of descriptors"),
    allow(libc::SYS_eventfd2, "wake-ups"),
    allow(libc::SYS_timerfd_create, "timers"),
    allow(libc::SYS_timerfd_settime, "timers"),
    allow(libc::SYS_signalfd4, "signals to the sandbox"),
    allow(libc::SYS_nanosleep, "std::thread::sleep"),
    allow(libc::SYS_clock_nanosleep, "std::thread::sleep"),
    allow(libc::SYS_clock_gettime, "clocks, where the vDSO cannot"),
    allow(libc::SYS_clock_getres, "clocks, where the vDSO cannot"),
    allow(libc::SYS_restart_syscall, "sleeps that a signal interrupted"),
];

/// Memory and threads of the sentry itself: the C library and std.
pub const RUNTIME: &[Allowed] = &[
    allow_when(
        libc::SYS_mmap,
        &[&[LacksLong(2, libc::PROT_EXEC as u64)]],
        "memory, never executable",
    ),
    allow_when(
        libc::SYS_mprotect,
        &[&[LacksLong(2, libc::PROT_EXEC as u64)]],
        "guard pages, never executable",
    ),
    allow(libc::SYS_munmap, "memory"),
    allow(libc::SYS_mremap, "memory"),
    allow(libc::SYS_madvise, "memory"),
    allow(libc::SYS_brk, "memory"),
    allow(libc::SYS_futex, "locks"),
    allow(libc::SYS_sched_yield, "locks"),
    allow_when(
        libc::SYS_clone,
        &[&[Check::IsLong(0, THREAD_FLAGS)]],
        "threads, exactly as the C library makes them; no processes",
    ),
    allow(libc::SYS_set_robust_list, "a new thread"),
    allow(libc::SYS_rseq, "a new thread"),
    allow(libc::SYS_sigaltstack, "a new thread"),
    allow(libc::SYS_rt_sigprocmask, "a new thread"),
    allow(libc::SYS_rt_sigaction, "std, abort"),
    allow(libc::SYS_rt_sigreturn, "signal handlers"),
    allow_when(libc::SYS_prctl, &[&[Is(0, libc::PR_SET_NAME as u32)]], "names of threads"),
    allow(libc::SYS_gettid, "std, abort"),
    allow(libc::SYS_getpid, "std, abort"),
    allow_when(
        libc::SYS_tgkill,
        &[&[Is(2, libc::SIGURG as u32)], &[Is(2, libc::SIGABRT as u32)]],
        "waking a worker, stopping a stub, abort",
    ),
    allow(libc::SYS_sched_getaffinity, "number of processors"),
    allow(libc::SYS_getcpu, "getcpu, where the vDSO cannot"),
    allow(libc::SYS_getrandom, "random numbers"),
    allow(libc::SYS_sysinfo, "sysinfo"),
    allow(libc::SYS_exit, "the end of a thread"),
    allow(libc::SYS_exit_group, "the end"),
];

/// The ptrace platform's part.
pub const PTRACE: &[Allowed] = &[
    allow_when(
        libc::SYS_ptrace,
        &[
            &[Is(0, libc::PTRACE_CONT)],
            &[Is(0, libc::PTRACE_SYSEMU)],
            &[Is(0, libc::PTRACE_SYSEMU_SINGLESTEP)],
            &[Is(0, libc::PTRACE_GETREGS)],
            &[Is(0, libc::PTRACE_SETREGS)],
            &[Is(0, libc::PTRACE_GETREGSET)],
            &[Is(0, libc::PTRACE_SETREGSET)],
            &[Is(0, libc::PTRACE_GETSIGINFO)],
            &[Is(0, libc::PTRACE_GET_SYSCALL_INFO)],
        ],
        "running stubs that are traced already; no attaching",
    ),
    allow(libc::SYS_wait4, "stops of stubs"),
    allow_when(libc::SYS_kill, &[&[Is(1, libc::SIGKILL as u32)]], "ending stubs"),
    allow(libc::SYS_process_vm_readv, "guest memory; the host checks that it is ours to trace"),
    allow(libc::SYS_process_vm_writev, "guest memory; the host checks that it is ours to trace"),
    allow(libc::SYS_prlimit64, "memory limits of stubs"),
    allow_when(libc::SYS_readlinkat, &[&[IsNot(0, libc::AT_FDCWD as u32)]], "checking a procfs"),
    allow(libc::SYS_timer_settime, "deadlines of the tracer"),
    allow(libc::SYS_timer_delete, "deadlines of the tracer"),
    allow(libc::SYS_sched_setaffinity, "helper threads leave the tracer's processor"),
];

/// The systrap platform's part. Calls that [`FILES`] and [`RUNTIME`] have with some arguments get
/// more of them here.
pub const SYSTRAP: &[Allowed] = &[
    allow_when(
        libc::SYS_ioctl,
        &[
            &[Is(1, SECCOMP_IOCTL_NOTIF_RECV)],
            &[Is(1, SECCOMP_IOCTL_NOTIF_SEND)],
            &[Is(1, SECCOMP_IOCTL_NOTIF_ID_VALID)],
            &[Is(1, SECCOMP_IOCTL_NOTIF_ADDFD)],
            &[Is(1, SECCOMP_IOCTL_NOTIF_SET_FLAGS)],
        ],
        "system calls of stubs, their answers, where stubs run that are woken, descriptors for stubs",
    ),
    allow_when(libc::SYS_tgkill, &[&[Is(2, 0)]], "whether a stub's thread is still there"),
    allow(libc::SYS_getpgid, "whose child a stub is"),
    allow_when(libc::SYS_kill, &[&[Is(1, libc::SIGKILL as u32)]], "ending stubs"),
    allow(libc::SYS_waitid, "the end of stubs"),
    allow(libc::SYS_wait4, "the end of stubs"),
    allow(libc::SYS_process_vm_readv, "guest memory; the host checks that it may be ours to trace"),
    allow(libc::SYS_process_vm_writev, "guest memory; the host checks the same"),
    allow(libc::SYS_prlimit64, "memory limits of stubs"),
    allow(libc::SYS_sched_setaffinity, "processors of stubs' threads"),
    allow_when(libc::SYS_readlinkat, &[&[IsNot(0, libc::AT_FDCWD as u32)]], "checking a procfs"),
];

// Linux' names and values, `include/uapi/linux/seccomp.h`.
const SECCOMP_IOCTL_NOTIF_RECV: u32 = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: u32 = 0xc018_2101;
const SECCOMP_IOCTL_NOTIF_ID_VALID: u32 = 0x4008_2102;
const SECCOMP_IOCTL_NOTIF_ADDFD: u32 = 0x4018_2103;
const SECCOMP_IOCTL_NOTIF_SET_FLAGS: u32 = 0x4008_2104;

/// Answered with ENOSYS: what a library tries although it can do without.
pub const REFUSED: &[Allowed] = &[
    allow(libc::SYS_clone3, "the C library falls back to clone, whose flags can be seen"),
    allow_when(
        libc::SYS_openat,
        &[&[Is(0, libc::AT_FDCWD as u32)]],
        "std looks for the symbols of a backtrace",
    ),
    allow(libc::SYS_readlink, "the same"),
    allow(libc::SYS_getcwd, "the same"),
];

/// The flags of `pthread_create(3)`.
const THREAD_FLAGS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID) as u64;

/// All calls that the sentry may make on a platform whose part is [`PTRACE`] or [`SYSTRAP`].
pub fn tables(platform: &'static [Allowed]) -> impl Iterator<Item = &'static Allowed> {
    all(platform).into_iter().flatten()
}

const fn all(platform: &'static [Allowed]) -> [&'static [Allowed]; 4] {
    [FILES, EVENTS, RUNTIME, platform]
}

/// Confines the sentry, all its threads and all that they will start: any call that the tables do
/// not list kills it. `platform` is [`PTRACE`] or [`SYSTRAP`]. Cannot be undone.
///
/// # Errors
/// Those of `seccomp(2)`.
pub fn install(platform: &'static [Allowed]) -> io::Result<()> {
    install_for_all_threads(&program(platform).map_err(io::Error::other)?)
}

/// Refusals come first: an error wins over "allowed".
fn program(platform: &'static [Allowed]) -> Result<Vec<Instruction>, bpf::Error> {
    translate(&[
        List { calls: &[REFUSED], answer: Answer::Refuse(Errno::ENOSYS) },
        List { calls: &all(platform), answer: Answer::Allow },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that is listed twice is checked in both places, or one would undo the other.
    #[test]
    fn tables_compile_and_calls_are_listed_once_or_checked() {
        for platform in [PTRACE, SYSTRAP] {
            program(platform).expect("valid tables");
            assert!(tables(platform).all(|allowed| !allowed.reason.is_empty()));
            let mut listed: Vec<&Allowed> = tables(platform).collect();
            listed.sort_unstable_by_key(|allowed| allowed.number);
            for pair in listed.windows(2) {
                let are_checked = pair.iter().all(|allowed| !allowed.when.is_empty());
                assert!(pair[0].number != pair[1].number || are_checked, "{}", pair[0].number);
            }
        }
    }
}
