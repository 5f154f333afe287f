//! Primitives: the guest binary in a bundle that holds nothing else, one sandbox for each.

use crate::{Figure, Options, Results, idle, median, processes};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use syscall_tests::bundle::{Bundle, GUEST_PATH};
use syscall_tests::outcome::{self, Outcome};
use syscall_tests::runtime::Runtime;

/// Measures everything that the guest lists, the start-up and an idle sandbox.
///
/// # Errors
/// The guest cannot tell its list. A measurement that goes wrong is a figure like any other.
pub fn measure(
    runtime: &Runtime,
    guest: &Path,
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let label = runtime.label();
    let list = Command::new(guest).arg("--list").output().context("asking the guest")?;
    for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| options.wants(name)) {
        eprintln!("{label}: {name}");
        measure_one(runtime, guest, options, name, results);
        if processes::end_strays() {
            eprintln!("{label}: {name} left processes behind");
        }
    }
    if options.wants("start_true") {
        eprintln!("{label}: start_true");
        let figure = start_up(runtime, guest, options).unwrap_or_else(|error| {
            eprintln!("{label}: start_true: {error:#}");
            Figure::Failed
        });
        results.insert("start_true".to_owned(), figure);
        processes::end_strays();
    }
    if options.wants("idle_memory") || options.wants("idle_cpu") {
        eprintln!("{label}: idle_memory, idle_cpu");
        idle::measure(runtime.start_bundle(bundle(guest, "--idle")?)?, results);
        processes::end_strays();
    }
    Ok(())
}

fn bundle(guest: &Path, argument: &str) -> Result<Bundle> {
    let bundle = Bundle::new(guest)?;
    bundle.configure(&[GUEST_PATH.to_owned(), argument.to_owned()])?;
    Ok(bundle)
}

fn measure_one(
    runtime: &Runtime,
    guest: &Path,
    options: &Options,
    name: &str,
    results: &mut Results,
) {
    let run = || runtime.start_bundle(bundle(guest, name)?)?.outcome(options.limit());
    let start = Instant::now();
    let outcome = if name.ends_with("_outside") { beside_work(run) } else { run() };
    let figure = match outcome {
        Ok(Outcome { status: Some(0), stdout, .. }) => {
            let lines = stdout.lines().filter_map(|line| line.split_once(' '));
            let values = lines.filter_map(|(name, value)| Some((name, value.parse().ok()?)));
            results.extend(values.map(|(name, value)| (name.to_owned(), Figure::Value(value))));
            return;
        }
        Err(_) if start.elapsed() >= options.limit() => Figure::Timeout,
        other => {
            eprintln!("{}: {name}: {other:?}", runtime.label());
            Figure::Failed
        }
    };
    results.insert(name.to_owned(), figure);
}

/// Keeps every processor of the host busy meanwhile.
fn beside_work<T>(run: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let spin = || {
        while !is_over.load(Ordering::Relaxed) {
            std::hint::black_box(());
        }
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(2, |count| count.get());
        (0..count).for_each(|_| drop(scope.spawn(spin)));
        let result = run();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

/// Median time of a whole `run` of a program that leaves at once, and natively of the program
/// itself, in nanoseconds.
fn start_up(runtime: &Runtime, guest: &Path, options: &Options) -> Result<Figure> {
    // Between looks; more often would take time from what is measured.
    const STEP: Duration = Duration::from_micros(100);
    let mut times = Vec::new();
    for _ in 0..options.runs.max(1) {
        if let Runtime::Native = runtime {
            let start = Instant::now();
            let status = Command::new(guest).arg("--exit").status()?;
            times.push(start.elapsed().as_nanos() as f64);
            anyhow::ensure!(status.success(), "the program ended with {status}");
            continue;
        }
        let bundle = bundle(guest, "--exit")?;
        let start = Instant::now();
        let mut running = runtime.start_bundle(bundle)?;
        let status = outcome::wait(&mut running.process, options.limit(), STEP)?;
        times.push(start.elapsed().as_nanos() as f64);
        running.stop();
        let Some(status) = status else { return Ok(Figure::Timeout) };
        anyhow::ensure!(status.success(), "the run ended with {status}");
    }
    Ok(median(times).map_or(Figure::Failed, Figure::Value))
}
