//! The system calls of a serving gofer. What is not listed kills the process.
//!
//! Path names cannot be seen by a filter; that no path leads out is the business of the mount
//! namespace and of [`crate::handle`].

use Check::{HasOf, Is, Lacks};
use syscall_filter::bpf::{self, Answer, Instruction};
use syscall_filter::{Allowed, Check, List, translate};

const fn call(number: i64, reason: &'static str) -> Allowed {
    Allowed::always(number, reason)
}

const fn bounded(number: i64, when: &'static [&'static [Check]], reason: &'static str) -> Allowed {
    Allowed::when(number, when, reason)
}

/// `openat` only relative to the working directory, `/proc/self/fd`, and making nothing.
const REOPEN: &[&[Check]] = &[&[Is(0, libc::AT_FDCWD as u32), Lacks(2, libc::O_CREAT as u32)]];
/// Of the calling thread only.
const OWN_THREAD: &[&[Check]] = &[&[Is(0, 0)]];
const GET_FLAGS: &[&[Check]] = &[&[Is(1, libc::F_GETFD as u32)]];
const NO_EXEC: &[&[Check]] = &[&[Lacks(2, libc::PROT_EXEC as u32)]];
/// The types of a node that is made: never a device.
const TYPE_REGULAR: &[&[Check]] = &[&[of_type(libc::S_IFREG)]];
const TYPE_FIFO: &[&[Check]] = &[&[of_type(libc::S_IFIFO)]];
const TYPE_SOCKET: &[&[Check]] = &[&[of_type(libc::S_IFSOCK)]];

const fn of_type(value: u32) -> Check {
    HasOf { arg: 2, mask: libc::S_IFMT, value }
}

/// Every call a serving gofer makes. A number listed twice is allowed under either bounds.
pub const ALLOWED: &[Allowed] = &[
    call(libc::SYS_recvfrom, "receive a request"),
    call(libc::SYS_sendto, "send a response"),
    call(libc::SYS_sendmsg, "send a response with a descriptor"),
    call(libc::SYS_openat2, "look a component up, create a file"),
    bounded(libc::SYS_openat, REOPEN, "open a handle's file through /proc/self/fd"),
    call(libc::SYS_close, "close a released handle or a descriptor that was sent"),
    bounded(libc::SYS_fcntl, GET_FLAGS, "check a descriptor before closing it, in debug builds"),
    call(libc::SYS_statx, "read attributes"),
    call(libc::SYS_fstatfs, "read figures and the type of a file system"),
    call(libc::SYS_readlinkat, "read a symbolic link"),
    call(libc::SYS_getdents64, "list a directory"),
    call(libc::SYS_lseek, "go on with a listing"),
    call(libc::SYS_mkdirat, "make a directory"),
    bounded(libc::SYS_mknodat, TYPE_REGULAR, "make a regular file"),
    bounded(libc::SYS_mknodat, TYPE_FIFO, "make a fifo"),
    bounded(libc::SYS_mknodat, TYPE_SOCKET, "make a socket's name"),
    call(libc::SYS_symlinkat, "make a symbolic link"),
    call(libc::SYS_linkat, "make a link"),
    call(libc::SYS_unlinkat, "remove an entry"),
    call(libc::SYS_renameat2, "rename an entry"),
    call(libc::SYS_fchmodat, "change a mode"),
    call(libc::SYS_fchownat, "change an owner"),
    call(libc::SYS_utimensat, "change times"),
    call(libc::SYS_ftruncate, "change a size"),
    call(libc::SYS_fsync, "write back"),
    call(libc::SYS_getxattr, "read an extended attribute"),
    call(libc::SYS_setxattr, "set an extended attribute"),
    call(libc::SYS_listxattr, "list extended attributes"),
    call(libc::SYS_removexattr, "remove an extended attribute"),
    bounded(libc::SYS_mmap, NO_EXEC, "allocate memory"),
    bounded(libc::SYS_mprotect, NO_EXEC, "grow a heap"),
    call(libc::SYS_munmap, "free memory, end a thread"),
    call(libc::SYS_mremap, "grow an allocation"),
    call(libc::SYS_madvise, "free memory, end a thread"),
    call(libc::SYS_brk, "allocate memory"),
    call(libc::SYS_futex, "wait for threads to end, locks of the allocator"),
    call(libc::SYS_read, "the allocator reads vm.overcommit_memory before it shrinks a heap"),
    call(libc::SYS_write, "write log lines and a panic's message"),
    call(libc::SYS_clock_gettime, "time of log lines, where the vDSO cannot tell"),
    call(libc::SYS_getrandom, "seed hash maps"),
    bounded(libc::SYS_sched_setaffinity, OWN_THREAD, "run where the answer is waited for"),
    call(libc::SYS_sched_yield, "contended locks"),
    call(libc::SYS_getcpu, "where the vDSO cannot tell"),
    call(libc::SYS_rt_sigprocmask, "end a thread"),
    call(libc::SYS_sigaltstack, "end a thread"),
    call(libc::SYS_rt_sigreturn, "return from a signal handler"),
    call(libc::SYS_restart_syscall, "go on after a stop signal"),
    call(libc::SYS_exit, "end a thread"),
    call(libc::SYS_exit_group, "end the process"),
];

/// The filter's program.
///
/// # Errors
/// When the table is wrong, which a test rules out.
pub fn program() -> Result<Vec<Instruction>, bpf::Error> {
    translate(&[List { calls: &[ALLOWED], answer: Answer::Allow }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_compiles_and_gives_reasons() {
        assert!(program().is_ok_and(|program| !program.is_empty()));
        assert!(ALLOWED.iter().all(|allowed| !allowed.reason.is_empty()));
    }

    #[test]
    fn a_call_is_listed_with_bounds_or_without() {
        for allowed in ALLOWED.iter().filter(|allowed| allowed.when.is_empty()) {
            let times = ALLOWED.iter().filter(|other| other.number == allowed.number).count();
            assert_eq!(times, 1, "call {}", allowed.number);
        }
    }
}
