//! The last steps of the first stub process: what it can do only once it runs in its window.

use super::calls::{ARCH_PRCTL, CLOSE, FUTEX, MUNMAP, RT_SIGPROCMASK, SECCOMP, syscall};
use super::layout::{Init, init_state};
use super::{control, entry};

const ARCH_MAP_VDSO_64: u64 = 0x2003;
const SIG_SETMASK: u64 = 2;
const SECCOMP_SET_MODE_FILTER: u64 = 1;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
const FILTER_FLAGS: u64 = 1 << 3 | 1 << 5;
const FUTEX_WAIT: u64 = 0;
const FUTEX_WAKE: u64 = 1;

/// Empties the memory, installs the filter, hands over the listener and traps.
///
/// # Safety
/// `slot` is the address of the first slot, on whose small stack this runs; its [`Init`] is
/// filled in.
pub(crate) unsafe extern "C" fn run(slot: u64) -> ! {
    // SAFETY: the slot is mapped.
    let init = unsafe { &raw mut (*control(slot)).init };
    // SAFETY: as above.
    let Init { unmap, vdso_hint, signal_mask, filter_len, filter_address, .. } = unsafe { *init };
    for [start, length] in unmap {
        if length != 0 {
            syscall(MUNMAP, [start, length, 0, 0, 0, 0]);
        }
    }
    if vdso_hint != 0 {
        syscall(ARCH_PRCTL, [ARCH_MAP_VDSO_64, vdso_hint, 0, 0, 0, 0]);
    }
    let mask = (&raw const signal_mask) as u64;
    syscall(RT_SIGPROCMASK, [SIG_SETMASK, mask, 0, 8, 0, 0]);
    // struct sock_fprog: length, padding, pointer.
    let program = [filter_len, filter_address];
    let program = (&raw const program) as u64;
    let listener =
        syscall(SECCOMP, [SECCOMP_SET_MODE_FILTER, FILTER_FLAGS, program, 0, 0, 0]) as i64;
    // SAFETY: the slot is mapped.
    let state = unsafe { &raw mut (*init).state };
    // SAFETY: as above.
    unsafe { (&raw mut (*init).listener).write_volatile(listener) };
    let reached = if listener < 0 { listener } else { init_state::FILTERED };
    // SAFETY: as above.
    unsafe { state.write_volatile(reached) };
    syscall(FUTEX, [state as u64, FUTEX_WAKE, 1, 0, 0, 0]);
    // SAFETY: as above.
    while unsafe { state.read_volatile() } == reached {
        syscall(FUTEX, [state as u64, FUTEX_WAIT, reached as u32 as u64, 0, 0, 0]);
    }
    syscall(CLOSE, [listener as u64, 0, 0, 0, 0, 0]);
    entry::trap()
}
