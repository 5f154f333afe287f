//! Decoding of system call arguments into types.

use crate::memory::{UserAddr, UserPtr};

/// A file descriptor argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

impl From<Fd> for i32 {
    fn from(fd: Fd) -> i32 {
        fd.0
    }
}

/// Conversion from a raw argument register. Like the processor's ABI it truncates: the upper half
/// of a 64-bit register that holds an `int` is not looked at.
pub trait FromArg {
    fn from_arg(raw: u64) -> Self;
}

/// The six arguments, handed out in order.
pub struct Args {
    raw: [u64; 6],
    next: usize,
}

impl Args {
    pub fn new(raw: [u64; 6]) -> Args {
        Args { raw, next: 0 }
    }

    /// The next argument as its type.
    pub fn take<T: FromArg>(&mut self) -> T {
        let raw = self.raw.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        T::from_arg(raw)
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {
        $(impl FromArg for $kind {
            fn from_arg(raw: u64) -> $kind {
                raw as $kind
            }
        })*
    };
}

integers!(i32, u32, i64, u64, usize, u16, u8);

impl FromArg for Fd {
    fn from_arg(raw: u64) -> Fd {
        Fd(raw as i32)
    }
}

impl FromArg for UserAddr {
    fn from_arg(raw: u64) -> UserAddr {
        UserAddr(raw)
    }
}

impl<T> FromArg for UserPtr<T> {
    fn from_arg(raw: u64) -> UserPtr<T> {
        UserPtr::new(raw)
    }
}
