//! What a stub process may ask of the host.
//!
//! With ptrace this is the second line of defence: guest code is stopped before any call, and only
//! calls that the tracer puts in reach the filter.

use syscall_filter::bpf::{self, Answer, Instruction};
use syscall_filter::{List, translate};

use super::{Allowed, Check};
use crate::ptrace::{CLONE_COPY, CLONE_SHARE, CLONE_THREAD};

const fn allow(number: i64, reason: &'static str) -> Allowed {
    Allowed::always(number, reason)
}

/// Each call that is injected, and why it harms nobody but the process that makes it.
pub const PTRACE: &[Allowed] = &[
    allow(libc::SYS_mmap, "its own memory; files only through descriptors it was given"),
    allow(libc::SYS_munmap, "its own memory"),
    allow(libc::SYS_mprotect, "its own memory"),
    allow(libc::SYS_mremap, "its own memory"),
    allow(libc::SYS_madvise, "its own memory"),
    allow(libc::SYS_msync, "its own memory and files mapped there"),
    allow(libc::SYS_mlock2, "its own memory, bounded by RLIMIT_MEMLOCK"),
    allow(libc::SYS_munlock, "its own memory"),
    allow(libc::SYS_mlockall, "its own memory, bounded by RLIMIT_MEMLOCK"),
    allow(libc::SYS_munlockall, "its own memory"),
    allow(libc::SYS_mincore, "its own memory"),
    allow(libc::SYS_membarrier, "its own threads"),
    allow(libc::SYS_brk, "its own heap, bounded by what else is mapped"),
    Allowed {
        number: libc::SYS_prctl,
        when: &[&[
            Check::IsLong(0, libc::PR_SET_MM as u64),
            Check::IsLong(1, libc::PR_SET_MM_MAP as u64),
        ]],
        reason: "where its own heap is",
    },
    allow(libc::SYS_recvmsg, "descriptors that the sentry passes; it holds no other socket"),
    allow(libc::SYS_close, "its own descriptors"),
    allow(libc::SYS_exit, "its own thread"),
    allow(libc::SYS_sched_yield, "takes no arguments"),
    // The host serves the ancient vsyscall page without entering a call, but asks the filter.
    allow(libc::SYS_gettimeofday, "its own memory; vsyscall page"),
    allow(libc::SYS_time, "its own memory; vsyscall page"),
    allow(libc::SYS_getcpu, "its own memory; vsyscall page"),
    Allowed {
        number: libc::SYS_clone,
        when: &[
            &[Check::IsLong(0, CLONE_COPY as u64)],
            &[Check::IsLong(0, CLONE_SHARE as u64)],
            &[Check::IsLong(0, CLONE_THREAD as u64)],
        ],
        reason: "exactly these flags: every new thread is traced, every process is the sentry's",
    },
];

/// The filter's program for the ptrace platform, as the bytes of an array of `struct sock_filter`.
///
/// # Errors
/// Those of the assembler; they would be errors in the table above.
pub fn ptrace_program() -> Result<Vec<u8>, bpf::Error> {
    let program = translate(&[List { calls: &[PTRACE], answer: Answer::Allow }])?;
    Ok(program.into_iter().flat_map(Instruction::to_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_fits_the_scratch_page() {
        let program = ptrace_program().expect("a valid table");
        assert!(program.len().is_multiple_of(8) && program.len() + 16 <= 4096);
    }
}
