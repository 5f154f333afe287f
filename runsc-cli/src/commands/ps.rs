//! `ps`: the processes of a container.

use std::process::ExitCode;

use control_protocol::{ProcessInfo, Request, Response};

use super::Context;
use crate::cli::{OutputFormat, PsArgs};
use crate::control;
use crate::error::Error;
use crate::state::{StateError, Status};

/// Prints a table of the container's processes, with ids as inside.
///
/// `--format json` is a list of *host* process ids for container managers, which look them up on
/// the host: the sandbox has one.
pub fn ps(context: &Context, args: &PsArgs) -> Result<ExitCode, Error> {
    let (entry, record) = context.store.read(&args.id)?;
    let status = record.status();
    if !matches!(status, Status::Running | Status::Created) {
        return Err(StateError::NotRunning { id: args.id.clone(), status }.into());
    }
    if args.format == OutputFormat::Json {
        println!("[{}]", record.pid());
        return Ok(ExitCode::SUCCESS);
    }
    match control::connect(&entry)?.call(&Request::Processes, &[])? {
        Response::Processes { processes } => print_table(&processes),
        other => return Err(Error::Sandbox(format!("unexpected response {other:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(processes: &[ProcessInfo]) {
    println!("{:>6} {:>6} {:>6} {:>4} {:8} {:>9} CMD", "UID", "PID", "PPID", "THR", "TTY", "TIME");
    for process in processes {
        let seconds = process.cpu_time_ms / 1000;
        let time = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        // A command name is the guest's own: no control characters on the caller's terminal.
        let command: String = process.command.chars().filter(|c| !c.is_control()).collect();
        println!(
            "{:>6} {:>6} {:>6} {:>4} {:8} {time:>9} {command}",
            process.uid, process.pid, process.ppid, process.threads, process.tty
        );
    }
}
