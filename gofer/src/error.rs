//! Why a gofer does not start or stops.

use std::io;

use linux_abi::Errno;

/// Why a gofer cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open /proc/self/fd, which the gofer needs: {0}; is /proc mounted?")]
    Proc(#[source] Errno),
    #[error("cannot {what}: {source}")]
    SetUp { what: &'static str, source: Errno },
    #[error("cannot compile or install the system call filter: {0}")]
    Filter(#[source] io::Error),
    #[error("cannot read the root of an export: {0}")]
    Root(#[source] Errno),
    #[error("the root of an export is neither a directory nor a file (mode {mode:o})")]
    RootKind { mode: u32 },
    #[error("the socket of an export is not a connected SOCK_SEQPACKET socket: {0}")]
    Socket(#[source] Errno),
    #[error("there is nothing to export")]
    NoExport,
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("a connection failed: {0}")]
    Connection(#[source] Errno),
}

impl Error {
    /// Adapts a host error of a set-up step.
    pub(crate) fn set_up(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
        move |source| Error::SetUp { what, source: gofer_protocol::transport::errno(source) }
    }
}
