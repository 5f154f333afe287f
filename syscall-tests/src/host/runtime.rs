//! What the cases are run in: the host itself, our runtime, or any other OCI runtime.

use crate::build;
use crate::bundle::{Bundle, GUEST_PATH};
use crate::guest::Guest;
use crate::{native, outcome};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The platforms of our runtime that tests run on. The first is the one that runs all of them.
pub const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];

/// A way to run the case binary.
#[derive(Clone, Debug)]
pub enum Runtime {
    /// Directly on this host's kernel.
    Native,
    /// In a container of an OCI runtime.
    Oci {
        /// The runtime's program.
        program: PathBuf,
        /// Its global options.
        options: Vec<String>,
        /// Its name in the expectations.
        label: String,
    },
}

/// A started run, and how to get rid of it.
pub struct Running {
    /// The process whose output holds the case lines.
    pub process: std::process::Child,
    container: Option<Container>,
    // Last: the directories of the container are inside, and go with it.
    _bundle: Option<Bundle>,
}

struct Container {
    program: PathBuf,
    state_dir: PathBuf,
    id: String,
}

impl Runtime {
    /// Finds a runtime by what the user called it: `native`, `runsc-rs`, or another runtime's name
    /// or path. Our own is built first; without a `platform` it chooses its own.
    pub fn find(name: &str, platform: &str) -> Result<Runtime> {
        match name {
            "native" => Ok(Runtime::Native),
            "runsc-rs" => {
                let program = match std::env::var_os("RUNSC_RS") {
                    Some(path) => PathBuf::from(path),
                    None => build::binary("runsc-cli", "runsc-rs")?,
                };
                let mut options: Vec<String> = ["--network", "none"].map(String::from).into();
                let mut label = name.to_owned();
                if !platform.is_empty() {
                    options.extend(["--platform", platform].map(String::from));
                    label = format!("{name}-{platform}");
                }
                Ok(Runtime::Oci { program, options, label })
            }
            other => {
                let label = Path::new(other).file_name().and_then(|n| n.to_str()).unwrap_or(other);
                // gVisor's, at its best and without the host's network.
                let options: &[&str] = match label {
                    "runsc" => &["--platform=systrap", "--network=none", "--ignore-cgroups"],
                    _ => &[],
                };
                Ok(Runtime::Oci {
                    program: PathBuf::from(other),
                    options: options.iter().copied().map(String::from).collect(),
                    label: label.to_owned(),
                })
            }
        }
    }

    /// Returns the name of its expectations file.
    pub fn label(&self) -> &str {
        match self {
            Runtime::Native => "native",
            Runtime::Oci { label, .. } => label,
        }
    }

    /// Starts the binary on some cases.
    pub fn start(&self, guest: &Guest, cases: &[&str]) -> Result<Running> {
        let args = ["run", "--isolate"].into_iter().chain(cases.iter().copied());
        match self {
            Runtime::Native => {
                let mut command = Command::new(&guest.path);
                command.args(args);
                Ok(Running { process: spawn(command)?, container: None, _bundle: None })
            }
            Runtime::Oci { .. } => {
                let bundle = Bundle::new(&guest.path)?;
                let args: Vec<String> =
                    std::iter::once(GUEST_PATH).chain(args).map(String::from).collect();
                bundle.configure(&args)?;
                self.start_bundle(bundle)
            }
        }
    }

    /// Starts a container from a finished bundle; natively, its command in namespaces and in a
    /// `chroot` like those of the container.
    pub fn start_bundle(&self, bundle: Bundle) -> Result<Running> {
        let Runtime::Oci { program, options, .. } = self else {
            let process = spawn(native::command(&bundle.config()?)?)?;
            return Ok(Running { process, container: None, _bundle: Some(bundle) });
        };
        let container = Container {
            program: program.clone(),
            state_dir: bundle.state_dir(),
            id: container_id(),
        };
        let mut command = Command::new(program);
        command.arg("--root").arg(&container.state_dir).args(options);
        command.arg("run").arg("--bundle").arg(bundle.path()).arg(&container.id);
        let process = spawn(command).with_context(|| format!("starting {}", program.display()))?;
        Ok(Running { process, container: Some(container), _bundle: Some(bundle) })
    }
}

/// Returns a container id that no other run on this machine uses.
fn container_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("syscall-tests-{}-{number}", std::process::id())
}

fn spawn(mut command: Command) -> Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    Ok(command.spawn()?)
}

/// How long a runtime may take to delete a container.
const DELETE_LIMIT: Duration = Duration::from_secs(20);

impl Running {
    /// Ends it, whatever state it is in.
    pub fn stop(mut self) {
        let _ = self.process.kill();
        if let Some(container) = &self.container {
            let delete = Command::new(&container.program)
                .arg("--root")
                .arg(&container.state_dir)
                .args(["delete", "--force", &container.id])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(mut delete) = delete {
                let _ = outcome::wait(&mut delete, DELETE_LIMIT, outcome::STEP);
                let _ = delete.kill();
                let _ = delete.wait();
            }
        }
        let _ = self.process.wait();
    }
}
