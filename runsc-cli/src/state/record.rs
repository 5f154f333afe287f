//! What `state.json` holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::HostProcess;
use crate::cgroup::Cgroup;
use crate::oci::HookPrograms;

/// How far a container has been brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Being made by the process `Record::creator`.
    Creating,
    Created,
    Started,
}

/// The OCI status: the stage, or stopped if the sandbox is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Creating,
    Created,
    Running,
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Stopped => "stopped",
        })
    }
}

/// The record of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub bundle: PathBuf,
    /// Host path of the root directory.
    pub rootfs: PathBuf,
    /// RFC 3339.
    pub created: String,
    /// User id of the caller.
    pub owner: u32,
    pub stage: Stage,
    /// Whether the container ends with its creator (`run` in the foreground).
    pub is_attached: bool,
    pub creator: Option<HostProcess>,
    pub sentry: Option<HostProcess>,
    pub gofer: Option<HostProcess>,
    pub cgroup: Option<Cgroup>,
    pub hooks: HookPrograms,
    pub annotations: BTreeMap<String, String>,
    /// The configured process, on which `exec` without a process file builds.
    pub process: ExecDefaults,
}

/// What a process started by `exec` takes over from the container's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecDefaults {
    pub env: Vec<String>,
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    pub umask: Option<u32>,
    /// Effective, permitted, inheritable, bounding, ambient.
    pub capabilities: [u64; 5],
    /// Resource, soft, hard.
    pub rlimits: Vec<(i32, u64, u64)>,
    pub no_new_privileges: bool,
}

impl Record {
    pub fn status(&self) -> Status {
        let is_alive = |process: Option<HostProcess>| process.is_some_and(HostProcess::is_alive);
        match self.stage {
            Stage::Creating if is_alive(self.creator) => Status::Creating,
            Stage::Created if is_alive(self.sentry) => Status::Created,
            Stage::Started if is_alive(self.sentry) => Status::Running,
            _ => Status::Stopped,
        }
    }

    /// Whether nobody can want it any more: its creator died before the container existed, or
    /// was the only one to wait for it.
    pub fn is_abandoned(&self) -> bool {
        let has_lost_creator = !self.creator.is_some_and(HostProcess::is_alive);
        (self.stage == Stage::Creating || self.is_attached)
            && has_lost_creator
            && self.status() == Status::Stopped
    }

    /// Process id that stands for the container; 0 when it has none.
    pub fn pid(&self) -> i32 {
        match self.status() {
            Status::Created | Status::Running => self.sentry.map_or(0, |sentry| sentry.pid),
            Status::Creating | Status::Stopped => 0,
        }
    }

    /// The OCI state object (runtime.md, "State"), as `state` prints it and hooks read it.
    pub fn oci_state(&self) -> serde_json::Value {
        serde_json::json!({
            "ociVersion": crate::cli::OCI_VERSION,
            "id": self.id,
            "pid": self.pid(),
            "status": self.status(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "owner": "",
            "annotations": self.annotations,
        })
    }
}
