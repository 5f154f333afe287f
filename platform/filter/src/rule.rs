//! One line of a table, and its translation for `seccompiler`.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// A system call that a process may make.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its number on x86-64.
    pub number: i64,
    /// Alternatives, each a list of checks that must all hold; none means "always".
    pub when: &'static [&'static [Check]],
    /// What needs it.
    pub reason: &'static str,
}

/// A condition on one argument (counted from 0). Arguments are compared as the 32-bit numbers that
/// the kernel takes them for, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Is(u8, u32),
    IsNot(u8, u32),
    /// None of these bits is set.
    Lacks(u8, u32),
    /// As `Is`, over all 64 bits.
    IsLong(u8, u64),
    /// As `Lacks`, over all 64 bits.
    LacksLong(u8, u64),
}

impl Check {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        use SeccompCmpArgLen::{Dword, Qword};
        use SeccompCmpOp::{Eq, MaskedEq, Ne};
        match self {
            Check::Is(index, value) => SeccompCondition::new(index, Dword, Eq, value.into()),
            Check::IsNot(index, value) => SeccompCondition::new(index, Dword, Ne, value.into()),
            Check::Lacks(index, mask) => {
                SeccompCondition::new(index, Dword, MaskedEq(mask.into()), 0)
            }
            Check::IsLong(index, value) => SeccompCondition::new(index, Qword, Eq, value),
            Check::LacksLong(index, mask) => SeccompCondition::new(index, Qword, MaskedEq(mask), 0),
        }
    }
}

/// A program that allows what the tables list and kills the process on anything else.
///
/// # Errors
/// Those of the compiler; they would be errors in the tables.
pub(super) fn allow_list<'a>(
    tables: impl IntoIterator<Item = &'a Allowed>,
) -> Result<BpfProgram, BackendError> {
    compile(rules(tables)?, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// A program that answers the listed calls with an error and has no opinion on others.
///
/// # Errors
/// As [`allow_list`].
pub(super) fn refuse_list<'a>(
    table: impl IntoIterator<Item = &'a Allowed>,
    errno: i32,
) -> Result<BpfProgram, BackendError> {
    compile(rules(table)?, SeccompAction::Allow, SeccompAction::Errno(errno as u32))
}

fn rules<'a>(
    tables: impl IntoIterator<Item = &'a Allowed>,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for listed in tables {
        let alternatives = listed.when.iter().map(|checks| {
            let conditions = checks.iter().map(|check| check.condition());
            SeccompRule::new(conditions.collect::<Result<_, _>>()?)
        });
        rules
            .entry(listed.number)
            .or_default()
            .extend(alternatives.collect::<Result<Vec<_>, BackendError>>()?);
    }
    Ok(rules)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matched, TargetArch::x86_64)?.try_into()
}
