//! The order in which a patch is written while other threads may be executing there.
//!
//! A thread on another processor fetches code at any time, some of it ahead, and may be interrupted
//! before any instruction. Processors promise nothing about bytes that change while they are
//! executed, with two exceptions that this order rests on: an instruction whose *first* byte is
//! replaced by `int3` in one store executes either as it was or as the trap; and after a
//! serialising instruction a processor executes what memory held then. [`Step::Sync`] stands for
//! one such instruction on every processor that runs a thread of the process.
//!
//! Where threads can be: at the first byte of the jump (`A`), for the general form also at the old
//! second instruction (`B = A + 2`), where a thread is that waits in the syscall, and behind. The
//! rest of the bytes can only be fetched as part of an instruction that begins at `A` or `B`.
//!
//! | step | at `A` | at `B` |
//! |---|---|---|
//! | the trampoline is written | old code | old code |
//! | 1. `A`, `B` := `int3`, in any order | old instruction or trap | old instruction or trap |
//! | 2. sync: no old instruction is under way | trap | trap |
//! | 3. the other bytes | trap | trap |
//! | 4. sync: the other bytes are seen | trap | trap |
//! | 5. `A` := first byte of the jump | trap or jump | trap: this byte of the jump *is* `int3` |
//!
//! With the leading form there is no `B`, and the syscall stays as it is: who waits in it returns
//! behind it, who jumps to it traps as ever.
//!
//! A trap at `A` goes on at the trampoline's first byte, a trap at `B` at its copy of the second
//! instruction; if the `int3` is gone when the trap is handled, the thread executes what is there
//! now ([`Patches::trapped`](super::Patches::trapped)). So nothing spins, and a copy of the address
//! space that a fork makes between two steps works, too, although slowly.
//!
//! Restoring goes the same way in reverse: `A` := `int3`, sync, the bytes that only the jump uses,
//! sync, then `A` and `B` in any order.
//!
//! **One store for all five bytes** would do where they lie in one aligned word of eight bytes, if
//! processors fetched such words at once. AMD documents that, Intel does not, and bytes written
//! from another process are copied in pieces of the host kernel's choice. So this is not used. What
//! is used is that a process with one thread, which waits for the patch, needs no order at all.

/// One action of applying or removing a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes to guest memory, whatever its protection. The bytes may change in any order, each
    /// from its old value to its new one at once.
    Write { address: u64, bytes: Vec<u8> },
    /// Makes every processor that runs a thread of the process execute a serialising instruction:
    /// `membarrier(2)` with `MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE`, called in the process.
    Sync,
}

/// Who may execute a site while it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Only one thread has the address space. It waits in a trap until the steps are done, and
    /// returns from it by a signal return, which serialises.
    One,
    /// Any number of threads run, in this or, with shared memory, in another process.
    /// `Step::Sync` must then cover both.
    Many,
}
