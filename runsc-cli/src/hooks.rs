//! Runs hooks: programs of the host that get the container's state on standard input.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Error;
use crate::oci::HookProgram;

/// Runs one hook to its end.
///
/// # Errors
/// When it cannot be run, fails, or takes longer than its time-out; the message has the end of
/// what it wrote to standard error.
pub fn run(hook: &HookProgram, state: &serde_json::Value) -> Result<(), Error> {
    let failed = |problem: String| Error::Sandbox(format!("hook {:?}: {problem}", hook.path));
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear();
    command.envs(hook.env.iter().filter_map(|variable| variable.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input.
        let _ = stdin.write_all(state.to_string().as_bytes());
    }
    if let Some(timeout_s) = hook.timeout_s
        && !ends_within(&child, Duration::from_secs(timeout_s))
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("did not end within {timeout_s} s")));
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("{}: {}", output.status, text.trim_end())))
        }
    }
}

fn ends_within(child: &Child, timeout: Duration) -> bool {
    let Some(pidfd) =
        Pid::from_raw(child.id() as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return true;
    };
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout_s: Option<u64>) -> HookProgram {
        HookProgram {
            path: "/bin/sh".into(),
            args: ["sh", "-c", script].map(String::from).into(),
            env: vec!["X=y".into()],
            timeout_s,
        }
    }

    #[test]
    fn state_arrives_and_failure_is_told() {
        let state = serde_json::json!({ "id": "abc" });
        run(&hook("grep -q abc && test $X = y", None), &state).expect("hook passes");
        let error = run(&hook("echo why >&2; exit 3", None), &state).expect_err("hook fails");
        assert!(error.to_string().contains("why"), "{error}");
    }

    #[test]
    fn slow_hook_is_killed() {
        let error = run(&hook("exec sleep 60", Some(1)), &serde_json::Value::Null);
        assert!(error.expect_err("too slow").to_string().contains("within 1 s"));
    }
}
