//! Every syscall that the sentry claims to serve has a conformance case.

use sentry::syscall::{Level, TABLE};
use std::collections::BTreeSet;
use syscall_tests::guest::Guest;

#[test]
fn claimed_syscalls_have_cases() {
    let guest = Guest::load(env!("CARGO_BIN_EXE_syscall-cases").as_ref()).expect("the case list");
    let covered: BTreeSet<&str> =
        guest.cases.iter().flat_map(|case| &case.syscalls).map(String::as_str).collect();
    let claimed = TABLE.iter().filter(|row| !matches!(row.level, Level::Stub(..)));
    let missing: Vec<&str> =
        claimed.map(|row| row.name).filter(|name| !covered.contains(name)).collect();
    assert!(
        missing.is_empty(),
        "the table claims these, but no case in syscall-tests/src/cases names them: {missing:?}"
    );
}
