//! Moving bytes between two pipes without a copy through the guest: `tee(2)`, `splice(2)`.

use std::sync::Arc;

use linux_abi::Errno;

use super::{Pipe, READABLE, State, WRITABLE};
use crate::sync::MutexGuard;

/// Copies up to `max` bytes of `from` to `to`; `from` keeps them.
///
/// Errors: EPIPE (`to` has no reader), EAGAIN (`from` is empty with writers, or `to` is full),
/// EINVAL (the same pipe).
pub fn tee(from: &Arc<Pipe>, to: &Arc<Pipe>, max: usize) -> Result<usize, Errno> {
    let copied = {
        let (mut source, mut target) = lock_both(from, to)?;
        source.take_back();
        target.take_back();
        match check(&source, &target)? {
            false => return Ok(0),
            true => target.buffer.copy_from(&source.buffer, max),
        }
    };
    to.queue.notify(READABLE);
    Ok(copied)
}

/// Moves up to `max` bytes of `from` to `to`. Errors: as [`tee`].
pub fn move_between(from: &Arc<Pipe>, to: &Arc<Pipe>, max: usize) -> Result<usize, Errno> {
    let (moved, freed) = {
        let (mut source, mut target) = lock_both(from, to)?;
        source.take_back();
        target.take_back();
        if !check(&source, &target)? {
            return Ok(0);
        }
        let was_full = source.buffer.is_full();
        let moved = target.buffer.move_from(&mut source.buffer, max);
        (moved, was_full && !source.buffer.is_full())
    };
    to.queue.notify(READABLE);
    if freed {
        from.queue.notify(WRITABLE);
    }
    Ok(moved)
}

/// Whether there is something to move; `false` at the end of the source.
fn check(source: &State, target: &State) -> Result<bool, Errno> {
    if target.readers == 0 {
        return Err(Errno::EPIPE);
    }
    if source.buffer.is_empty() {
        return if source.writers == 0 { Ok(false) } else { Err(Errno::EAGAIN) };
    }
    if target.buffer.is_full() { Err(Errno::EAGAIN) } else { Ok(true) }
}

/// Locks both in the order of their addresses; answers in the order of the arguments.
fn lock_both<'a>(
    from: &'a Arc<Pipe>,
    to: &'a Arc<Pipe>,
) -> Result<(MutexGuard<'a, State>, MutexGuard<'a, State>), Errno> {
    if Arc::ptr_eq(from, to) {
        return Err(Errno::EINVAL);
    }
    if Arc::as_ptr(from) < Arc::as_ptr(to) {
        let source = from.state.lock();
        let target = to.state.lock_nested();
        Ok((source, target))
    } else {
        let target = to.state.lock();
        let source = from.state.lock_nested();
        Ok((source, target))
    }
}
