//! create, start, exec, kill, delete: what a container manager does.

mod common;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use common::terminal::Terminal;
use common::{Outcome, Scratch};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::{Value, json};

common::on_each_platform! {
    whole_life,
    created_container_can_be_deleted,
    create_fails_for_programs_that_cannot_run,
    exec_in_a_running_container,
    console_socket,
    exec_on_a_terminal,
    cgroup_holds_the_sandbox,
}

/// A program that ends with status 9 at SIGTERM.
const WAITING: &str = "trap 'exit 9' TERM; while :; do sleep 0.05; done";

fn waiting_bundle(scratch: &Scratch) -> String {
    scratch.bundle("waiting", |config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", WAITING]);
        config["mounts"] = json!([{ "destination": "/proc", "type": "proc" }]);
    })
}

fn state(scratch: &Scratch, id: &str) -> Value {
    serde_json::from_str(&scratch.run(&["state", id]).succeeds().stdout).expect("JSON")
}

/// Runs a command without our streams: the sandbox keeps those it was given.
fn quiet(scratch: &Scratch, args: &[&str]) -> Outcome {
    let file = tempfile::NamedTempFile::new_in(scratch.path()).expect("file");
    let status = scratch
        .runsc(args)
        .stdin(std::process::Stdio::null())
        .stdout(file.reopen().expect("reopen"))
        .stderr(file.reopen().expect("reopen"))
        .status()
        .expect("runs");
    let text = fs::read_to_string(file.path()).expect("read");
    Outcome { status: status.code(), stdout: text.clone(), stderr: text }
}

fn wait_for_status(scratch: &Scratch, id: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while state(scratch, id)["status"] != wanted {
        assert!(Instant::now() < deadline, "{id} does not become {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn whole_life() {
    let scratch = Scratch::new();
    let bundle = waiting_bundle(&scratch);
    let pid_file = scratch.path().join("pid");
    let pid_path = pid_file.to_str().expect("UTF-8");
    quiet(&scratch, &["create", "--bundle", &bundle, "--pid-file", pid_path, "c"]).succeeds();
    let created = state(&scratch, "c");
    assert_eq!(created["status"], "created");
    let pid = fs::read_to_string(&pid_file).expect("pid file");
    assert_eq!(created["pid"].to_string(), pid);
    assert!(fs::exists(format!("/proc/{pid}")).expect("proc"));

    quiet(&scratch, &["create", "--bundle", &bundle, "c"]).fails_with(&["already exists"]);
    scratch.run(&["exec", "c", "true"]).fails_with(&["container not running"]);
    scratch.run(&["debug", "--latency", "c"]).fails_with(&["not running"]);
    scratch.run(&["debug", "c"]).fails_with(&["--latency"]);
    scratch.run(&["start", "c"]).succeeds();
    assert_eq!(state(&scratch, "c")["status"], "running");
    scratch.run(&["start", "c"]).fails_with(&["cannot start", "running"]);
    scratch.run(&["delete", "c"]).fails_with(&["running", "--force"]);
    let listed = scratch.run(&["list"]);
    assert!(listed.succeeds().stdout.contains("running"), "{listed:?}");
    assert_eq!(scratch.run(&["ps", "--format", "json", "c"]).stdout.trim(), format!("[{pid}]"));
    let table = scratch.run(&["ps", "c"]);
    assert!(table.succeeds().stdout.contains("sh -c"), "{table:?}");
    let shown = scratch.run(&["debug", "--latency", "--for", "1", "c"]);
    shown.succeeds();
    let lines: Vec<&str> = shown.stdout.lines().collect();
    let count = |what: &str| {
        let line = lines.iter().find(|line| line.starts_with(what)).expect(what);
        line[what.len()..].split_whitespace().next().expect("a count").parse::<u64>().expect("it")
    };
    // The tracer of ptrace has one way in, which it does not count.
    if common::platform() == Some("systrap") {
        assert!(count("system calls notified") > 0, "{shown:?}");
    }
    assert!(count("clock_nanosleep") > 0, "{shown:?}");

    scratch.run(&["kill", "c", "TERM"]).succeeds();
    wait_for_status(&scratch, "c", "stopped");
    scratch.run(&["kill", "c"]).fails_with(&["container not running"]);
    scratch.run(&["kill", "--all", "c"]).succeeds();
    scratch.run(&["delete", "c"]).succeeds();
    assert!(scratch.state_entries().is_empty());
}

fn created_container_can_be_deleted() {
    let scratch = Scratch::new();
    let bundle = waiting_bundle(&scratch);
    quiet(&scratch, &["create", "--bundle", &bundle, "c"]).succeeds();
    let pid = state(&scratch, "c")["pid"].to_string();
    scratch.run(&["delete", "c"]).succeeds();
    assert!(!fs::exists(format!("/proc/{pid}")).expect("proc") || is_zombie(&pid));
    quiet(&scratch, &["run", "--detach", "--bundle", &bundle, "d"]).succeeds();
    assert_eq!(state(&scratch, "d")["status"], "running");
    scratch.run(&["kill", "d", "KILL"]).succeeds();
    wait_for_status(&scratch, "d", "stopped");
    scratch.run(&["delete", "--force", "d"]).succeeds();
    quiet(&scratch, &["run", "--detach", "--bundle", &bundle, "e"]).succeeds();
    scratch.run(&["delete", "--force", "e"]).succeeds();
    assert!(scratch.state_entries().is_empty());
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"))
}

fn create_fails_for_programs_that_cannot_run() {
    let scratch = Scratch::new();
    for (program, message) in [
        ("nosuch", "exec \"nosuch\": executable file not found in $PATH"),
        ("/etc/passwd", "exec \"/etc/passwd\": permission denied"),
    ] {
        let bundle = scratch.bundle("b", |config| config["process"]["args"] = json!([program]));
        quiet(&scratch, &["create", "--bundle", &bundle, "c"]).fails_with(&[message]);
        assert!(scratch.state_entries().is_empty());
    }
    let bundle = waiting_bundle(&scratch);
    let create = ["create", "--bundle", &bundle, "--pid-file", "/no/such/pid", "c"];
    quiet(&scratch, &create).fails_with(&["/no/such/pid"]);
    assert!(scratch.state_entries().is_empty());
}

fn exec_in_a_running_container() {
    let scratch = Scratch::new();
    let bundle = waiting_bundle(&scratch);
    quiet(&scratch, &["run", "--detach", "--bundle", &bundle, "c"]).succeeds();
    let outcome = scratch.run(&[
        "exec",
        "--env",
        "A=b",
        "--cwd",
        "/usr",
        "c",
        "sh",
        "-c",
        "echo $A $PWD; exit 5",
    ]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(5), "b /usr\n"), "{outcome:?}");
    let outcome = scratch.run(&["exec", "--user", "12:34", "c", "sh", "-c", "id -u; id -g"]);
    assert_eq!(outcome.succeeds().stdout, "12\n34\n");
    let outcome = scratch.run(&["exec", "c", "nosuch"]);
    assert_eq!(outcome.status, Some(127), "{outcome:?}");
    outcome.fails_with(&["executable file not found in $PATH"]);
    let outcome = scratch.run(&["exec", "c", "/etc/passwd"]);
    assert_eq!(outcome.status, Some(126), "{outcome:?}");

    let file = scratch.path().join("process.json");
    let process = json!({
        "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/usr/bin:/bin", "B=c"],
        "args": ["sh", "-c", "echo $B; exit 3"],
    });
    fs::write(&file, process.to_string()).expect("write");
    let outcome = scratch.run(&["exec", "--process", file.to_str().expect("UTF-8"), "c"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(3), "c\n"), "{outcome:?}");
    scratch.run(&["exec", "c"]).fails_with(&["command"]);
    scratch.run(&["delete", "--force", "c"]).succeeds();
}

/// Listens on a console socket and receives the master end.
fn receive_master(listener: &UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().expect("accept");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut buffers = [std::io::IoSliceMut::new(&mut name)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(&stream, &mut buffers, &mut ancillary, flags);
    assert!(received.expect("recvmsg").bytes > 0, "the name must not be empty");
    let mut messages = ancillary.drain();
    match messages.next() {
        Some(RecvAncillaryMessage::ScmRights(mut fds)) => fds.next().expect("a descriptor"),
        _ => panic!("no descriptor came"),
    }
}

fn console_socket() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("console.sock");
    let listener = UnixListener::bind(&socket).expect("bind");
    let socket = socket.to_str().expect("UTF-8");
    let script =
        "stty size; trap 'echo int' INT; echo ready; read x || read x; echo \"<$x>\"; exit 4";
    let bundle = scratch.bundle("b", |config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({ "width": 90, "height": 20 });
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    });
    quiet(&scratch, &["create", "--bundle", &bundle, "--console-socket", socket, "c"]).succeeds();
    let mut terminal = Terminal::from_master(receive_master(&listener));
    scratch.run(&["start", "c"]).succeeds();
    terminal.wait_for("ready");
    assert!(terminal.seen().contains("20 90"), "{}", terminal.seen());
    terminal.interrupt_until("int");
    terminal.type_in("x\r");
    terminal.wait_for("<x>");
    wait_for_status(&scratch, "c", "stopped");
    scratch.run(&["delete", "c"]).succeeds();
}

fn exec_on_a_terminal() {
    let scratch = Scratch::new();
    let bundle = waiting_bundle(&scratch);
    quiet(&scratch, &["run", "--detach", "--bundle", &bundle, "c"]).succeeds();
    let mut terminal = Terminal::open(70, 20);
    let script = "stty size; trap 'echo int; exit 6' INT; echo ready; while :; do sleep 0.05; done";
    let mut child = terminal.spawn(&mut scratch.runsc(&["exec", "--tty", "c", "sh", "-c", script]));
    terminal.wait_for("ready");
    assert!(terminal.seen().contains("20 70"), "{}", terminal.seen());
    terminal.type_in("\x03");
    assert_eq!(child.wait().expect("wait").code(), Some(6));

    let socket = scratch.path().join("console.sock");
    let listener = UnixListener::bind(&socket).expect("bind");
    let pid_file = scratch.path().join("pid");
    let args = [
        "exec",
        "--tty",
        "--detach",
        "--console-socket",
        socket.to_str().expect("UTF-8"),
        "--pid-file",
        pid_file.to_str().expect("UTF-8"),
        "c",
        "sh",
        "-c",
        script,
    ];
    quiet(&scratch, &args).succeeds();
    let mut terminal = Terminal::from_master(receive_master(&listener));
    terminal.wait_for("ready");
    let pid = fs::read_to_string(&pid_file).expect("pid file");
    assert!(fs::exists(format!("/proc/{pid}")).expect("proc"));
    terminal.type_in("\x03");
    terminal.wait_for("int");
    scratch.run(&["delete", "--force", "c"]).succeeds();
}

/// Finds a file of a cgroup in the unified or in a split hierarchy.
fn cgroup_file(path: &str, unified: &str, controller: &str, split: &str) -> Option<String> {
    [
        format!("/sys/fs/cgroup/{path}/{unified}"),
        format!("/sys/fs/cgroup/{controller}/{path}/{split}"),
    ]
    .iter()
    .find_map(|file| fs::read_to_string(file).ok())
    .map(|text| text.trim().to_owned())
}

fn cgroup_holds_the_sandbox() {
    let scratch = Scratch::new();
    let path = format!("runsc-test-{}", std::process::id());
    let absolute = format!("/{path}");
    let bundle = scratch.bundle("b", |config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", WAITING]);
        config["linux"]["cgroupsPath"] = json!(absolute);
        config["linux"]["resources"] =
            json!({ "memory": { "limit": 268_435_456 }, "pids": { "limit": 123 } });
    });
    let outcome = quiet(&scratch, &["run", "--detach", "--bundle", &bundle, "c"]);
    if outcome.succeeds().stderr.contains("no writable cgroup") {
        scratch.run(&["delete", "--force", "c"]).succeeds();
        return;
    }
    let pid = state(&scratch, "c")["pid"].to_string();
    let memory = cgroup_file(&path, "memory.max", "memory", "memory.limit_in_bytes");
    assert_eq!(memory.as_deref(), Some("268435456"));
    let pids = cgroup_file(&path, "pids.max", "pids", "pids.max");
    assert_eq!(pids.as_deref(), Some("123"));
    let members = cgroup_file(&path, "cgroup.procs", "memory", "cgroup.procs").expect("members");
    assert!(members.lines().any(|member| member == pid), "{members}");
    let stats = scratch.run(&["events", "--stats", "c"]);
    let stats: Value = serde_json::from_str(&stats.succeeds().stdout).expect("JSON");
    assert!(stats["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|usage| usage > 0));
    scratch.run(&["delete", "--force", "c"]).succeeds();
    assert_eq!(cgroup_file(&path, "cgroup.procs", "memory", "cgroup.procs"), None);
}
