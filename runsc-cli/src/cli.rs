//! The command line: global flags, commands and their flags, as runc has them where it does.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use control_protocol::{NetworkMode, PlatformKind};

use crate::log::LogFormat;

/// Version of the OCI runtime specification that we follow.
pub const OCI_VERSION: &str = "1.2.0";

const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.2.0");

#[derive(Debug, Parser)]
#[command(
    name = "runsc-rs",
    version = VERSION,
    about = "Runs untrusted containers in a sandbox with a kernel of its own",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Directory of the containers' state [default: /run/runsc-rs, or $XDG_RUNTIME_DIR/runsc-rs]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// How system calls are caught
    #[arg(long, default_value = "systrap", value_parser = parse_platform, value_name = "systrap|ptrace")]
    pub platform: PlatformKind,
    /// What network the sandbox sees
    #[arg(long, default_value = "none", value_parser = parse_network, value_name = "none|host|sandbox")]
    pub network: NetworkMode,
    /// File for what the sentry tells about itself
    #[arg(long, value_name = "FILE")]
    pub debug_log: Option<PathBuf>,
    /// File for errors and warnings [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Write every system call to the debug log
    #[arg(long)]
    pub strace: bool,
    /// Leave the guest's system call instructions as they are, though that is slower
    #[arg(long)]
    pub no_patching: bool,
    /// Accepted for runc's sake: the debug log tells all there is
    #[arg(long)]
    pub debug: bool,
    /// Manage cgroups through systemd (not supported)
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Ignore errors that only a privileged caller can avoid: true, false or auto
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub rootless: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command on the host's file system, changes kept in memory
    Do(DoArgs),
    /// Create and start a container from a bundle
    Run(RunArgs),
    /// Create a container from a bundle; its process waits for start
    Create(CreateArgs),
    /// Start the process of a created container
    Start(IdArgs),
    /// Print the state of a container as JSON
    State(IdArgs),
    /// Send a signal to a container
    Kill(KillArgs),
    /// Delete a container
    Delete(DeleteArgs),
    /// Run another process in a running container
    Exec(ExecArgs),
    /// List containers
    List(ListArgs),
    /// List the processes of a container
    Ps(PsArgs),
    /// Show what happens inside a running container
    Debug(DebugArgs),
    /// Print resource usage of a container
    Events(EventsArgs),
    /// Write a template config.json
    Spec(SpecArgs),
    /// Print what of the OCI specification is supported, as JSON
    Features,
    #[command(hide = true)]
    Pause(IdArgs),
    #[command(hide = true)]
    Resume(IdArgs),
    #[command(hide = true)]
    Update(UpdateArgs),
    /// Explain a command, or a topic: syscalls
    Help(HelpArgs),
}

#[derive(Debug, Args)]
pub struct IdArgs {
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct DoArgs {
    /// Host directory that becomes the root
    #[arg(long, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// Working directory [default: the caller's]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Host path to make visible, writable unless :ro
    #[arg(long, short, value_name = "SRC[:DST[:ro]]")]
    pub volume: Vec<String>,
    /// Variable to set; NAME alone takes the caller's value
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// User and group, by number or by name in the root's /etc/passwd and /etc/group
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Program and arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Directory with config.json
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    pub bundle: PathBuf,
    /// File to write the container's host process id to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Unix socket that receives the terminal's master end
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub no_pivot: bool,
    #[arg(long, hide = true)]
    pub no_new_keyring: bool,
    #[arg(long, hide = true, default_value_t = 0)]
    pub preserve_fds: u32,
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub create: CreateArgs,
    /// Leave the container in the background
    #[arg(long, short)]
    pub detach: bool,
    /// Keep the state when the container has ended
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct KillArgs {
    /// Signal every process of the container
    #[arg(long, short)]
    pub all: bool,
    #[arg(value_name = "ID")]
    pub id: String,
    /// Name or number
    #[arg(default_value = "SIGTERM", allow_hyphen_values = true, value_name = "SIGNAL")]
    pub signal: String,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Kill the container first; no error if there is none
    #[arg(long, short)]
    pub force: bool,
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// File with the OCI process object to run
    #[arg(long, short, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Give the process a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Leave the process in the background
    #[arg(long, short)]
    pub detach: bool,
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    #[arg(long, short, value_name = "UID[:GID]")]
    pub user: Option<String>,
    #[arg(long, short = 'g', value_name = "GID")]
    pub additional_gids: Vec<u32>,
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Capability to add
    #[arg(long, short, value_name = "CAP_NAME")]
    pub cap: Vec<String>,
    #[arg(long)]
    pub no_new_privs: bool,
    #[arg(long, hide = true)]
    pub ignore_paused: bool,
    #[arg(long, hide = true, default_value_t = 0)]
    pub preserve_fds: u32,
    #[arg(value_name = "ID")]
    pub id: String,
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    #[default]
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, short, value_enum, default_value = "table")]
    pub format: OutputFormat,
    /// Print ids only
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct PsArgs {
    #[arg(long, short, value_enum, default_value = "table")]
    pub format: OutputFormat,
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct DebugArgs {
    /// Measure where the time of system calls goes
    #[arg(long)]
    pub latency: bool,
    /// How long to measure
    #[arg(long = "for", default_value_t = 5, value_name = "SECONDS")]
    pub seconds: u32,
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Print the statistics once
    #[arg(long)]
    pub stats: bool,
    /// Seconds between two prints
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub interval: String,
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Debug, Args)]
pub struct SpecArgs {
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    pub bundle: PathBuf,
    /// For a caller without privileges
    #[arg(long)]
    pub rootless: bool,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HelpFormat {
    Text,
    Markdown,
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// Of the table of system calls
    #[arg(long, value_enum, default_value = "text")]
    pub format: HelpFormat,
    #[arg(value_name = "COMMAND|syscalls")]
    pub topic: Option<String>,
}

/// Reads the command line; prints help, version or what is wrong and gives the exit status then.
pub fn parse() -> Result<Cli, ExitCode> {
    if let Some(cli) = parse_one(std::env::args_os().collect()) {
        return Ok(cli);
    }
    Cli::try_parse().map_err(|error| {
        let _ = error.print();
        // 0 for help and version, 2 for a wrong command line.
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Reads a line of one of the commands that container managers use, with the definition of that one
/// only: to define all of them takes longer than the reading. `None` for all that is not plain: other
/// commands, help, errors.
fn parse_one(line: Vec<OsString>) -> Option<Cli> {
    let definition = GlobalArgs::augment_args(plain("runsc-rs"))
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(clap::value_parser!(OsString));
    let matches = definition.try_get_matches_from(line).ok()?;
    let (name, rest) = matches.subcommand()?;
    let rest = rest.get_many::<OsString>("").into_iter().flatten();
    let line: Vec<OsString> = [OsString::from(name)].into_iter().chain(rest.cloned()).collect();
    let command = match name {
        "run" => Command::Run(arguments(line)?),
        "create" => Command::Create(arguments(line)?),
        "start" => Command::Start(arguments(line)?),
        "state" => Command::State(arguments(line)?),
        "kill" => Command::Kill(arguments(line)?),
        "delete" => Command::Delete(arguments(line)?),
        "exec" => Command::Exec(arguments(line)?),
        _ => return None,
    };
    Some(Cli { global: GlobalArgs::from_arg_matches(&matches).ok()?, command })
}

/// A command that knows of no help.
fn plain(name: &'static str) -> clap::Command {
    let command = clap::Command::new(name);
    command.disable_help_flag(true).disable_version_flag(true).disable_help_subcommand(true)
}

/// The arguments of one command.
fn arguments<T: Args>(line: Vec<OsString>) -> Option<T> {
    let matches = T::augment_args(plain("command")).try_get_matches_from(line).ok()?;
    T::from_arg_matches(&matches).ok()
}

/// Prints the help of a command, or of all.
pub fn print_help(topic: Option<&str>) -> Result<(), String> {
    let mut command = Cli::command();
    let shown = match topic {
        None => &mut command,
        Some(name) => command
            .find_subcommand_mut(name)
            .ok_or_else(|| format!("no help for {name:?}: neither a command nor \"syscalls\""))?,
    };
    print!("{}", shown.render_long_help());
    Ok(())
}

fn parse_platform(text: &str) -> Result<PlatformKind, String> {
    match text {
        "ptrace" => Ok(PlatformKind::Ptrace),
        "systrap" => Ok(PlatformKind::Systrap),
        _ => Err("must be ptrace or systrap".into()),
    }
}

fn parse_network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "none" => Ok(NetworkMode::None),
        "host" => Ok(NetworkMode::Host),
        "sandbox" => Ok(NetworkMode::Sandbox),
        _ => Err("must be none, host or sandbox".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a line in both ways.
    fn parsed(line: &str) -> Cli {
        let parsed = Cli::try_parse_from(line.split_whitespace()).expect(line);
        if let Some(one) = parse_one(line.split_whitespace().map(OsString::from).collect()) {
            assert_eq!(format!("{one:?}"), format!("{parsed:?}"), "{line}");
        }
        parsed
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_of_container_managers_parse() {
        let head = "runsc-rs --root /r --log /l/log.json --log-format json";
        for tail in [
            "create --bundle /b --pid-file /b/init.pid abc",
            "create --bundle /b --pid-file /b/init.pid --console-socket /tmp/pty.sock abc",
            "create abc --bundle /b",
            "start abc",
            "kill abc 9",
            "kill --all abc 9",
            "kill abc SIGKILL --all",
            "delete abc",
            "delete --force abc",
            "delete abc --force",
            "exec --process /p.json --console-socket /s --detach --pid-file /p abc",
            "state abc",
            "ps --format json abc",
            "events --stats abc",
            "update --resources - abc",
            "pause abc",
            "list --format json",
            "features",
        ] {
            parsed(&format!("{head} {tail}"));
        }
        parsed("runsc-rs --systemd-cgroup --rootless=auto --debug state x");
    }

    #[test]
    fn only_plain_lines_are_read_with_one_definition() {
        let is_plain =
            |line: &str| parse_one(line.split_whitespace().map(OsString::from).collect()).is_some();
        for line in [
            "run abc",
            "--root /r create -b /b abc",
            "start abc",
            "state abc",
            "kill abc 9",
            "delete --force abc",
            "exec abc sh -c --help",
        ] {
            assert!(is_plain(&format!("runsc-rs {line}")), "{line}");
        }
        for line in [
            "",
            "--version",
            "help run",
            "run --help",
            "run",
            "--rot /r run abc",
            "run --bundel /b abc",
            "list",
            "no-such-command abc",
        ] {
            assert!(!is_plain(&format!("runsc-rs {line}")), "{line}");
        }
    }

    #[test]
    fn program_flags_are_the_programs_own() {
        let Command::Do(args) = parsed("runsc-rs do --cwd /tmp ls --cwd -l").command else {
            panic!("not do");
        };
        assert_eq!(args.command, ["ls", "--cwd", "-l"]);
        let Command::Exec(args) = parsed("runsc-rs exec --tty c sh -c x --tty").command else {
            panic!("not exec");
        };
        assert_eq!(args.command, ["sh", "-c", "x", "--tty"]);
    }

    #[test]
    fn flags_may_follow_the_id() {
        let Command::Exec(args) = parsed("runsc-rs exec c --tty --cwd / sh -c x").command else {
            panic!("not exec");
        };
        assert!(args.tty);
        assert_eq!(args.command, ["sh", "-c", "x"]);
    }
}
