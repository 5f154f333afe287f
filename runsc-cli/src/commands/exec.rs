//! `exec`: another process in a running container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use control_protocol::{CapabilitySets, ProcessConfig, Request, Response, Rlimit};

use super::Context;
use super::create::write_pid_file;
use crate::cli::ExecArgs;
use crate::control::{self, Connection};
use crate::error::Error;
use crate::foreground::Signals;
use crate::launch::{Cloned, clone_process};
use crate::oci::{self, Notices, RootUsers, UserSpec};
use crate::state::{Entry, Record, StateError, Status};
use crate::terminal::{self, CallersTerminal, Console, Pty, is_stdin_terminal};

/// A process started by us, and the connection whose closing kills it.
struct Started {
    pid: i32,
    connection: Connection,
}

pub fn exec(context: &Context, args: &ExecArgs) -> Result<ExitCode, Error> {
    let (entry, record) = context.store.read(&args.id)?;
    let status = record.status();
    if status != Status::Running {
        return Err(StateError::NotRunning { id: args.id.clone(), status }.into());
    }
    if args.preserve_fds > 0 {
        return Err(Error::Unsupported("--preserve-fds: a sandbox has no host descriptors".into()));
    }
    let mut notices = Notices::default();
    let (mut process, size) = process(args, &record, &mut notices)?;
    context.warn_all(&notices);
    let console = args.console_socket.as_deref();
    terminal::check_console(process.terminal, args.detach || console.is_some(), console)?;
    let pty = match (process.terminal, console) {
        (true, Some(_)) => Some(Pty::open(size)?),
        _ => None,
    };
    let has_terminal = pty.is_none() && process.terminal && is_stdin_terminal();
    let signals = Signals::take(has_terminal || pty.is_some())?;
    let stdio = match &pty {
        Some(pty) => pty.stdio()?,
        None => terminal::own_stdio(),
    };
    let console = console.map(Console::connect).transpose()?;
    let started = start(&entry, &mut process, &stdio)?;
    drop(stdio);
    let terminal = pty.zip(console);
    match args.detach {
        true => detach(&entry, started, &signals, terminal, args.pid_file.as_deref()),
        false => {
            if let Some((pty, console)) = &terminal {
                console.send_master(&pty.master)?;
            }
            let _slave = terminal.map(|(pty, _)| pty.slave);
            if let Some(path) = &args.pid_file {
                write_pid_file(path, rustix::process::getpid().as_raw_nonzero().get())?;
            }
            let callers_terminal = CallersTerminal::remember();
            let status = wait(&entry, &started, &signals)?;
            drop(callers_terminal);
            Ok(ExitCode::from(status))
        }
    }
}

/// Asks the sentry for the process.
fn start(
    entry: &Entry,
    process: &mut ProcessConfig,
    stdio: &[Option<OwnedFd>; 3],
) -> Result<Started, Error> {
    let mut fds: Vec<BorrowedFd> = Vec::new();
    for (slot, stream) in process.stdio.iter_mut().zip(stdio) {
        *slot = stream.as_ref().map(|stream| {
            fds.push(stream.as_fd());
            fds.len() - 1
        });
    }
    let connection = control::connect(entry)?;
    let request = Request::Exec { process: Box::new(process.clone()), kill_on_close: true };
    match connection.call(&request, &fds)? {
        Response::Started { pid } => Ok(Started { pid, connection }),
        other => Err(Error::Sandbox(format!("unexpected response {other:?}"))),
    }
}

/// Waits for the end of the process and passes signals on to it.
fn wait(entry: &Entry, started: &Started, signals: &Signals) -> Result<u8, Error> {
    started.connection.send(&Request::Wait { pid: started.pid }, &[])?;
    // The connection waits for the end: signals take another one.
    let deliver = |request: &Request| {
        let _ = control::connect(entry).and_then(|connection| connection.call(request, &[]));
    };
    signals.forward_until(started.pid, &deliver, &[started.connection.as_fd()], None)?;
    match started.connection.receive()? {
        Response::Exited { status } => Ok(status.shell_status() as u8),
        other => Err(Error::Sandbox(format!("unexpected response {other:?}"))),
    }
}

/// Leaves a process behind that stands for the one in the sandbox: it passes signals on and ends
/// with its status. If it is killed itself, the sentry kills the one it stands for.
fn detach(
    entry: &Entry,
    started: Started,
    signals: &Signals,
    terminal: Option<(Pty, Console)>,
    pid_file: Option<&Path>,
) -> Result<ExitCode, Error> {
    let clone = clone_process("exec process", 0)
        .map_err(|error| Error::io("cannot leave a process behind", error))?;
    match clone {
        Cloned::Parent(child) => {
            if let Some(path) = pid_file {
                write_pid_file(path, child.pid.as_raw_nonzero().get())?;
            }
            child.go().map_err(|error| Error::io("the process left behind ended", error))?;
            Ok(ExitCode::SUCCESS)
        }
        Cloned::Child(channel) => {
            drop(channel);
            let _ = rustix::process::setsid();
            // Our parent's mask was reset; the descriptor of the signals is still good.
            signals.block_again();
            if let Some((pty, console)) = &terminal {
                // The host then sends us the terminal's signals, so nobody must have its other end
                // before.
                let _ = rustix::process::ioctl_tiocsctty(&pty.slave);
                // Who does not take it will hear nothing of the process.
                let _ = console.send_master(&pty.master);
            }
            drop(terminal);
            // The sentry holds the caller's streams for the guest; we must not.
            let _ = terminal::leave_standard_streams();
            let status = wait(entry, &started, signals).unwrap_or(crate::error::RUNTIME_FAILED);
            std::process::exit(i32::from(status));
        }
    }
}

/// Makes the process configuration from the process file, or from the container's own process and
/// the flags. The second value is the terminal's size.
fn process(
    args: &ExecArgs,
    record: &Record,
    notices: &mut Notices,
) -> Result<(ProcessConfig, Option<(u16, u16)>), Error> {
    let users = RootUsers::open(&record.rootfs);
    let (mut process, size) = match &args.process {
        Some(path) => {
            if !args.command.is_empty() {
                let problem = "give either --process or a command, not both";
                return Err(Error::Usage(problem.into()));
            }
            let object = oci::parse_process(path)?;
            let size = oci::console_size(&object)?;
            (oci::convert_process(&object, &path.display().to_string(), notices)?, size)
        }
        None => (from_flags(args, record, &users)?, None),
    };
    process.terminal |= args.tty;
    if !process.env.iter().any(|variable| variable.starts_with("HOME=")) {
        process.env.push(format!("HOME={}", users.home(process.uid)));
    }
    Ok((process, size))
}

fn from_flags(args: &ExecArgs, record: &Record, users: &RootUsers) -> Result<ProcessConfig, Error> {
    if args.command.is_empty() {
        return Err(Error::Usage("exec needs a command, or --process".into()));
    }
    let defaults = &record.process;
    let (uid, gid) = match &args.user {
        Some(user) => users.resolve(&UserSpec::parse(user))?,
        None => (defaults.uid, defaults.gid),
    };
    let mut env = defaults.env.clone();
    for variable in &args.env {
        let Some((name, _)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Error::Usage(format!("--env {variable:?} is not NAME=value")));
        };
        env.retain(|known| known.split('=').next() != Some(name));
        env.push(variable.clone());
    }
    let mut added = 0;
    for name in &args.cap {
        let unknown = || Error::Usage(format!("--cap {name:?} is not a capability"));
        added |= oci::capability_bit(name).ok_or_else(unknown)?;
    }
    let [effective, permitted, inheritable, bounding, ambient] = defaults.capabilities;
    let additional = match (&args.user, args.additional_gids.is_empty()) {
        (None, true) => defaults.additional_gids.clone(),
        _ => args.additional_gids.clone(),
    };
    Ok(ProcessConfig {
        args: args.command.clone(),
        env,
        cwd: args.cwd.as_deref().map_or(defaults.cwd.clone(), oci::clean_absolute),
        uid,
        gid,
        additional_gids: additional,
        umask: defaults.umask,
        capabilities: CapabilitySets {
            effective: effective | added,
            permitted: permitted | added,
            inheritable,
            bounding: bounding | added,
            ambient,
        },
        rlimits: defaults
            .rlimits
            .iter()
            .map(|&(resource, soft, hard)| Rlimit { resource, soft, hard })
            .collect(),
        no_new_privileges: defaults.no_new_privileges || args.no_new_privs,
        terminal: false,
        stdio: [None; 3],
    })
}
