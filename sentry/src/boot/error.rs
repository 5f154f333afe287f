//! Why a sandbox or a process did not start.

use std::fmt;
use std::io;

use control_protocol::{ControlError, ErrorKind};
use linux_abi::Errno;

/// A failure of start-up, for a person to read.
#[derive(Debug)]
pub enum BootError {
    /// A descriptor that the configuration names is not there.
    Descriptor {
        what: &'static str,
        slot: usize,
    },
    Platform(io::Error),
    Kernel(Errno),
    Filter(io::Error),
    Launcher(io::Error),
    Workers(io::Error),
    /// A mount of the configuration failed.
    Mount {
        destination: String,
        reason: String,
    },
    /// A field of the process configuration cannot be honoured.
    Process {
        field: &'static str,
        reason: String,
    },
    /// The program cannot be run.
    Program {
        name: String,
        errno: Errno,
        searched_path: bool,
    },
}

impl BootError {
    /// The error for the control protocol. For programs the wording is runc's, which container
    /// managers look for.
    pub fn into_control_error(self) -> ControlError {
        let kind = match &self {
            BootError::Program { errno, .. } => match *errno {
                Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => {
                    ErrorKind::ProgramNotFound
                }
                _ => ErrorKind::ProgramNotExecutable,
            },
            BootError::Mount { .. } | BootError::Process { .. } => ErrorKind::BadRequest,
            _ => ErrorKind::Internal,
        };
        ControlError { kind, message: self.to_string() }
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Descriptor { what, slot } => {
                write!(f, "descriptor {slot} ({what}) was not passed to the sentry")
            }
            BootError::Platform(error) => write!(f, "starting the platform: {error}"),
            BootError::Kernel(errno) => write!(f, "starting the kernel: {errno}"),
            BootError::Filter(error) => write!(f, "installing the seccomp filter: {error}"),
            BootError::Launcher(error) => write!(f, "launcher socket: {error}"),
            BootError::Workers(error) => write!(f, "starting a worker thread: {error}"),
            BootError::Mount { destination, reason } => {
                write!(f, "mounts: {destination}: {reason}")
            }
            BootError::Process { field, reason } => write!(f, "process.{field}: {reason}"),
            BootError::Program { name, errno, searched_path } => {
                let reason = match *errno {
                    Errno::ENOENT if *searched_path => "executable file not found in $PATH".into(),
                    Errno::ENOENT => "no such file or directory".into(),
                    Errno::EACCES => "permission denied".into(),
                    Errno::ENOEXEC => "exec format error".into(),
                    other => std::io::Error::from_raw_os_error(other.raw()).to_string(),
                };
                write!(f, "exec {name:?}: {reason}")
            }
        }
    }
}

impl std::error::Error for BootError {}
