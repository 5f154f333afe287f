//! Starting a sandbox: from a [`SandboxConfig`] to a running first process.
//!
//! [`run`] is the whole life of the sentry process. Order matters: the platform forks its stub
//! while the process has one thread; the reactor and the control thread come next, then the
//! seccomp filter, then the workers, and only they load anything of the guest.

mod error;
mod mounts;
mod panics;
mod platforms;
mod process;
mod workers;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use control_protocol::{SandboxConfig, startup};
use platform::host::inherited;

pub use error::BootError;
pub use panics::PANIC_STATUS;
pub(crate) use process::{Launch, Prepared, prepare_process};

use self::workers::Workers;
use crate::control::ControlServer;
use crate::kernel::{Container, Kernel};

/// Runs a sandbox until its first process has ended; the exit code is that process' status
/// (128 + signal number when a signal ended it), 1 when the sandbox could not start, or
/// [`PANIC_STATUS`].
///
/// Descriptors are those numbers of `config` that this process inherited. Call it while the
/// process has a single thread.
pub fn run(config: SandboxConfig) -> ExitCode {
    panics::exit_on_panic();
    let launcher = match inherited::adopt(config.launcher) {
        Ok(fd) => UnixStream::from(fd),
        Err(_) => return ExitCode::FAILURE,
    };
    match start(&config, &launcher) {
        Ok((kernel, workers)) => {
            workers.join_in(&kernel);
            // What the end of those around us does to it does not count any more. They end while we do.
            let code = kernel.exit_code();
            platform::host::process::kill_all_others();
            kernel.end_files();
            ExitCode::from(code)
        }
        Err(error) => {
            // The launcher shows the message; if it is gone too, nobody is left to tell.
            let _ = startup::announce(&launcher, Err(error.into_control_error()));
            ExitCode::FAILURE
        }
    }
}

/// Takes over the descriptor in `slot`.
fn adopt(slot: usize, what: &'static str) -> Result<OwnedFd, BootError> {
    inherited::adopt(slot).map_err(|_| BootError::Descriptor { what, slot })
}

fn start(
    config: &SandboxConfig,
    launcher: &UnixStream,
) -> Result<(Arc<Kernel>, Workers), BootError> {
    // A lower limit is no reason not to start.
    let _ = platform::host::process::raise_file_limit();
    let proc_dir = adopt(config.proc_dir, "proc_dir")?;
    let for_platform = proc_dir.try_clone().map_err(BootError::Platform)?;
    let (platform, host_calls) = platforms::start(config, for_platform)?;
    let log = config.debug_log.map(|slot| adopt(slot, "debug_log")).transpose()?;
    let control = config.control.map(|slot| adopt(slot, "control")).transpose()?;
    let kernel = Kernel::new(platform, config, proc_dir, log).map_err(BootError::Kernel)?;
    crate::fs::dev::register(&kernel.devices);
    crate::fs::tty::register(&kernel.devices);
    let namespace = mounts::build(&kernel, &config.container)?;
    let mut stdio = [None, None, None];
    for (slot, fd) in config.container.process.stdio.iter().zip(&mut stdio) {
        *fd = slot.map(|slot| adopt(slot, "stdio")).transpose()?;
    }
    let container = Container::new(&config.container, namespace);
    kernel.add_container(container.clone());
    let server = ControlServer::start(&kernel, &container, control, config)?;
    platform::filter::sentry::install(host_calls).map_err(BootError::Filter)?;
    let workers = workers::start(&kernel).map_err(BootError::Workers)?;
    let launcher = launcher.try_clone().map_err(BootError::Launcher)?;
    let start_now = config.start_now;
    let process = config.container.process.clone();
    let job = {
        let kernel = kernel.clone();
        async move {
            let launch = Launch { process, stdio, parent: None };
            server.run_first(&kernel, launch, launcher, start_now).await;
        }
    };
    kernel.executor.spawn(job);
    Ok((kernel, workers))
}
