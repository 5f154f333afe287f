//! The text files of the workspace.

use std::fs;
use std::path::Path;

/// A file: its path from the workspace's root, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// Whether the file holds unit tests of the module next to it.
    pub fn is_unit_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs")
    }

    /// Whether the file is only compiled for tests.
    pub fn is_for_tests(&self) -> bool {
        self.is_unit_tests() || self.path.contains("/tests/")
    }

    /// Returns the lines that are not comments, without the unit tests at the end of the file.
    pub fn code_lines(&self) -> impl Iterator<Item = &str> {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        self.text[..end].lines().filter(|line| !line.trim_start().starts_with("//"))
    }
}

/// Returns the root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// Returns the Rust files.
pub fn rust() -> Vec<Source> {
    all().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// Returns the files that people write: Rust, Markdown, TOML and shell.
pub fn all() -> Vec<Source> {
    let mut sources = Vec::new();
    walk(root(), &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "the workspace is not where it should be");
    sources
}

fn walk(dir: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("a readable directory").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") {
                walk(&path, sources);
            }
        } else if [".rs", ".md", ".toml", ".sh"].iter().any(|end| name.ends_with(end)) {
            let text = fs::read_to_string(&path).expect("UTF-8 text");
            let path = path.strip_prefix(root()).expect("below the root");
            sources.push(Source { path: path.display().to_string(), text });
        }
    }
}
