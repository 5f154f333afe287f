//! Why a command failed, and the exit status that tells.

use std::io;

use control_protocol::{ControlError, ErrorKind};
use thiserror::Error;

use crate::id::IdError;
use crate::oci::ConfigError;
use crate::state::StateError;

/// Exit status of `do`, `run` and `exec` when the runtime itself failed, as with `docker run`.
pub const RUNTIME_FAILED: u8 = 125;

#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// The sentry's answer; its message names the program or the problem.
    #[error("{}", .0.message)]
    Sentry(ControlError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unsupported(String),
    /// The sandbox could not be started or ended unexpectedly.
    #[error("{0}")]
    Sandbox(String),
}

impl Error {
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Io { what: what.into(), source: source.into() }
    }

    /// 127 and 126 for a program that is not there or cannot be executed, else 125 (see
    /// [`RUNTIME_FAILED`]).
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Sentry(error) => match error.kind {
                ErrorKind::ProgramNotFound => 127,
                ErrorKind::ProgramNotExecutable => 126,
                _ => RUNTIME_FAILED,
            },
            _ => RUNTIME_FAILED,
        }
    }
}
