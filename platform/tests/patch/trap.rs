//! The SIGTRAP handler, and what concerns other threads.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use platform::systrap::patch::{Patches, Trapped};

use super::guest;

/// `REG_TRAPNO` of an `int3`.
const BREAKPOINT: i64 = 3;

const PRIVATE_EXPEDITED_SYNC_CORE: c_int = 1 << 5;
const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: c_int = 1 << 6;

static PATCHES: LazyLock<Mutex<Patches>> = LazyLock::new(Mutex::default);

/// Locks this process' patches. No thread executes a site while it holds them.
pub fn patches() -> MutexGuard<'static, Patches> {
    PATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes traps of patches go where they should, and [`sync`] work.
pub fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        membarrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
        // SAFETY: all zeroes are a value of this structure.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_flags = libc::SA_SIGINFO;
        action.sa_sigaction = on_trap as *const () as usize;
        // SAFETY: the handler keeps to what its context allows, see there.
        let result = unsafe { libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()) };
        assert_eq!(result, 0);
    });
}

/// Redirects a thread. Only code of these tests traps, and outside of any lock or allocation.
extern "C" fn on_trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a context, which is ours until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let ip = registers[libc::REG_RIP as usize] as u64;
    let patches = patches();
    let decision = match registers[libc::REG_TRAPNO as usize] {
        BREAKPOINT => patches.trapped(ip, Some(guest::read(ip - 1))),
        _ => Trapped::Guest,
    };
    match decision {
        Trapped::Redirect(target) | Trapped::Retry(target) => {
            registers[libc::REG_RIP as usize] = target as i64;
        }
        Trapped::Guest => std::process::abort(),
    }
}

/// Serialises all processors that run threads of this process.
pub fn sync() {
    membarrier(PRIVATE_EXPEDITED_SYNC_CORE);
}

fn membarrier(command: c_int) {
    // SAFETY: this call has no memory operands.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    assert_eq!(result, 0, "membarrier {command}: {}", std::io::Error::last_os_error());
}

/// Waits until thread `tid` of this process blocks in `read(2)`.
pub fn wait_until_reading(tid: rustix::thread::Pid) {
    let path = format!("/proc/self/task/{}/syscall", tid.as_raw_nonzero());
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with("0 ")) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Passes a little time that differs with `amount`.
pub fn pause(amount: u64) {
    for _ in 0..amount * 20 {
        std::hint::spin_loop();
    }
}
