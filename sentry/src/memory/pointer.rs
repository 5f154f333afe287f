//! Guest addresses as types.

use std::fmt;
use std::marker::PhantomData;

/// A guest address without a type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UserAddr(pub u64);

/// A guest address of a `T` (or of an array of `T`).
pub struct UserPtr<T> {
    addr: UserAddr,
    kind: PhantomData<fn() -> T>,
}

impl UserAddr {
    pub const NULL: UserAddr = UserAddr(0);

    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on; wraps like the processor would, the copy then faults.
    #[expect(clippy::should_implement_trait, reason = "an address plus a count, not a sum")]
    pub fn add(self, bytes: u64) -> UserAddr {
        UserAddr(self.0.wrapping_add(bytes))
    }

    pub fn cast<T>(self) -> UserPtr<T> {
        UserPtr::new(self.0)
    }
}

impl<T> UserPtr<T> {
    pub const fn new(addr: u64) -> UserPtr<T> {
        UserPtr { addr: UserAddr(addr), kind: PhantomData }
    }

    pub fn addr(self) -> UserAddr {
        self.addr
    }

    pub fn is_null(self) -> bool {
        self.addr.is_null()
    }

    /// `Some(self)` unless null.
    pub fn non_null(self) -> Option<UserPtr<T>> {
        (!self.is_null()).then_some(self)
    }

    /// The address of element `index` of an array.
    pub fn element(self, index: usize) -> UserPtr<T> {
        UserPtr::new(self.addr.0.wrapping_add((index as u64).wrapping_mul(size_of::<T>() as u64)))
    }

    pub fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.addr.0)
    }
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UserPtr<T> {}

impl fmt::Debug for UserAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl<T> fmt::Debug for UserPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}
