//! The template that `spec` writes.

use serde_json::{Value, json};

use crate::cli::OCI_VERSION;

/// Makes a configuration like that of `runc spec`, reduced to what a sandbox honours.
pub fn template(rootless: Option<(u32, u32)>) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut namespaces =
        vec![json!({ "type": "pid" }), json!({ "type": "ipc" }), json!({ "type": "uts" })];
    namespaces.extend([json!({ "type": "mount" }), json!({ "type": "network" })]);
    let mut config = json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "runsc-rs",
        "mounts": mounts(rootless.is_some()),
        "linux": { "namespaces": namespaces },
    });
    if let Some((uid, gid)) = rootless {
        let linux = &mut config["linux"];
        linux["uidMappings"] = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
        linux["gidMappings"] = json!([{ "containerID": 0, "hostID": gid, "size": 1 }]);
        if let Some(list) = linux["namespaces"].as_array_mut() {
            list.push(json!({ "type": "user" }));
        }
    }
    config
}

fn mounts(is_rootless: bool) -> Value {
    let mut devpts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if !is_rootless {
        devpts.push("gid=5");
    }
    let quiet = ["nosuid", "noexec", "nodev"];
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        {
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": devpts },
        {
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet },
        {
            "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Bundle, convert};

    #[test]
    fn template_is_honoured_without_a_notice() {
        for rootless in [None, Some((1000, 1000))] {
            let mut config = template(rootless);
            config["root"]["path"] = json!("/");
            let spec = serde_json::from_value(config).expect("valid");
            let container =
                convert(&Bundle { directory: "/".into(), spec }, "t").expect("honoured");
            assert!(container.notices.0.is_empty(), "{:?}", container.notices);
            assert_eq!(container.ids.is_some(), rootless.is_some());
        }
    }
}
