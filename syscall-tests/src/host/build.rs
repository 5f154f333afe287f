//! Finds the workspace's own binaries, building them first.
//!
//! `cargo run` and `cargo test -p` build one package's targets only, so whoever needs another
//! binary asks cargo for it: a no-op when it is fresh.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the path of a workspace binary, freshly built into the target directory and in the
/// profile of the running executable.
pub fn binary(package: &str, name: &str) -> Result<PathBuf> {
    let profile_dir = profile_dir()?;
    let profile = match profile_dir.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target_dir = profile_dir.parent().and_then(Path::parent);
    let target_dir = target_dir.context("the executable is not in a target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", package, "--bin", name, "--profile", profile])
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("cargo could not build {name} (package {package}): {status}");
    }
    let path = profile_dir.join(name);
    if !path.is_file() {
        bail!("cargo built {name}, but {} is not there", path.display());
    }
    Ok(path)
}

/// Returns the directory that holds the profile's binaries: that of the running executable, or for
/// a test the one above `deps`.
fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("finding the running executable")?;
    let dir = exe.parent().context("the executable has no directory")?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.to_owned())
}
