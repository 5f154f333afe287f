//! Copies between the sentry and the memory of a guest process.

use linux_abi::Errno;

use super::Tid;
use crate::host::last_errno;

/// Copies from a process that the thread belongs to; see [`AddressSpace::read`].
///
/// The host copies page by page (`mm/process_vm_access.c`), so a short copy ends at the page that
/// cannot be accessed, except that one call moves a bounded amount: asking again for the rest
/// tells the two apart.
///
/// [`AddressSpace::read`]: crate::contract::AddressSpace::read
pub(crate) fn read(tid: Tid, addr: u64, buf: &mut [u8]) -> Result<usize, Errno> {
    let base = buf.as_mut_ptr();
    transfer(addr, buf.len(), |done, remote| {
        let local = libc::iovec {
            // SAFETY: `transfer` keeps `done` within the buffer.
            iov_base: unsafe { base.add(done) }.cast(),
            iov_len: remote.iov_len,
        };
        // SAFETY: `local` lies within `buf`; the host checks `remote`.
        unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const *remote, 1, 0) }
    })
}

/// Copies to a process that the thread belongs to; see [`AddressSpace::write`].
///
/// [`AddressSpace::write`]: crate::contract::AddressSpace::write
pub(crate) fn write(tid: Tid, addr: u64, buf: &[u8]) -> Result<usize, Errno> {
    let base = buf.as_ptr();
    transfer(addr, buf.len(), |done, remote| {
        let local = libc::iovec {
            // SAFETY: `transfer` keeps `done` within the buffer.
            iov_base: unsafe { base.add(done) }.cast_mut().cast(),
            iov_len: remote.iov_len,
        };
        // SAFETY: `local` lies within `buf` and is only read; the host checks `remote`.
        unsafe { libc::process_vm_writev(tid, &raw const local, 1, &raw const *remote, 1, 0) }
    })
}

/// Calls `copy(done, remote)` until `len` bytes are done or no more can be.
fn transfer(
    addr: u64,
    len: usize,
    mut copy: impl FnMut(usize, &libc::iovec) -> isize,
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < len {
        let Some(at) = addr.checked_add(done as u64) else { break };
        let remote = libc::iovec { iov_base: at as usize as *mut _, iov_len: len - done };
        match copy(done, &remote) {
            copied if copied > 0 => done += copied as usize,
            _ => match last_errno() {
                _ if done > 0 => return Ok(done),
                Errno::ESRCH => return Err(Errno::ESRCH),
                Errno::EINTR => continue,
                _ => return Err(Errno::EFAULT),
            },
        }
    }
    if done == 0 && len > 0 { Err(Errno::EFAULT) } else { Ok(done) }
}
