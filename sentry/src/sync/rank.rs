//! The lock order and its debug-time check.

/// Position of a lock in the order; see the module documentation. Smaller is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// Held by a read or write over all it does.
    FileOffset,
    Control,
    TaskTree,
    ThreadGroup,
    Task,
    Tty,
    MountTree,
    Rename,
    EpollTopology,
    Epoll,
    FdTable,
    Directory,
    Dentry,
    /// Held while a file of an overlay gets a copy of its own.
    CopyUp,
    Inode,
    FileObject,
    Socket,
    Pipe,
    MemoryMap,
    Futex,
    Signal,
    /// The ready list of an epoll, filled from notifications.
    Ready,
    WaitQueue,
    Timer,
    Executor,
    SignalActions,
    /// Taken last, never while taking anything else.
    Leaf,
}

#[cfg(debug_assertions)]
mod held {
    use std::cell::RefCell;

    use super::Rank;

    thread_local! {
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    pub(in crate::sync) fn acquire(rank: Rank, nested: bool) {
        HELD.with_borrow_mut(|held| {
            if let Some(&top) = held.iter().max() {
                let in_order = top < rank || (nested && top == rank);
                assert!(in_order, "lock order: {rank:?} taken while {top:?} is held");
            }
            held.push(rank);
        });
    }

    pub(in crate::sync) fn release(rank: Rank) {
        HELD.with_borrow_mut(|held| {
            if let Some(position) = held.iter().rposition(|&other| other == rank) {
                held.remove(position);
            }
        });
    }
}

#[cfg(not(debug_assertions))]
mod held {
    use super::Rank;

    pub(in crate::sync) fn acquire(_: Rank, _: bool) {}
    pub(in crate::sync) fn release(_: Rank) {}
}

pub(super) use held::{acquire, release};
