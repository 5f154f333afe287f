//! Real programs give the same output and exit status natively (by runc) and in the sandbox.
//!
//! Each file of `programs/` is one test: a script that is run in a Debian root file system. That
//! is made when it is missing; where it cannot be made, the tests fail and say why.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use syscall_tests::programs::{self, difference};
use syscall_tests::runtime::Runtime;

/// What all tests share: made by the first that needs it.
struct Setting {
    rootfs: PathBuf,
    native: Runtime,
    ours: Runtime,
}

fn setting() -> Result<&'static Setting, Failed> {
    static SETTING: OnceLock<Result<Setting, String>> = OnceLock::new();
    let make = || {
        anyhow::Ok(Setting {
            rootfs: programs::rootfs()?,
            native: Runtime::find("runc", "")?,
            ours: Runtime::find("runsc-rs", "ptrace")?,
        })
    };
    let setting = SETTING.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    setting.as_ref().map_err(|error| error.clone().into())
}

fn compare(script: &str) -> Result<(), Failed> {
    let setting = setting()?;
    let run = |runtime| {
        programs::run(runtime, &setting.rootfs, script).map_err(|error| format!("{error:#}"))
    };
    let native = run(&setting.native)?;
    if native.status != Some(0) {
        let problem = format!("{script} already fails natively: {native:#?}");
        return Err(problem.into());
    }
    match difference(&native, &run(&setting.ours)?) {
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
    let trial = |script: Arc<str>| {
        let name = script.to_string();
        Trial::test(name, move || compare(&script))
    };
    let trials = scripts.into_iter().map(|script| trial(script.into())).collect();
    libtest_mimic::run(&args, trials).exit_code()
}
