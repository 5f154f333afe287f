//! `create`, and what it shares with `run`: a container from a bundle.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use control_protocol::SandboxConfig;

use super::Context;
use crate::cgroup::Cgroup;
use crate::cli::CreateArgs;
use crate::error::Error;
use crate::hooks;
use crate::janitor::Janitor;
use crate::launch::{Launch, Sandbox, slots};
use crate::oci::{self, Bundle, Container, RootUsers};
use crate::state::{Entry, ExecDefaults, HostProcess, Record, Stage};
use crate::terminal::{self, Pty};
use crate::time::rfc3339;

/// How a container is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its process waits for `start`; we leave.
    Create,
    /// It lives as long as we wait for it, and its process runs at once.
    Foreground,
}

/// A container whose first process is loaded.
pub struct Made {
    pub sandbox: Sandbox,
    pub entry: Entry,
    pub record: Record,
    pub janitor: Janitor,
    /// Whether the process runs already.
    pub is_started: bool,
}

pub fn create(context: &Context, args: &CreateArgs) -> Result<ExitCode, Error> {
    let checked = check(context, args, Mode::Create)?;
    commit(make(context, args, checked, Mode::Create)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Hands a container over to whoever will start it. The commit comes last: if we are killed
/// before, nothing of the container lives on.
pub fn commit(made: Made) -> Result<(Entry, Record), Error> {
    let Made { sandbox, entry, record, janitor, .. } = made;
    let result = sandbox.commit();
    if result.is_err() {
        forget(&entry, &record);
    }
    janitor.dismiss();
    result.map(|()| (entry, record))
}

/// A bundle that can be run.
pub struct Checked {
    bundle: Bundle,
    container: Container,
    /// At work since the command began, as it makes something that we need soon.
    janitor: Janitor,
}

impl Checked {
    /// Whether the process gets a terminal.
    pub fn has_terminal(&self) -> bool {
        self.container.config.process.terminal
    }
}

/// Checks the flags and the bundle; changes nothing.
pub fn check(context: &Context, args: &CreateArgs, mode: Mode) -> Result<Checked, Error> {
    context.check_new_id(&args.id)?;
    context.check_sandbox_flags()?;
    if args.preserve_fds > 0 {
        return Err(Error::Unsupported("--preserve-fds: a sandbox has no host descriptors".into()));
    }
    let janitor = Janitor::start(&context.store, &args.id)?;
    match check_bundle(context, args, mode) {
        Ok((bundle, container)) => Ok(Checked { bundle, container, janitor }),
        Err(error) => {
            janitor.dismiss();
            Err(error)
        }
    }
}

fn check_bundle(
    context: &Context,
    args: &CreateArgs,
    mode: Mode,
) -> Result<(Bundle, Container), Error> {
    let bundle = Bundle::load(&args.bundle)?;
    let container = oci::convert(&bundle, &args.id)?;
    context.warn_all(&container.notices);
    let is_detached = mode == Mode::Create;
    let console = args.console_socket.as_deref();
    terminal::check_console(container.config.process.terminal, is_detached, console)?;
    Ok((bundle, container))
}

/// Records the container and launches its sandbox.
pub fn make(
    context: &Context,
    args: &CreateArgs,
    checked: Checked,
    mode: Mode,
) -> Result<Made, Error> {
    let Checked { bundle, mut container, janitor } = checked;
    let cgroup = plan_cgroup(context, &container);
    let record = first_record(&bundle, &container, cgroup, mode);
    add_home(&mut container);
    let entry = match context.store.create(&record) {
        Ok(entry) => entry,
        Err(error) => {
            janitor.dismiss();
            return Err(error.into());
        }
    };
    match bring_up(context, args, mode, &mut container, &entry, record.clone(), &janitor) {
        Ok((sandbox, record, is_started)) => {
            Ok(Made { sandbox, entry, record, janitor, is_started })
        }
        Err(error) => {
            forget(&entry, &record);
            janitor.dismiss();
            Err(error)
        }
    }
}

/// Removes the traces of a container whose processes are gone.
fn forget(entry: &Entry, record: &Record) {
    if let Some(cgroup) = &record.cgroup {
        cgroup.remove();
    }
    let _ = entry.remove();
}

/// Everything that, when it fails, leaves only the record and the cgroup to remove.
fn bring_up(
    context: &Context,
    args: &CreateArgs,
    mode: Mode,
    container: &mut Container,
    entry: &Entry,
    mut record: Record,
    janitor: &Janitor,
) -> Result<(Sandbox, Record, bool), Error> {
    if let Some(cgroup) = &record.cgroup {
        cgroup.create(&container.resources).map_err(|error| Error::Sandbox(error.to_string()))?;
    }
    let start_now = mode == Mode::Foreground
        && container.hooks.create_runtime.is_empty()
        && container.hooks.create_container.is_empty();
    let pty = match (container.config.process.terminal, &args.console_socket) {
        (true, Some(_)) => Some(Pty::open(container.console_size)?),
        _ => None,
    };
    let launch = launch(context, mode, container, entry, start_now, pty.as_ref())?;
    let launch = Launch { network: Some(janitor.process()), ..launch };
    let sandbox = launch.start(&|pid| match &record.cgroup {
        None => Ok(()),
        Some(cgroup) => cgroup
            .join(pid.as_raw_nonzero().get())
            .map_err(|error| Error::Sandbox(error.to_string())),
    })?;
    record.sentry = sandbox.sentry.host_process();
    record.gofer = sandbox.gofer.host_process();
    if let (Some(pty), Some(socket)) = (&pty, &args.console_socket) {
        terminal::send_master(socket, &pty.master)?;
    }
    drop(pty);
    sandbox.await_ready()?;
    let mut state = record.oci_state();
    state["status"] = "creating".into();
    state["pid"] = record.sentry.map_or(0, |sentry| sentry.pid).into();
    for hook in container.hooks.create_runtime.iter().chain(&container.hooks.create_container) {
        hooks::run(hook, &state)?;
    }
    record.stage = if start_now { Stage::Started } else { Stage::Created };
    entry.save(&record)?;
    if let (Some(path), Some(sentry)) = (&args.pid_file, record.sentry) {
        write_pid_file(path, sentry.pid)?;
    }
    Ok((sandbox, record, start_now))
}

fn launch<'a>(
    context: &'a Context,
    mode: Mode,
    container: &'a mut Container,
    entry: &Entry,
    start_now: bool,
    pty: Option<&Pty>,
) -> Result<Launch<'a>, Error> {
    let control = UnixListener::bind(entry.control_socket())
        .map_err(|error| Error::io(format!("control socket in {:?}", entry.path), error))?;
    let (stdio, terminal): (_, Option<OwnedFd>) = match pty {
        Some(pty) => {
            let slave = pty.slave.try_clone().map_err(|error| Error::io("terminal", error))?;
            (pty.stdio()?, Some(slave))
        }
        None => (terminal::own_stdio(), None),
    };
    Ok(Launch {
        config: SandboxConfig {
            control: Some(slots::CONTROL),
            start_now,
            owns_terminal: terminal.is_some(),
            init_obeys_outside: false,
            memory_limit: container.resources.memory_bytes(),
            cpus: container.resources.cpus(),
            ..context.sandbox_config(container.config.clone(), &stdio)
        },
        exports: &container.exports,
        ids: container.ids.clone(),
        stdio,
        terminal,
        control: Some(control),
        debug_log: context.log.debug_file(),
        dies_with_parent: mode == Mode::Foreground,
        oom_score_adj: container.oom_score_adj,
        network: None,
    })
}

/// Sets HOME from the root's user database if the configuration does not, as runc does.
fn add_home(container: &mut Container) {
    let process = &mut container.config.process;
    if !process.env.iter().any(|variable| variable.starts_with("HOME=")) {
        let home = RootUsers::open(&container.exports[0].path).home(process.uid);
        process.env.push(format!("HOME={home}"));
    }
}

fn plan_cgroup(context: &Context, container: &Container) -> Option<Cgroup> {
    let path = container.cgroups_path.as_deref()?;
    let cgroup = Cgroup::plan(path, &container.resources);
    let is_usable = cgroup.as_ref().is_some_and(Cgroup::is_writable);
    if !is_usable {
        context.log.warn(&format!(
            "linux.cgroupsPath {path:?} and linux.resources are not honoured: no writable cgroup \
             hierarchy"
        ));
    }
    cgroup.filter(|_| is_usable)
}

fn first_record(
    bundle: &Bundle,
    container: &Container,
    cgroup: Option<Cgroup>,
    mode: Mode,
) -> Record {
    let process = &container.config.process;
    let sets = &process.capabilities;
    Record {
        id: container.config.id.clone(),
        bundle: bundle.directory.clone(),
        rootfs: container.exports[0].path.clone(),
        created: rfc3339(SystemTime::now()),
        owner: rustix::process::getuid().as_raw(),
        stage: Stage::Creating,
        is_attached: mode == Mode::Foreground,
        creator: HostProcess::current(),
        sentry: None,
        gofer: None,
        cgroup,
        hooks: container.hooks.clone(),
        annotations: container.annotations.clone(),
        process: ExecDefaults {
            env: process.env.clone(),
            cwd: process.cwd.clone(),
            uid: process.uid,
            gid: process.gid,
            additional_gids: process.additional_gids.clone(),
            umask: process.umask,
            capabilities: [
                sets.effective,
                sets.permitted,
                sets.inheritable,
                sets.bounding,
                sets.ambient,
            ],
            rlimits: process.rlimits.iter().map(|l| (l.resource, l.soft, l.hard)).collect(),
            no_new_privileges: process.no_new_privileges,
        },
    }
}

/// Writes a process id so that a reader sees nothing or all of it.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let new = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
        fs::write(&new, pid.to_string())?;
        fs::rename(&new, path)
    };
    write().map_err(|error| Error::io(format!("pid file {path:?}"), error))
}
