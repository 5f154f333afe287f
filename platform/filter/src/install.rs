//! Filters for this process.

use std::io;

use seccompiler::sock_filter;

use crate::bpf::Instruction;

/// Gives all threads of this process a filter, and with them all that they will start. Cannot be
/// undone. The kernel looks at each call's number once, which takes the longer the longer the way to its
/// answer is; so a process is better off with one filter than with two.
///
/// # Errors
/// Those of `seccomp(2)`.
pub fn install_for_all_threads(program: &[Instruction]) -> io::Result<()> {
    let program: Vec<sock_filter> = program
        .iter()
        .map(|&Instruction { code, jt, jf, k }| sock_filter { code, jt, jf, k })
        .collect();
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}
