//! `do`: runs a command on the host's file system, changes kept in memory.
//!
//! Such a sandbox has no state directory: nobody but us can address it, and it ends with us.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use control_protocol::{
    CapabilitySets, ContainerConfig, MountConfig, MountSource, ProcessConfig, Rlimit, RootConfig,
};
use linux_abi::task::CAP_FULL_SET;

use super::Context;
use crate::cli::DoArgs;
use crate::error::Error;
use crate::foreground::Signals;
use crate::launch::{Launch, slots};
use crate::oci::{self, Export, RootUsers, UserSpec};
use crate::terminal::{self, CallersTerminal, is_stdin_terminal};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Number of `RLIMIT_*` resources on Linux.
const RESOURCES: i32 = 16;

pub fn run(context: &Context, args: &DoArgs) -> Result<ExitCode, Error> {
    context.check_sandbox_flags()?;
    let has_terminal = is_stdin_terminal();
    let stdio = terminal::own_stdio();
    let (container, exports) = configuration(args, has_terminal)?;
    let launch = Launch {
        config: context.sandbox_config(container, &stdio),
        exports: &exports,
        ids: None,
        stdio,
        terminal: None,
        control: None,
        debug_log: context.log.debug_file(),
        dies_with_parent: true,
        oom_score_adj: None,
        network: None,
    };
    let signals = Signals::take(has_terminal)?;
    let terminal = CallersTerminal::remember();
    let sandbox = launch.start(&|_| Ok(()))?;
    sandbox.await_ready()?;
    let status = sandbox.wait(&signals);
    drop(terminal);
    Ok(ExitCode::from(status?))
}

fn configuration(
    args: &DoArgs,
    has_terminal: bool,
) -> Result<(ContainerConfig, Vec<Export>), Error> {
    let root = args
        .root
        .canonicalize()
        .map_err(|error| Error::io(format!("--root {:?}", args.root), error))?;
    if !root.is_dir() {
        return Err(Error::Usage(format!("--root {root:?} is not a directory")));
    }
    let mut exports = vec![Export { path: root.clone(), readonly: true, recursive: true }];
    let mut mounts = standard_mounts();
    for volume in &args.volume {
        let (export, mount) = bind(volume, exports.len())?;
        exports.push(export);
        mounts.push(mount);
    }
    let id = format!("do-{}", rustix::process::getpid().as_raw_nonzero());
    let hostname = match &args.hostname {
        Some(name) => name.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let container = ContainerConfig {
        id,
        hostname,
        domainname: None,
        root: RootConfig {
            gofer: slots::export(0),
            readonly: false,
            overlay: true,
            exclusive: false,
        },
        mounts,
        process: process(args, &root, has_terminal)?,
    };
    Ok((container, exports))
}

fn standard_mounts() -> Vec<MountConfig> {
    let mount = |destination: &str, source: MountSource| MountConfig {
        destination: destination.to_owned(),
        source,
        readonly: false,
        nosuid: true,
        nodev: destination != "/dev",
        noexec: true,
        noatime: false,
    };
    let devpts = MountSource::Devpts { mode: Some(0o620), gid: Some(5), ptmxmode: Some(0o666) };
    vec![
        mount("/proc", MountSource::Proc),
        MountConfig { readonly: true, ..mount("/sys", MountSource::Sysfs) },
        mount("/dev", MountSource::Dev),
        MountConfig { nodev: false, ..mount("/dev/pts", devpts) },
        mount("/dev/shm", oci::empty_tmpfs(0o1777)),
        mount("/dev/mqueue", MountSource::Mqueue),
    ]
}

/// Reads `SRC[:DST[:ro]]`.
fn bind(volume: &str, index: usize) -> Result<(Export, MountConfig), Error> {
    let parts: Vec<&str> = volume.split(':').collect();
    let (source, destination, readonly) = match parts[..] {
        [source] => (source, source, false),
        [source, "ro"] => (source, source, true),
        [source, destination] | [source, destination, "rw"] => (source, destination, false),
        [source, destination, "ro"] => (source, destination, true),
        _ => return Err(Error::Usage(format!("--volume {volume:?} is not SRC[:DST[:ro]]"))),
    };
    let path = PathBuf::from(source)
        .canonicalize()
        .map_err(|error| Error::io(format!("--volume {volume:?}: {source}"), error))?;
    let destination = match destination.starts_with('/') {
        true => oci::clean_absolute(destination),
        false => path.to_string_lossy().into_owned(),
    };
    if destination == "/" {
        return Err(Error::Usage("--volume cannot replace the root: use --root".into()));
    }
    let is_directory = path.is_dir();
    let gofer = slots::export(index);
    let mount = MountConfig {
        destination,
        source: MountSource::Bind { gofer, is_directory, exclusive: false },
        readonly,
        nosuid: false,
        nodev: false,
        noexec: false,
        noatime: false,
    };
    Ok((Export { path, readonly, recursive: true }, mount))
}

fn process(args: &DoArgs, root: &Path, has_terminal: bool) -> Result<ProcessConfig, Error> {
    let users = RootUsers::open(root);
    let (uid, gid) = match &args.user {
        Some(user) => users.resolve(&UserSpec::parse(user))?,
        None => (0, 0),
    };
    let mut env = environment(&args.env)?;
    if args.user.is_some() {
        env.retain(|variable| !variable.starts_with("HOME="));
        env.push(format!("HOME={}", users.home(uid)));
    }
    let all = CAP_FULL_SET;
    let held = if uid == 0 { all } else { 0 };
    let capabilities =
        CapabilitySets { effective: held, permitted: held, bounding: all, ..Default::default() };
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    Ok(ProcessConfig {
        args: args.command.iter().map(|arg| text(arg, "argument")).collect::<Result<_, _>>()?,
        env,
        cwd: working_directory(args, root),
        uid,
        gid,
        additional_gids: Vec::new(),
        umask: Some(umask.as_raw_mode() & 0o777),
        capabilities,
        rlimits: own_limits(),
        no_new_privileges: false,
        terminal: has_terminal,
        stdio: [None; 3],
    })
}

/// Our own environment, changed by the `--env` flags.
fn environment(changes: &[String]) -> Result<Vec<String>, Error> {
    let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if !variables.iter().any(|(name, _)| name == "PATH") {
        variables.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    for change in changes {
        let (name, value) = match change.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (change.as_str(), std::env::var_os(change)),
        };
        if name.is_empty() {
            return Err(Error::Usage(format!("--env {change:?} has no name")));
        }
        variables.retain(|(known, _)| known != name);
        variables.extend(value.map(|value| (name.into(), value)));
    }
    variables
        .iter()
        .map(|(name, value)| {
            let value = text(value, "environment variable")?;
            Ok(format!("{}={value}", text(name, "environment variable")?))
        })
        .collect()
}

fn text(value: &OsStr, what: &str) -> Result<String, Error> {
    match value.to_str() {
        Some(text) if !value.as_bytes().contains(&0) => Ok(text.to_owned()),
        _ => Err(Error::Usage(format!("{what} {value:?} is not valid UTF-8"))),
    }
}

fn working_directory(args: &DoArgs, root: &Path) -> String {
    match &args.cwd {
        Some(cwd) => oci::clean_absolute(cwd),
        None if root == Path::new("/") => match std::env::current_dir() {
            Ok(cwd) => cwd.to_string_lossy().into_owned(),
            Err(_) => "/".into(),
        },
        None => "/".into(),
    }
}

/// Our own resource limits.
fn own_limits() -> Vec<Rlimit> {
    (0..RESOURCES)
        .filter_map(|resource| {
            let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the call writes one `rlimit64`, which lives until it returns.
            let result = unsafe { libc::getrlimit64(resource as _, &raw mut limit) };
            (result == 0).then_some(Rlimit { resource, soft: limit.rlim_cur, hard: limit.rlim_max })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let (export, mount) = bind("/etc:/x/../data:ro", 1).expect("valid");
        assert_eq!(export, Export { path: "/etc".into(), readonly: true, recursive: true });
        assert_eq!(mount.destination, "/data");
        let (_, mount) = bind("/etc/hosts", 1).expect("valid");
        assert_eq!(mount.destination, "/etc/hosts");
        assert!(matches!(mount.source, MountSource::Bind { is_directory: false, .. }));
        for volume in ["/nonexistent", "/etc:/a:/b:ro", "/etc:/", "", "/etc:/x:rx"] {
            assert!(bind(volume, 1).is_err(), "{volume}");
        }
    }

    #[test]
    fn env_flags_override() {
        let env = environment(&["PATH=/x".into(), "NEW=a=b".into(), "NOT_SET_ANYWHERE".into()])
            .expect("valid");
        assert!(env.contains(&"PATH=/x".to_owned()) && env.contains(&"NEW=a=b".to_owned()));
        assert_eq!(env.iter().filter(|variable| variable.starts_with("PATH=")).count(), 1);
        assert!(environment(&["=x".into()]).is_err());
    }
}
