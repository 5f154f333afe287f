//! The list of all cases, gathered by the linker.
//!
//! `case!` puts each case into one section of the binary, so a new case is written in one place.

/// One conformance case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Module path of the case's file; its last part is the family.
    pub module: &'static str,
    /// Name, stating the behaviour.
    pub name: &'static str,
    /// Linux names of the syscalls it is about.
    pub syscalls: &'static [&'static str],
    /// Time limit in seconds.
    pub limit_s: u64,
    /// The case itself.
    pub run: fn(),
}

impl Case {
    /// Returns the family: the name of the case's file.
    pub fn family(&self) -> &'static str {
        self.module.rsplit("::").next().unwrap_or(self.module)
    }

    /// Returns the full name, `family::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.family(), self.name)
    }
}

/// Default time limit of a case, in seconds: only one that hangs reaches it, also in a sentry that was
/// built without optimisation, on a slow machine with other work.
pub const LIMIT_S: u64 = 30;

unsafe extern "C" {
    // The linker defines these around every section whose name is a C identifier.
    static __start_syscall_cases: u8;
    static __stop_syscall_cases: u8;
}

/// Returns all cases, sorted by full name.
pub fn all() -> Vec<Case> {
    let start = (&raw const __start_syscall_cases).cast::<Case>();
    let stop = (&raw const __stop_syscall_cases).cast::<Case>();
    let count = (stop as usize - start as usize) / size_of::<Case>();
    // SAFETY: the linker lays out the section between the two symbols as an array of `Case`,
    // since `case!` is the only thing that puts anything there.
    let cases = unsafe { std::slice::from_raw_parts(start, count) };
    let mut cases = cases.to_vec();
    cases.sort_by_key(Case::full_name);
    cases
}

/// Registers a case: `case!(name, [syscalls], { body })`, with an optional time limit in seconds
/// after the list.
macro_rules! case {
    ($name:ident, [$($syscall:ident),* $(,)?], $body:block) => {
        case!($name, [$($syscall),*], $crate::support::registry::LIMIT_S, $body);
    };
    ($name:ident, [$($syscall:ident),* $(,)?], $limit_s:expr, $body:block) => {
        fn $name() $body

        const _: () = {
            $crate::support::registry::register!(1, [$crate::support::registry::Case {
                module: module_path!(),
                name: stringify!($name),
                syscalls: {
                    // Only names of real syscalls.
                    let _: &[i64] = &[$($crate::support::numbers::$syscall),*];
                    &[$(stringify!($syscall)),*]
                },
                limit_s: $limit_s,
                run: $name,
            }]);
        };
    };
}

/// Puts some cases into the list.
macro_rules! register {
    ($count:literal, $cases:expr) => {
        // SAFETY: the section holds nothing but `Case` values.
        #[unsafe(link_section = "syscall_cases")]
        #[used]
        static CASES: [$crate::support::registry::Case; $count] = $cases;
    };
}

pub(crate) use {case, register};
