//! The tables that the page shows: to show another one, add a line to [`all`].

use platform::filter::{sentry, stub, systrap};

use crate::row::Row;

/// A table of a filter.
pub struct List {
    pub title: &'static str,
    pub source: &'static str,
    pub note: &'static str,
    pub rows: Vec<Row>,
}

fn list<'a, T: 'a>(
    title: &'static str,
    source: &'static str,
    note: &'static str,
    table: &'a [T],
) -> List
where
    Row: From<&'a T>,
{
    List { title, source, note, rows: table.iter().map(Row::from).collect() }
}

const SENTRY: &str = "platform/src/filter/sentry.rs";
const STUB: &str = "platform/src/filter/stub.rs";
const SYSTRAP: &str = "platform/src/filter/systrap/table.rs";
const GOFER: &str = "gofer/src/filter.rs";

const STUB_NOTE: &str = "The second line of defence: a traced process is stopped before each call.";
const SYSTRAP_NOTE: &str = "For calls from the stub's code, where guest code can jump to. All other \
                            calls go to the sentry.";
const OWN_NOTE: &str = "Likewise. Out of bounds they go to the sentry, which may have the stub make \
                        them.";
const FUTEX_NOTE: &str = "For calls from all other code on the systrap platform, but not with \
                          `--strace`. Out of bounds they go to the sentry, which refuses them.";

/// All tables, in the order of the page.
pub fn all() -> Vec<List> {
    vec![
        list("Sentry: descriptors and data", SENTRY, "", sentry::FILES),
        list("Sentry: waiting and time", SENTRY, "", sentry::EVENTS),
        list("Sentry: its own memory and threads", SENTRY, "", sentry::RUNTIME),
        list("Sentry: the ptrace platform", SENTRY, "", sentry::PTRACE),
        list("Sentry: the systrap platform", SENTRY, "", sentry::SYSTRAP),
        list("Sentry: refused", SENTRY, "These fail with ENOSYS.", sentry::REFUSED),
        list("Gofer", GOFER, "", gofer::filter::ALLOWED),
        list("Guest processes: the ptrace platform", STUB, STUB_NOTE, stub::PTRACE),
        list("Guest processes: the systrap platform", SYSTRAP, SYSTRAP_NOTE, systrap::HOST_CALLS),
        list("Guest processes: native futexes", SYSTRAP, FUTEX_NOTE, systrap::FUTEX_CALLS),
        list("Guest processes: their own memory", SYSTRAP, OWN_NOTE, systrap::OWN_CALLS),
        list("Guest processes: the vsyscall page", SYSTRAP, "", systrap::VSYSCALLS),
    ]
}
