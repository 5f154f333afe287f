//! Floating-point registers, and register sets by their note types.

use linux_abi::Errno;
use linux_abi::fs::IoVec;
use linux_abi::task::{NT_PRFPREG, NT_PRSTATUS, NT_X86_XSTATE};
use zerocopy::IntoBytes;

use super::registers;
use super::requests::Request;
use crate::memory::{UserAddr, UserPtr};
use crate::signal::{self, FXSAVE_SIZE};
use crate::syscall::SysResult;

/// All sets consist of words.
const WORD: u64 = 8;

/// `PTRACE_GETFPREGS`: the state as `fxsave` stores it. Errors: EIO when the tracee is dying.
pub(super) fn get_fp(request: &Request<'_>) -> SysResult {
    let legacy = contents(request, NT_PRFPREG)?;
    request.ctx.memory().write_exact(UserAddr(request.data), &legacy)?;
    Ok(0)
}

/// `PTRACE_SETFPREGS`. Errors: EINVAL for what no processor would load.
pub(super) fn set_fp(request: &Request<'_>) -> SysResult {
    let bytes = request.ctx.memory().read_bytes(UserAddr(request.data), FXSAVE_SIZE)?;
    change(request, NT_PRFPREG, &bytes)
}

/// `PTRACE_GETREGSET`: as much of the set as the vector has room for, and its size then.
pub(super) fn get(request: &Request<'_>) -> SysResult {
    let place = UserPtr::<IoVec>::new(request.data);
    let vector = request.ctx.memory().read_value(place)?;
    let set = contents(request, kind(request, &vector)?)?;
    let len = set.len().min(vector.len as usize);
    request.ctx.memory().write_exact(UserAddr(vector.base), &set[..len])?;
    put_len(request, &vector, len)
}

/// `PTRACE_SETREGSET`: the first part of the set, as long as the vector.
///
/// Errors: EINVAL, EIO; EFAULT for an extended state of the wrong size.
pub(super) fn set(request: &Request<'_>) -> SysResult {
    let place = UserPtr::<IoVec>::new(request.data);
    let vector = request.ctx.memory().read_value(place)?;
    let kind = kind(request, &vector)?;
    let len = contents(request, kind)?.len().min(vector.len as usize);
    let bytes = request.ctx.memory().read_bytes(UserAddr(vector.base), len)?;
    change(request, kind, &bytes)?;
    put_len(request, &vector, len)
}

/// Errors: EINVAL for unknown sets, and lengths that are not of whole words.
fn kind(request: &Request<'_>, vector: &IoVec) -> Result<u32, Errno> {
    let kind = u32::try_from(request.addr).map_err(|_| Errno::EINVAL)?;
    let is_known = [NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE].contains(&kind);
    if is_known && vector.len.is_multiple_of(WORD) { Ok(kind) } else { Err(Errno::EINVAL) }
}

fn put_len(request: &Request<'_>, vector: &IoVec, len: usize) -> SysResult {
    let changed = IoVec { len: len as u64, ..*vector };
    request.put(&changed)
}

/// Errors: EIO when the tracee's thread has gone.
fn contents(request: &Request<'_>, kind: u32) -> Result<Vec<u8>, Errno> {
    request.with_stop(|stop| {
        let bytes = match kind {
            NT_PRSTATUS => registers::to_words(&stop.registers).as_bytes().to_vec(),
            NT_PRFPREG => stop.fp_state.get(..FXSAVE_SIZE).unwrap_or_default().to_vec(),
            _ => stop.fp_state.clone(),
        };
        if bytes.is_empty() { Err(Errno::EIO) } else { Ok(bytes) }
    })?
}

fn change(request: &Request<'_>, kind: u32, bytes: &[u8]) -> SysResult {
    if kind == NT_PRSTATUS {
        let words: Vec<u64> = bytes.chunks_exact(8).map(word).collect();
        return registers::set_first(request, &words);
    }
    request.with_stop(|stop| {
        let image = match kind {
            NT_PRFPREG => signal::with_legacy_state(&stop.fp_state, bytes)?,
            _ => signal::checked_state(&stop.fp_state, bytes)?,
        };
        stop.fp_state = image;
        stop.is_fp_changed = true;
        Ok(0)
    })?
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
