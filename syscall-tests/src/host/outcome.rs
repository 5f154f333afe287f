//! Waits for a started container and keeps what it printed.

use crate::runtime::Running;
use anyhow::{Result, bail};
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

/// What a program printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status, or none if a signal ended the runtime.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Running {
    /// Waits for the end, for `limit` at most, and removes the container.
    ///
    /// # Errors
    /// It takes longer; with what it printed so far.
    pub fn outcome(mut self, limit: Duration) -> Result<Outcome> {
        let stdout = collect(self.process.stdout.take());
        let stderr = collect(self.process.stderr.take());
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break Some(status);
            }
            if Instant::now() > end {
                break None;
            }
            thread::sleep(Duration::from_millis(10));
        };
        self.stop();
        let text = |bytes: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.join().unwrap_or_default()).into_owned()
        };
        let (stdout, stderr) = (text(stdout), text(stderr));
        match status {
            Some(status) => Ok(Outcome { status: status.code(), stdout, stderr }),
            None => bail!("no end within {} s; so far:\n{stdout}{stderr}", limit.as_secs()),
        }
    }
}

/// Reads a pipe to its end on a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}
