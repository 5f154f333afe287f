//! The program against what the tables say themselves.

use linux_abi::Errno;
use linux_abi::task::{AUDIT_ARCH_I386, SeccompData};
use proptest::prelude::*;

use super::*;
use crate::bpf::interpreter::run;
use Check::{HasOf, Is, IsLong, IsNot, Lacks, LacksLong};

const FIRST: &[Allowed] = &[
    Allowed::always(3, "always"),
    Allowed::when(7, &[&[Is(0, 9)]], "one number"),
    Allowed::when(9, &[&[Is(1, 1)], &[Is(1, 5)], &[Is(1, 2)], &[Is(2, 2)]], "several numbers"),
];
const SECOND: &[Allowed] = &[
    Allowed::when(7, &[&[IsNot(0, 3), Lacks(1, 6)], &[Is(0, 3), IsLong(1, 1 << 40 | 2)]], "both"),
    Allowed::when(11, &[&[HasOf { arg: 1, mask: 0xff, value: 0x12 }]], "bits"),
    Allowed::when(11, &[&[LacksLong(2, 1 << 33 | 4)]], "the same call, otherwise"),
    Allowed::when(12, &[&[LacksLong(2, 8)]], "few bits"),
];
const THIRD: &[Allowed] =
    &[Allowed::always(9, "whatever is left"), Allowed::always(400, "a high number")];

const NO_SUCH_CALL: Answer = Answer::Refuse(Errno::ENOSYS);

fn lists() -> [List<'static>; 2] {
    [
        List { calls: &[FIRST], answer: NO_SUCH_CALL },
        List { calls: &[SECOND, THIRD], answer: Answer::Allow },
    ]
}

/// Whether a line lets a call with these arguments pass.
fn lets_pass(line: &Allowed, args: &[u64; 6]) -> bool {
    let holds = |checks: &&[Check]| checks.iter().all(|check| holds(*check, args));
    line.when.is_empty() || line.when.iter().any(holds)
}

fn holds(check: Check, args: &[u64; 6]) -> bool {
    let arg = |index: u8| args[usize::from(index)];
    match check {
        Is(index, value) => arg(index) as u32 == value,
        IsNot(index, value) => arg(index) as u32 != value,
        Lacks(index, bits) => arg(index) as u32 & bits == 0,
        HasOf { arg: index, mask, value } => arg(index) as u32 & mask == value,
        IsLong(index, value) => arg(index) == value,
        LacksLong(index, bits) => arg(index) & bits == 0,
    }
}

fn expected(data: &SeccompData) -> Answer {
    if data.arch != AUDIT_ARCH_X86_64 {
        return Answer::KillProcess;
    }
    let says = |list: &List<'_>| {
        let mut calls = list.calls.iter().copied().flatten();
        calls.any(|it| it.number == i64::from(data.nr) && lets_pass(it, &data.args))
    };
    lists().iter().find(|list| says(list)).map_or(Answer::KillProcess, |list| list.answer)
}

fn data(nr: i32, args: [u64; 6]) -> SeccompData {
    SeccompData { nr, arch: AUDIT_ARCH_X86_64, args, ..SeccompData::default() }
}

fn check(program: &[Instruction], data: &SeccompData) {
    let found = run(program, data).expect("a valid program");
    assert_eq!(found.value, expected(data).value(), "{data:x?}");
}

#[test]
fn numbers_are_found_and_nothing_else() {
    let program = translate(&lists()).expect("valid tables");
    for nr in (-3..500).chain([0x4000_0003, i32::MIN, i32::MAX]) {
        check(&program, &data(nr, [0; 6]));
    }
    let other = SeccompData { arch: AUDIT_ARCH_I386, ..data(3, [0; 6]) };
    check(&program, &other);
    assert_eq!(expected(&other), Answer::KillProcess);
    assert_eq!(expected(&data(3, [0; 6])), NO_SUCH_CALL);
    assert_eq!(expected(&data(400, [0; 6])), Answer::Allow);
}

#[test]
fn the_way_to_an_answer_is_short() {
    let table: Vec<Allowed> = (0..256).map(|number| Allowed::always(2 * number, "")).collect();
    let list = List { calls: &[&table], answer: Answer::Allow };
    let program = translate(&[list]).expect("valid tables");
    let steps = (0..512).map(|nr| run(&program, &data(nr, [0; 6])).expect("valid").steps).max();
    assert!(steps.is_some_and(|steps| steps <= 24), "{steps:?}");
}

proptest! {
    #[test]
    fn arguments_are_checked(
        nr in prop::sample::select(vec![3, 7, 9, 11, 12, 13, 400]),
        args in prop::array::uniform6(prop_oneof![
            0..16_u64,
            prop::sample::select(vec![0x12, 0x112, 0x13, 1 << 32, 1 << 33, 1 << 40 | 2, u64::MAX]),
            any::<u64>(),
        ]),
    ) {
        check(&translate(&lists()).expect("valid tables"), &data(nr, args));
    }
}
