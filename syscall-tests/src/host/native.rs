//! A bundle's command on the host's kernel without a runtime: in namespaces and a `chroot`.
//!
//! Its mounts, processes and network (loopback only) are its own, as in a container, and end with
//! it; there is no filter, no control group and nothing between it and the kernel.

use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;

/// Returns the command for a bundle's configuration. It must be run as root.
pub fn command(config: &Value) -> Result<Command> {
    let root = config["root"]["path"].as_str().context("a bundle without a root")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]);
    command.args(["sh", "-ec", &script(root, &config["mounts"]), "sh", root]);
    command.args(strings(&config["process"]["args"]));
    command.env_clear();
    command.envs(strings(&config["process"]["env"]).filter_map(|entry| entry.split_once('=')));
    Ok(command)
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The shell script that mounts and then runs the command: `$1` is the root, the rest the command.
fn script(root: &str, mounts: &Value) -> String {
    let mut script = String::from("ip link set lo up\n");
    for mount in mounts.as_array().into_iter().flatten() {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let destination = text("destination");
        let target = quote(&format!("{root}{destination}"));
        let line = match (text("type"), destination) {
            (_, "/dev" | "/sys") => format!("mount --rbind {destination} {target}"),
            ("proc", _) => format!("mount -t proc proc {target}"),
            ("tmpfs", _) => {
                let options: Vec<&str> = strings(&mount["options"]).collect();
                format!("mount -t tmpfs -o {} tmpfs {target}", quote(&options.join(",")))
            }
            ("bind", _) => format!("mount --bind {} {target}", quote(text("source"))),
            // Below the host's /dev.
            _ => continue,
        };
        script.push_str(&line);
        script.push('\n');
    }
    script.push_str("exec chroot \"$@\"\n");
    script
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{quote, script};
    use serde_json::json;

    #[test]
    fn mounts_become_commands() {
        let mounts = json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}
        ]);
        let lines = "ip link set lo up\nmount -t proc proc '/r/proc'\nmount --rbind /dev '/r/dev'\n\
                     mount -t tmpfs -o 'mode=1777' tmpfs '/r/tmp'\nexec chroot \"$@\"\n";
        assert_eq!(script("/r", &mounts), lines);
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
