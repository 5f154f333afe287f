//! The host's tree below a sandbox that writes to its root file system: what is there when the
//! sandbox has ended, of its own accord or not.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Outcome, Scratch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

common::on_each_platform! {
    tree_is_right_when_the_sandbox_has_ended,
    tree_is_right_after_changes_in_any_order,
    tree_is_in_order_when_the_sentry_was_killed,
    full_file_system_is_told,
    what_was_removed_makes_room_at_once,
}

/// Puts programs and their libraries into a root file system.
fn fill_root(root: &Path, programs: &[&str]) {
    let copy = |source: &str| {
        let target = root.join(source.trim_start_matches('/'));
        fs::create_dir_all(target.parent().expect("no program is /")).expect("a directory");
        fs::copy(source, target).expect("a copy");
    };
    for program in programs {
        copy(program);
        let libraries = Command::new("ldd").arg(program).output().expect("ldd");
        let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
        text.split_whitespace().filter(|word| word.starts_with('/')).for_each(copy);
    }
    fs::create_dir(root.join("work")).expect("work");
}

/// A bundle whose root file system is `root`, to run a shell script in `/work`.
fn bundle(scratch: &Scratch, root: &Path, script: &str) -> String {
    scratch.bundle("b", |config| {
        config["root"] = json!({ "path": root, "readonly": false });
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        config["process"]["cwd"] = json!("/work");
    })
}

/// What lies below `dir`: contents of files, nothing of directories.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Option<String>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("below").to_owned();
            if path.is_dir() {
                left.push(path);
                found.insert(name, None);
            } else {
                found.insert(name, Some(fs::read_to_string(&path).expect("a file")));
            }
        }
    }
    found
}

fn tree_is_right_when_the_sandbox_has_ended() {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fill_root(&root, &["/bin/sh", "/bin/rm", "/bin/mkdir", "/bin/mv", "/bin/ln"]);
    // Each ends with another kind of change. The shell redirects by itself.
    let script = |last: &str| {
        format!(
            "rm -rf a; mkdir -p a/b; for i in 1 2 3 4 5 6 7 8 9; do echo $i >a/b/$i; : >a/e$i; done;
             rm a/e1 a/b/1; mv a/b/2 a/two; ln a/b/3 a/three;
             for i in 1 2 3; do echo $i >a/b/tmp; ln a/b/tmp a/l$i; rm a/b/tmp; done;
             mkdir -p a/c/d; for i in 1 2 3; do echo $i >a/c/$i; : >a/c/d/$i; done;
             mv a/c/d/1 a/c/d/4; rm -r a/c; {last}"
        )
    };
    for (last, removed, added) in [
        ("echo end >a/last", None, Some(("last", "end\n"))),
        (": >a/last", None, Some(("last", ""))),
        ("rm a/e9", Some("e9"), None),
        ("echo x >a/t; rm a/t", None, None),
        ("mv a/e9 a/last", Some("e9"), Some(("last", ""))),
    ] {
        let bundle = bundle(&scratch, &root, &script(last));
        let outcome = scratch.run(&["run", "--bundle", &bundle, "c"]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        let mut expected = BTreeMap::from([("b".into(), None)]);
        let mut put = |name: String, text: String| expected.insert(name.into(), Some(text));
        (3..=9).for_each(|i| drop(put(format!("b/{i}"), format!("{i}\n"))));
        (2..=9).for_each(|i| drop(put(format!("e{i}"), String::new())));
        put("two".into(), "2\n".into());
        put("three".into(), "3\n".into());
        (1..=3).for_each(|i| drop(put(format!("l{i}"), format!("{i}\n"))));
        added.inspect(|(name, text)| drop(put((*name).into(), (*text).into())));
        removed.inspect(|name| drop(expected.remove(Path::new(name))));
        assert_eq!(tree(&root.join("work/a")), expected, "{last}");
    }
}

/// A shell script that changes a few names in a few directories again and again, and prints what
/// comes of it. Now and then it waits until the host has heard of what went before.
fn changes(mut seed: u64) -> String {
    let mut below = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let mut script = String::from("exec 2>/dev/null; mkdir a b a/s;\n");
    for number in 0..250 {
        let dir = |at: u64| ["a", "b", "a/s", "b/t"][at as usize];
        let (first, second) = (dir(below(4)), dir(below(4)));
        let (one, two) = (below(5), below(5));
        let change = match below(16) {
            0..=4 => format!("echo {number} >{first}/{one}"),
            5..=7 => format!("rm {first}/{one}"),
            8 => format!("ln {first}/{one} {second}/{two}"),
            9 => format!("mv {first}/{one} {second}/{two}"),
            10 => "mkdir b/t".to_owned(),
            11 => "rm -r b/t".to_owned(),
            12 => format!("chmod 6{one}{two} {first}/{one}"),
            13 => format!("stat -c '%n %f %h' {first}/* {second}"),
            14 => format!("echo {first}/*; cat {first}/{one}; ln -s {number} {second}/{two}"),
            _ => format!("touch -d @{number} {first}; stat -c '%Y' {first}; sleep 0.0{}", below(4)),
        };
        script += &format!("{change}; echo {number} $?\n");
    }
    script + "sync; stat -c '%n %f %h' a a/* a/s/* b b/* b/t/*; true"
}

fn tree_is_right_after_changes_in_any_order() {
    let scratch = Scratch::new();
    let programs =
        ["sh", "rm", "mkdir", "mv", "ln", "chmod", "stat", "cat", "touch", "sleep", "sync"];
    let programs = programs.map(|name| format!("/bin/{name}"));
    for seed in 0..6 {
        let script = changes(seed);
        let root = scratch.path().join(format!("root{seed}"));
        fill_root(&root, &programs.each_ref().map(String::as_str));
        let native = scratch.path().join(format!("native{seed}"));
        fs::create_dir(&native).expect("a directory");
        let mut shell = Command::new("/bin/sh");
        let told = shell.args(["-c", &script]).current_dir(&native).output().expect("a shell");
        let bundle = bundle(&scratch, &root, &script);
        let outcome = scratch.run(&["run", "--bundle", &bundle, "c"]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        // Sizes of directories are the file system's affair; links count alike on the same one.
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        let expected = lines(&String::from_utf8_lossy(&told.stdout));
        for (line, (ours, host)) in lines(&outcome.stdout).iter().zip(&expected).enumerate() {
            assert_eq!(ours, host, "seed {seed}, line {line}");
        }
        assert_eq!(outcome.stdout.lines().count(), expected.len(), "seed {seed}");
        assert_eq!(names(&root.join("work")), names(&native), "seed {seed}");
    }
}

/// Paths below `dir` with kinds, permissions, links and contents.
fn names(dir: &Path) -> BTreeMap<PathBuf, (u32, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let stat = fs::symlink_metadata(&path).expect("it is there");
            let content = match stat.file_type() {
                kind if kind.is_file() => fs::read(&path).expect("a file"),
                kind if kind.is_symlink() => {
                    fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
                }
                _ => Vec::new(),
            };
            let name = path.strip_prefix(dir).expect("below").to_owned();
            found.insert(name, (stat.mode(), stat.nlink(), content));
            if stat.is_dir() {
                left.push(path);
            }
        }
    }
    found
}

fn tree_is_in_order_when_the_sentry_was_killed() {
    let scratch = Scratch::new();
    let root = scratch.path().join("root");
    fill_root(&root, &["/bin/sh"]);
    let script = "i=0; while :; do echo $i >f$i; i=$((i + 1)); done";
    let bundle = bundle(&scratch, &root, script);
    let mut child = scratch
        .runsc(&["run", "--bundle", &bundle, "c"])
        .stderr(Stdio::null())
        .spawn()
        .expect("runsc-rs runs");
    let start = Instant::now();
    while !root.join("work/f200").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is made");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sentry = common::child_named(&child, "boot").expect("a sentry");
    kill_process(Pid::from_raw(sentry).expect("a process"), Signal::KILL).expect("kill");
    child.wait().expect("it ends");
    let found = tree(&root.join("work"));
    let count = found.len();
    assert!(count > 200);
    // No later file is there without the ones before; of those only the last may lack its content.
    for i in 0..count {
        let content = found.get(Path::new(&format!("f{i}"))).expect("no gaps");
        let content = content.as_deref().expect("a file");
        assert!(content == format!("{i}\n") || (i + 1 == count && content.is_empty()), "f{i}");
    }
}

fn full_file_system_is_told() {
    for (options, script) in [
        // Names run out.
        ("size=64m,nr_inodes=600", "i=0; while true >f$i; do i=$((i + 1)); done; echo $i"),
        // Space does.
        (
            "size=24m",
            "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9; do x=$x$x; done
             i=0; while echo $x$x >f$i; do i=$((i + 1)); done; echo $i",
        ),
    ] {
        let scratch = Scratch::new();
        let outcome = run_on_tmpfs(&scratch, options, &["/bin/sh"], script);
        let made: usize = outcome.stdout.trim().parse().expect("a number");
        assert!(made > 200, "{outcome:?}");
        let found = tree(&scratch.path().join("result"));
        // What the shell was told is what is there.
        for i in 0..made {
            let content = found.get(Path::new(&format!("f{i}"))).expect("no gaps");
            let length = content.as_deref().expect("a file").len();
            assert_eq!(length, if options.contains("nr") { 0 } else { 16 * 512 * 2 + 1 });
        }
        assert!(found.len() <= made + 1, "{} of {made}", found.len());
    }
}

fn what_was_removed_makes_room_at_once() {
    let scratch = Scratch::new();
    let script = "i=0; while true >f$i; do i=$((i + 1)); done;
        rm f1 && mkdir d && rm f2 && ln -s f3 l && rm f4 && : >g && rm f5 && mkdir d/e && echo fine";
    let programs = ["/bin/sh", "/bin/rm", "/bin/mkdir", "/bin/ln"];
    let outcome = run_on_tmpfs(&scratch, "size=64m,nr_inodes=600", &programs, script);
    assert_eq!(outcome.stdout, "fine\n", "{outcome:?}");
    let found = tree(&scratch.path().join("result"));
    let is_there = ["d", "d/e", "g"].map(|name| found.contains_key(Path::new(name)));
    assert_eq!(is_there, [true; 3]);
}

/// Runs a shell script in a sandbox whose root file system is a tmpfs, mounted with these options, with
/// these programs. What was in `/work` in the end lies in `result` then.
fn run_on_tmpfs(scratch: &Scratch, options: &str, programs: &[&str], script: &str) -> Outcome {
    let [filled, root] = ["filled", "root"].map(|name| scratch.path().join(name));
    fill_root(&filled, programs);
    fs::create_dir(&root).expect("a directory");
    let bundle = bundle(scratch, &root, &format!("{{ {script}; }} 2>/dev/null"));
    let run = scratch.runsc(&["run", "--bundle", &bundle, "c"]);
    // Nobody else sees this mount.
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec"]);
    command.arg(
        "mount -t tmpfs -o \"$1\" tmpfs root; cp -a filled/. root; shift
         \"$@\"; cp -rP root/work result",
    );
    command.args(["sh", options]).arg(run.get_program()).args(run.get_args());
    let output = command.current_dir(scratch.path()).output().expect("unshare");
    Outcome::of(output)
}
