//! Starts the two processes of a sandbox.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

use control_protocol::SandboxConfig;
use rustix::process::Pid;

use super::descriptors::Descriptors;
use super::identity::{self, Mappings};
use super::limits::raise_limits;
use super::memory_file::{crash_log, memory_file};
use super::network::Left;
use super::process::{self, Child, Cloned};
use super::sandbox::Sandbox;
use super::{gofer, image, sentry, slots};
use crate::error::Error;
use crate::oci::{Export, IdMappings};

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
    /// A child that makes the network namespace ([`super::network::make_for_parent`]).
    pub network: Option<&'a Child>,
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
        let left = is_privileged.then(|| Left::for_an_empty_one(self.network)).transpose();
        let left = left.map_err(namespace_error)?;
        let started = self.start_both(&preparation, placed);
        let is_back = left.map_or(Ok(()), Left::come_back);
        let (sentry, gofer, launcher) = started?;
        if let Err(error) = is_back {
            // We would lead others astray.
            sentry.kill();
            gofer.kill();
            return Err(unprepared(error));
        }
        Ok(Sandbox::new(sentry, gofer, launcher, preparation.crash_log))
    }

    fn start_both(
        &mut self,
        preparation: &Preparation,
        placed: &dyn Fn(Pid) -> Result<(), Error>,
    ) -> Result<(Child, Child, UnixStream), Error> {
        let (gofer, connections) = self.start_gofer(preparation, placed)?;
        match self.start_sentry(preparation, connections, &gofer, placed) {
            Ok((sentry, launcher)) => Ok((sentry, gofer, launcher)),
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
            has_user_namespace: mappings.is_some(),
            has_network: is_privileged,
            dies_with_parent: self.dies_with_parent,
        };
        let flags = namespaces(mappings.is_some());
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
        let cloned = match process::clone_process("sentry", namespaces(true)) {
            Err(error) if preparation.is_privileged && is_refused(&error) => {
                has_user_namespace = false;
                process::clone_process("sentry", namespaces(false))
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
                    has_network: preparation.is_privileged,
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

/// The namespaces that both processes are cloned with; see [`super::network`] for the network's.
fn namespaces(has_user_namespace: bool) -> libc::c_int {
    let user = if has_user_namespace { libc::CLONE_NEWUSER } else { 0 };
    user | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS
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
