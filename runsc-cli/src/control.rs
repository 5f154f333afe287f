//! The client side of a running sentry's control socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use control_protocol::{Request, Response, transport};

use crate::error::Error;
use crate::state::Entry;

/// A connection to a sentry.
pub struct Connection {
    stream: UnixStream,
}

/// Connects to the sentry of a container.
pub fn connect(entry: &Entry) -> Result<Connection, Error> {
    let stream = UnixStream::connect(entry.control_socket()).map_err(|source| {
        Error::io(format!("cannot reach the sandbox of container {:?}", entry.id), source)
    })?;
    Ok(Connection { stream })
}

impl Connection {
    /// Takes over a connected socket.
    pub fn new(stream: UnixStream) -> Connection {
        Connection { stream }
    }

    /// Lets a wait for a response end with an error after `limit`.
    pub fn limit_wait(&self, limit: Duration) {
        let _ = self.stream.set_read_timeout(Some(limit));
    }

    /// Sends a request and waits for its response; an error response becomes [`Error::Sentry`].
    pub fn call(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Response, Error> {
        self.send(request, fds)?;
        self.receive()
    }

    /// Sends a request whose response comes later.
    pub fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        transport::send(&self.stream, request, fds).map_err(gone)
    }

    /// Waits for the next response.
    pub fn receive(&self) -> Result<Response, Error> {
        match transport::receive::<Response>(&self.stream).map_err(gone)? {
            Some((Response::Error(error), _)) => Err(Error::Sentry(error)),
            Some((response, _)) => Ok(response),
            None => Err(gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Becomes readable with the next response, or when the sandbox is gone.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn gone(source: io::Error) -> Error {
    Error::io("the sandbox ended while we talked to it", source)
}
