//! The runtime log (`--log`, `--log-format`) in the format of runc.
//!
//! Container managers read the last entry of level `error` from it as the reason why a command
//! failed. Without `--log` messages go to standard error.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::cli::GlobalArgs;
use crate::error::Error;
use crate::time::rfc3339;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

pub struct Log {
    file: Option<File>,
    debug: Option<File>,
    format: LogFormat,
}

impl Log {
    /// Opens the files that the command line names, for append.
    pub fn open(global: &GlobalArgs) -> Result<Log, Error> {
        let open = |path: &PathBuf| {
            File::options()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|source| Error::io(format!("cannot open log file {path:?}"), source))
        };
        let file = global.log.as_ref().filter(|path| !path.as_os_str().is_empty());
        Ok(Log {
            file: file.map(open).transpose()?,
            debug: match &global.debug_log {
                Some(path) => Some(open(path)?),
                // What was asked for must go somewhere.
                None if global.strace => {
                    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
                    Some(stderr.map_err(|error| Error::io("standard error", error))?.into())
                }
                None => None,
            },
            format: global.log_format,
        })
    }

    /// The debug log (`--debug-log`), which the sentry shares.
    pub fn debug_file(&self) -> Option<&File> {
        self.debug.as_ref()
    }

    /// Reports why the command failed: to the log, and to a person on standard error.
    pub fn error(&self, message: &str) {
        eprintln!("runsc-rs: {message}");
        if self.file.is_some() {
            self.write("error", message);
        }
    }

    /// Reports something that was asked for and is not done.
    pub fn warn(&self, message: &str) {
        match self.file {
            Some(_) => self.write("warning", message),
            None => eprintln!("runsc-rs: warning: {message}"),
        }
    }

    /// Reports what helps to find an error, if there is a debug log.
    pub fn debug(&self, message: &str) {
        if let Some(mut file) = self.debug.as_ref() {
            let _ = file.write_all(entry(LogFormat::Text, "debug", message).as_bytes());
        }
    }

    fn write(&self, level: &str, message: &str) {
        // A log that cannot be written is no reason to fail the command.
        if let Some(mut file) = self.file.as_ref() {
            let _ = file.write_all(entry(self.format, level, message).as_bytes());
        }
        if level != "debug" {
            self.debug(message);
        }
    }
}

fn entry(format: LogFormat, level: &str, message: &str) -> String {
    let time = rfc3339(SystemTime::now());
    match format {
        LogFormat::Text => format!("time={time:?} level={level} msg={message:?}\n"),
        LogFormat::Json => {
            let value = serde_json::json!({ "level": level, "msg": message, "time": time });
            format!("{value}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_entry_is_one_line() {
        let line = entry(LogFormat::Json, "error", "a \"quoted\"\nthing");
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "a \"quoted\"\nthing");
    }

    #[test]
    fn text_entry_is_one_line() {
        assert_eq!(entry(LogFormat::Text, "error", "a\nb").matches('\n').count(), 1);
    }
}
