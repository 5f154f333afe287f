//! Host operations as the system calls that the stub executes.

use std::ops::Range;

use linux_abi::Errno;

use crate::contract::{HostOp, WordChange};

/// A system call to run in the stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) args: [u64; 6],
}

/// Translates an operation, refusing what touches the `reserved` region.
///
/// The check needs no rounding to pages: the region is whole pages, and rounding never moves a
/// range into a page that none of its bytes lies in.
///
/// Errors: ENOMEM for `mmap`, EINVAL for everything else.
pub(crate) fn to_call(op: &HostOp<'_>, reserved: &Range<u64>) -> Result<Call, Errno> {
    let check = |addr: u64, len: u64| match is_clear(addr, len, reserved) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    };
    let word = |value: i32| value as u32 as u64;
    let (number, args) = match *op {
        HostOp::Mmap { addr, len, prot, flags, fd: _, offset } => {
            let is_fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
            if is_fixed && check(addr, len).is_err() {
                return Err(Errno::ENOMEM);
            }
            // Memory without a file takes no descriptor number from the guest.
            (libc::SYS_mmap, [addr, len, word(prot), word(flags), u64::MAX, offset])
        }
        HostOp::Munmap { addr, len } => {
            check(addr, len)?;
            (libc::SYS_munmap, [addr, len, 0, 0, 0, 0])
        }
        HostOp::Mprotect { addr, len, prot } => {
            check(addr, len)?;
            (libc::SYS_mprotect, [addr, len, word(prot), 0, 0, 0])
        }
        HostOp::Mremap { addr, old_len, new_len, flags, new_addr } => {
            // An old length of 0 duplicates a shared mapping.
            check(addr, old_len.max(1))?;
            if flags & libc::MREMAP_FIXED != 0 {
                check(new_addr, new_len)?;
            }
            (libc::SYS_mremap, [addr, old_len, new_len, word(flags), new_addr, 0])
        }
        HostOp::Madvise { addr, len, advice } => {
            check(addr, len)?;
            (libc::SYS_madvise, [addr, len, word(advice), 0, 0, 0])
        }
        HostOp::Msync { addr, len, flags } => {
            check(addr, len)?;
            (libc::SYS_msync, [addr, len, word(flags), 0, 0, 0])
        }
        HostOp::Mlock { addr, len, flags } => {
            check(addr, len)?;
            (libc::SYS_mlock2, [addr, len, word(flags), 0, 0, 0])
        }
        HostOp::Munlock { addr, len } => {
            check(addr, len)?;
            (libc::SYS_munlock, [addr, len, 0, 0, 0, 0])
        }
        HostOp::Mlockall { flags } => (libc::SYS_mlockall, [word(flags), 0, 0, 0, 0, 0]),
        HostOp::Munlockall => (libc::SYS_munlockall, [0; 6]),
        HostOp::Mincore { addr, len, vec } => {
            check(addr, len)?;
            (libc::SYS_mincore, [addr, len, vec, 0, 0, 0])
        }
        HostOp::Membarrier { cmd, flags, cpu } => {
            (libc::SYS_membarrier, [word(cmd), u64::from(flags), word(cpu), 0, 0, 0])
        }
        HostOp::Yield => (libc::SYS_sched_yield, [0; 6]),
        HostOp::FutexWake { addr } => (libc::SYS_futex, [addr, word(libc::FUTEX_WAKE), 1, 0, 0, 0]),
        // More than one call, or one of a platform's own.
        HostOp::FutexChange { .. } | HostOp::CatchAll | HostOp::PlaceHeap(_) => {
            return Err(Errno::ENOSYS);
        }
        // The host leaves alone what is mapped above the break.
        HostOp::Brk { addr } => (libc::SYS_brk, [addr, 0, 0, 0, 0, 0]),
    };
    Ok(Call { number, args })
}

/// The arguments by which a stub changes the futex word at `addr`.
///
/// Errors: EINVAL for an address that no futex can have, EFAULT for one in the `reserved` region.
pub(crate) fn word_args(
    addr: u64,
    change: &WordChange,
    reserved: &Range<u64>,
) -> Result<[u64; 6], Errno> {
    let size = size_of::<u32>() as u64;
    if !addr.is_multiple_of(size) {
        return Err(Errno::EINVAL);
    }
    if !is_clear(addr, size, reserved) {
        return Err(Errno::EFAULT);
    }
    let WordChange { mask, expected, keep, set } = *change;
    Ok([addr, mask.into(), expected.into(), keep.into(), set.into(), 0])
}

/// Whether a range has no byte in common with the reserved one. A range that wraps around is
/// refused here: it could cover anything.
pub(crate) fn is_clear(addr: u64, len: u64, reserved: &Range<u64>) -> bool {
    match addr.checked_add(len) {
        Some(end) => len == 0 || end <= reserved.start || addr >= reserved.end,
        // Past the end of all addresses: the host refuses it, with the errno of the call.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: Range<u64> = 0x7000_0000..0x7000_2000;

    fn refused(op: HostOp<'_>) -> Option<Errno> {
        to_call(&op, &RESERVED).err()
    }

    #[test]
    fn ranges_that_touch_the_reserved_region_are_refused() {
        let einval = Some(Errno::EINVAL);
        assert_eq!(refused(HostOp::Munmap { addr: 0, len: 0x7000_0001 }), einval);
        assert_eq!(refused(HostOp::Munmap { addr: 0, len: 0x7000_0000 }), None);
        assert_eq!(refused(HostOp::Munmap { addr: 0x7000_2000, len: 1 }), None);
        assert_eq!(refused(HostOp::Munmap { addr: 0x6000, len: u64::MAX }), None);
        assert_eq!(refused(HostOp::Mprotect { addr: 0x7000_1000, len: 4096, prot: 7 }), einval);
        assert_eq!(refused(HostOp::Madvise { addr: 0x7000_0000, len: 1, advice: 4 }), einval);
    }

    #[test]
    fn only_fixed_mappings_are_refused() {
        let map = |flags| HostOp::Mmap {
            addr: RESERVED.start,
            len: 4096,
            prot: 1,
            flags: flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            fd: None,
            offset: 0,
        };
        assert_eq!(refused(map(0)), None);
        assert_eq!(refused(map(libc::MAP_FIXED)), Some(Errno::ENOMEM));
        assert_eq!(refused(map(libc::MAP_FIXED_NOREPLACE)), Some(Errno::ENOMEM));
    }

    #[test]
    fn remapping_checks_both_ends() {
        let remap = |addr, old_len, flags, new_addr| HostOp::Mremap {
            addr,
            old_len,
            new_len: 4096,
            flags,
            new_addr,
        };
        let both = libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE;
        assert_eq!(refused(remap(RESERVED.start, 0, libc::MREMAP_MAYMOVE, 0)), Some(Errno::EINVAL));
        assert_eq!(refused(remap(0x1000, 4096, both, RESERVED.start)), Some(Errno::EINVAL));
        assert_eq!(refused(remap(0x1000, 4096, both, 0x2000)), None);
    }
}
