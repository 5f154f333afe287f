//! Runs `docker.sh` where Docker is installed. It makes its own image, which takes a minute:
//! give one with `RUNSC_DOCKER_IMAGE=root-file-system.tar`.

use std::process::Command;

/// Whether a program is installed.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

#[test]
fn docker_runs_containers() {
    let image = std::env::var_os("RUNSC_DOCKER_IMAGE");
    let mut missing: Vec<&str> =
        ["dockerd", "docker", "containerd"].into_iter().filter(|tool| !is_there(tool)).collect();
    if image.is_none() && !is_there("mmdebstrap") {
        missing.push("mmdebstrap");
    }
    if !rustix::process::geteuid().is_root() {
        missing.push("root");
    }
    assert!(
        missing.is_empty(),
        "NOT TESTED: Docker needs {missing:?} (Debian packages docker.io and mmdebstrap); \
         run as root, or leave it out with --skip docker_runs_containers"
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker.sh");
    let mut command = Command::new(script);
    command.arg(env!("CARGO_BIN_EXE_runsc-rs")).args(image);
    let output = command.output().expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
}
