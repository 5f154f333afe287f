//! The edges between the workspace's crates.

use super::files::root;
use serde_json::Value;
use std::process::Command;

/// Which crates of the workspace each may use. `sentry` never depends on the gofer's server;
/// `platform` never sees the kernel above it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("linux-abi", &[]),
    ("syscall-filter", &["linux-abi"]),
    ("platform", &["linux-abi", "syscall-filter"]),
    ("control-protocol", &["linux-abi"]),
    ("gofer-protocol", &["linux-abi"]),
    ("sentry", &["linux-abi", "platform", "gofer-protocol", "control-protocol"]),
    ("gofer", &["linux-abi", "gofer-protocol", "syscall-filter"]),
    (
        "runsc-cli",
        &["linux-abi", "platform", "gofer-protocol", "control-protocol", "sentry", "gofer"],
    ),
    ("syscall-tests", &["linux-abi"]),
];

/// Returns what is wrong with the crates' dependencies. Development dependencies are free.
pub fn complaints() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut complaints = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("{name}: say in {} what it may depend on", file!()));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().expect("a name");
            let is_real = dependency["kind"].as_str() != Some("dev");
            if is_real && names.contains(&on) && !allowed.contains(&on) {
                complaints.push(format!("{name} must not depend on {on}"));
            }
        }
    }
    complaints
}
