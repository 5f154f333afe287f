//! Calls that guest code makes without the kernel's word.

use linux_abi::signal::SigAltStack;

/// A call that guest code does not wait for, see [`Thread::let_post`](super::Thread::let_post).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// `close(2)`.
    Close { fd: i32 },
    /// `fcntl(2)` with `F_SETFD`.
    SetCloexec { fd: i32, is_cloexec: bool },
}

/// Makes the calls that a thread does not wait for.
pub trait Poster: Send + Sync {
    /// Makes one. The descriptor may be any, as the guest says.
    fn make(&self, posted: Posted);
}

/// A call that may come next, and its answer: see [`Thread::foretell`](super::Thread::foretell).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foretold {
    /// `fstat(2)`, or the same by `newfstatat(2)`: gives `struct stat`, of which these words are not 0.
    /// The descriptor is new, and no `lseek(2)` has moved it; `TCGETS` is not for it (ENOTTY), nor is
    /// `FICLONE` from `source`, if there is one (EOPNOTSUPP).
    Stat { fd: u32, words: [u64; 15], source: Option<u32> },
    /// `read(2)` finds the end.
    Read { fd: u32 },
    /// The same of `getdents64(2)`,
    Getdents64 { fd: u32 },
    /// and of `copy_file_range(2)` of not more than `len` bytes, without offsets and flags.
    CopyFileRange { from: u32, to: u32, len: u64 },
}

/// What guest code changes of its thread's state, or knows of it, without the kernel's word: see
/// [`Thread::guest_state`](super::Thread::guest_state). In each set of signals n is bit n - 1.
pub trait GuestState: Send + Sync {
    /// The blocked signals. Any may be, as the guest says.
    fn mask(&self) -> u64;
    fn set_mask(&self, mask: u64);

    /// Whether guest code has to ask the kernel about the mask, as at first. If it has changed that
    /// meanwhile, and not asked, [`GuestState::mask`] tells that from now on; else it will ask, or
    /// the thread is interrupted.
    fn must_ask(&self, must: bool);

    /// The head of the list of robust futexes, or 0, as of the last call that the kernel has heard of.
    fn robust_list(&self) -> u64;
    fn set_robust_list(&self, head: u64);

    /// The alternate signal stack of a thread that does not run, as the program has given it: all of it
    /// may be anything. The kernel decides whether it is in use.
    fn stack(&self) -> SigAltStack;
    fn set_stack(&self, stack: SigAltStack);

    /// Says which signals have the default action without flags. Guest code may then set that action for
    /// them with `SA_RESTORER`. To be said while the thread makes a call.
    fn set_defaults(&self, signals: u64);

    /// For which it has done so since, and with which `sa_restorer`. SIGKILL, SIGSTOP and what is
    /// ignored by default are never among them; others may be any, as the guest says.
    fn restored(&self) -> (u64, u64);
}

/// Somebody who was foretold something.
pub trait TakeBack: Send + Sync {
    /// It is so no longer. Whatever guest code does that it does not know of yet comes afterwards.
    fn take_back(&self);
}
