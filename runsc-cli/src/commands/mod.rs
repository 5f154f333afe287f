//! One module a command. Each takes its arguments and the [`Context`] of the global flags.

mod delete;
mod help;
mod kill;
mod list;
mod spec;
mod state;

use std::process::ExitCode;

use control_protocol::{NetworkMode, PlatformKind};

use crate::cli::{Cli, Command, GlobalArgs};
use crate::error::Error;
use crate::id;
use crate::log::Log;
use crate::state::Store;

/// What every command may need of the global flags.
pub struct Context<'a> {
    pub global: GlobalArgs,
    pub log: &'a Log,
    pub store: Store,
}

/// Runs the command that the arguments name.
pub fn run(arguments: Cli, log: &Log) -> Result<ExitCode, Error> {
    let Cli { global, command } = arguments;
    let store = Store::new(global.root.as_deref());
    let context = Context { global, log, store };
    match command {
        Command::State(args) => state::state(&context, &args),
        Command::Kill(args) => kill::kill(&context, &args),
        Command::Delete(args) => delete::delete(&context, &args),
        Command::List(args) => list::list(&context, &args),
        Command::Spec(args) => spec::spec(&args),
        Command::Features => help::features(),
        Command::Help(args) => help::help(&args),
        Command::Pause(_) | Command::Resume(_) => Err(unsupported("pausing a container")),
        Command::Update(_) => Err(unsupported("changing the limits of a running container")),
        _ => Err(unsupported("this command")),
    }
}

fn unsupported(what: &str) -> Error {
    Error::Unsupported(format!("{what} is not supported by runsc-rs"))
}

impl Context<'_> {
    /// Refuses global flags that no sandbox can be made with.
    pub fn check_sandbox_flags(&self) -> Result<(), Error> {
        let problem = match (self.global.platform, self.global.network) {
            (PlatformKind::Systrap, _) => "--platform systrap is not implemented; use ptrace",
            (_, NetworkMode::Host) => "--network host is not implemented; use none (loopback only)",
            (_, NetworkMode::Sandbox) => {
                "--network sandbox is not implemented; use none (loopback only)"
            }
            (PlatformKind::Ptrace, NetworkMode::None) => return Ok(()),
        };
        Err(Error::Unsupported(problem.into()))
    }

    /// Checks the id of a container that is to be made.
    pub fn check_new_id(&self, id: &str) -> Result<(), Error> {
        Ok(id::check(id)?)
    }
}

/// Prints JSON with a newline.
pub fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}
