//! Work that a notification asks for but cannot do: whoever notifies may hold any lock.

use crossbeam::queue::SegQueue;

type Work = Box<dyn FnOnce() + Send>;

/// Work to be done soon, with no lock held: behind the system call that caused it, before its
/// caller goes on, or by a job of the executor.
#[derive(Default)]
pub struct Deferred {
    queue: SegQueue<Work>,
}

impl Deferred {
    /// Adds work. The caller makes sure that [`Deferred::run`] comes if no system call is under way.
    pub fn push(&self, work: impl FnOnce() + Send + 'static) {
        self.queue.push(Box::new(work));
    }

    /// Does what is there. The caller holds no lock.
    pub fn run(&self) {
        while let Some(work) = self.queue.pop() {
            work();
        }
    }
}
