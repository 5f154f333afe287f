//! The choice of the platform.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use control_protocol::{PlatformKind, SandboxConfig};
use platform::Platform;
use platform::filter::{Allowed, sentry};
use platform::ptrace::Ptrace;
use platform::systrap::{Futexes, Systrap};

use super::BootError;

/// A platform, and the host calls that only it needs.
pub(super) type Chosen = (Arc<dyn Platform>, &'static [Allowed]);

/// Sets up the platform that the configuration names; it looks at its stubs through `proc_dir`, a
/// procfs.
///
/// # Errors
/// [`BootError::Platform`], [`BootError::Kernel`] for a wrong procfs.
pub(super) fn start(config: &SandboxConfig, proc_dir: OwnedFd) -> Result<Chosen, BootError> {
    match config.platform {
        PlatformKind::Ptrace => {
            let platform = Ptrace::new().map_err(BootError::Platform)?;
            platform.set_proc_dir(proc_dir).map_err(BootError::Kernel)?;
            Ok((platform, sentry::PTRACE))
        }
        PlatformKind::Systrap => {
            // Who looks at calls wants to see all.
            let futexes = if config.strace { Futexes::Reported } else { Futexes::Native };
            let platform = Systrap::new(futexes).map_err(BootError::Platform)?;
            platform.set_proc_dir(proc_dir).map_err(BootError::Kernel)?;
            platform.set_fast_calls(config.patching && !config.strace);
            Ok((platform, sentry::SYSTRAP))
        }
    }
}
