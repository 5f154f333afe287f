//! Counts of what should become rarer, by crate.

use super::files::{Source, root};
use super::has_word;
use std::collections::BTreeMap;
use std::fs;

/// Where the allowed counts are.
pub const FILE: &str = "syscall-tests/tests/tidy/ratchet.txt";

/// Counts by `crate what`.
pub type Counts = BTreeMap<String, usize>;

/// Counts over all code that is not only for tests.
pub fn count(sources: &[Source]) -> Counts {
    let mut counts = Counts::new();
    for source in sources.iter().filter(|s| !s.is_for_tests()) {
        let Some((name, _)) = source.path.split_once("/src/") else { continue };
        for line in source.code_lines() {
            let found = [
                ("unsafe", has_word(line, "unsafe")),
                ("unwrap", line.contains(".unwrap()")),
                ("allow", line.contains("allow(") && line.trim_start().starts_with('#')),
            ];
            for (what, is_there) in found {
                if is_there {
                    *counts.entry(format!("{name} {what}")).or_default() += 1;
                }
            }
        }
    }
    counts
}

/// Reads the allowed counts: lines of crate, what, count.
pub fn load() -> Counts {
    let text = fs::read_to_string(root().join(FILE)).expect("the file of counts");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (key, count) = line.rsplit_once(' ')?;
        Some((key.to_owned(), count.parse().ok()?))
    };
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("{FILE}: {line:?}"))).collect()
}

/// Writes the counts as the allowed ones.
pub fn save(counts: &Counts) {
    let mut text =
        String::from("# Lines of code with `unsafe`, `.unwrap()` or `#[allow(`, outside tests.\n");
    for (key, count) in counts {
        text.push_str(&format!("{key} {count}\n"));
    }
    fs::write(root().join(FILE), text).expect("the file of counts can be written");
}
