//! Program compatibility: real programs from a Debian root file system, run by runc on the host's
//! kernel and by our runtime, whose output and exit status must be the same.

use crate::bundle::Bundle;
use crate::outcome::Outcome;
use crate::runtime::Runtime;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// What the scripts need beyond the smallest Debian.
const PACKAGES: &str = "busybox,bash,coreutils,findutils,grep,sed,mawk,tar,gzip,perl,python3,git,\
                        gcc,make,libc6-dev,procps,strace,gdb-minimal";

/// How long one script may take.
const LIMIT: Duration = Duration::from_secs(180);

/// How often the making of a root file system is tried.
const DEBIAN_ATTEMPTS: u32 = 5;

/// Returns the scripts: every file of `syscall-tests/programs`, by name.
pub fn scripts() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(scripts_dir())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn scripts_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// Returns the root file system, making it if it is not there: Debian 12 by mmdebstrap, kept in
/// the target directory.
pub fn rootfs() -> Result<PathBuf> {
    match std::env::var_os("PROGRAMS_ROOTFS") {
        Some(path) => Ok(PathBuf::from(path)),
        None => debian("rootfs-debugging", PACKAGES),
    }
}

/// Returns the root file system `name` of the target directory, Debian 12 with these packages
/// (commas between), making it if it is not there.
pub fn debian(name: &str, packages: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // The outermost: cargo marks the directory of a target triple too.
    let target = exe.ancestors().filter(|dir| dir.join("CACHEDIR.TAG").exists()).last();
    let dir = target.context("the executable is not in a target directory")?.join("programs");
    fs::create_dir_all(&dir)?;
    let lock = File::create(dir.join("lock"))?;
    lock.lock().context("locking the directory of the root file system")?;
    let rootfs = dir.join(name);
    if rootfs.is_dir() {
        return Ok(rootfs);
    }
    let part = dir.join(format!("{name}.part"));
    eprintln!("making a Debian root file system in {} (some minutes)", rootfs.display());
    // The network may fail for a moment.
    for attempt in 1.. {
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
        }
        let status = make_debian(&part, packages)?;
        if status.success() {
            break;
        }
        if attempt == DEBIAN_ATTEMPTS {
            bail!("mmdebstrap could not make the root file system in {}: {status}", part.display());
        }
        std::thread::sleep(Duration::from_secs(5) * attempt);
    }
    for name in ["programs", "work"] {
        fs::create_dir_all(part.join(name))?;
    }
    fs::rename(&part, &rootfs)?;
    Ok(rootfs)
}

fn make_debian(directory: &Path, packages: &str) -> Result<ExitStatus> {
    Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", "--aptopt=Acquire::Retries \"5\""])
        .args(["--include", packages, "bookworm"])
        .arg(directory)
        .stdin(Stdio::null())
        .status()
        .context("mmdebstrap is needed to make the root file system (apt install mmdebstrap)")
}

/// Runs one script with a fresh directory of the host as its working directory.
pub fn run(runtime: &Runtime, rootfs: &Path, script: &str) -> Result<Outcome> {
    let work = tempfile::Builder::new().prefix("syscall-tests-work-").tempdir()?;
    let mounts = [
        json!({"destination": "/programs", "type": "bind", "source": scripts_dir(),
               "options": ["rbind", "ro"]}),
        json!({"destination": "/work", "type": "bind", "source": work.path(),
               "options": ["rbind", "rw"]}),
        json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "nodev", "mode=1777"]}),
        json!({"destination": "/root", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "nodev", "mode=0700"]}),
    ];
    let args = [format!("/programs/{script}")];
    let running = runtime.start_bundle(Bundle::of_root(rootfs, true, &args, "/work", &mounts)?)?;
    running.outcome(LIMIT).with_context(|| format!("{script} in {}", runtime.label()))
}

/// Describes how two outcomes differ: the first line that does.
pub fn difference(native: &Outcome, ours: &Outcome) -> Option<String> {
    if native == ours {
        return None;
    }
    let mut text =
        format!("exit status: {:?} natively, {:?} in the sandbox", native.status, ours.status);
    for (name, a, b) in
        [("stdout", &native.stdout, &ours.stdout), ("stderr", &native.stderr, &ours.stderr)]
    {
        if a != b {
            let common = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
            let line =
                |text: &str| text.lines().skip(common).take(3).collect::<Vec<_>>().join("\n    ");
            text.push_str(&format!(
                "\n{name}, from line {}:\n  natively:\n    {}\n  in the sandbox:\n    {}",
                common + 1,
                line(a),
                line(b)
            ));
        }
    }
    Some(text)
}
