//! General registers, and what else is in `struct user` (Linux: `arch/x86/kernel/ptrace.c`).

use linux_abi::Errno;
use linux_abi::task::{ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS};
use linux_abi::task::{USER_DEBUGREG_OFFSET, USER_SIZE, UserRegs};
use platform::Registers;
use zerocopy::{FromBytes, IntoBytes};

use super::requests::Request;
use crate::memory::UserPtr;
use crate::signal::USER_FLAGS;
use crate::syscall::SysResult;

/// Words of [`UserRegs`].
pub(super) const WORDS: usize = size_of::<UserRegs>() / 8;
/// Words of the debug registers.
const DEBUG_WORDS: std::ops::Range<usize> =
    USER_DEBUGREG_OFFSET as usize / 8..USER_DEBUGREG_OFFSET as usize / 8 + 8;

macro_rules! convert {
    ($($field:ident)*) => {
        /// The registers as a tracer sees them.
        fn shown(registers: &Registers) -> UserRegs {
            UserRegs { $($field: registers.$field),* }
        }

        fn taken(shown: &UserRegs) -> Registers {
            Registers { $($field: shown.$field),* }
        }
    };
}

convert! {
    r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
    fs_base gs_base ds es fs gs
}

/// The registers as words, in the order of `struct user_regs_struct`.
pub(super) fn to_words(registers: &Registers) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    words.as_mut_bytes().copy_from_slice(shown(registers).as_bytes());
    words
}

/// Takes over the words that a tracer has set. Errors: EIO for values that no tracee can have.
pub(super) fn from_words(
    old: &Registers,
    words: &[u64; WORDS],
    limit: u64,
) -> Result<Registers, Errno> {
    let wanted = UserRegs::read_from_bytes(words.as_bytes()).map_err(|_| Errno::EIO)?;
    let mut new = taken(&wanted);
    let is_bad_selector = |value: u64| value as u16 != 0 && value & 3 != 3;
    let selectors = [new.cs, new.ss, new.ds, new.es, new.fs, new.gs];
    // Linux: code and stack segments cannot be none.
    let is_none = new.cs as u16 == 0 || new.ss as u16 == 0;
    if is_none || selectors.into_iter().any(is_bad_selector) {
        return Err(Errno::EIO);
    }
    // A base that the tracee has loaded by itself may be any.
    let is_bad_base = |new: u64, old: u64| new != old && new >= limit;
    if is_bad_base(new.fs_base, old.fs_base) || is_bad_base(new.gs_base, old.gs_base) {
        return Err(Errno::EIO);
    }
    new.eflags = (old.eflags & !USER_FLAGS) | (wanted.eflags & USER_FLAGS);
    Ok(new)
}

fn all(request: &Request<'_>) -> Result<Registers, Errno> {
    request.with_stop(|stop| stop.registers)
}

fn replace(request: &Request<'_>, words: &[u64; WORDS]) -> SysResult {
    let limit = request.ctx.memory().space().layout().user.end;
    request.with_stop(|stop| {
        stop.registers = from_words(&stop.registers, words, limit)?;
        Ok(0)
    })?
}

/// `PTRACE_GETREGS`.
pub(super) fn get_all(request: &Request<'_>) -> SysResult {
    request.put(&shown(&all(request)?))
}

/// `PTRACE_SETREGS`. Errors: EIO.
pub(super) fn set_all(request: &Request<'_>) -> SysResult {
    let words = request.ctx.memory().read_value(UserPtr::<[u64; WORDS]>::new(request.data))?;
    replace(request, &words)
}

/// Replaces the first words of the registers.
pub(super) fn set_first(request: &Request<'_>, first: &[u64]) -> SysResult {
    let mut words = to_words(&all(request)?);
    for (word, new) in words.iter_mut().zip(first) {
        *word = *new;
    }
    replace(request, &words)
}

/// The word of `struct user` that `addr` says. Errors: EIO outside, or between two words.
fn place(request: &Request<'_>) -> Result<usize, Errno> {
    let is_inside = request.addr.is_multiple_of(8) && request.addr < USER_SIZE;
    if is_inside { Ok(request.addr as usize / 8) } else { Err(Errno::EIO) }
}

/// `PTRACE_PEEKUSR`: what is no general register is 0.
pub(super) fn peek(request: &Request<'_>) -> SysResult {
    let words = to_words(&all(request)?);
    request.put(&words.get(place(request)?).copied().unwrap_or(0))
}

/// `PTRACE_POKEUSR`.
///
/// Errors: EIO; ENOSPC for debug registers, of which none are to be had.
pub(super) fn poke(request: &Request<'_>) -> SysResult {
    let place = place(request)?;
    let mut words = to_words(&all(request)?);
    let Some(word) = words.get_mut(place) else {
        let clears = DEBUG_WORDS.contains(&place) && request.data == 0;
        return match DEBUG_WORDS.contains(&place) {
            _ if clears => Ok(0),
            // Divergence: no hardware breakpoints; Linux gives this error when all are taken.
            true => Err(Errno::ENOSPC),
            false => Err(Errno::EIO),
        };
    };
    *word = request.data;
    replace(request, &words)
}

/// `PTRACE_ARCH_PRCTL`: `arch_prctl(2)` for the tracee, the code in `data`.
///
/// Errors: EPERM for a base outside user space, EINVAL for an unknown code, EFAULT.
pub(super) fn segment_base(request: &Request<'_>) -> SysResult {
    let limit = request.ctx.memory().space().layout().user.end;
    let code = request.data as i32;
    let is_setting = matches!(code, ARCH_SET_FS | ARCH_SET_GS);
    if is_setting && request.addr >= limit {
        return Err(Errno::EPERM);
    }
    let base = request.with_stop(|stop| {
        let registers = &mut stop.registers;
        let base = match code {
            ARCH_SET_FS | ARCH_GET_FS => &mut registers.fs_base,
            ARCH_SET_GS | ARCH_GET_GS => &mut registers.gs_base,
            _ => return Err(Errno::EINVAL),
        };
        if is_setting {
            *base = request.addr;
        }
        Ok(*base)
    })??;
    if !is_setting {
        request.ctx.memory().write_value(UserPtr::new(request.addr), &base)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 47;

    fn registers() -> Registers {
        Registers { cs: 0x33, ss: 0x2b, eflags: 0x202, r15: 1, gs: 3, ..Registers::default() }
    }

    #[test]
    fn words_are_in_the_order_of_the_structure() {
        let words = to_words(&registers());
        assert_eq!((words[0], words[17], words[26]), (1, 0x33, 3));
        assert_eq!(from_words(&registers(), &words, LIMIT), Ok(registers()));
    }

    #[test]
    fn privileges_cannot_be_set() {
        let (cs, flags, fs_base) = (17, 18, 21);
        let set = |place: usize, value| {
            let mut words = to_words(&registers());
            words[place] = value;
            from_words(&registers(), &words, LIMIT)
        };
        assert_eq!(set(cs, 0x10), Err(Errno::EIO));
        assert_eq!(set(cs, 0), Err(Errno::EIO));
        assert_eq!(set(fs_base, LIMIT), Err(Errno::EIO));
        assert_eq!(set(flags, u64::MAX).map(|new| new.eflags), Ok(0x202 | USER_FLAGS));
        assert_eq!(set(flags, 0).map(|new| new.eflags), Ok(0x202));
    }
}
