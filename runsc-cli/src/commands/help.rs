//! `help` and `features`: what the runtime can do.

use std::process::ExitCode;

use sentry::syscall::compatibility::{markdown, text};

use super::print_json;
use crate::cli::{self, HelpArgs, HelpFormat, OCI_VERSION};
use crate::error::Error;

pub fn help(args: &HelpArgs) -> Result<ExitCode, Error> {
    match args.topic.as_deref() {
        Some("syscalls") if args.format == HelpFormat::Markdown => print!("{}", markdown()),
        Some("syscalls") => print!("{}", text()),
        topic => cli::print_help(topic).map_err(Error::Usage)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the OCI features object (features.md).
pub fn features() -> Result<ExitCode, Error> {
    let namespaces = ["ipc", "mount", "network", "pid", "user", "uts"];
    let hooks = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    let options = [
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "exec",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "private",
        "rbind",
        "relatime",
        "ro",
        "rprivate",
        "rslave",
        "rw",
        "slave",
        "strictatime",
        "suid",
    ];
    print_json(&serde_json::json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": hooks,
        "mountOptions": options,
        "linux": {
            "namespaces": namespaces,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": { "enabled": false },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
        },
        "annotations": { "runsc-rs.version": env!("CARGO_PKG_VERSION") },
    }));
    Ok(ExitCode::SUCCESS)
}
