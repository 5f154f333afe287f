//! Words of the tracee's memory.

use linux_abi::Errno;

use super::requests::Request;
use crate::memory::UserAddr;
use crate::syscall::SysResult;

/// `PTRACE_PEEKTEXT`: a word goes to where `data` says. Errors: EIO, EFAULT.
pub(super) fn peek(request: &Request<'_>) -> SysResult {
    let mut word = [0; 8];
    let mm = request.tracee.mm();
    mm.memory().read_exact(UserAddr(request.addr), &mut word).map_err(|_| Errno::EIO)?;
    request.put(&u64::from_le_bytes(word))
}

/// `PTRACE_POKETEXT`: a word, even where the tracee may not write. Errors: EIO.
pub(super) fn poke(request: &Request<'_>) -> SysResult {
    let word = request.data.to_le_bytes();
    let mm = request.tracee.mm();
    match mm.memory().write_forced(UserAddr(request.addr), &word) {
        Ok(done) if done == word.len() => Ok(0),
        _ => Err(Errno::EIO),
    }
}
