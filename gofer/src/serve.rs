//! Starting: one thread for each export, the calling one for the first. A slow operation of the
//! host then holds up only the connection that asked for it.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;

use gofer_protocol::transport::{check_socket, errno};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::confine::Confinement;
use crate::connection::Connection;
use crate::error::Error;
use crate::host::ThreadFs;

/// Descriptors kept for the process itself.
const RESERVED_FDS: u64 = 64;
/// Descriptors kept for each connection besides its nodes: its socket, root, listings, temporaries.
const RESERVED_FDS_PER_CONNECTION: u64 = 40;
/// Most nodes of a connection, whatever the limit: each pins about a kilobyte of kernel memory.
const MAX_NODES: u64 = 1 << 16;
/// Highest descriptor limit that is asked for; more would be wasted.
const MAX_FDS: u64 = 1 << 20;

/// A tree, or a single file, to serve on one connection.
#[derive(Debug)]
pub struct Export {
    /// Opened with `O_PATH`: a directory or a regular file.
    pub root: OwnedFd,
    /// Whether every change is refused with EROFS. The launcher should also mount the tree
    /// read-only: a descriptor cannot be opened again for writing then, whoever tries.
    pub is_readonly: bool,
    /// Whether host mounts below the root are visible, as under a recursive bind mount.
    /// Otherwise reaching one is EXDEV.
    pub crosses_mounts: bool,
    /// The gofer's end of [`gofer_protocol::transport::pair`].
    pub socket: OwnedFd,
    /// Called when the sandbox has started.
    pub on_settled: fn(),
}

/// A process that is ready to become a gofer.
#[derive(Debug)]
pub struct Gofer {
    proc_fd: OwnedFd,
    fd_limit: u64,
}

impl Gofer {
    /// Opens `/proc/self/fd` and raises the descriptor limit. To be called in the very process
    /// that serves, while it still sees a `/proc`.
    ///
    /// # Errors
    /// [`Error::Proc`] without `/proc`.
    pub fn prepare() -> Result<Gofer, Error> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc_fd = rustix::fs::open("/proc/self/fd", flags, Mode::empty())
            .map_err(|error| Error::Proc(errno(error)))?;
        Ok(Gofer { proc_fd, fd_limit: raise_fd_limit() })
    }

    /// Takes over an open `/proc/self/fd`, for a process that has no path to it any more.
    pub fn with_proc_fd(proc_fd: OwnedFd) -> Gofer {
        Gofer { proc_fd, fd_limit: raise_fd_limit() }
    }

    /// Gets ready to serve the exports, and confines the process. All but the first are served
    /// from now on.
    ///
    /// # Errors
    /// What is wrong with an export or with confinement, before anything is served unconfined; the
    /// caller then exits.
    pub fn start(self, exports: Vec<Export>, confinement: Confinement) -> Result<Serving, Error> {
        let max_nodes = self.max_nodes(exports.len());
        let mut exports = exports.into_iter();
        let Some(first) = exports.next() else { return Err(Error::NoExport) };
        let (ready, readiness) = mpsc::channel();
        let mut threads = Vec::with_capacity(exports.len());
        let mut held = Vec::with_capacity(exports.len());
        for (index, export) in exports.enumerate() {
            let ready = ready.clone();
            let (go, may_go) = mpsc::channel();
            let thread_fs = ThreadFs::new(&self.proc_fd)?;
            let body =
                move || serve_export(export, thread_fs, max_nodes, confinement, &ready, &may_go);
            held.push(go);
            let builder = thread::Builder::new().name(format!("gofer-{}", index + 1));
            threads.push(builder.spawn(body).map_err(Error::Thread)?);
        }
        let thread_fs = ThreadFs::new(&self.proc_fd)?;
        let connection = prepare(first, thread_fs, max_nodes, confinement)?;
        // Each thread reports once, when it needs nothing more that the filter forbids.
        for outcome in readiness.iter().take(threads.len()) {
            outcome?;
        }
        if confinement == Confinement::On {
            crate::confine::filter_all_threads()?;
        }
        for go in held {
            // Who has ended by now is heard of when it is joined.
            let _ = go.send(());
        }
        Ok(Serving { connection, threads })
    }

    /// The nodes that each of `connections` may hold.
    fn max_nodes(&self, connections: usize) -> usize {
        let connections = connections.max(1) as u64;
        let reserved = RESERVED_FDS + connections * RESERVED_FDS_PER_CONNECTION;
        (self.fd_limit.saturating_sub(reserved) / connections).clamp(1, MAX_NODES) as usize
    }
}

/// A gofer at work.
#[derive(Debug)]
pub struct Serving {
    connection: Connection,
    threads: Vec<thread::JoinHandle<Result<(), Error>>>,
}

impl Serving {
    /// Serves the exports until all their sockets are closed by the peers.
    ///
    /// # Errors
    /// A connection's failure.
    pub fn run(mut self) -> Result<(), Error> {
        let mut result = self.connection.run();
        for thread in self.threads {
            // A panic aborts the process, so a thread always returns.
            result = result.and(thread.join().unwrap_or(Ok(())));
        }
        result
    }
}

/// Serves one export on the calling thread, without confinement, holding at most `max_nodes`
/// nodes. For tests; [`Gofer::start`] is the real thing.
///
/// # Errors
/// As [`Gofer::start`] and [`Serving::run`].
pub fn serve_unconfined(export: Export, max_nodes: usize) -> Result<(), Error> {
    let thread_fs = ThreadFs::new(&Gofer::prepare()?.proc_fd)?;
    let (ready, _readiness) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let _ = go.send(());
    serve_export(export, thread_fs, max_nodes, Confinement::Off, &ready, &may_go)
}

fn serve_export(
    export: Export,
    thread_fs: ThreadFs,
    max_nodes: usize,
    confinement: Confinement,
    ready: &mpsc::Sender<Result<(), Error>>,
    may_go: &mpsc::Receiver<()>,
) -> Result<(), Error> {
    match prepare(export, thread_fs, max_nodes, confinement) {
        Ok(mut connection) => {
            // The receiver may be gone, as it is in tests.
            let _ = ready.send(Ok(()));
            match may_go.recv() {
                Ok(()) => connection.run(),
                // The gofer does not start.
                Err(mpsc::RecvError) => Ok(()),
            }
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            Ok(())
        }
    }
}

/// Makes the connection of an export on the calling thread, and takes its rights, all but those that the
/// filter will take.
fn prepare(
    export: Export,
    thread_fs: ThreadFs,
    max_nodes: usize,
    confinement: Confinement,
) -> Result<Connection, Error> {
    check_socket(&export.socket).map_err(Error::Socket)?;
    let proc_dir = thread_fs.enter()?;
    let connection = Connection::new(export, proc_dir, max_nodes)?;
    if confinement == Confinement::On {
        crate::confine::give_up_rights()?;
    }
    Ok(connection)
}

/// Raises the soft descriptor limit to the hard one and returns it. Failure leaves it as it is.
fn raise_fd_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MAX_FDS).min(MAX_FDS);
    let current = limit.current.unwrap_or(MAX_FDS).min(MAX_FDS);
    if wanted <= current {
        return current;
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}
