//! The table of a run, and whether it went as expected.

use crate::expectations::Expectations;
use crate::guest::Case;
use crate::run::{Outcome, Outcomes};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Whether an outcome is as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed or skipped.
    Good,
    /// Failed, as its line in the expectations says.
    ExpectedFailure,
    /// Wrong: what to tell the reader.
    Bad(String),
}

/// Judges one outcome.
pub fn judge(case: &str, outcome: Option<&Outcome>, expected: &Expectations) -> Verdict {
    match (outcome, expected.reason(case)) {
        (Some(Outcome::Ok | Outcome::Skip(_)), None) => Verdict::Good,
        (Some(Outcome::Skip(_)), Some(_)) => Verdict::Good,
        (Some(Outcome::Ok), Some(reason)) => {
            Verdict::Bad(format!("passes, but is listed as failing ({reason}): take it out"))
        }
        (Some(Outcome::Fail(_)), Some(_)) => Verdict::ExpectedFailure,
        (Some(Outcome::Fail(message)), None) => Verdict::Bad(message.clone()),
        (None, _) => Verdict::Bad("no result".to_owned()),
    }
}

#[derive(Default)]
struct Totals {
    ok: u32,
    failed: u32,
    expected: u32,
    skipped: u32,
}

/// A finished table.
pub struct Report {
    /// The text to print.
    pub text: String,
    /// Number of unexpected results.
    pub unexpected: u32,
}

/// Makes the table: a line for each case, then the totals of each family.
pub fn table(cases: &[&Case], outcomes: &Outcomes, expected: &Expectations) -> Report {
    let width = cases.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut families: BTreeMap<&str, Totals> = BTreeMap::new();
    for case in cases {
        let totals = families.entry(case.family()).or_default();
        let outcome = outcomes.get(&case.name);
        let result = match judge(&case.name, outcome, expected) {
            Verdict::Bad(message) => {
                totals.failed += 1;
                format!("FAIL  {message}")
            }
            Verdict::ExpectedFailure => {
                totals.expected += 1;
                format!("fails, as expected: {}", expected.reason(&case.name).unwrap_or_default())
            }
            Verdict::Good => match outcome {
                Some(Outcome::Skip(reason)) => {
                    totals.skipped += 1;
                    format!("skip  {reason}")
                }
                _ => {
                    totals.ok += 1;
                    "ok".to_owned()
                }
            },
        };
        let _ = writeln!(text, "{:width$}  {result}", case.name);
    }
    let unexpected = add_totals(&mut text, &families);
    Report { text, unexpected }
}

fn add_totals(text: &mut String, families: &BTreeMap<&str, Totals>) -> u32 {
    let width = families.keys().map(|name| name.len()).max().unwrap_or(0).max(6);
    let _ = writeln!(text, "\n{:width$}    ok  FAIL  expected  skip", "family");
    let mut sum = Totals::default();
    for (name, t) in families {
        let _ = writeln!(text, "{}", total_line(name, width, t));
        sum.ok += t.ok;
        sum.failed += t.failed;
        sum.expected += t.expected;
        sum.skipped += t.skipped;
    }
    let _ = writeln!(text, "{}", total_line("all", width, &sum));
    sum.failed
}

fn total_line(name: &str, width: usize, t: &Totals) -> String {
    format!("{name:width$}  {:4}  {:4}  {:8}  {:4}", t.ok, t.failed, t.expected, t.skipped)
}
