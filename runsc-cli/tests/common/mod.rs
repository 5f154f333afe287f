//! Runs the `runsc-rs` binary with a state root and bundles of its own.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test binary uses a part")]

pub mod terminal;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

thread_local! {
    static PLATFORM: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Runs a test whose sandboxes, made by this thread's [`Scratch`]es, use a platform.
pub fn on_platform(platform: &'static str, test: fn()) {
    PLATFORM.set(Some(platform));
    test();
}

/// The platform of this thread's sandboxes, if it was said.
pub fn platform() -> Option<&'static str> {
    PLATFORM.get()
}

/// Makes a test of each function for each platform: `ptrace::whole_life` and so on.
macro_rules! on_each_platform {
    ($($name:ident),+ $(,)?) => {
        crate::common::on_each_platform!(@platform ptrace "ptrace" $($name)+);
        crate::common::on_each_platform!(@platform systrap "systrap" $($name)+);
    };
    (@platform $platform:ident $text:literal $($name:ident)+) => {
        mod $platform {
            $(#[test]
            fn $name() {
                crate::common::on_platform($text, super::$name);
            })+
        }
    };
}
pub(crate) use on_each_platform;

/// A scratch directory with a state root.
pub struct Scratch {
    pub directory: TempDir,
    platform: Option<&'static str>,
}

impl Scratch {
    pub fn new() -> Scratch {
        let directory = tempfile::tempdir().expect("temporary directory");
        Scratch { directory, platform: PLATFORM.get() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn state_root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The flags that choose the platform.
    pub fn platform_flags(&self) -> Vec<&'static str> {
        self.platform.map_or_else(Vec::new, |platform| vec!["--platform", platform])
    }

    /// The binary with `--root`, ready for a command.
    pub fn runsc(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runsc-rs"));
        command.arg("--root").arg(self.state_root()).args(self.platform_flags()).args(args);
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.runsc(args).output().expect("runsc-rs runs"))
    }

    /// Writes a bundle; `change` edits the configuration, whose root is the host's.
    pub fn bundle(&self, name: &str, change: impl FnOnce(&mut Value)) -> String {
        let directory = self.path().join(name);
        fs::create_dir_all(&directory).expect("bundle directory");
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": ["/bin/true"],
                "env": ["PATH=/usr/bin:/bin"],
                "cwd": "/",
            },
            "root": { "path": "/", "readonly": true },
            "linux": { "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            ] },
        });
        change(&mut config);
        fs::write(directory.join("config.json"), config.to_string()).expect("config.json");
        directory.to_str().expect("UTF-8").to_owned()
    }

    /// Entries of the state root.
    pub fn state_entries(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state_root()) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("entry").file_name().to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }
}

/// The child of `parent` whose command line contains `text`.
pub fn child_named(parent: &Child, text: &str) -> Option<i32> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.replace('\0', " ").contains(text)
    })
}

/// Limits the address space of a process to `bytes`: from now on it gets no more memory.
pub fn limit_memory(pid: i32, bytes: u64) {
    let pid = rustix::process::Pid::from_raw(pid);
    let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::prlimit(pid, rustix::process::Resource::As, limit).expect("prlimit");
}

/// What a command left.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: Output) -> Outcome {
        Outcome {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts failure with a message that has all of `parts`.
    #[track_caller]
    pub fn fails_with(&self, parts: &[&str]) {
        assert!(self.status.is_some_and(|status| status != 0), "did not fail: {self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {:?}", self.stderr);
        }
    }

    #[track_caller]
    pub fn succeeds(&self) -> &Outcome {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }
}
