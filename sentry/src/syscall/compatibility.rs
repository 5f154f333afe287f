//! The compatibility table for people, made from [`TABLE`]: `runsc-rs help syscalls` and
//! `docs/compatibility.md`.

use std::fmt::Write;

use linux_abi::task::CAP_NAMES;

use super::table::{Entry, Level, Stub, TABLE};

/// The table as text in columns.
pub fn text() -> String {
    let mut text = String::new();
    for row in sorted() {
        let (level, note) = describe(row.level);
        let line = format!("{:>4} {:<24} {level:<8} {note}", row.number, row.name);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "\n{}. Every other number is ENOSYS.", summary());
    text
}

/// The page of the documentation.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Compatibility: the system calls of x86-64\n\n\
         Made from the table in `sentry/src/syscall/table.rs`; `runsc-rs help syscalls` prints it too.\n\
         *full*: every documented behaviour, as far as we know. *partial*: without what the note says.\n\
         *stub*: fails with the error, on purpose.\n\n",
    );
    let _ = writeln!(page, "{}. Every other number is ENOSYS.\n", summary());
    page.push_str("| number | call | level | note |\n|---|---|---|---|\n");
    for row in sorted() {
        let (level, note) = describe(row.level);
        let _ = writeln!(page, "| {} | `{}` | {level} | {note} |", row.number, row.name);
    }
    page
}

fn sorted() -> Vec<Entry> {
    let mut rows = TABLE.to_vec();
    rows.sort_by_key(|row| row.number);
    rows
}

fn describe(level: Level) -> (&'static str, String) {
    match level {
        Level::Full => ("full", String::new()),
        Level::Partial(note) => ("partial", note.to_owned()),
        Level::Stub(Stub { errno, reason, needs: None }) => ("stub", format!("{errno}: {reason}")),
        Level::Stub(Stub { errno, reason, needs: Some(capability) }) => {
            let name = CAP_NAMES.get(capability as usize).unwrap_or(&"?");
            ("stub", format!("{errno}, or EPERM without CAP_{name}: {reason}"))
        }
    }
}

fn summary() -> String {
    let count = |is_it: fn(&Level) -> bool| TABLE.iter().filter(|row| is_it(&row.level)).count();
    format!(
        "{} system calls are full, {} partial, {} stubs",
        count(|level| matches!(level, Level::Full)),
        count(|level| matches!(level, Level::Partial(_))),
        count(|level| matches!(level, Level::Stub(..)))
    )
}

#[cfg(test)]
mod tests {
    use linux_abi::Errno;

    use super::*;

    #[test]
    fn what_the_host_answers_by_itself_is_what_we_would_say() {
        for &number in platform::UNKNOWN_CALLS {
            let entry = TABLE.iter().find(|entry| i64::from(entry.number) == number);
            let level = entry.map(|entry| entry.level);
            assert!(
                matches!(level, Some(Level::Stub(Stub { errno: Errno::ENOSYS, needs: None, .. }))),
                "{number}: {level:?}"
            );
        }
    }
}
