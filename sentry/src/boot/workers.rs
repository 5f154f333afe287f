//! The kernel's workers: as many host threads as the platform wants.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::kernel::Kernel;

/// The stack of a worker, in bytes. Futures live on the heap, and no recursion is the guest's to
/// choose: in a build without optimisation the whole test suite needs less than 230 KiB.
const STACK_BYTES: usize = 512 << 10;

/// How long the end of the sandbox waits for a worker that is in a host call.
const PATIENCE: Duration = Duration::from_secs(1);

/// The threads beside the main one.
pub(super) struct Workers {
    /// Closes when all have ended.
    ended: Receiver<()>,
}

/// Starts the workers that the platform wants beside the main thread.
///
/// # Errors
/// Those of starting a thread.
pub(super) fn start(kernel: &Arc<Kernel>) -> io::Result<Workers> {
    let (lives, ended) = channel::<()>();
    for number in 1..kernel.platform.workers() {
        let (kernel, life) = (kernel.clone(), lives.clone());
        std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                kernel.executor.run_worker();
                drop(life);
            })?;
    }
    Ok(Workers { ended })
}

impl Workers {
    /// Serves as a worker until the kernel stops. Jobs that were under way then have come to rest
    /// on all workers, so that whoever waited for the end has been answered.
    pub fn join_in(&self, kernel: &Kernel) {
        kernel.executor.run_worker();
        // The process ends anyway, whatever a worker still waits for.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}
