//! `do` and `run`: status, streams, environment, files, signals and terminals of real programs.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::terminal::Terminal;
use common::{Outcome, Scratch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

common::on_each_platform! {
    status_is_the_programs_own,
    programs_that_cannot_run,
    streams_pass_through,
    closed_streams_do_no_harm,
    flags_of_do,
    host_files_do_not_change,
    ordinary_user_can_run,
    signals_reach_the_program,
    killing_the_command_line_ends_the_program,
    terminal_is_usable,
    interrupt_key_reaches_the_foreground_job,
    window_size_follows,
    job_control_of_bash,
    bundle_runs_and_leaves_nothing,
    hooks_run_in_order,
    signals_from_inside_do_not_end_the_first_process,
    a_sentry_that_fails_is_no_status_of_the_program,
    both_processes_have_only_what_they_need,
}

/// Runs a shell script with `do`.
fn shell(scratch: &Scratch, flags: &[&str], script: &str) -> Outcome {
    let args = [&["do"], flags, &["/bin/sh", "-c", script]].concat();
    scratch.run(&args)
}

fn status_is_the_programs_own() {
    let scratch = Scratch::new();
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        assert_eq!(shell(&scratch, &[], script).status, Some(status), "{script}");
    }
    let killed = shell(&scratch, &[], "sh -c 'kill -TERM $$'; exit $?");
    assert_eq!(killed.status, Some(128 + 15), "{killed:?}");
}

fn programs_that_cannot_run() {
    let scratch = Scratch::new();
    let directory = scratch.path().to_str().expect("UTF-8");
    for (program, status, message) in [
        ("no-such-program", 127, "exec \"no-such-program\": executable file not found in $PATH"),
        ("/no/such/program", 127, "exec \"/no/such/program\": no such file or directory"),
        ("/etc/passwd", 126, "exec \"/etc/passwd\": permission denied"),
        (directory, 126, "permission denied"),
    ] {
        let outcome = scratch.run(&["do", program]);
        assert_eq!(outcome.status, Some(status), "{outcome:?}");
        assert!(outcome.stderr.contains(message), "{outcome:?}");
    }
    let outcome = scratch.run(&["do", "--cwd", "/no/such/directory", "/bin/true"]);
    outcome.fails_with(&["/no/such/directory"]);
}

fn streams_pass_through() {
    let scratch = Scratch::new();
    let mut child = scratch
        .runsc(&["do", "/bin/sh", "-c", "cat; echo problem >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut stdin = child.stdin.take().expect("stdin");
    // More than any pipe holds: both directions must flow at the same time.
    let text = "0123456789abcdef\n".repeat(20_000);
    let copy = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(copy.as_bytes()));
    let output = child.wait_with_output().expect("wait");
    writer.join().expect("join").expect("write");
    assert!(output.status.success());
    assert!(output.stdout == text.as_bytes(), "{} bytes came back", output.stdout.len());
    assert_eq!(output.stderr, b"problem\n");
}

fn closed_streams_do_no_harm() {
    let scratch = Scratch::new();
    let binary = env!("CARGO_BIN_EXE_runsc-rs");
    let flags = scratch.platform_flags().join(" ");
    let script = format!("{binary} {flags} do /bin/sh -c 'ls /proc/self/fd/ >&2' <&- >&-");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(scratch.path())
        .output()
        .expect("runs");
    let listed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(listed.lines().any(|line| line == "2"), "{listed}");
}

fn flags_of_do() {
    let scratch = Scratch::new();
    let directory = scratch.path().to_str().expect("UTF-8");
    fs::write(scratch.path().join("file"), "content\n").expect("write");
    let volume = format!("{directory}:/volume");
    let readonly = format!("{directory}:/volume:ro");
    // A mount point behind a symbolic link, and one that does not exist.
    std::os::unix::fs::symlink("/../../usr", scratch.path().join("link")).expect("symlink");
    let linked = format!("{directory}:{directory}/link/made/here");
    for (flags, script, expected) in [
        (&["--env", "A=b c"][..], "echo \"$A\"", "b c\n"),
        (&["--cwd", "/usr/bin"], "pwd", "/usr/bin\n"),
        (&["--hostname", "box"], "cat /proc/sys/kernel/hostname", "box\n"),
        (&["--user", "1234:567"], "echo $(id -u):$(id -g)", "1234:567\n"),
        (&["--user", "daemon"], "id -un; echo $HOME", "daemon\n/usr/sbin\n"),
        (&["--volume", &readonly], "cat /volume/file", "content\n"),
        (&["--volume", &volume], "echo new > /volume/new; cat /volume/new", "new\n"),
        (&["--volume", &linked], "cat /usr/made/here/file", "content\n"),
        (&[], "echo $$", "1\n"),
        (&[], "umask", "0022\n"),
    ] {
        let outcome = shell(&scratch, flags, script);
        assert_eq!(outcome.stdout, expected, "{flags:?} {outcome:?}");
    }
    assert_eq!(fs::read(scratch.path().join("new")).expect("made by the guest"), b"new\n");
    let refused = shell(&scratch, &["--volume", &readonly], "echo x > /volume/file");
    assert_ne!(refused.status, Some(0));
    assert_eq!(fs::read(scratch.path().join("file")).expect("unchanged"), b"content\n");
}

fn host_files_do_not_change() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    fs::write(&path, "old").expect("write");
    let name = path.to_str().expect("UTF-8");
    let script = format!("echo new > {name} && cat {name} && rm {name} && touch {name}.2");
    let outcome = shell(&scratch, &[], &script);
    assert_eq!(outcome.succeeds().stdout, "new\n");
    assert_eq!(fs::read(&path).expect("still there"), b"old");
    assert!(!scratch.path().join("file.2").exists());
    assert!(scratch.state_entries().is_empty());
}

fn ordinary_user_can_run() {
    let run = ["do", "/bin/sh", "-c", "id -u; ls / >/dev/null && echo visible; exit 4"];
    let check = |output: std::process::Output| {
        let outcome = Outcome::of(output);
        assert_eq!(outcome.stdout, "0\nvisible\n", "{outcome:?}");
        assert_eq!(outcome.status, Some(4), "{outcome:?}");
    };
    let scratch = Scratch::new();
    if !rustix::process::geteuid().is_root() {
        return check(scratch.runsc(&run).output().expect("runs"));
    }
    // The binary may lie below a directory that only root may enter.
    let flags = scratch.platform_flags();
    let name = format!("runsc-rs-{}-{}", std::process::id(), flags.concat());
    let binary = std::path::Path::new("/tmp").join(name);
    fs::copy(env!("CARGO_BIN_EXE_runsc-rs"), &binary).expect("copy");
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
        .arg(&binary)
        .args(flags)
        .args(run)
        .current_dir("/")
        .output();
    fs::remove_file(&binary).expect("remove");
    check(output.expect("setpriv runs"));
}

/// Starts a script with `do` and waits for its first line.
fn started(scratch: &Scratch, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = scratch
        .runsc(&["do", "/bin/sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("read");
    assert_eq!(line, "ready\n");
    (child, lines)
}

fn signals_reach_the_program() {
    let scratch = Scratch::new();
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("QUIT", Signal::QUIT),
    ] {
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let (mut child, mut lines) = started(&scratch, &script);
        kill_process(Pid::from_child(&child), signal).expect("kill");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("read");
        assert_eq!(child.wait().expect("wait").code(), Some(9), "{name}");
        assert_eq!(rest, format!("got {name}\n"));
    }
}

fn killing_the_command_line_ends_the_program() {
    let scratch = Scratch::new();
    let (mut child, mut lines) = started(&scratch, "echo ready; exec sleep 1000");
    child.kill().expect("kill");
    assert_eq!(child.wait().expect("wait").signal(), Some(9));
    // The pipe closes when the last process of the sandbox is gone.
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("read");
}

fn terminal_is_usable() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::open(100, 30);
    let script =
        "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; read x; echo \"<$x>\"";
    let mut command = scratch.runsc(&["do", "/bin/sh", "-c", script]);
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("all");
    assert!(terminal.seen().contains("30 100"), "{}", terminal.seen());
    assert!(terminal.seen().contains("/dev/"), "{}", terminal.seen());
    terminal.type_in("typed\r");
    terminal.wait_for("<typed>");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
}

fn interrupt_key_reaches_the_foreground_job() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::open(80, 24);
    let script = "trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let mut command = scratch.runsc(&["do", "/bin/sh", "-c", script]);
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("ready");
    terminal.type_in("\x03");
    terminal.wait_for("int");
    assert_eq!(child.wait().expect("wait").code(), Some(5));
}

fn window_size_follows() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::open(80, 24);
    let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut command = scratch.runsc(&["do", "/bin/sh", "-c", script]);
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("ready");
    terminal.resize(132, 43);
    terminal.wait_for("43 132");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
}

fn job_control_of_bash() {
    let scratch = Scratch::new();
    let mut terminal = Terminal::open(80, 24);
    let mut command = scratch.runsc(&["do", "--env", "PS1=% ", "/bin/bash", "--norc", "-i"]);
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("% ");
    terminal.type_in("sleep 1000\r");
    std::thread::sleep(Duration::from_millis(300));
    terminal.type_in("\x1a");
    terminal.wait_for("Stopped");
    terminal.type_in("fg\r");
    std::thread::sleep(Duration::from_millis(300));
    terminal.type_in("\x03echo status $?\r");
    terminal.wait_for("status 130");
    terminal.type_in("exit 3\r");
    assert_eq!(child.wait().expect("wait").code(), Some(3));
}

fn bundle_runs_and_leaves_nothing() {
    let scratch = Scratch::new();
    let bundle = scratch.bundle("b", |config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", "echo $GREETING from $(pwd); exit 6"]);
        config["process"]["env"] = json!(["PATH=/usr/bin:/bin", "GREETING=hello"]);
        config["process"]["cwd"] = json!("/usr");
        config["mounts"] = json!([{ "destination": "/proc", "type": "proc" }]);
    });
    let outcome = scratch.run(&["run", "--bundle", &bundle, "c"]);
    assert_eq!(outcome.stdout, "hello from /usr\n", "{outcome:?}");
    assert_eq!(outcome.status, Some(6));
    assert!(scratch.state_entries().is_empty());
}

fn hooks_run_in_order() {
    let scratch = Scratch::new();
    let log = scratch.path().join("log");
    let hook = |name: &str| {
        let script = format!(
            "echo {name} $(grep -o '\"id\":\"[^\"]*' | cut -d'\"' -f4) >> {}",
            log.display()
        );
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
    };
    let bundle = scratch.bundle("b", |config| {
        config["process"]["args"] = json!(["/bin/true"]);
        config["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"),
            "createContainer": hook("createContainer"), "poststart": hook("poststart"),
            "poststop": hook("poststop"),
        });
    });
    scratch.run(&["run", "--bundle", &bundle, "c"]).succeeds();
    let expected = "prestart c\ncreateRuntime c\ncreateContainer c\npoststart c\npoststop c\n";
    assert_eq!(fs::read_to_string(&log).expect("log"), expected);
    let failing = scratch.bundle("failing", |config| {
        config["hooks"] = json!({ "createRuntime": [{
            "path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 1"],
        }] });
    });
    scratch.run(&["run", "--bundle", &failing, "c"]).fails_with(&["/bin/sh", "because"]);
    assert!(scratch.state_entries().is_empty());
}

fn signals_from_inside_do_not_end_the_first_process() {
    let scratch = Scratch::new();
    let script = "kill 0; kill -9 0; kill -9 -1; kill -9 $$; sh -c 'kill -9 1'; echo alive";
    let outcome = shell(&scratch, &[], script);
    assert_eq!(outcome.succeeds().stdout, "alive\n", "{outcome:?}");
    // What a program does to itself has its native status.
    let outcome = shell(&scratch, &[], "exec perl -MPOSIX -e 'POSIX::abort()'");
    assert_eq!(outcome.status, Some(128 + 6), "{outcome:?}");
}

fn a_sentry_that_fails_is_no_status_of_the_program() {
    let scratch = Scratch::new();
    let mut child = scratch
        .runsc(&[
            "do",
            "/bin/sh",
            "-c",
            "echo ready; i=0; while :; do i=$((i+1)); : >/tmp/f$i; done",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    let sentry = common::child_named(&child, " boot").expect("the sentry");
    // What the guest does needs more and more of the sentry's memory.
    common::limit_memory(sentry, 0);
    let output = child.wait_with_output().expect("wait");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{message}");
    assert!(message.contains("memory allocation of"), "{message}");
    assert!(message.contains("the sandbox failed"), "{message}");
}

fn both_processes_have_only_what_they_need() {
    let scratch = Scratch::new();
    let mut child = scratch
        .runsc(&["do", "/bin/sh", "-c", "echo ready; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    let own = namespaces(child.id().cast_signed());
    for (name, most_capabilities) in [(" boot", 0), (" gofer", 0x1f)] {
        let pid = common::child_named(&child, name).expect("a process of the sandbox");
        for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
            let status = task.expect("a thread").path().join("status");
            let status = fs::read_to_string(status).expect("its status");
            let number = |field: &str, radix| {
                let value = status.lines().find_map(|line| line.strip_prefix(field));
                u64::from_str_radix(value.expect("a field").trim(), radix).expect("a number")
            };
            assert_eq!(number("NoNewPrivs:", 10), 1, "{name}: {status}");
            assert_eq!(number("Seccomp:", 10), 2, "{name}: {status}");
            for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:", "CapBnd:"] {
                assert_eq!(number(set, 16) & !most_capabilities, 0, "{name}: {status}");
            }
        }
        for (own, theirs) in own.iter().zip(namespaces(pid)) {
            assert_ne!(*own, theirs, "{name} shares a namespace with us");
        }
        // Nothing of ours is open there: the state directory and its lock, the bundle.
        for fd in fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors") {
            let path = fs::read_link(fd.expect("a descriptor").path()).unwrap_or_default();
            assert!(!path.starts_with(scratch.path()), "{name} has {}", path.display());
        }
        let root = format!("/proc/{pid}/root");
        assert_eq!(fs::read_dir(root).expect("its root").count(), 0, "{name}: root");
    }
    drop(child.stdin.take());
    assert_eq!(line, "ready\n");
    // `read` has met the end.
    assert_eq!(child.wait().expect("wait").code(), Some(1));
}

/// All but the user namespace, which the gofer may share with us.
fn namespaces(pid: i32) -> Vec<std::path::PathBuf> {
    let link = |name: &&str| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
    ["mnt", "pid", "ipc", "uts", "net"].iter().map(link).collect()
}
