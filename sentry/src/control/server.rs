//! Connections and the thread that reads them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_protocol::{Request, SandboxConfig, startup, transport};
use linux_abi::signal::SIGKILL;
use platform::host::event::{Epoll, Ready};
use platform::host::inherited;

use super::requests::Requests;
use crate::boot::{BootError, Launch, prepare_process};
use crate::kernel::{Container, Kernel};
use crate::sync::{Mutex, Rank};
use crate::task::ThreadGroup;

/// Token of the listening socket; connections count from 1.
const LISTENER: u64 = 0;
/// Token of the gofer's pidfd.
const GOFER: u64 = u64::MAX;
/// `EPOLLIN`.
const READABLE: u32 = 1;
/// When the sandbox counts as started.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// The server; cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlServer {
    shared: Arc<Shared>,
}

struct Shared {
    epoll: Epoll,
    /// A pidfd: readable when the gofer is dead.
    gofer: OwnedFd,
    connections: Mutex<Connections>,
    requests: Requests,
}

#[derive(Default)]
struct Connections {
    open: HashMap<u64, Arc<Connection>>,
    last: u64,
}

/// One client.
pub(super) struct Connection {
    pub stream: UnixStream,
    /// Whether its closing ends the sandbox (the launcher of `run` and `do`).
    pub owns_sandbox: bool,
    /// Processes to kill when it closes; `None` once it has.
    owned: Mutex<Option<Vec<Arc<ThreadGroup>>>>,
}

impl Connection {
    /// Makes a process die with the connection; false if that has closed already.
    pub fn own(&self, group: &Arc<ThreadGroup>) -> bool {
        let mut owned = self.owned.lock();
        owned.iter_mut().for_each(|list| list.push(group.clone()));
        owned.is_some()
    }

    /// The process has ended.
    pub fn disown(&self, group: &Arc<ThreadGroup>) {
        let mut owned = self.owned.lock();
        owned.iter_mut().for_each(|list| list.retain(|one| !Arc::ptr_eq(one, group)));
    }

    /// The connection has closed; answers with the processes that it owned.
    pub fn disown_all(&self) -> Vec<Arc<ThreadGroup>> {
        self.owned.lock().take().unwrap_or_default()
    }
}

impl ControlServer {
    /// Starts the thread. `listener` accepts the runtime's commands.
    ///
    /// # Errors
    /// Those of making the host objects.
    pub fn start(
        kernel: &Arc<Kernel>,
        container: &Arc<Container>,
        listener: Option<OwnedFd>,
        config: &SandboxConfig,
    ) -> Result<ControlServer, BootError> {
        let epoll = Epoll::new().map_err(BootError::Kernel)?;
        let listener = listener.map(UnixListener::from);
        if let Some(listener) = &listener {
            epoll.add(listener, LISTENER, READABLE).map_err(BootError::Kernel)?;
        }
        let gofer = inherited::adopt(config.gofer_process).map_err(BootError::Kernel)?;
        epoll.add(&gofer, GOFER, READABLE).map_err(BootError::Kernel)?;
        let shared = Arc::new(Shared {
            epoll,
            gofer,
            connections: Mutex::new(Rank::Control, Connections::default()),
            requests: Requests::new(kernel.clone(), container.clone()),
        });
        let server = ControlServer { shared };
        if config.owns_terminal {
            super::terminal_signals::start(kernel).map_err(BootError::Kernel)?;
        }
        let thread = server.clone();
        std::thread::Builder::new()
            .name("control".to_owned())
            .stack_size(256 << 10)
            .spawn(move || thread.serve(listener))
            .map_err(BootError::Launcher)?;
        Ok(server)
    }

    /// Loads the container's first process, tells the launcher, and runs it now or on `Start`.
    pub async fn run_first(
        &self,
        kernel: &Arc<Kernel>,
        launch: Launch,
        launcher: UnixStream,
        start_now: bool,
    ) {
        let container = self.shared.requests.container().clone();
        let prepared = match prepare_process(kernel, &container, launch).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let _ = startup::announce(&launcher, Err(error.into_control_error()));
                kernel.stop(1);
                return;
            }
        };
        self.shared.requests.hold_first(prepared);
        if startup::announce(&launcher, Ok(())).is_err() {
            kernel.stop(1);
            return;
        }
        if start_now {
            // In `run` and `do` nothing can go wrong between here and the first instruction.
            let _ = self.shared.requests.start_first();
        }
        if self.adopt(launcher, true).is_err() {
            kernel.stop(1);
        }
    }

    fn adopt(&self, stream: UnixStream, owns_sandbox: bool) -> Result<(), linux_abi::Errno> {
        let connection = Arc::new(Connection {
            stream,
            owns_sandbox,
            owned: Mutex::new(Rank::Leaf, Some(Vec::new())),
        });
        let mut connections = self.shared.connections.lock();
        connections.last += 1;
        let token = connections.last;
        connections.open.insert(token, connection.clone());
        self.shared.epoll.add(&connection.stream, token, READABLE)
    }

    /// The thread's loop.
    fn serve(&self, listener: Option<UnixListener>) {
        let mut ready: Vec<Ready> = Vec::new();
        let mut settles_at = Some(Instant::now() + SETTLED_AFTER);
        loop {
            ready.clear();
            let left = settles_at.map(|at| at.saturating_duration_since(Instant::now()));
            let waited = self.shared.epoll.wait(&mut ready, left);
            if settles_at.is_some_and(|at| at <= Instant::now()) {
                settles_at = None;
                self.settle();
            }
            if waited.is_err() {
                continue;
            }
            for event in &ready {
                match (&listener, event.token) {
                    (Some(listener), LISTENER) => {
                        if let Ok((stream, _)) = listener.accept() {
                            let _ = self.adopt(stream, false);
                        }
                    }
                    (_, GOFER) => self.lose_gofer(),
                    (_, token) => self.read_request(token),
                }
            }
        }
    }

    /// The sandbox has started: much of what that took is needed no more.
    fn settle(&self) {
        for (mount, _) in self.shared.requests.container().namespace.mounts() {
            mount.fs().settle();
        }
        platform::host::code::let_go();
    }

    /// Ends the sandbox: without the gofer its files are gone.
    fn lose_gofer(&self) {
        let _ = self.shared.epoll.delete(&self.shared.gofer);
        self.shared.requests.stop(128 + SIGKILL);
    }

    fn read_request(&self, token: u64) {
        let found = self.shared.connections.lock().open.get(&token).cloned();
        let Some(connection) = found else { return };
        match transport::receive::<Request>(&connection.stream) {
            Ok(Some((Request::Commit, _))) => self.shared.requests.commit(&connection),
            Ok(Some((request, fds))) => self.shared.requests.handle(&connection, request, fds),
            Ok(None) | Err(_) => self.close(token, &connection),
        }
    }

    fn close(&self, token: u64, connection: &Arc<Connection>) {
        let _ = self.shared.epoll.delete(&connection.stream);
        self.shared.connections.lock().open.remove(&token);
        self.shared.requests.closed(connection);
    }
}
