//! One call of a table, in words.

use std::fmt::LowerHex;

use linux_abi::sysno;
use platform::filter::systrap::{Bound, HostCall};
use platform::filter::{Allowed, Check};

/// A line of the page.
pub struct Row {
    pub name: String,
    pub condition: String,
    pub reason: String,
}

impl Row {
    fn new(number: i64, condition: String, reason: &str) -> Row {
        let name = sysno::name(number as u64).map_or_else(|| number.to_string(), str::to_owned);
        Row { name, condition, reason: reason.to_owned() }
    }
}

impl From<&Allowed> for Row {
    fn from(allowed: &Allowed) -> Row {
        Row::new(allowed.number, alternatives(allowed.when, check), allowed.reason)
    }
}

impl From<&HostCall> for Row {
    fn from(call: &HostCall) -> Row {
        let mut condition = alternatives(call.when, bound);
        if !condition.is_empty() {
            condition += &format!("; else {:?}", call.refusal);
        }
        if call.is_asked {
            condition += "; the sentry is asked each time";
        }
        Row::new(call.number, condition, call.reason)
    }
}

fn alternatives<T>(when: &[&[T]], describe: fn(&T) -> String) -> String {
    let all = |checks: &&[T]| checks.iter().map(describe).collect::<Vec<_>>().join(", ");
    let texts: Vec<String> = when.iter().map(all).collect();
    // Many values of one argument are easier to read as a list.
    let values = |prefix: &str| {
        let values: Option<Vec<&str>> =
            texts.iter().map(|text| text.strip_prefix(prefix)).collect();
        values.filter(|values| values.iter().all(|value| !value.contains(' ')))
    };
    for argument in 0..6 {
        let prefix = format!("argument {argument} is ");
        if let Some(values) = values(&prefix).filter(|values| values.len() > 1) {
            return format!("{prefix}one of {}", values.join(" "));
        }
    }
    texts.join(" *or* ")
}

fn check(check: &Check) -> String {
    match *check {
        Check::Is(argument, value) => is(argument, value),
        Check::IsLong(argument, value) => is(argument, value),
        Check::HasOf { arg, mask, value } => {
            format!("argument {arg} & {mask:#x} is {value:#x}")
        }
        Check::IsNot(argument, value) => format!("argument {argument} is not {value:#x}"),
        Check::Lacks(argument, mask) => lacks(argument, mask),
        Check::LacksLong(argument, mask) => lacks(argument, mask),
    }
}

fn bound(bound: &Bound) -> String {
    match *bound {
        Bound::OneOf(argument, values) => one_of(argument, values),
        Bound::OneOfBeside { arg, ignored, values } => {
            format!("{}, whatever its bits {ignored:#x} are", one_of(arg, values))
        }
        Bound::Lacks(argument, mask) => lacks(argument, mask),
        Bound::IsLong(argument, value) => is(argument, value),
        Bound::AtMost(argument, most) => format!("argument {argument} is at most {most}"),
        Bound::Outside { addr, len } => {
            format!("the range of arguments {addr} and {len} is outside of the stub")
        }
        Bound::CatchAll => {
            "it installs the second filter, which lies in the stub's code, without flags".to_owned()
        }
        Bound::Channel => "it replaces the channel as it was".to_owned(),
        Bound::BesideAreas { addr, len } => format!(
            "the range of argument {addr}, as long as argument {len} says, lies between two places \
             for trampolines"
        ),
        Bound::Conduit => "it is the memory of a conduit, where these are".to_owned(),
    }
}

fn one_of(argument: u8, values: &[i32]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
    format!("argument {argument} is one of {}", values.join(" "))
}

fn is(argument: u8, value: impl LowerHex) -> String {
    format!("argument {argument} is {value:#x}")
}

fn lacks(argument: u8, mask: impl LowerHex) -> String {
    format!("argument {argument} has none of {mask:#x}")
}
