//! A sandbox from the outside: starts its two processes and watches over them.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use control_protocol::{Request, SandboxConfig, startup, transport};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::descriptors::Descriptors;
use super::identity::{self, Mappings};
use super::process::{self, Child, Cloned};
use super::{gofer, image, sentry, slots};
use crate::control::Connection;
use crate::error::Error;
use crate::foreground::Signals;
use crate::oci::{Export, IdMappings};

/// Room for what a dying sentry or gofer writes to standard error, in bytes.
const CRASH_LOG_BYTES: u64 = 64 << 10;

/// How long the sentry may take to answer a signal request before the next is sent.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one of the two processes may outlive the other.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Descriptors a sentry may have open, if the host allows.
const MAX_FDS: u64 = 1 << 20;

/// What to launch.
pub struct Launch<'a> {
    pub config: SandboxConfig,
    pub exports: &'a [Export],
    /// Mapping of the container's ids; none means the host's ids, or for an ordinary caller its own
    /// user as the container's root.
    pub ids: Option<IdMappings>,
    pub stdio: [Option<OwnedFd>; 3],
    /// A pseudo-terminal's end that becomes the sentry's controlling terminal.
    pub terminal: Option<OwnedFd>,
    pub control: Option<UnixListener>,
    pub debug_log: Option<&'a File>,
    /// Whether the sandbox ends with this process.
    pub dies_with_parent: bool,
    pub oom_score_adj: Option<i32>,
}

/// A running sandbox. Dropping it kills both processes unless [`Sandbox::release`] was called.
pub struct Sandbox {
    pub sentry: Child,
    pub gofer: Child,
    launcher: UnixStream,
    crash_log: File,
    is_released: bool,
}

/// What both children need.
struct Preparation {
    is_privileged: bool,
    image: OwnedFd,
    crash_log: File,
}

impl Launch<'_> {
    /// Clones both processes. `placed` is called with each child's pid before it may run on, to
    /// put it into a cgroup.
    ///
    /// # Errors
    /// When a process could not be made; what fails in the children is told by
    /// [`Sandbox::await_ready`].
    pub fn start(mut self, placed: &dyn Fn(Pid) -> Result<(), Error>) -> Result<Sandbox, Error> {
        let is_privileged = identity::is_privileged();
        let preparation = Preparation {
            is_privileged,
            image: image::open(is_privileged).map_err(unprepared)?,
            crash_log: crash_log().map_err(unprepared)?,
        };
        let (gofer, connections) = self.start_gofer(&preparation, placed)?;
        match self.start_sentry(&preparation, connections, &gofer, placed) {
            Ok((sentry, launcher)) => Ok(Sandbox {
                sentry,
                gofer,
                launcher,
                crash_log: preparation.crash_log,
                is_released: false,
            }),
            Err(error) => {
                gofer.kill();
                Err(error)
            }
        }
    }

    fn start_gofer(
        &self,
        preparation: &Preparation,
        placed: &dyn Fn(Pid) -> Result<(), Error>,
    ) -> Result<(Child, Vec<OwnedFd>), Error> {
        let is_privileged = preparation.is_privileged;
        let mut connections = Vec::with_capacity(self.exports.len());
        let mut sockets = Vec::with_capacity(self.exports.len());
        for _ in self.exports {
            let (server, client) = gofer_protocol::transport::pair()
                .map_err(|errno| unprepared(io::Error::from_raw_os_error(errno.raw())))?;
            sockets.push(server);
            connections.push(client);
        }
        let mappings = match &self.ids {
            Some(ids) => Some(Mappings { ids: ids.clone(), is_privileged }),
            None if is_privileged => None,
            None => Some(Mappings::caller(false)),
        };
        let trees = match is_privileged {
            true => Some(gofer::clone_trees(self.exports, false).map_err(Error::Sandbox)?),
            false => None,
        };
        let config = gofer::config(self.exports).map_err(|error| unprepared(error.into()))?;
        let plan = gofer::Plan {
            exports: self.exports,
            trees,
            sockets,
            descriptors: self.standard_streams(preparation, &config).map_err(unprepared)?,
            image: preparation.image.try_clone().map_err(unprepared)?,
            has_user_namespace: mappings.is_some(),
            dies_with_parent: self.dies_with_parent,
        };
        let flags = gofer::clone_flags(mappings.is_some());
        match process::clone_process("gofer", flags).map_err(namespace_error)? {
            Cloned::Child(channel) => gofer::set_up(plan, channel),
            Cloned::Parent(child) => {
                let child = self.admit(child, mappings.as_slice(), placed)?;
                Ok((child, connections))
            }
        }
    }

    fn start_sentry(
        &mut self,
        preparation: &Preparation,
        connections: Vec<OwnedFd>,
        gofer: &Child,
        placed: &dyn Fn(Pid) -> Result<(), Error>,
    ) -> Result<(Child, UnixStream), Error> {
        let (ours, theirs) = UnixStream::pair().map_err(unprepared)?;
        let config = serde_json::to_vec(&self.config).map_err(|error| unprepared(error.into()))?;
        let mut descriptors = self.standard_streams(preparation, &config).map_err(unprepared)?;
        self.put_descriptors(&mut descriptors, connections).map_err(unprepared)?;
        descriptors.put(slots::LAUNCHER, theirs.into());
        descriptors.put(slots::GOFER_PROCESS, gofer.pidfd.try_clone().map_err(unprepared)?);
        let image = preparation.image.try_clone().map_err(unprepared)?;
        let mut has_user_namespace = true;
        let cloned = match process::clone_process("sentry", sentry::clone_flags(true)) {
            Err(error) if preparation.is_privileged && is_refused(&error) => {
                has_user_namespace = false;
                process::clone_process("sentry", sentry::clone_flags(false))
            }
            result => result,
        };
        match cloned.map_err(namespace_error)? {
            Cloned::Child(channel) => {
                let plan = sentry::Plan {
                    descriptors,
                    image,
                    terminal: self.terminal.take(),
                    has_user_namespace,
                    dies_with_parent: self.dies_with_parent,
                };
                sentry::set_up(plan, channel)
            }
            Cloned::Parent(child) => {
                let mappings: &[Mappings] = match (has_user_namespace, preparation.is_privileged) {
                    (false, _) => &[],
                    // Inside a container `nobody` may not exist; then it is our own user.
                    (true, true) => &[Mappings::nobody(), Mappings::caller(true)],
                    (true, false) => &[Mappings::caller(false)],
                };
                raise_limits(child.pid, preparation.is_privileged);
                Ok((self.admit(child, mappings, placed)?, ours))
            }
        }
    }

    /// Gives a child its ids and its place and lets it run on; kills it if that fails.
    ///
    /// The first of `mappings` that the kernel accepts counts; none means no user namespace.
    fn admit(
        &self,
        child: Child,
        mappings: &[Mappings],
        placed: &dyn Fn(Pid) -> Result<(), Error>,
    ) -> Result<Child, Error> {
        let admit = || -> Result<(), Error> {
            let mut result = Ok(());
            for mappings in mappings {
                result = child.map_ids(mappings);
                if result.is_ok() {
                    break;
                }
            }
            result.map_err(mapping_error)?;
            if let Some(score) = self.oom_score_adj {
                let path = format!("/proc/{}/oom_score_adj", child.pid);
                // Lowering it takes a privilege that an ordinary caller does not have.
                let _ = std::fs::write(path, score.to_string());
            }
            placed(child.pid)?;
            child.go().map_err(unprepared)
        };
        match admit() {
            Ok(()) => Ok(child),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    fn standard_streams(
        &self,
        preparation: &Preparation,
        config: &[u8],
    ) -> io::Result<Descriptors> {
        let errors = self.debug_log.unwrap_or(&preparation.crash_log);
        let mut descriptors = Descriptors::default();
        descriptors.put(0, process::null_device()?);
        descriptors.put(1, process::null_device()?);
        descriptors.put(2, errors.try_clone()?.into());
        descriptors.put(slots::CONFIG, memory_file(config)?);
        Ok(descriptors)
    }

    fn put_descriptors(
        &mut self,
        descriptors: &mut Descriptors,
        connections: Vec<OwnedFd>,
    ) -> io::Result<()> {
        if let Some(control) = self.control.take() {
            descriptors.put(slots::CONTROL, control.into());
        }
        if let Some(log) = self.debug_log {
            descriptors.put(slots::DEBUG_LOG, log.try_clone()?.into());
        }
        for (slot, stream) in slots::STDIO.into_iter().zip(&mut self.stdio) {
            if let Some(stream) = stream.take() {
                descriptors.put(slot, stream);
            }
        }
        for (index, connection) in connections.into_iter().enumerate() {
            descriptors.put(slots::export(index), connection);
        }
        Ok(())
    }
}

impl Sandbox {
    /// Waits until the first process is loaded.
    ///
    /// # Errors
    /// [`Error::Sentry`] with the sentry's reason, or what is known about a sandbox that died.
    pub fn await_ready(&self) -> Result<(), Error> {
        match startup::await_announcement(&self.launcher) {
            Ok(Some(Ok(()))) => Ok(()),
            // If the gofer failed, the sentry only knows that the connection is closed.
            Ok(Some(Err(error))) => match self.gofer.setup_error() {
                Some(reason) => Err(Error::Sandbox(reason)),
                None => Err(Error::Sentry(error)),
            },
            Ok(None) => Err(Error::Sandbox(self.death_reason())),
            Err(error) => Err(Error::io("cannot understand the sandbox", error)),
        }
    }

    /// Why a sandbox ended that should not have.
    fn death_reason(&self) -> String {
        if let Some(reason) = self.gofer.setup_error().or_else(|| self.sentry.setup_error()) {
            return reason;
        }
        match self.crash_report() {
            Some(report) => format!("the sandbox failed: {report}"),
            None => "the sandbox ended before it was ready (--debug-log may tell more)".into(),
        }
    }

    /// What sentry and gofer wrote to standard error.
    pub fn crash_report(&self) -> Option<String> {
        let mut bytes = vec![0; CRASH_LOG_BYTES as usize];
        let read = self.crash_log.read_at(&mut bytes, 0).unwrap_or(0);
        let length = bytes[..read].iter().position(|&byte| byte == 0).unwrap_or(read);
        let text = String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Waits for the sandbox' end, passes signals on meanwhile, and reaps both processes. Gives
    /// the exit status of the container's first process.
    ///
    /// # Errors
    /// When the sandbox ended for another reason than its first process' end.
    pub fn wait(mut self, signals: &Signals) -> Result<u8, Error> {
        let control = Connection::new(self.launcher.try_clone().map_err(unprepared)?);
        control.limit_wait(SIGNAL_TIMEOUT);
        let deliver = |request: &Request| {
            // A sandbox that is gone shows on its own descriptor.
            let _ = control.call(request, &[]);
        };
        let sentry = self.sentry.pidfd.as_fd();
        let first =
            signals.forward_until(1, &deliver, &[sentry, self.gofer.pidfd.as_fd()], None)?;
        if first == Some(1) {
            // It ends a moment before a sentry that exits, and never before one that goes on.
            let deadline = Some(Instant::now() + END_TIMEOUT);
            if signals.forward_until(1, &deliver, &[sentry], deadline)?.is_none() {
                let report = self.crash_report().unwrap_or_else(|| "no reason known".into());
                return Err(Error::Sandbox(format!("the gofer ended unexpectedly: {report}")));
            }
        }
        let status = self.sentry.wait()?;
        let deadline = Some(Instant::now() + END_TIMEOUT);
        if signals.forward_until(1, &deliver, &[self.gofer.pidfd.as_fd()], deadline)?.is_none() {
            self.gofer.kill();
        } else {
            self.gofer.wait()?;
        }
        self.is_released = true;
        if let Some(report) = self.crash_report() {
            eprintln!("runsc-rs: the sandbox reports:\n{report}");
        }
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ok(code as u8),
            (None, Some(signo)) => Ok(128 + signo as u8),
            (None, None) => Err(Error::Sandbox("the sandbox ended without a status".into())),
        }
    }

    /// Tells a sentry that does not start at once that the container exists.
    pub fn confirm(&self) -> Result<(), Error> {
        transport::send(&self.launcher, &Request::Commit, &[])
            .map_err(|error| Error::io(self.death_reason(), error))
    }

    /// Confirms, and lets the sandbox live on without us.
    pub fn commit(mut self) -> Result<(), Error> {
        self.confirm()?;
        self.is_released = true;
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.is_released {
            self.sentry.kill();
            self.gofer.kill();
        }
    }
}

fn unprepared(error: io::Error) -> Error {
    Error::io("cannot prepare the sandbox", error)
}

/// Whether the host does not let us make a user namespace.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSPC | libc::EUSERS | libc::EINVAL))
}

fn namespace_error(error: io::Error) -> Error {
    let hint = match error.raw_os_error() {
        Some(libc::EPERM) => {
            " (user namespaces may be forbidden: see the sysctls kernel.unprivileged_userns_clone \
             and kernel.apparmor_restrict_unprivileged_userns)"
        }
        Some(libc::ENOSPC) => " (see the sysctls user.max_*_namespaces)",
        _ => "",
    };
    Error::io(format!("cannot make namespaces{hint}"), error)
}

fn mapping_error(error: io::Error) -> Error {
    Error::io("cannot map user and group ids (see /etc/subuid and /etc/subgid)", error)
}

/// Lifts the host's limits that would bind the sentry or its guests; the sandbox has its own.
fn raise_limits(pid: Pid, is_privileged: bool) {
    let unlimited = Rlimit { current: None, maximum: None };
    let raise = |resource: Resource, limit: Rlimit| prlimit(Some(pid), resource, limit).is_ok();
    let files = Rlimit { current: Some(MAX_FDS), maximum: Some(MAX_FDS) };
    if !(is_privileged && raise(Resource::Nofile, files)) {
        let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
        raise(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    }
    let inherited = [
        Resource::Nproc,
        Resource::Memlock,
        Resource::Sigpending,
        Resource::As,
        Resource::Data,
        Resource::Fsize,
        Resource::Cpu,
    ];
    for resource in inherited {
        if !(is_privileged && raise(resource, unlimited.clone())) {
            let hard = rustix::process::getrlimit(resource).maximum;
            raise(resource, Rlimit { current: hard, maximum: hard });
        }
    }
    // Only the hard limit: an unlimited stack changes how the kernel lays out address spaces.
    let soft = rustix::process::getrlimit(Resource::Stack).current;
    raise(Resource::Stack, Rlimit { current: soft, maximum: None });
    raise(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// A memory file with `text`, at its start.
fn memory_file(text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("config", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

/// A memory file of a fixed size: whoever writes to it cannot use up memory.
fn crash_log() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("crash-log", flags)?);
    file.set_len(CRASH_LOG_BYTES)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}
