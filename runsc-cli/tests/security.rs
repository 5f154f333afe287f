//! The lists in `docs/security.md` are what the filters' tables say.

#[path = "security/lists.rs"]
mod lists;
#[path = "security/row.rs"]
mod row;

use std::fmt::Write;
use std::path::Path;

use lists::{List, all};

/// Set to write the page instead of checking it.
const UPDATE: &str = "UPDATE_DOCS";
/// What the page has below this line is made here.
const HEADING: &str = "## What each process may ask of the host\n";

fn generated() -> String {
    let mut page = format!(
        "{HEADING}\n\
         Made from the tables of the filters. Anything else ends the process, but for what is said with a list.\n\
         Arguments are counted from 0; conditions joined by *or* are alternatives.\n"
    );
    for List { title, source, note, rows } in all() {
        // Writing to a string cannot fail.
        let note = if note.is_empty() { String::new() } else { format!(" {note}") };
        let _ = writeln!(page, "\n### {title}\n\nFrom `{source}`.{note}\n");
        page.push_str("| call | if | why |\n|---|---|---|\n");
        for row in rows {
            let _ = writeln!(page, "| `{}` | {} | {} |", row.name, row.condition, row.reason);
        }
    }
    page
}

#[test]
fn page_is_made_from_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let written = std::fs::read_to_string(&path).expect("docs/security.md");
    let text = written.split(HEADING).next().unwrap_or_default().trim_end();
    let page = format!("{text}\n\n{}", generated());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &page).expect("write");
        return;
    }
    assert!(
        page == written,
        "docs/security.md is not what the tables say; run\n    \
         {UPDATE}=1 cargo test -p runsc-cli --test security"
    );
}
