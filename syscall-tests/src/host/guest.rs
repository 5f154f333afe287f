//! The case binary and the cases in it.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One case, as the binary lists it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Full name, `family::name`.
    pub name: String,
    /// Time limit in seconds.
    pub limit_s: u64,
    /// The syscalls it covers.
    pub syscalls: Vec<String>,
}

impl Case {
    /// Returns the part of the name before `::`.
    pub fn family(&self) -> &str {
        self.name.split("::").next().unwrap_or(&self.name)
    }
}

/// The static case binary.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Where it is on the host.
    pub path: PathBuf,
    /// All its cases, sorted by name.
    pub cases: Vec<Case>,
}

impl Guest {
    /// Asks the binary for its cases.
    pub fn load(path: &Path) -> Result<Guest> {
        let output = Command::new(path)
            .arg("list")
            .output()
            .with_context(|| format!("running {}", path.display()))?;
        if !output.status.success() {
            bail!("{} list: {}", path.display(), output.status);
        }
        let cases = String::from_utf8_lossy(&output.stdout).lines().map(parse).collect();
        let cases: Option<Vec<Case>> = cases;
        let cases = cases.context("the case list has a line of another form")?;
        Ok(Guest { path: path.to_owned(), cases })
    }
}

/// Parses a line of the list: name, limit, syscalls with commas between.
fn parse(line: &str) -> Option<Case> {
    let mut words = line.split(' ');
    let name = words.next()?.to_owned();
    let limit_s = words.next()?.parse().ok()?;
    let syscalls = words.next()?.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    Some(Case { name, limit_s, syscalls })
}
