//! Waits for a started container and keeps what it printed.

use crate::runtime::Running;
use anyhow::{Result, bail};
use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// How long to wait for the end of output whose writer should be gone.
const DRAIN: Duration = Duration::from_secs(5);

/// How often to look whether a run is over.
pub const STEP: Duration = Duration::from_millis(10);

impl Running {
    /// Waits for the end, for `limit` at most, and removes the container.
    ///
    /// # Errors
    /// It takes longer; with what it printed so far.
    pub fn outcome(mut self, limit: Duration) -> Result<Outcome> {
        let stdout = Output::collect(self.process.stdout.take());
        let stderr = Output::collect(self.process.stderr.take());
        let status = wait(&mut self.process, limit, STEP)?;
        self.stop();
        let (stdout, stderr) = (stdout.text(), stderr.text());
        match status {
            Some(status) => Ok(Outcome { status: status.code(), stdout, stderr }),
            None => bail!("no end within {} s; so far:\n{stdout}{stderr}", limit.as_secs()),
        }
    }
}

/// Waits for the end of a process, for `limit` at most, looking every `step`; returns none if it
/// goes on.
pub fn wait(process: &mut Child, limit: Duration, step: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        let status = process.try_wait()?;
        if status.is_some() || Instant::now() > end {
            return Ok(status);
        }
        thread::sleep(step);
    }
}

/// A pipe that a thread reads to its end.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Output {
    fn collect(pipe: Option<impl Read + Send + 'static>) -> Output {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16384];
            let Some(mut pipe) = pipe else { return };
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                lock(&all).extend_from_slice(&buffer[..len]);
            }
        });
        Output { bytes, reader }
    }

    /// Returns all there is. A process that outlives its sandbox may hold the pipe open: that must
    /// not stop the run.
    fn text(self) -> String {
        let end = Instant::now() + DRAIN;
        while !self.reader.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
