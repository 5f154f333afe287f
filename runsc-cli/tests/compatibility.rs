//! `docs/compatibility.md` is what the table of system calls says.

mod common;

use std::path::Path;

use common::Scratch;

/// Set to write the page instead of checking it.
const UPDATE: &str = "UPDATE_DOCS";

#[test]
fn page_is_made_from_the_table() {
    let outcome = Scratch::new().run(&["help", "syscalls", "--format", "markdown"]);
    let page = &outcome.succeeds().stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, page).expect("write");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        &written == page,
        "docs/compatibility.md is not what the table says; run\n    \
         {UPDATE}=1 cargo test -p runsc-cli --test compatibility"
    );
}

#[test]
fn table_is_printed() {
    let outcome = Scratch::new().run(&["help", "syscalls"]);
    let table = &outcome.succeeds().stdout;
    assert!(table.lines().any(|line| line.starts_with("   0 read ")), "{table}");
}
