//! Requests to a running sentry and its responses.

use serde::{Deserialize, Serialize};

use crate::config::ProcessConfig;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// The launcher's last word of a `create`; see [`crate::startup`]. No response.
    Commit,
    /// Runs the container's first process (after `create`).
    Start,
    /// Starts another process; answers [`Response::Started`] or an error. With `kill_on_close` the
    /// process is killed (SIGKILL) if this connection closes before it has ended: the process on
    /// the host that stands for it is gone.
    Exec { process: Box<ProcessConfig>, kill_on_close: bool },
    /// Answers [`Response::Exited`] once the process (a pid inside the container) has ended.
    /// Pid 1 is the container's first process.
    Wait { pid: i32 },
    /// Sends a signal. With `all`, to every process of the container; with `group`, to the
    /// foreground process group of the process' controlling terminal if it has one.
    Signal { pid: i32, signo: i32, all: bool, group: bool },
    /// Lists processes; answers [`Response::Processes`].
    Processes,
    /// Answers [`Response::State`].
    State,
    /// Begins (anew) to measure system calls, or ends it; answers [`Response::Latency`] with what
    /// was known before.
    Latency { is_on: bool },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum Response {
    Ok,
    Started { pid: i32 },
    Exited { status: ExitStatus },
    Processes { processes: Vec<ProcessInfo> },
    State { state: ContainerState },
    Latency { report: LatencyReport },
    Error(ControlError),
}

/// Why a request failed, for a person to read.
///
/// For a program that cannot be run the message keeps runc's wording, on which container managers
/// base exit status 127 or 126: `exec "foo": executable file not found in $PATH`,
/// `exec "/foo": no such file or directory`, `exec "/foo": permission denied`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlError {
    pub kind: ErrorKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// The program to run does not exist (exit status 127 by convention).
    ProgramNotFound,
    /// The program exists but cannot be executed (126).
    ProgramNotExecutable,
    NoSuchProcess,
    NotRunning,
    BadRequest,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitStatus {
    /// Exit code 0–255.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

impl ExitStatus {
    /// The status a shell would show: the code, or 128 + signal.
    pub fn shell_status(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signo) => 128 + signo,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    Created,
    Running,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    pub pid: i32,
    pub ppid: i32,
    pub uid: u32,
    pub threads: u32,
    /// Seconds since the epoch.
    pub start_time: u64,
    /// CPU time used, in milliseconds.
    pub cpu_time_ms: u64,
    /// Controlling terminal (`pts/0`) or `?`.
    pub tty: String,
    pub command: String,
}

/// Where the time of system calls goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// The platform's, since the start of the sandbox.
    pub counters: Vec<Counter>,
    /// Calls that were served while it was measured.
    pub calls: Vec<CallLatency>,
}

/// How often something has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    pub what: String,
    pub count: u64,
}

/// How long one system call took, waits included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLatency {
    pub name: String,
    pub count: u64,
    pub total_ns: u64,
    /// Upper bounds: powers of two.
    pub median_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}
