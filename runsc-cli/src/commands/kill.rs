//! `kill`: sends a signal to a container.

use std::process::ExitCode;
use std::time::Duration;

use control_protocol::Request;
use rustix::process::{Signal, pidfd_send_signal};

use super::Context;
use crate::cli::KillArgs;
use crate::control;
use crate::error::Error;
use crate::signals;
use crate::state::{StateError, Status};

/// How long a sandbox that has not answered may take to end.
const ENDING: Duration = Duration::from_millis(200);

/// Sends the signal through the sentry. SIGKILL goes to the sentry process itself: it must work
/// whatever the sentry does, and ends every process of the container.
pub fn kill(context: &Context, args: &KillArgs) -> Result<ExitCode, Error> {
    let signo = signals::parse(&args.signal)
        .ok_or_else(|| Error::Usage(format!("unknown signal {:?}", args.signal)))?;
    let (entry, record) = context.store.read(&args.id)?;
    match record.status() {
        Status::Created | Status::Running => {}
        // Container managers kill all that may be left after the container has ended.
        Status::Stopped if args.all => return Ok(ExitCode::SUCCESS),
        status => return Err(StateError::NotRunning { id: args.id.clone(), status }.into()),
    }
    if signo == libc::SIGKILL {
        let pidfd = record.sentry.and_then(|sentry| sentry.open());
        let killed = pidfd.is_some_and(|pidfd| pidfd_send_signal(pidfd, Signal::KILL).is_ok());
        if !killed {
            let status = Status::Stopped;
            return Err(StateError::NotRunning { id: args.id.clone(), status }.into());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::Signal { pid: 1, signo, all: args.all, group: false };
    if let Err(error) = control::connect(&entry)?.call(&request, &[]) {
        // The signal may have ended it before it could answer.
        let has_ended =
            record.sentry.is_none_or(|sentry| sentry.await_end(ENDING).unwrap_or(false));
        if !has_ended {
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}
