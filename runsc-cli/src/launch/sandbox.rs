//! A running sandbox from the outside: waits for its start and its end, and kills it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use control_protocol::{Request, startup, transport};

use super::memory_file::CRASH_LOG_BYTES;
use super::process::Child;
use crate::control::Connection;
use crate::error::Error;
use crate::foreground::Signals;

/// How long the sentry may take to answer a signal request before the next is sent.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// When a wait is going to be a long one.
pub const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How long one of the two processes may outlive the other.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it kills both processes unless [`Sandbox::release`] was called.
pub struct Sandbox {
    pub sentry: Child,
    pub gofer: Child,
    launcher: UnixStream,
    crash_log: File,
    is_released: bool,
}

impl Sandbox {
    pub(super) fn new(
        sentry: Child,
        gofer: Child,
        launcher: UnixStream,
        crash_log: File,
    ) -> Sandbox {
        Sandbox { sentry, gofer, launcher, crash_log, is_released: false }
    }

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
        let control = Connection::new(
            self.launcher.try_clone().map_err(|error| Error::io("control socket", error))?,
        );
        control.limit_wait(SIGNAL_TIMEOUT);
        let deliver = |request: &Request| {
            // A sandbox that is gone shows on its own descriptor.
            let _ = control.call(request, &[]);
        };
        let sentry = self.sentry.pidfd.as_fd();
        let ends = [sentry, self.gofer.pidfd.as_fd()];
        let settled = Some(Instant::now() + SETTLED_AFTER);
        let first = match signals.forward_until(1, &deliver, &ends, settled)? {
            None => {
                platform::host::code::let_go();
                signals.forward_until(1, &deliver, &ends, None)?
            }
            first => first,
        };
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
            // The program's own, or 125 of a sentry that panicked (`sentry::boot::PANIC_STATUS`).
            (Some(code), _) => Ok(code as u8),
            // Somebody killed the container, or it had no memory left.
            (None, Some(libc::SIGKILL)) => Ok(128 + libc::SIGKILL as u8),
            // Never the program's: the sentry turns its signals into an exit status.
            (None, Some(signo)) => Err(Error::Sandbox(format!(
                "the sandbox failed: signal {signo} ended the sentry (--debug-log may tell more)"
            ))),
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
