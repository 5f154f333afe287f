//! Expected failures: `expectations/<runtime>[-<platform>].txt`.
//!
//! One line a case: its full name, then `#` and the reason. A listed case that passes fails the
//! run, so that the lists only say what is true.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// The cases that are expected to fail in one runtime, with the reasons.
#[derive(Clone, Debug, Default)]
pub struct Expectations(BTreeMap<String, String>);

impl Expectations {
    /// Reads the list of a runtime; there need not be one.
    pub fn load(label: &str) -> Result<Expectations> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("expectations");
        let path = dir.join(format!("{label}.txt"));
        if !path.exists() {
            return Ok(Expectations::default());
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Expectations> {
        let mut all = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('#') {
                Some((name, reason)) if !reason.trim().is_empty() => {
                    all.insert(name.trim().to_owned(), reason.trim().to_owned());
                }
                _ => bail!("line {}: give the reason: `{} # reason`", number + 1, line.trim()),
            }
        }
        Ok(Expectations(all))
    }

    /// Returns why the case is expected to fail, if it is.
    pub fn reason(&self, case: &str) -> Option<&str> {
        self.0.get(case).map(String::as_str)
    }

    /// Returns the listed names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::Expectations;

    #[test]
    fn a_line_needs_a_reason() {
        let list = Expectations::parse("# heading\n\nfs::a # not yet\n").unwrap();
        assert_eq!(list.reason("fs::a"), Some("not yet"));
        assert_eq!(list.reason("fs::b"), None);
        assert!(Expectations::parse("fs::a\n").is_err());
        assert!(Expectations::parse("fs::a #  \n").is_err());
    }
}
