//! Opening a FIFO, fifo(7).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;

use super::{Pipe, PipeFile, READABLE, WRITABLE};
use crate::sync::wait_for;

/// Opens an end of `pipe`, which a FIFO leads to; waits for the other side unless `flags` say
/// otherwise. The end counts as open while it waits, so two openers meet; dropping the future
/// closes it. Callers make the wait interruptible.
///
/// Errors: ENXIO (`O_NONBLOCK|O_WRONLY` without a reader), EINVAL (neither reading nor writing).
pub async fn open_fifo(pipe: &Arc<Pipe>, flags: OpenFlags) -> Result<PipeFile, Errno> {
    let is_nonblocking = flags.contains(OpenFlags::NONBLOCK);
    let (reads, writes) = (flags.is_readable(), flags.is_writable());
    if pipe.is_anonymous && (reads || writes) {
        return Ok(PipeFile::attach(pipe, reads, writes));
    }
    match (reads, writes) {
        (true, true) => Ok(PipeFile::attach(pipe, true, true)),
        (true, false) => {
            let before = pipe.state.lock().writer_opens;
            let file = PipeFile::attach(pipe, true, false);
            if is_nonblocking {
                return Ok(file.expect_first_writer());
            }
            wait_for(&pipe.queue, READABLE, || has_writer(pipe, before)).await;
            Ok(file)
        }
        (false, true) => {
            let before = {
                let state = pipe.state.lock();
                if is_nonblocking && state.readers == 0 {
                    return Err(Errno::ENXIO);
                }
                state.reader_opens
            };
            let file = PipeFile::attach(pipe, false, true);
            wait_for(&pipe.queue, WRITABLE, || has_reader(pipe, before)).await;
            Ok(file)
        }
        (false, false) => Err(Errno::EINVAL),
    }
}

/// Whether a writer is there, or was since the count of opens was `before`.
fn has_writer(pipe: &Pipe, before: u64) -> Option<()> {
    let state = pipe.state.lock();
    (state.writers > 0 || state.writer_opens != before).then_some(())
}

fn has_reader(pipe: &Pipe, before: u64) -> Option<()> {
    let state = pipe.state.lock();
    (state.readers > 0 || state.reader_opens != before).then_some(())
}
