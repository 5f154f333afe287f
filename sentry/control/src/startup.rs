//! How a sentry and the process that launched it agree that the sandbox exists.
//!
//! On the launcher socket ([`crate::SandboxConfig::launcher`]):
//! 1. The sentry loads the first process, then sends one [`Response`]: `Ok`, or `Error` and exits.
//! 2. With `start_now` the first process runs, and the socket goes on as an ordinary control
//!    connection whose closing ends the sandbox.
//! 3. Without it the launcher records the container and sends [`Request::Commit`] as its last act.
//!    If the socket closes before, the launcher has failed or was killed: the sentry exits at once,
//!    so that no sandbox survives a `create` that did not succeed. After the commit it is an
//!    ordinary control connection, whose closing means nothing.

use std::io;
use std::os::unix::net::UnixStream;

use crate::{ControlError, Request, Response, transport};

/// Tells the launcher that the first process is loaded, or why not (sentry side).
///
/// # Errors
/// Those of `sendmsg(2)`; the launcher is gone and the sentry should exit.
pub fn announce(launcher: &UnixStream, outcome: Result<(), ControlError>) -> io::Result<()> {
    let response = match outcome {
        Ok(()) => Response::Ok,
        Err(error) => Response::Error(error),
    };
    transport::send(launcher, &response, &[])
}

/// Waits for the launcher's commit (sentry side, without `start_now`).
///
/// # Errors
/// `UnexpectedEof` when the launcher went away, `InvalidData` when it said something else.
pub fn await_commit(launcher: &UnixStream) -> io::Result<()> {
    match transport::receive::<Request>(launcher)? {
        Some((Request::Commit, _)) => Ok(()),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "expected commit")),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "launcher is gone")),
    }
}

/// Waits for the sentry's announcement (launcher side); `None` when the sentry died before it.
///
/// # Errors
/// Those of `recvmsg(2)`; `InvalidData` for anything but `Ok` or `Error`.
pub fn await_announcement(sentry: &UnixStream) -> io::Result<Option<Result<(), ControlError>>> {
    match transport::receive::<Response>(sentry) {
        Ok(Some((Response::Ok, _))) => Ok(Some(Ok(()))),
        Ok(Some((Response::Error(error), _))) => Ok(Some(Err(error))),
        Ok(Some(_)) => Err(io::Error::new(io::ErrorKind::InvalidData, "unexpected response")),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn announcement_arrives() {
        let (sentry, launcher) = UnixStream::pair().expect("socketpair");
        let error = ControlError { kind: ErrorKind::ProgramNotFound, message: "no".into() };
        announce(&sentry, Err(error.clone())).expect("announce");
        assert_eq!(await_announcement(&launcher).expect("receive"), Some(Err(error)));
    }

    #[test]
    fn dead_sentry_is_none() {
        let (sentry, launcher) = UnixStream::pair().expect("socketpair");
        drop(sentry);
        assert_eq!(await_announcement(&launcher).expect("receive"), None);
    }

    #[test]
    fn dead_launcher_is_no_commit() {
        let (sentry, launcher) = UnixStream::pair().expect("socketpair");
        drop(launcher);
        assert!(await_commit(&sentry).is_err());
    }
}
