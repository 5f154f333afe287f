//! What a stub process may ask of the host.
//!
//! With ptrace this is the second line of defence: guest code is stopped before any call, and only
//! calls that the tracer puts in reach the filter.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::ptrace::{CLONE_COPY, CLONE_SHARE, CLONE_THREAD};

/// Each call that is injected, and why it harms nobody but the process that makes it.
pub const ALLOWED: &[(i64, &str)] = &[
    (libc::SYS_mmap, "its own memory; files only through descriptors it was given"),
    (libc::SYS_munmap, "its own memory"),
    (libc::SYS_mprotect, "its own memory"),
    (libc::SYS_mremap, "its own memory"),
    (libc::SYS_madvise, "its own memory"),
    (libc::SYS_msync, "its own memory and files mapped there"),
    (libc::SYS_mlock2, "its own memory, bounded by RLIMIT_MEMLOCK"),
    (libc::SYS_munlock, "its own memory"),
    (libc::SYS_mlockall, "its own memory, bounded by RLIMIT_MEMLOCK"),
    (libc::SYS_munlockall, "its own memory"),
    (libc::SYS_mincore, "its own memory"),
    (libc::SYS_membarrier, "its own threads"),
    (libc::SYS_recvmsg, "descriptors that the sentry passes; it holds no other socket"),
    (libc::SYS_close, "its own descriptors"),
    (libc::SYS_exit, "its own thread"),
    (libc::SYS_sched_yield, "no arguments"),
];

/// `clone` with one of exactly these flags: each new thread is traced.
const CLONE_FLAGS: [i32; 3] = [CLONE_COPY, CLONE_SHARE, CLONE_THREAD];

/// The filter's program as the bytes of an array of `struct sock_filter`.
///
/// # Errors
/// Those of the compiler; they would be errors in the table above.
pub fn ptrace_program() -> Result<Vec<u8>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&(number, _)| (number, Vec::new())).collect();
    let exact_flags = |flags: i32| {
        let (len, is) = (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq);
        SeccompRule::new(vec![SeccompCondition::new(0, len, is, flags as u32 as u64)?])
    };
    let clones = CLONE_FLAGS.into_iter().map(exact_flags).collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_clone, clones);
    let program: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?
    .try_into()?;
    Ok(program
        .iter()
        .flat_map(|line| {
            let code = line.code.to_ne_bytes();
            let k = line.k.to_ne_bytes();
            [code[0], code[1], line.jt, line.jf, k[0], k[1], k[2], k[3]]
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_fits_the_scratch_page() {
        let program = ptrace_program().expect("a valid table");
        assert!(program.len().is_multiple_of(8) && program.len() + 16 <= 4096, "{}", program.len());
    }
}
