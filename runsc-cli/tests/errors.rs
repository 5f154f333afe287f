//! Bad input gets a clear error that names the field or path, a non-zero status, and leaves
//! nothing behind.

mod common;

use std::fs;

use common::Scratch;
use serde_json::{Value, json};

#[test]
fn wrong_command_lines() {
    let scratch = Scratch::new();
    scratch.run(&["nonsense"]).fails_with(&["nonsense"]);
    scratch.run(&["create"]).fails_with(&["ID"]);
    scratch.run(&["do"]).fails_with(&["COMMAND"]);
    scratch.run(&["help", "nonsense"]).fails_with(&["nonsense", "syscalls"]);
    for internal in ["--platform=kvm", "--network=all", "--log-format=xml"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_runsc-rs"))
            .args([internal, "list"])
            .output()
            .expect("runs");
        assert_ne!(output.status.code(), Some(0), "{internal}");
    }
}

#[test]
fn features_not_there_are_said_so() {
    let scratch = Scratch::new();
    let bundle = scratch.bundle("b", |_| {});
    for (flags, message) in [
        (["--network", "host"], "host is not implemented"),
        (["--network", "sandbox"], "sandbox is not implemented"),
    ] {
        let args = [&flags[..], &["create", "--bundle", &bundle, "x"]].concat();
        scratch.run(&args).fails_with(&[message]);
        let args = [&flags[..], &["do", "/bin/true"]].concat();
        scratch.run(&args).fails_with(&[message]);
    }
    scratch.run(&["pause", "x"]).fails_with(&["not supported"]);
    scratch.run(&["resume", "x"]).fails_with(&["not supported"]);
    scratch.run(&["update", "--resources", "-", "x"]).fails_with(&["not supported"]);
    scratch
        .run(&["create", "--bundle", &bundle, "--preserve-fds", "1", "x"])
        .fails_with(&["--preserve-fds"]);
    assert!(scratch.state_entries().is_empty());
}

#[test]
fn bundles_that_cannot_be_used() {
    let scratch = Scratch::new();
    scratch.run(&["create", "--bundle", "/nonexistent", "x"]).fails_with(&["/nonexistent"]);
    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).expect("mkdir");
    let empty = empty.to_str().expect("UTF-8");
    scratch.run(&["run", "--bundle", empty, "x"]).fails_with(&["config.json", "No such file"]);
    for (index, text) in
        ["", "{", "nonsense", "{}", "{\"ociVersion\":\"1.0.2\"}"].iter().enumerate()
    {
        let name = format!("broken{index}");
        let bundle = scratch.bundle(&name, |_| {});
        fs::write(format!("{bundle}/config.json"), text).expect("write");
        scratch.run(&["create", "--bundle", &bundle, "x"]).fails_with(&["runsc-rs: "]);
    }
    assert!(scratch.state_entries().is_empty());
}

#[test]
fn fields_are_named() {
    let scratch = Scratch::new();
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &[&str]); 8] = [
        ("type", |c| c["process"]["user"]["uid"] = json!("root"), &["process.user.uid"]),
        ("args", |c| c["process"]["args"] = json!([]), &["process.args"]),
        ("cwd", |c| c["process"]["cwd"] = json!("x"), &["process.cwd", "\"x\""]),
        ("root", |c| c["root"]["path"] = json!("nowhere"), &["root.path", "nowhere"]),
        ("file", |c| c["root"]["path"] = json!("/etc/passwd"), &["root.path", "not a directory"]),
        (
            "mount",
            |c| c["mounts"] = json!([{ "destination": "/x", "type": "zfs" }]),
            &["mounts[0].type", "\"zfs\"", "\"/x\""],
        ),
        (
            "bind",
            |c| {
                c["mounts"] = json!([{ "destination": "/x", "type": "bind", "source": "/no/such" }])
            },
            &["mounts[0].source", "/no/such"],
        ),
        ("terminal", |c| c["process"]["terminal"] = json!(true), &["--console-socket"]),
    ];
    for (name, change, parts) in cases {
        let bundle = scratch.bundle(name, change);
        scratch.run(&["create", "--bundle", &bundle, "x"]).fails_with(parts);
    }
    assert!(scratch.state_entries().is_empty());
}

#[test]
fn hostile_ids() {
    let scratch = Scratch::new();
    let bundle = scratch.bundle("b", |_| {});
    for id in ["../x", "a/b", "..", "", "a b", &"x".repeat(300)] {
        scratch.run(&["create", "--bundle", &bundle, id]).fails_with(&["container id"]);
        scratch.run(&["state", id]).fails_with(&["does not exist"]);
        scratch.run(&["delete", id]).fails_with(&["does not exist"]);
    }
    assert!(!scratch.path().join("x").exists());
}

#[test]
fn containers_that_do_not_exist() {
    let scratch = Scratch::new();
    for command in [
        &["state", "x"][..],
        &["start", "x"],
        &["kill", "x"],
        &["delete", "x"],
        &["exec", "x", "true"],
        &["ps", "x"],
        &["events", "--stats", "x"],
    ] {
        scratch.run(command).fails_with(&["\"x\" does not exist"]);
    }
    scratch.run(&["delete", "--force", "x"]).succeeds();
}

#[test]
fn log_file_tells_the_error() {
    let scratch = Scratch::new();
    let log = scratch.path().join("log.json");
    let log = log.to_str().expect("UTF-8");
    let run = scratch.run(&["--log", log, "--log-format", "json", "state", "x"]);
    assert_ne!(run.status, Some(0));
    let text = fs::read_to_string(log).expect("log");
    let entry: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().is_some_and(|msg| msg.contains("does not exist")));
    assert!(entry["time"].is_string());
    scratch.run(&["--log", "/nonexistent/log", "list"]).fails_with(&["/nonexistent/log"]);
}

#[test]
fn commands_without_a_container() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["list", "--quiet"]).succeeds().stdout, "");
    assert_eq!(scratch.run(&["list", "--format", "json"]).succeeds().stdout.trim(), "[]");
    assert!(scratch.run(&["list"]).succeeds().stdout.starts_with("ID "));
    let version = scratch.run(&["--version"]);
    let lines: Vec<&str> = version.stdout.lines().collect();
    assert!(lines[0].starts_with("runsc-rs version "), "{lines:?}");
    assert!(lines[1].starts_with("spec: 1."), "{lines:?}");
    let features = scratch.run(&["features"]);
    let features: Value = serde_json::from_str(&features.succeeds().stdout).expect("JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
}

#[test]
fn spec_never_overwrites() {
    let scratch = Scratch::new();
    let directory = scratch.path().to_str().expect("UTF-8");
    scratch.run(&["spec", "--bundle", directory]).succeeds();
    scratch.run(&["spec", "--bundle", directory]).fails_with(&["config.json", "exists"]);
    scratch.run(&["spec", "--bundle", "/nonexistent"]).fails_with(&["/nonexistent"]);
}
