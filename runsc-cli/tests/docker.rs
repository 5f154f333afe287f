//! Runs `docker.sh` where Docker is installed; elsewhere the test is listed as ignored and says
//! what is missing. The script makes its own image, which takes a minute: give one with
//! `RUNSC_DOCKER_IMAGE=root-file-system.tar`.

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let missing = missing();
    if !missing.is_empty() {
        eprintln!(
            "NOT TESTED: containers in Docker; missing: {} (Debian packages docker.io, mmdebstrap)",
            missing.join(", ")
        );
    }
    let trial = Trial::test("docker_runs_containers", docker_runs_containers)
        .with_ignored_flag(!missing.is_empty());
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// What the script needs and does not find.
fn missing() -> Vec<&'static str> {
    let mut tools = vec!["dockerd", "docker", "containerd", "unshare", "script"];
    if image().is_none() {
        tools.push("mmdebstrap");
    }
    tools.retain(|tool| !is_there(tool));
    if !rustix::process::geteuid().is_root() {
        tools.push("root");
    }
    tools
}

fn image() -> Option<std::ffi::OsString> {
    std::env::var_os("RUNSC_DOCKER_IMAGE")
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).exists())
}

fn docker_runs_containers() -> Result<(), Failed> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker.sh");
    let output = Command::new(script).arg(env!("CARGO_BIN_EXE_runsc-rs")).args(image()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("{text}\n{errors}").into())
        }
    }
}
