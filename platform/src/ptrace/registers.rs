//! Which register values the guest may choose, and what has to be written back.

use super::inject::{COMPAT_CS, USER_CS, USER_SS};
use crate::contract::Registers;

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

/// `registers` with the segment bases and data selectors of `other`.
pub(super) fn with_bases_of(registers: &Registers, other: &Registers) -> Registers {
    Registers {
        fs_base: other.fs_base,
        gs_base: other.gs_base,
        ds: other.ds,
        es: other.es,
        fs: other.fs,
        gs: other.gs,
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
}
