//! The system calls of a serving gofer. What is not listed kills the process.
//!
//! Path names cannot be seen by a filter; that no path leads out is the business of the mount
//! namespace and of [`crate::handle`].

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::error::Error;

/// A bound on an argument: its bits under `mask` equal `value`.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub argument: u8,
    pub mask: u32,
    pub value: u32,
}

/// One allowed call.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    pub number: c_long,
    /// All must hold.
    pub bounds: &'static [Bound],
    pub reason: &'static str,
}

const fn call(number: c_long, reason: &'static str) -> Allowed {
    Allowed { number, bounds: &[], reason }
}

const fn bounded(number: c_long, bounds: &'static [Bound], reason: &'static str) -> Allowed {
    Allowed { number, bounds, reason }
}

/// `openat` only relative to the working directory, `/proc/self/fd`, and making nothing.
const REOPEN: &[Bound] = &[
    Bound { argument: 0, mask: u32::MAX, value: libc::AT_FDCWD as u32 },
    Bound { argument: 2, mask: libc::O_CREAT as u32, value: 0 },
];
/// Of the calling thread only.
const OWN_THREAD: &[Bound] = &[Bound { argument: 0, mask: u32::MAX, value: 0 }];
const GET_FLAGS: &[Bound] = &[Bound { argument: 1, mask: u32::MAX, value: libc::F_GETFD as u32 }];
const NO_EXEC: &[Bound] = &[Bound { argument: 2, mask: libc::PROT_EXEC as u32, value: 0 }];
/// The types of a node that is made: never a device.
const TYPE_REGULAR: &[Bound] = &[Bound { argument: 2, mask: libc::S_IFMT, value: libc::S_IFREG }];
const TYPE_FIFO: &[Bound] = &[Bound { argument: 2, mask: libc::S_IFMT, value: libc::S_IFIFO }];
const TYPE_SOCKET: &[Bound] = &[Bound { argument: 2, mask: libc::S_IFMT, value: libc::S_IFSOCK }];

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

/// Compiles the filter.
///
/// # Errors
/// When the table is wrong, which a test rules out.
pub fn program() -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for allowed in ALLOWED {
        let rules = rules.entry(allowed.number).or_default();
        if !allowed.bounds.is_empty() {
            rules.push(rule(allowed.bounds).map_err(seccompiler::Error::Backend)?);
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    );
    let filter = filter.map_err(seccompiler::Error::Backend)?;
    Ok(filter.try_into().map_err(seccompiler::Error::Backend)?)
}

fn rule(bounds: &[Bound]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = bounds.iter().map(|bound| {
        SeccompCondition::new(
            bound.argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(bound.mask.into()),
            bound.value.into(),
        )
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
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
        for allowed in ALLOWED.iter().filter(|allowed| allowed.bounds.is_empty()) {
            let times = ALLOWED.iter().filter(|other| other.number == allowed.number).count();
            assert_eq!(times, 1, "call {}", allowed.number);
        }
    }
}
