//! The record of each container: one directory below the state root, named by the id, with
//! `state.json` and the control socket.
//!
//! Locks: the root directory's (making entries, sweeping abandoned ones) and each container's
//! (changing or removing it). Both are `flock(2)` on the directories themselves, so they end with
//! the process that holds them and leave no lock file behind. Who holds the root's lock never
//! waits for a container's, except for that of the entry it has just made.

mod host_process;
mod record;
mod store;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use host_process::HostProcess;
pub use record::{ExecDefaults, Record, Stage, Status};
pub use store::{Entry, Store};

/// Name of the control socket in a container's directory.
pub const CONTROL_SOCKET: &str = "control.sock";

#[derive(Debug, Error)]
pub enum StateError {
    // Container managers look for "does not exist" and "container not running".
    #[error("container {0:?} does not exist")]
    NoSuchContainer(String),
    #[error("container with id {0:?} already exists")]
    AlreadyExists(String),
    #[error("container not running: {id:?} is {status}")]
    NotRunning { id: String, status: Status },
    #[error("cannot {command} container {id:?}: it is {status}, not {wanted}")]
    WrongStatus { command: &'static str, id: String, status: Status, wanted: &'static str },
    #[error("state of container {id:?} is damaged ({problem}); delete --force removes it")]
    Damaged { id: String, problem: String },
    #[error("state directory {path:?}: {source}")]
    Io { path: PathBuf, source: io::Error },
}
