//! Whole programs: scripts in Debian root file systems that print how long they took.
//!
//! A script is run once in each runtime, on the host's own files in a writable root file system;
//! it repeats its work itself, so that neither the start of the sandbox nor of a server counts.
//! See `bench-programs/lib.sh` for what it prints.

use crate::{Figure, Options, Results, median, processes};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use syscall_tests::bundle::Bundle;
use syscall_tests::outcome::Outcome;
use syscall_tests::programs;
use syscall_tests::runtime::Runtime;

/// Programs that need no more than the scripts of the compatibility tests.
const PLAIN: &[&str] = &[
    "shell_true_300",
    "echo_cat_200",
    "gcc_30",
    "python_start_20",
    "find_usr",
    "cp_rm",
    "git_commit",
    "python_lists",
    "dd_zero_null",
];

/// Programs that need [`PACKAGES`].
const SPECIAL: &[&str] =
    &["node_start", "stress_malloc", "stress_pipe", "redis_get", "nginx_small", "pgbench_read"];

const PACKAGES: &str = "bash,coreutils,findutils,procps,nodejs,stress-ng,redis-server,redis-tools,\
                        nginx-light,wrk,postgresql";

/// The root file systems.
pub struct Roots {
    plain: PathBuf,
    /// None if it cannot be made here: its programs are then left out.
    special: Option<PathBuf>,
}

impl Roots {
    /// Finds them in the target directory, making them if they are not there; `PROGRAMS_ROOTFS`
    /// and `BENCH_ROOTFS` name others.
    pub fn find() -> Result<Roots> {
        let special = match std::env::var_os("BENCH_ROOTFS") {
            Some(path) => Ok(PathBuf::from(path)),
            None => programs::debian("bench-rootfs", PACKAGES),
        };
        let special = special.inspect_err(|error| eprintln!("{error:#}")).ok();
        Ok(Roots { plain: programs::rootfs()?, special })
    }
}

/// Measures all programs. What a program needs and has not got leaves its row empty.
pub fn measure(runtime: &Runtime, roots: &Roots, options: &Options, results: &mut Results) {
    let plain = PLAIN.iter().map(|name| (name, Some(&roots.plain)));
    let special = SPECIAL.iter().map(|name| (name, roots.special.as_ref()));
    for (name, root) in plain.chain(special).filter(|(name, _)| options.wants(name)) {
        let Some(root) = root else {
            eprintln!("{}: {name}: skipped, its root file system is missing", runtime.label());
            continue;
        };
        eprintln!("{}: {name}", runtime.label());
        match measure_one(runtime, root, options, name) {
            Ok(Some(figure)) => drop(results.insert((*name).to_string(), figure)),
            Ok(None) => {}
            Err(error) => {
                eprintln!("{}: {name}: {error:#}", runtime.label());
                results.insert((*name).to_string(), Figure::Failed);
            }
        }
        if processes::end_strays() {
            eprintln!("{}: {name} left processes behind", runtime.label());
        }
    }
}

fn measure_one(
    runtime: &Runtime,
    root: &Path,
    options: &Options,
    name: &str,
) -> Result<Option<Figure>> {
    clean(root)?;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-programs");
    let mounts = [
        json!({"destination": "/programs", "type": "bind", "source": scripts,
               "options": ["rbind", "ro"]}),
        json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "nodev", "mode=1777"]}),
    ];
    let args = [format!("/programs/{name}"), options.runs.max(1).to_string()];
    let bundle = Bundle::of_root(root, false, &args, "/", &mounts)?;
    let start = Instant::now();
    let outcome = runtime.start_bundle(bundle)?.outcome(options.limit());
    let took = start.elapsed();
    clean(root)?;
    match outcome {
        Ok(outcome) => read(&outcome)
            .map_err(|error| error.context(format!("{}{}", outcome.stdout, outcome.stderr))),
        Err(_) if took >= options.limit() => Ok(Some(Figure::Timeout)),
        Err(error) => Err(error),
    }
}

/// Empties the working directory, and takes away what a killed sandbox of gVisor leaves.
fn clean(root: &Path) -> Result<()> {
    let entries = |dir: &Path| fs::read_dir(dir).map(|entries| entries.flatten());
    for entry in entries(root)?.filter(|e| e.file_name().to_string_lossy().starts_with(".gvisor")) {
        fs::remove_file(entry.path())?;
    }
    for entry in entries(&root.join("work"))? {
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        }
        .with_context(|| format!("removing {}", entry.path().display()))?;
    }
    Ok(())
}

/// The median of what a script printed; none if it was skipped.
fn read(outcome: &Outcome) -> Result<Option<Figure>> {
    if let Some(reason) = outcome.stdout.lines().find_map(|line| line.strip_prefix("skip ")) {
        eprintln!("skipped: {reason}");
        return Ok(None);
    }
    anyhow::ensure!(outcome.status == Some(0), "it ended with {:?}", outcome.status);
    let value = |line: &str| match line.split_once(' ') {
        Some(("ns" | "rate", value)) => value.trim().parse::<f64>().ok(),
        _ => None,
    };
    let values: Vec<f64> = outcome.stdout.lines().filter_map(value).collect();
    let median = median(values).context("it printed no figure")?;
    Ok(Some(Figure::Value(median)))
}
