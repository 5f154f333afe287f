//! Where the lines of a trace go.

use std::fs::File;
use std::io::Write;

/// An open trace. Threads write to it without a lock: each line is one write.
#[derive(Debug)]
pub struct StraceLog {
    file: File,
}

impl StraceLog {
    /// Makes a trace that goes to `file`, which should be open for appending.
    pub fn new(file: File) -> StraceLog {
        StraceLog { file }
    }

    /// Writes `line` for the thread `tid`. A full disk must not stop the workload, so that a line
    /// that cannot be written is lost.
    pub fn write(&self, tid: i32, line: &str) {
        let text = format!("[{tid:>5}] {line}\n");
        let _ = (&self.file).write_all(text.as_bytes());
    }
}
