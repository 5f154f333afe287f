//! `syscall-tests`: runs the conformance cases in one runtime and prints a table.

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::process::ExitCode;
use syscall_tests::expectations::Expectations;
use syscall_tests::guest::{Case, Guest};
use syscall_tests::runtime::{PLATFORMS, Runtime};
use syscall_tests::{build, programs, report, run};

/// Runs the conformance cases in one runtime and prints a table; ends with 1 if a result is not
/// the expected one.
#[derive(Parser)]
struct Options {
    /// Where to run: native, runsc-rs, or the name or path of another OCI runtime.
    #[arg(long, default_value = "native")]
    runtime: String,
    /// Platform of runsc-rs.
    #[arg(long, default_value = PLATFORMS[0])]
    platform: String,
    /// Only cases whose name contains this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Run a script of syscall-tests/programs in its Debian root file system instead.
    #[arg(long)]
    program: Option<String>,
    /// Only list the cases.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("syscall-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(options: &Options) -> Result<ExitCode> {
    if let Some(script) = &options.program {
        return run_program(options, script);
    }
    let path = build::binary("syscall-tests", "syscall-cases")?;
    let guest = Guest::load(&path)?;
    let matches = |case: &&Case| case.name.contains(&options.filter);
    let cases: Vec<&Case> = guest.cases.iter().filter(matches).collect();
    if cases.is_empty() {
        bail!("no case's name contains {:?}", options.filter);
    }
    if options.list {
        for case in cases {
            println!("{} [{}]", case.name, case.syscalls.join(", "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = Runtime::find(&options.runtime, &options.platform)?;
    let expected = Expectations::load(runtime.label())?;
    let outcomes = run::run(&runtime, &guest, &cases)
        .with_context(|| format!("running the cases in {}", options.runtime))?;
    let report = report::table(&cases, &outcomes, &expected);
    print!("{}", report.text);
    Ok(ExitCode::from(u8::from(report.unexpected > 0)))
}

/// Runs one program script and prints what it printed.
fn run_program(options: &Options, script: &str) -> Result<ExitCode> {
    if !programs::scripts()?.iter().any(|name| name == script) {
        bail!("there is no script {script}; there are {}", programs::scripts()?.join(", "));
    }
    let runtime = Runtime::find(&options.runtime, &options.platform)?;
    let outcome = programs::run(&runtime, &programs::rootfs()?, script)?;
    print!("{}", outcome.stdout);
    eprint!("{}", outcome.stderr);
    Ok(ExitCode::from(outcome.status.unwrap_or(255) as u8))
}
