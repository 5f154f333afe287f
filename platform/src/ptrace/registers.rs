//! Which register values the guest may choose, and what has to be written back.

use super::inject::{COMPAT_CS, USER_CS, USER_SS};
use crate::contract::Registers;
use crate::process::USER_END;

/// Makes a set of registers loadable. The host itself masks privileged flag bits, and turns a
/// non-canonical `rip` into a SIGSEGV at the return to user mode.
pub(super) fn sanitised(registers: &Registers) -> Registers {
    let selector = |value: u64| match value as u16 {
        // Null, or one with user privilege.
        value if value == 0 || value & 3 == 3 => u64::from(value),
        _ => 0,
    };
    Registers {
        cs: if registers.cs == COMPAT_CS { COMPAT_CS } else { USER_CS },
        ss: USER_SS,
        ds: selector(registers.ds),
        es: selector(registers.es),
        fs: selector(registers.fs),
        gs: selector(registers.gs),
        // The host must not take the return value for a request to restart a system call.
        orig_rax: u64::MAX,
        ..*registers
    }
}

/// Whether two sets differ in segment bases or data selectors, which cost more to write and may
/// be refused.
pub(super) fn bases_differ(left: &Registers, right: &Registers) -> bool {
    let bases = |r: &Registers| [r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs];
    bases(left) != bases(right)
}

/// `registers` with segment bases that the host takes: those that it refuses are replaced by the
/// `old` ones, or by zero if (user code can load any address by itself) these are no better.
pub(super) fn with_loadable_bases(registers: &Registers, old: &Registers) -> Registers {
    let loadable = |new: u64, old: u64| {
        [new, old].into_iter().find(|&base| base < USER_END).unwrap_or_default()
    };
    Registers {
        fs_base: loadable(registers.fs_base, old.fs_base),
        gs_base: loadable(registers.gs_base, old.gs_base),
        ..*registers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_selectors_become_harmless() {
        let hostile = Registers { cs: 0x10, ss: 0, ds: 0x18, gs: 0x2b, ..Registers::default() };
        let safe = sanitised(&hostile);
        assert_eq!((safe.cs, safe.ss, safe.ds, safe.gs), (USER_CS, USER_SS, 0, 0x2b));
        assert_eq!(safe.orig_rax, u64::MAX);
        assert_eq!(sanitised(&Registers { cs: COMPAT_CS, ..hostile }).cs, COMPAT_CS);
    }

    #[test]
    fn refused_bases_are_replaced() {
        let kernel = 1 << 63;
        let wanted = Registers { fs_base: kernel, gs_base: 5, ..Registers::default() };
        let old = Registers { fs_base: 7, gs_base: 8, ..Registers::default() };
        let usable = with_loadable_bases(&wanted, &old);
        assert_eq!((usable.fs_base, usable.gs_base), (7, 5));
        assert_eq!(with_loadable_bases(&wanted, &wanted).fs_base, 0);
    }
}
