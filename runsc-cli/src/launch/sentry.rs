//! The sentry process: pid 1 of a pid namespace, without files, network or privileges.
//!
//! Its namespaces: user (one id), mount (an empty root), pid, IPC, UTS, network (empty). If it
//! dies, the kernel kills every other process of its pid namespace, the container's included.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

use control_protocol::SandboxConfig;
use nix::sys::signal::{SigSet, Signal};
use rustix::thread::CapabilitySet;

use super::descriptors::Descriptors;
use super::identity;
use super::process::{Channel, SetupError};
use super::{image, mounts, network, slots};

/// What the child needs of its parent.
pub struct Plan {
    /// Everything but the procfs.
    pub descriptors: Descriptors,
    pub image: OwnedFd,
    /// A pseudo-terminal's end that becomes the controlling terminal.
    pub terminal: Option<OwnedFd>,
    pub has_user_namespace: bool,
    /// Whether it is in a network namespace of the sandbox already.
    pub has_network: bool,
    pub dies_with_parent: bool,
}

/// Turns a cloned child into a sentry. Does not return.
pub fn set_up(plan: Plan, mut channel: Channel) -> ! {
    match try_set_up(plan, &mut channel) {
        Err(error) => channel.fail(error),
        Ok(never) => match never {},
    }
}

fn try_set_up(plan: Plan, channel: &mut Channel) -> Result<Infallible, SetupError> {
    let mut descriptors = plan.descriptors;
    let _ = rustix::process::setsid();
    if let Some(terminal) = &plan.terminal {
        rustix::process::ioctl_tiocsctty(terminal)
            .map_err(SetupError::at("make the terminal the controlling one"))?;
        block_terminal_signals();
    }
    if plan.has_user_namespace {
        identity::become_user(0)?;
    }
    network::see_to(plan.has_network)?;
    descriptors.put(slots::PROC, mounts::own_proc(false)?);
    mounts::enter_empty_root()?;
    if !plan.has_user_namespace {
        identity::bound_capabilities(CapabilitySet::empty())?;
        identity::become_user(identity::NOBODY)?;
    }
    identity::drop_privileges(CapabilitySet::empty())?;
    if plan.dies_with_parent {
        channel.die_with_parent()?;
    }
    let image = descriptors.arrange(plan.image, channel)?;
    image::execute(&image, &["runsc-rs", "boot"]).map_err(SetupError::at("execute runsc-rs"))
}

/// Blocks what the terminal sends, for every thread that the sentry will have: it reads them as
/// data. One thread that did not block them would be killed with all others.
fn block_terminal_signals() {
    let mut mask = SigSet::empty();
    let signals =
        [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGWINCH, Signal::SIGHUP];
    signals.into_iter().for_each(|signal| mask.add(signal));
    let _ = mask.thread_block();
}

/// The sentry image: reads its configuration and runs the kernel.
pub fn main() -> ExitCode {
    // SAFETY: the launcher opened this number for us, and it is taken once.
    let file = unsafe { OwnedFd::from_raw_fd(slots::CONFIG as i32) };
    let mut text = Vec::new();
    let config = std::fs::File::from(file)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice::<SandboxConfig>(&text).map_err(|e| e.to_string()));
    match config {
        Ok(config) => ::sentry::boot::run(config),
        Err(error) => {
            eprintln!("sentry: cannot read the configuration: {error}");
            ExitCode::FAILURE
        }
    }
}
