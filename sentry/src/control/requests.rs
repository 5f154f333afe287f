//! Serving requests.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control_protocol::{
    ContainerState, ControlError, ErrorKind, ExitStatus, ProcessConfig, ProcessInfo, Request,
    Response, transport,
};
use linux_abi::poll::PollEvents;
use linux_abi::signal::{SI_USER, SIGKILL, SigInfo};

use super::server::Connection;
use crate::boot::{Launch, Prepared, prepare_process};
use crate::kernel::{Container, Kernel};
use crate::sync::{Mutex, Rank, wait_for};
use crate::task::{INIT_PID, Pid, ThreadGroup};

/// What requests act on.
pub(super) struct Requests {
    kernel: Arc<Kernel>,
    container: Arc<Container>,
    /// The loaded first process until it is started.
    first: Mutex<Option<Prepared>>,
    is_started: AtomicBool,
    is_committed: AtomicBool,
    /// Processes started by us whose status somebody may still ask for.
    started: Arc<Mutex<HashMap<Pid, Arc<ThreadGroup>>>>,
}

impl Requests {
    pub fn new(kernel: Arc<Kernel>, container: Arc<Container>) -> Requests {
        Requests {
            kernel,
            container,
            first: Mutex::new(Rank::Control, None),
            is_started: AtomicBool::new(false),
            is_committed: AtomicBool::new(false),
            started: Arc::new(Mutex::new(Rank::Leaf, HashMap::new())),
        }
    }

    pub fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// Keeps the first process until [`Requests::start_first`].
    pub fn hold_first(&self, prepared: Prepared) {
        self.started.lock().insert(prepared.pid(), prepared.task.group.clone());
        *self.first.lock() = Some(prepared);
    }

    /// Runs the first process. Errors: `BadRequest` when it was started before.
    pub fn start_first(&self) -> Result<(), ControlError> {
        let prepared = self.first.lock().take();
        let Some(prepared) = prepared else {
            return Err(error(ErrorKind::BadRequest, "the container was already started"));
        };
        self.is_started.store(true, Ordering::Release);
        prepared.start();
        Ok(())
    }

    /// The launcher has recorded the container: its leaving no longer ends the sandbox.
    pub fn commit(&self, connection: &Connection) {
        if connection.owns_sandbox {
            self.is_committed.store(true, Ordering::Release);
        }
    }

    /// Ends the sandbox with an exit code.
    pub fn stop(&self, code: i32) {
        self.kernel.stop(code);
    }

    /// A connection has closed.
    pub fn closed(&self, connection: &Connection) {
        for group in connection.disown_all() {
            send(&group, SigInfo::kernel(SIGKILL));
            self.started.lock().remove(&group.pid);
        }
        if connection.owns_sandbox && !self.is_committed.load(Ordering::Acquire) {
            self.kernel.stop(128 + SIGKILL);
        }
    }

    /// Serves `request` on the executor; the response is sent from there.
    pub fn handle(&self, connection: &Arc<Connection>, request: Request, fds: Vec<OwnedFd>) {
        let connection = connection.clone();
        match request {
            Request::Exec { process, kill_on_close } => {
                self.exec(connection, *process, kill_on_close, fds);
            }
            Request::Wait { pid } => self.wait(connection, pid),
            Request::Start => respond(&connection, self.start_first().map(|()| Response::Ok)),
            Request::Commit => {}
            Request::Signal { pid, signo, all, group } => {
                respond(&connection, self.signal(pid, signo, all, group));
            }
            Request::Processes => {
                let processes = self.processes();
                respond(&connection, Ok(Response::Processes { processes }));
            }
            Request::Latency { is_on } => respond(&connection, Ok(self.latency(is_on))),
            Request::State => respond(&connection, Ok(Response::State { state: self.state() })),
        }
    }

    fn latency(&self, is_on: bool) -> Response {
        let latency = &self.kernel.latency;
        latency.stop();
        let report = latency.report(&*self.kernel.platform);
        if is_on {
            latency.start();
        }
        Response::Latency { report }
    }

    fn state(&self) -> ContainerState {
        let first = self.started.lock().get(&INIT_PID).cloned();
        match first {
            Some(first) if first.exit_status().is_some() => ContainerState::Stopped,
            _ if self.is_started.load(Ordering::Acquire) => ContainerState::Running,
            _ => ContainerState::Created,
        }
    }

    fn exec(
        &self,
        connection: Arc<Connection>,
        process: ProcessConfig,
        kill_on_close: bool,
        fds: Vec<OwnedFd>,
    ) {
        if self.state() == ContainerState::Stopped {
            let message = "the container is not running";
            return respond(&connection, Err(error(ErrorKind::NotRunning, message)));
        }
        let mut fds: Vec<Option<OwnedFd>> = fds.into_iter().map(Some).collect();
        let stdio = process
            .stdio
            .map(|slot| slot.and_then(|slot| fds.get_mut(slot)).and_then(Option::take));
        let kernel = self.kernel.clone();
        let container = self.container.clone();
        let started = self.started.clone();
        self.kernel.executor.spawn(async move {
            let launch = Launch { process, stdio, parent: None };
            let result = match prepare_process(&kernel, &container, launch).await {
                Ok(prepared) => {
                    let pid = prepared.pid();
                    let group = prepared.task.group.clone();
                    // The client may have been killed while the program was loaded.
                    let is_unwanted = kill_on_close && !connection.own(&group);
                    started.lock().insert(pid, group.clone());
                    prepared.start();
                    if is_unwanted {
                        send(&group, SigInfo::kernel(SIGKILL));
                    }
                    Ok(Response::Started { pid })
                }
                Err(error) => Err(error.into_control_error()),
            };
            respond(&connection, result);
        });
    }

    fn wait(&self, connection: Arc<Connection>, pid: Pid) {
        let started = self.started.lock().get(&pid).cloned();
        let Some(group) = started.or_else(|| self.kernel.tasks.group(pid)) else {
            let message = format!("no process {pid} in the container");
            return respond(&connection, Err(error(ErrorKind::NoSuchProcess, &message)));
        };
        let table = self.started.clone();
        self.kernel.executor.spawn(async move {
            let ended = || group.exit_status();
            let status = wait_for(&group.exit_events, PollEvents::IN, ended).await;
            if pid != INIT_PID {
                connection.disown(&group);
                table.lock().remove(&pid);
            }
            respond(&connection, Ok(Response::Exited { status: exit_status(status) }));
        });
    }

    fn signal(
        &self,
        pid: Pid,
        signo: i32,
        all: bool,
        group: bool,
    ) -> Result<Response, ControlError> {
        if !(0..=64).contains(&signo) {
            return Err(error(ErrorKind::BadRequest, &format!("bad signal number {signo}")));
        }
        let info = SigInfo::kill(signo, SI_USER, 0, 0);
        if all {
            for target in self.kernel.tasks.groups() {
                send(&target, info);
            }
            return Ok(Response::Ok);
        }
        let started = self.started.lock().get(&pid).cloned();
        let target = started
            .or_else(|| self.kernel.tasks.group(pid))
            .filter(|target| target.exit_status().is_none());
        let Some(target) = target else {
            return Err(error(ErrorKind::NotRunning, "the process has already ended"));
        };
        // A container that was created but not started has a process that never ran.
        if pid == INIT_PID && self.first.lock().is_some() {
            if signo == SIGKILL || signo == linux_abi::signal::SIGTERM {
                self.kernel.stop(128 + signo);
            }
            return Ok(Response::Ok);
        }
        let terminal = target.session().terminal.lock().clone();
        match terminal.filter(|_| group) {
            Some(terminal) => {
                let foreground = self.kernel.tasks.process_group(terminal.foreground());
                for member in foreground.iter().flat_map(|group| group.members()) {
                    send(&member, info);
                }
            }
            None => send(&target, info),
        }
        Ok(Response::Ok)
    }

    fn processes(&self) -> Vec<ProcessInfo> {
        let groups = self.kernel.tasks.groups();
        groups
            .iter()
            .filter(|group| group.exit_status().is_none())
            .map(|group| self.describe(group))
            .collect()
    }

    fn describe(&self, group: &Arc<ThreadGroup>) -> ProcessInfo {
        let leader = group.leader();
        let cpu = crate::time::process_cpu(group);
        let terminal = group.session().terminal.lock().clone();
        let command = leader.as_ref().map_or_else(String::new, |task| {
            let line = crate::mm::command_line(task).unwrap_or_default();
            if line.is_empty() {
                String::from_utf8_lossy(&task.name.lock()).into_owned()
            } else {
                line
            }
        });
        ProcessInfo {
            pid: group.pid,
            ppid: group.ppid(),
            uid: group.owner_uid(),
            threads: group.threads().len() as u32,
            start_time: self.kernel.wall_time_of(group.start_time_ns),
            cpu_time_ms: (cpu.user_ns + cpu.system_ns) / 1_000_000,
            tty: terminal.map_or_else(|| "?".to_owned(), |terminal| terminal.name()),
            command,
        }
    }
}

fn send(target: &Arc<ThreadGroup>, info: SigInfo) {
    if info.signo != 0 {
        // Only a full real-time queue refuses; the sender cannot do anything about that.
        let _ = crate::signal::send_to_group(target, info);
    }
}

fn exit_status(status: u32) -> ExitStatus {
    let status = status as i32;
    if status & 0x7f == 0 {
        ExitStatus::Code((status >> 8) & 0xff)
    } else {
        ExitStatus::Signal(status & 0x7f)
    }
}

fn error(kind: ErrorKind, message: &str) -> ControlError {
    ControlError { kind, message: message.to_owned() }
}

/// Sends the response; a client that is gone does not matter.
fn respond(connection: &Connection, result: Result<Response, ControlError>) {
    let response = result.unwrap_or_else(Response::Error);
    let _ = transport::send(&connection.stream, &response, &[]);
}
