//! House rules that a program can check: layout of files, crate edges, counts that may only fall.

mod edges;
mod files;
mod ratchet;

use files::Source;
use std::collections::BTreeMap;

/// Fails with all complaints at once.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_are_not_too_long() {
    let too_long = |source: &Source| {
        let lines = source.text.lines().count();
        let limit = if source.text.contains("// tidy: allow-long (") { 2000 } else { 700 };
        (lines > limit).then(|| format!("{}: {lines} lines, split it", source.path))
    };
    report(&files::rust().iter().filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn modules_say_what_they_are_for() {
    let silent = |source: &Source| {
        (!source.is_unit_tests() && !source.text.starts_with("//!"))
            .then(|| format!("{}: the first line is not a `//!` comment", source.path))
    };
    report(&files::rust().iter().filter_map(silent).collect::<Vec<_>>());
}

#[test]
fn text_is_clean() {
    let mut complaints = Vec::new();
    // In pieces, so that this file passes.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for source in files::all() {
        for (number, line) in source.text.lines().enumerate() {
            let mut complain =
                |what: &str| complaints.push(format!("{}:{}: {what}", source.path, number + 1));
            if line.ends_with(' ') || line.ends_with('\t') {
                complain("blanks at the end of the line");
            }
            if line.contains('\t') && source.path.ends_with(".rs") {
                complain("a tab");
            }
            if source.path.ends_with(".rs") && marks.iter().any(|mark| has_word(line, mark)) {
                complain("an open end: do it, or say in a sentence what is not there");
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            complaints.push(format!("{}: no newline at the end", source.path));
        }
    }
    report(&complaints);
}

/// Whether the line has the word with no letter next to it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        ![before, after].iter().any(|c| c.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn safe_crates_forbid_unsafe_code() {
    let roots = [
        "sentry/src/lib.rs",
        "sentry/control/src/lib.rs",
        "platform/abi/src/lib.rs",
        "gofer/protocol/src/lib.rs",
    ];
    let sources = files::rust();
    for root in roots {
        let source = sources.iter().find(|s| s.path == root);
        let forbids = source.is_some_and(|s| s.text.contains("#![forbid(unsafe_code)]"));
        assert!(forbids, "{root} must have #![forbid(unsafe_code)]");
    }
}

#[test]
fn conformance_cases_are_safe_code() {
    let complaints: Vec<String> = files::rust()
        .iter()
        .filter(|s| s.path.starts_with("syscall-tests/src/cases/") && !s.path.contains("/support/"))
        .filter(|s| s.code_lines().any(|line| has_word(line, "unsafe")))
        .map(|s| format!("{}: unsafe code belongs in src/cases/support", s.path))
        .collect();
    report(&complaints);
}

#[test]
fn crates_depend_downwards_only() {
    report(&edges::complaints());
}

#[test]
fn counts_only_fall() {
    let now = ratchet::count(&files::rust());
    if std::env::var_os("TIDY_UPDATE").is_some() {
        ratchet::save(&now);
        return;
    }
    let allowed = ratchet::load();
    let mut complaints = Vec::new();
    for (key, count) in &now {
        let limit = allowed.get(key).copied().unwrap_or(0);
        if *count > limit {
            complaints.push(format!(
                "{key}: {count}, more than the {limit} of {}: avoid it, or raise the number there \
                 and say why in the commit",
                ratchet::FILE
            ));
        }
    }
    report(&complaints);
    let lower: BTreeMap<_, _> =
        allowed.iter().filter(|(key, limit)| now.get(*key).unwrap_or(&0) < limit).collect();
    if !lower.is_empty() {
        eprintln!("fewer than allowed; run with TIDY_UPDATE=1 to keep it so: {lower:?}");
    }
}
