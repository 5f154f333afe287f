//! One module a command. Each takes its arguments and the [`Context`] of the global flags.

mod create;
mod debug;
mod delete;
mod do_;
mod events;
mod exec;
mod help;
mod kill;
mod list;
mod ps;
mod run;
mod spec;
mod start;
mod state;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use control_protocol::{ContainerConfig, NetworkMode, SandboxConfig};

use crate::cli::{Cli, Command, GlobalArgs};
use crate::error::Error;
use crate::id;
use crate::launch::slots;
use crate::log::Log;
use crate::oci::Notices;
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
        Command::Do(args) => do_::run(&context, &args),
        Command::Run(args) => run::run(&context, &args),
        Command::Create(args) => create::create(&context, &args),
        Command::Start(args) => start::start(&context, &args),
        Command::Exec(args) => exec::exec(&context, &args),
        Command::Debug(args) => debug::debug(&context, &args),
        Command::Ps(args) => ps::ps(&context, &args),
        Command::Events(args) => events::events(&context, &args),
        Command::State(args) => state::state(&context, &args),
        Command::Kill(args) => kill::kill(&context, &args),
        Command::Delete(args) => delete::delete(&context, &args),
        Command::List(args) => list::list(&context, &args),
        Command::Spec(args) => spec::spec(&args),
        Command::Features => help::features(),
        Command::Help(args) => help::help(&args),
        Command::Pause(_) | Command::Resume(_) => Err(unsupported("pausing a container")),
        Command::Update(_) => Err(unsupported("changing the limits of a running container")),
    }
}

fn unsupported(what: &str) -> Error {
    Error::Unsupported(format!("{what} is not supported by runsc-rs"))
}

impl Context<'_> {
    /// Refuses global flags that no sandbox can be made with.
    pub fn check_sandbox_flags(&self) -> Result<(), Error> {
        let problem = match self.global.network {
            NetworkMode::Host => "--network host is not implemented; use none (loopback only)",
            NetworkMode::Sandbox => {
                "--network sandbox is not implemented; use none (loopback only)"
            }
            NetworkMode::None => return Ok(()),
        };
        Err(Error::Unsupported(problem.into()))
    }

    /// The configuration of a sandbox that runs `container` at once and that only we may address.
    pub fn sandbox_config(
        &self,
        mut container: ContainerConfig,
        stdio: &[Option<OwnedFd>; 3],
    ) -> SandboxConfig {
        container.process.stdio =
            std::array::from_fn(|stream| stdio[stream].as_ref().map(|_| slots::STDIO[stream]));
        SandboxConfig {
            platform: self.global.platform,
            network: self.global.network,
            strace: self.global.strace,
            patching: !self.global.no_patching,
            debug_log: self.log.debug_file().map(|_| slots::DEBUG_LOG),
            control: None,
            launcher: slots::LAUNCHER,
            gofer_process: slots::GOFER_PROCESS,
            proc_dir: slots::PROC,
            start_now: true,
            owns_terminal: false,
            init_obeys_outside: true,
            memory_limit: None,
            cpus: None,
            container,
        }
    }

    /// Logs what of a configuration is not honoured.
    pub fn warn_all(&self, notices: &Notices) {
        notices.0.iter().for_each(|notice| self.log.warn(notice));
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
