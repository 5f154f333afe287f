use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": { "user": { "uid": 0, "gid": 0 }, "args": ["true"], "cwd": "/", "env": ["A=b"] },
        "root": { "path": "/" },
        "linux": { "namespaces": [
            { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
        ] },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut config = base();
    let (parent, name) = pointer.rsplit_once('/').expect("pointer");
    let parent = config.pointer_mut(parent).expect("parent exists");
    match value {
        Value::String(text) if text == "DELETE" => {
            parent.as_object_mut().expect("object").remove(name);
        }
        value => parent[name] = value,
    }
    config
}

fn check(config: Value) -> Result<Container, String> {
    let spec: Spec = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let bundle = Bundle { directory: "/".into(), spec };
    convert(&bundle, "test").map_err(|error| error.to_string())
}

#[test]
fn minimal_configuration_passes() {
    let container = check(base()).expect("valid");
    assert_eq!(container.config.process.args, ["true"]);
    assert_eq!(container.config.hostname, "test");
    assert!(container.notices.0.is_empty(), "{:?}", container.notices);
    assert_eq!(container.exports.len(), 1);
}

#[test]
fn hostile_configurations_name_the_field() {
    let long = "x".repeat(65);
    let mapping = json!([{ "containerID": 0, "hostID": 4_294_967_295_u32, "size": 2 }]);
    for (pointer, value, field) in [
        ("/ociVersion", json!("DELETE"), "ociVersion"),
        ("/ociVersion", json!("2.0.0"), "ociVersion"),
        ("/process", json!("DELETE"), "process"),
        ("/root", json!("DELETE"), "root"),
        ("/root/path", json!(""), "root.path"),
        ("/root/path", json!("/nonexistent"), "root.path: /nonexistent"),
        ("/root/path", json!("/etc/hostname"), "not a directory"),
        ("/root/path", json!("/a\0b"), "root.path"),
        ("/process/args", json!([]), "process.args"),
        ("/process/args", json!("DELETE"), "process.args"),
        ("/process/args", json!(["a", "b\0"]), "process.args[1]"),
        ("/process/cwd", json!("tmp"), "process.cwd"),
        ("/process/cwd", json!(""), "process.cwd"),
        ("/process/env", json!(["A=b", "nonsense"]), "process.env[1]"),
        ("/process/env", json!(["=b"]), "process.env[0]"),
        ("/process/user/uid", json!(4_294_967_295_u32), "process.user"),
        ("/process/user/umask", json!(512), "process.user.umask"),
        ("/process/user/additionalGids", json!([4_294_967_295_u32]), "additionalGids"),
        ("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj"),
        ("/process/consoleSize", json!({ "width": 70000, "height": 1 }), "process.consoleSize"),
        (
            "/process/rlimits",
            json!([{ "type": "RLIMIT_NOFILE", "soft": 2, "hard": 1 }]),
            "process.rlimits[0]",
        ),
        (
            "/process/rlimits",
            json!([{ "type": "RLIMIT_CPU", "soft": 1, "hard": 1 },
                   { "type": "RLIMIT_CPU", "soft": 1, "hard": 1 }]),
            "process.rlimits[1]",
        ),
        (
            "/process/capabilities",
            json!({ "effective": ["CAP_CHOWN"] }),
            "process.capabilities.effective: CAP_CHOWN",
        ),
        ("/hostname", json!(long), "hostname"),
        ("/domainname", json!("a\0"), "domainname"),
        ("/windows", json!({}), "windows"),
        ("/hooks", json!({ "poststart": [{ "path": "relative" }] }), "hooks.poststart[0].path"),
        (
            "/hooks",
            json!({ "prestart": [{ "path": "/bin/true", "timeout": 0 }] }),
            "hooks.prestart[0].timeout",
        ),
        ("/linux/uidMappings", mapping, "linux.uidMappings[0].size"),
        ("/linux/namespaces", json!([{ "type": "pid" }, { "type": "pid" }]), "linux.namespaces[1]"),
        (
            "/linux/namespaces",
            json!([{ "type": "pid", "path": "/proc/1/ns/pid" }]),
            "linux.namespaces[0].path",
        ),
        ("/linux/namespaces", json!([{ "type": "user" }]), "linux.uidMappings"),
        (
            "/linux/namespaces",
            json!([{ "type": "network", "path": "/nonexistent" }]),
            "linux.namespaces[0].path",
        ),
        (
            "/mounts",
            json!([{ "destination": "/x", "type": "nosuchfs" }]),
            "mounts[0].type: unknown mount type \"nosuchfs\"",
        ),
    ] {
        let error = check(with(pointer, value.clone())).expect_err(&format!("{pointer} {value}"));
        assert!(error.contains(field), "{pointer} {value}: {error}");
    }
}

#[test]
fn mappings_need_a_user_namespace() {
    let mapping = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    let error = check(with("/linux/uidMappings", mapping)).expect_err("no namespace");
    assert!(error.contains("\"user\""), "{error}");
}

#[test]
fn ignored_fields_are_noted() {
    let mut config = base();
    config["process"]["apparmorProfile"] = json!("docker-default");
    config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    config["linux"]["sysctl"] = json!({ "kernel.shmmax": "1" });
    config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
    config["linux"]["devices"] =
        json!([{ "path": "/dev/kvm", "type": "c", "major": 10, "minor": 232 }]);
    let notices = check(config).expect("valid").notices.0.join("\n");
    for field in ["apparmorProfile", "seccomp", "kernel.shmmax", "maskedPaths", "/dev/kvm"] {
        assert!(notices.contains(field), "{field} is not in {notices}");
    }
}

#[test]
fn absent_linux_object_is_no_error() {
    assert!(check(with("/linux", json!("DELETE"))).is_ok());
}
