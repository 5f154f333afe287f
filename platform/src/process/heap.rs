//! Where the host has the heap of a process, `brk(2)`: `PR_SET_MM_MAP` of `prctl(2)` says so.

use crate::contract::Heap;
use crate::process::ops::Call;

/// Bytes of `struct prctl_mm_map`.
pub(crate) const MAP_BYTES: usize = 13 * 8;

/// Whether the host can be told. To be asked by the sentry, of itself.
pub(crate) fn can_place() -> bool {
    let mut size = 0_u32;
    // SAFETY: the host writes a number to `size`, which is alive.
    let result = unsafe {
        libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP_SIZE, (&raw mut size).addr(), 0, 0)
    };
    result == 0 && size as usize == MAP_BYTES
}

/// A `struct prctl_mm_map`. Without arguments and environment, as both are the guest's.
pub(crate) fn map(heap: &Heap) -> [u64; MAP_BYTES / 8] {
    let start = heap.start;
    let [data_start, data_end] = if heap.data[0] == 0 { [start; 2] } else { heap.data };
    // The host does nothing with the range of the code, which must not be empty.
    let code = [start, start + 1];
    let (args, environment, auxv) = ([start; 2], [start; 2], 0);
    // The size of the auxiliary vector, and no other program.
    let last = u64::from(u32::MAX) << 32;
    [
        code[0],
        code[1],
        data_start,
        data_end,
        start,
        start,
        heap.stack,
        args[0],
        args[1],
        environment[0],
        environment[1],
        auxv,
        last,
    ]
}

/// The call that tells the host, with a [`map`] at `address`.
pub(crate) fn call(address: u64) -> Call {
    let words = [libc::PR_SET_MM, libc::PR_SET_MM_MAP].map(|word| word as u64);
    Call { number: libc::SYS_prctl, args: [words[0], words[1], address, MAP_BYTES as u64, 0, 0] }
}
