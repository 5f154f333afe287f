//! The OCI side: reads a bundle, checks every field of `config.json`, and turns what we honour
//! into the sentry's [`ContainerConfig`] and a list of host paths for the gofer.
//!
//! **Invariant:** no field is dropped in silence. A field is honoured, refused with a
//! [`ConfigError`] that names it, or noted in [`Container::notices`].

mod bundle;
mod capabilities;
mod container;
mod ignored;
mod mounts;
mod namespaces;
mod options;
mod process;
mod resources;
mod rlimits;
mod template;
mod text;
mod users;

use std::path::PathBuf;

use control_protocol::ContainerConfig;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use bundle::{Bundle, parse_process};
pub use capabilities::parse_name as capability_bit;
pub use container::{console_size, convert};
pub use mounts::empty_tmpfs;
pub use namespaces::{IdMapping, IdMappings};
pub use process::convert as convert_process;
pub use resources::Resources;
pub use template::template;
pub use text::clean_absolute;
pub use users::{RootUsers, UserSpec};

/// A field of the configuration that cannot be used, and why.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Path of the field (`mounts[2].source`) or of the file.
    pub field: String,
    pub problem: String,
}

impl ConfigError {
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> ConfigError {
        ConfigError { field: field.into(), problem: problem.into() }
    }
}

/// Notes about fields that are understood and not honoured.
#[derive(Debug, Default)]
pub struct Notices(pub Vec<String>);

impl Notices {
    pub fn not_honoured(&mut self, field: &str, reason: &str) {
        self.0.push(format!("{field} is not honoured: {reason}"));
    }
}

/// A host file or directory that the gofer serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub path: PathBuf,
    pub readonly: bool,
    /// Whether mounts below the path come along.
    pub recursive: bool,
}

/// A program that runs on the host at a point of the container's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookProgram {
    pub path: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub timeout_s: Option<u64>,
}

/// Hooks by the point where they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookPrograms {
    /// `prestart` and `createRuntime`.
    pub create_runtime: Vec<HookProgram>,
    pub create_container: Vec<HookProgram>,
    pub poststart: Vec<HookProgram>,
    pub poststop: Vec<HookProgram>,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Container {
    pub config: ContainerConfig,
    /// The first one is the root; the others belong to bind mounts in order.
    pub exports: Vec<Export>,
    /// Mapping of the container's ids to the host's; none means identity.
    pub ids: Option<IdMappings>,
    pub hooks: HookPrograms,
    pub cgroups_path: Option<PathBuf>,
    pub resources: Resources,
    /// Columns and rows of the terminal.
    pub console_size: Option<(u16, u16)>,
    pub oom_score_adj: Option<i32>,
    pub annotations: std::collections::BTreeMap<String, String>,
    pub notices: Notices,
}
