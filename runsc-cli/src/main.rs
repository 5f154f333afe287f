//! `runsc-rs`: runs untrusted containers in a sandbox behind the OCI runtime command line.
//!
//! `cli` reads the command line, `commands` has one module a command. `oci` checks a bundle's
//! `config.json` and turns it into the sentry's configuration, `launch` makes the sentry and gofer
//! processes with their namespaces, `state` keeps the record of each container.
//!
//! The same binary is also the sentry and the gofer: `launch` executes it again for the first with the
//! internal command `boot`, which never touches any of the rest.

mod cgroup;
mod cli;
mod commands;
mod control;
mod error;
mod foreground;
mod hooks;
mod id;
mod janitor;
mod launch;
mod log;
mod oci;
mod signals;
mod state;
mod terminal;
mod time;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The image of the sentry; no command line reaches this name.
    if std::env::args_os().nth(1).is_some_and(|name| name == "boot") {
        return launch::sentry_main();
    }
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let log = match log::Log::open(&arguments.global) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("runsc-rs: {error}");
            return ExitCode::FAILURE;
        }
    };
    match commands::run(arguments, &log) {
        Ok(code) => code,
        Err(error) => {
            log.error(&error.to_string());
            ExitCode::from(error.exit_status())
        }
    }
}
