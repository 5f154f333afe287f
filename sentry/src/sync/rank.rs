//! The lock order and its debug-time check.

/// Position of a lock in the order; see the module documentation. Smaller is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// Held while notifications' deferred work is done.
    Deferred,
    /// Held by a read or write over all it does.
    FileOffset,
    EpollTopology,
    /// Held while an epoll asks its files for their readiness; a watching epoll before the watched.
    EpollTurn,
    Control,
    TaskTree,
    ThreadGroup,
    Task,
    /// What a tracee's tracer has a say in.
    Tracing,
    Tty,
    MountTree,
    Rename,
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
    use std::panic::Location;

    use super::Rank;

    thread_local! {
        /// The locks that this host thread holds, and where it took them.
        static HELD: RefCell<Vec<(Rank, &'static Location<'static>)>> =
            const { RefCell::new(Vec::new()) };
    }

    #[track_caller]
    pub(in crate::sync) fn acquire(rank: Rank, nested: bool) {
        let here = Location::caller();
        let highest = HELD.with_borrow_mut(|held| {
            let highest = held.iter().copied().max_by_key(|(rank, _)| *rank);
            held.push((rank, here));
            highest
        });
        if let Some((top, place)) = highest {
            let in_order = top < rank || (nested && top == rank);
            assert!(in_order, "lock order: {rank:?} taken while {top:?} is held since {place}");
        }
    }

    pub(in crate::sync) fn release(rank: Rank) {
        HELD.with_borrow_mut(|held| {
            if let Some(position) = held.iter().rposition(|(other, _)| *other == rank) {
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
