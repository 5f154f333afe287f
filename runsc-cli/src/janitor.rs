//! Cleans up after a command line that was killed.
//!
//! A container that is being made, or that lives as long as `run` waits for it, has a directory and
//! perhaps a cgroup. The kernel kills its processes with us; these it cannot remove. So a clone of
//! this process waits beside us, and removes them if we end without dismissing it.
//!
//! While it has nothing else to do, it makes the network namespace of the sandbox, which takes the
//! kernel half a millisecond.

use std::time::{Duration, Instant};

use rustix::process::{getpriority_process, setpriority_process};

use crate::error::Error;
use crate::launch::{Child, Cloned, End, SETTLED_AFTER, clone_process, network};
use crate::state::{HostProcess, Record, StateError, Status, Store};

/// How long a sandbox takes at most to end after its command line.
const SANDBOX_DEADLINE: Duration = Duration::from_secs(2);

/// The nice value of what may wait (setpriority(2)).
const LOWEST_PRIORITY: i32 = 19;

/// The waiting clone.
pub struct Janitor(Child);

impl Janitor {
    /// Starts to watch over the container `id`. Its directory must not exist yet.
    pub fn start(store: &Store, id: &str) -> Result<Janitor, Error> {
        let creator = HostProcess::current();
        let clone = clone_process("janitor", 0)
            .map_err(|error| Error::io("cannot make a process that cleans up", error))?;
        match clone {
            Cloned::Parent(child) => {
                child.go().map_err(|error| Error::io("the process that cleans up ended", error))?;
                Ok(Janitor(child))
            }
            Cloned::Child(channel) => {
                // It is going to be waited for.
                network::make_for_parent(&channel);
                // Keys of the terminal are not meant for us, nor may we hold its streams.
                let _ = rustix::process::setsid();
                let _ = crate::terminal::leave_standard_streams();
                // Whoever dismisses us is about to end, and should not have to wait for our end before.
                let priority = getpriority_process(None).unwrap_or(0);
                let _ = setpriority_process(None, LOWEST_PRIORITY);
                let end = channel.wait_for_dismissal(Some(SETTLED_AFTER)).unwrap_or_else(|| {
                    platform::host::code::let_go();
                    channel.wait_for_dismissal(None).unwrap_or(End::Alone)
                });
                if end == End::Alone {
                    let _ = setpriority_process(None, priority);
                    let _ = clean_up(store, id, creator);
                }
                std::process::exit(0);
            }
        }
    }

    /// The process that makes a network namespace for the sandbox.
    pub fn process(&self) -> &Child {
        &self.0
    }

    /// Ends the watch: the container is complete, or already removed.
    pub fn dismiss(self) {
        let _ = self.0.go();
    }
}

/// Removes what is left of the container `id` if `creator` made it.
fn clean_up(store: &Store, id: &str, creator: Option<HostProcess>) -> Result<(), StateError> {
    let deadline = Instant::now() + SANDBOX_DEADLINE;
    let (entry, record) = loop {
        let (entry, record) = match store.open(id) {
            // Killed between making the directory and writing the record.
            Err(StateError::NoSuchContainer(_)) => return store.sweep_all(),
            result => result?,
        };
        // A process that is being killed closes its descriptors while it still looks alive, so it
        // may take a moment until the status tells.
        match (record.creator == creator, record.status()) {
            // Another container of the same name.
            (false, _) => return Ok(()),
            (true, Status::Stopped) => break (entry, record),
            // Killed after the sandbox was told to live on: it is complete.
            (true, _) if Instant::now() > deadline && !record.is_attached => return Ok(()),
            (true, _) if Instant::now() > deadline => break (entry, record),
            (true, _) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let Record { sentry, gofer, cgroup, .. } = record;
    for process in [sentry, gofer].into_iter().flatten() {
        let _ = process.kill(SANDBOX_DEADLINE);
    }
    if let Some(cgroup) = cgroup {
        cgroup.remove();
    }
    entry.remove()
}
