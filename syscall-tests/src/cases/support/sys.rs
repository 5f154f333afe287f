//! The system call itself, and the few raw operations the cases build on.
//!
//! `sys!(read, fd, &mut buf, 16)` makes the syscall of that name with just these arguments and
//! returns what the kernel said. Nothing is checked or adjusted on the way: handing the kernel any
//! arguments at all is what this program is for, so these functions are safe to call by decree. A
//! wrong pointer can at worst break the case's own, disposable process.

use super::errno::Errno;
use std::arch::asm;
use std::ffi::CStr;

/// What the kernel returned.
pub type Result = std::result::Result<i64, Errno>;

/// A null pointer argument.
pub const NULL: usize = 0;

/// An address that no process has mapped: in the hole of non-canonical addresses.
pub const BAD: usize = 0xdead_0000_0000_0000;

/// A value that can be a syscall argument.
pub trait Arg {
    /// Returns the register value.
    fn arg(self) -> usize;
}

macro_rules! integer_args {
    ($($integer:ty)*) => {
        $(impl Arg for $integer {
            fn arg(self) -> usize {
                self as usize
            }
        })*
    };
}

integer_args!(i32 u32 i64 u64 usize isize u8 u16);

impl Arg for &CStr {
    fn arg(self) -> usize {
        self.as_ptr() as usize
    }
}

impl<T: Copy> Arg for &T {
    fn arg(self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl<T: Copy> Arg for &mut T {
    fn arg(self) -> usize {
        std::ptr::from_mut(self) as usize
    }
}

impl<T: Copy> Arg for &[T] {
    fn arg(self) -> usize {
        self.as_ptr() as usize
    }
}

impl<T: Copy> Arg for &mut [T] {
    fn arg(self) -> usize {
        self.as_mut_ptr() as usize
    }
}

impl<T> Arg for *const T {
    fn arg(self) -> usize {
        self as usize
    }
}

impl<T> Arg for *mut T {
    fn arg(self) -> usize {
        self as usize
    }
}

/// Makes a system call.
#[inline(never)]
pub fn call(number: i64, args: [usize; 6]) -> Result {
    let result: i64;
    // SAFETY: see the module: the cases' processes are disposable, and the kernel writes only to
    // what the caller passed as mutable.
    unsafe {
        asm!("syscall",
            inlateout("rax") number => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _);
    }
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result) }
}

/// Fills up the argument registers with zeros.
pub fn pad<const N: usize>(args: [usize; N]) -> [usize; 6] {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&args);
    all
}

/// Makes the named syscall: `sys!(read, fd, &mut buf, 16)`.
macro_rules! sys {
    ($name:ident $(, $arg:expr)* $(,)?) => {
        $crate::support::sys::call(
            $crate::support::numbers::$name,
            $crate::support::sys::pad([$($crate::support::sys::Arg::arg($arg)),*]),
        )
    };
}

pub(crate) use sys;

/// Ends the whole process at once, without running exit handlers.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Forks; returns 0 in the child.
pub fn fork() -> std::result::Result<i32, Errno> {
    // SAFETY: the child goes on with the state of this thread only; cases fork while their other
    // threads hold no locks that the child needs.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        pid => Ok(pid),
    }
}

/// Returns the C library's `errno`.
pub fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Returns an all-zero value of a plain C structure.
pub fn zeroed<T: Copy>() -> T {
    // SAFETY: used for C structures only, for which all zeros is a valid value.
    unsafe { std::mem::zeroed() }
}

/// Reads a value at an address, whatever is there.
pub fn peek<T: Copy>(addr: usize) -> T {
    // SAFETY: the case knows the address to be mapped, or wants the fault.
    unsafe { std::ptr::read_volatile(addr as *const T) }
}

/// Writes a value at an address, whatever is there.
pub fn poke<T: Copy>(addr: usize, value: T) {
    // SAFETY: the case mapped this memory itself, or wants the fault.
    unsafe { std::ptr::write_volatile(addr as *mut T, value) }
}

/// Returns the bytes at an address.
pub fn peek_bytes(addr: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| peek(addr + i)).collect()
}

/// Writes bytes at an address.
pub fn poke_bytes(addr: usize, bytes: &[u8]) {
    for (i, &byte) in bytes.iter().enumerate() {
        poke(addr + i, byte);
    }
}

/// Calls the code at an address, which must end with `ret`.
pub fn run_code(addr: usize) {
    // SAFETY: the case wrote the code, or wants the fault.
    unsafe { asm!("call {}", in(reg) addr, clobber_abi("C")) }
}

/// Returns an entry of the auxiliary vector.
pub fn auxiliary(key: u64) -> u64 {
    // SAFETY: only looks the key up.
    unsafe { libc::getauxval(key) }
}
