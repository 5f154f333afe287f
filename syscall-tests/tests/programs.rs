//! Real programs give the same output and exit status natively (by runc) and in the sandbox.
//!
//! Each file of `programs/` is one test: a script that is run in a Debian root file system, on the
//! first platform; a few that differ most in what they ask of a platform run on the others too.
//! The file system is made when it is missing; where it cannot be made, the tests fail and say why.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use syscall_tests::programs::{self, difference};
use syscall_tests::runtime::{PLATFORMS, Runtime};

/// Scripts for every platform: many processes, signals and job control, threads, tracing.
const EVERYWHERE: [&str; 6] =
    ["bash-jobs", "bash-pipes", "gcc-make", "gdb-debugging", "python-threads", "strace-programs"];

/// What all tests share: made by the first that needs it.
struct Setting {
    rootfs: PathBuf,
    native: Runtime,
    /// Ours, on each platform.
    ours: Vec<Runtime>,
}

fn setting() -> Result<&'static Setting, Failed> {
    static SETTING: OnceLock<Result<Setting, String>> = OnceLock::new();
    let make = || {
        let ours = PLATFORMS.iter().map(|platform| Runtime::find("runsc-rs", platform));
        anyhow::Ok(Setting {
            rootfs: programs::rootfs()?,
            native: Runtime::find("runc", "")?,
            ours: ours.collect::<anyhow::Result<_>>()?,
        })
    };
    let setting = SETTING.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    setting.as_ref().map_err(|error| error.clone().into())
}

/// Runs a script natively and on the platform with this number.
fn compare(script: &str, platform: usize) -> Result<(), Failed> {
    let setting = setting()?;
    let run = |runtime| {
        programs::run(runtime, &setting.rootfs, script).map_err(|error| format!("{error:#}"))
    };
    let native = run(&setting.native)?;
    if native.status != Some(0) {
        let problem = format!("{script} already fails natively: {native:#?}");
        return Err(problem.into());
    }
    match difference(&native, &run(&setting.ours[platform])?) {
        Some(text) => Err(text.into()),
        None => Ok(()),
    }
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let scripts = match programs::scripts() {
        Ok(scripts) if !scripts.is_empty() => scripts,
        Ok(_) => {
            eprintln!("there are no scripts");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("listing the scripts: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for (number, platform) in PLATFORMS.iter().enumerate() {
        for script in &scripts {
            if number == 0 || EVERYWHERE.contains(&script.as_str()) {
                let script = script.clone();
                let name = format!("{platform}::{script}");
                trials.push(Trial::test(name, move || compare(&script, number)));
            }
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}
