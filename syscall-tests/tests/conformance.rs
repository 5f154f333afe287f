//! Every case as a test: natively, where Linux is the oracle, then in the sandbox on each platform.
//!
//! All chosen cases of a family run in one start of the runtime; the first test of a family that
//! is asked for starts it. What is missing (the binary, a runtime that does not start) fails.

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use syscall_tests::expectations::Expectations;
use syscall_tests::guest::{Case, Guest};
use syscall_tests::report::{Verdict, judge};
use syscall_tests::run::{self, Outcome, Outcomes};
use syscall_tests::runtime::{PLATFORMS, Runtime};

/// The runtimes of the tests: prefix of the tests' names, runtime, platform.
fn runtimes() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let ours = PLATFORMS.map(|platform| (platform, "runsc-rs", platform));
    std::iter::once(("native", "native", "")).chain(ours)
}

/// One start of a runtime on the chosen cases of a family.
struct Batch {
    runtime: Arc<OnceLock<Result<(Runtime, Expectations), String>>>,
    name: &'static str,
    platform: &'static str,
    guest: Arc<Guest>,
    cases: Vec<Case>,
    outcomes: OnceLock<Result<Outcomes, String>>,
}

impl Batch {
    /// Returns the runtime, found (and built) once for all its batches.
    fn runtime(&self) -> Result<&(Runtime, Expectations), String> {
        let find = || {
            let runtime = Runtime::find(self.name, self.platform)?;
            let expected = Expectations::load(runtime.label())?;
            anyhow::Ok((runtime, expected))
        };
        self.runtime
            .get_or_init(|| find().map_err(|e| format!("{e:#}")))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Tells whether a case went as expected, running the whole batch the first time.
    fn check(&self, case: &str) -> Result<(), Failed> {
        let (runtime, expected) = self.runtime()?;
        let run = || {
            let cases: Vec<&Case> = self.cases.iter().collect();
            run::run(runtime, &self.guest, &cases).map_err(|error| format!("{error:#}"))
        };
        let outcomes = self.outcomes.get_or_init(run).as_ref()?;
        let outcome = outcomes.get(case);
        if let Some(Outcome::Skip(reason)) = outcome {
            eprintln!("skipped {}::{case}: {reason}", self.name);
        }
        match judge(case, outcome, expected) {
            Verdict::Good | Verdict::ExpectedFailure => Ok(()),
            Verdict::Bad(message) => Err(message.into()),
        }
    }
}

/// Whether the test with this name will run: the rest need not be run in its batch.
fn is_wanted(args: &Arguments, name: &str) -> bool {
    let hit = |pattern: &String| {
        if args.exact { name == pattern } else { name.contains(pattern.as_str()) }
    };
    args.filter.as_ref().is_none_or(&hit) && !args.skip.iter().any(&hit)
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let guest = match Guest::load(env!("CARGO_BIN_EXE_syscall-cases").as_ref()) {
        Ok(guest) => Arc::new(guest),
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for (prefix, name, platform) in runtimes() {
        let runtime = Arc::new(OnceLock::new());
        let mut families: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
        for case in &guest.cases {
            if is_wanted(&args, &format!("{prefix}::{}", case.name)) {
                families.entry(case.family()).or_default().push(case.clone());
            }
        }
        for cases in families.into_values() {
            let (runtime, guest) = (Arc::clone(&runtime), Arc::clone(&guest));
            let outcomes = OnceLock::new();
            let batch = Arc::new(Batch { runtime, name, platform, guest, cases, outcomes });
            for case in &batch.cases {
                let (batch, case) = (Arc::clone(&batch), case.name.clone());
                let test = format!("{prefix}::{case}");
                trials.push(Trial::test(test, move || batch.check(&case)));
            }
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}
