//! Tables as a program: the number by bisection, then what a line says of the arguments.
//!
//! The kernel asks a filter about each number when it is installed, and remembers those for which
//! the answer depends on nothing else. A chain of comparisons makes both that and each later call
//! take as long as the table.

use std::collections::BTreeMap;

use linux_abi::task::AUDIT_ARCH_X86_64;

use crate::bpf::{self, Answer, Assembler, Instruction, Label, Switch, Test, Word};
use crate::rule::{Allowed, Check};

/// What is answered to the calls of a table.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    pub calls: &'a [&'a [Allowed]],
    pub answer: Answer,
}

/// A program that answers each call as the first list says that has it with its arguments, and kills
/// the process at any other; so at all calls of another architecture than x86-64.
///
/// # Errors
/// When the tables make too long a program.
pub fn translate(lists: &[List<'_>]) -> Result<Vec<Instruction>, bpf::Error> {
    let mut lines: BTreeMap<i64, Vec<(&Allowed, Answer)>> = BTreeMap::new();
    for list in lists {
        for allowed in list.calls.iter().copied().flatten() {
            lines.entry(allowed.number).or_default().push((allowed, list.answer));
        }
    }
    let mut asm = Assembler::new();
    let kill = asm.label();
    asm.load(Word::Arch);
    asm.jump_unless(Test::Equals(AUDIT_ARCH_X86_64), kill);
    asm.load(Word::Number);
    let mut switch = Switch::new(kill);
    let mut answers = Answers(Vec::new());
    let mut bounded = Vec::new();
    for (number, lines) in &lines {
        let label = match lines.first() {
            Some((first, answer)) if first.when.is_empty() => answers.label(&mut asm, *answer),
            _ => {
                let label = asm.label();
                bounded.push((label, lines));
                label
            }
        };
        let number = *number as u32;
        switch.set(number..=number, label);
    }
    switch.emit(&mut asm);
    for (label, lines) in bounded {
        asm.bind(label);
        for &(allowed, answer) in lines {
            let to = answers.label(&mut asm, answer);
            line(&mut asm, allowed, to);
        }
        // Where the last line holds always, this is never reached.
        asm.jump(kill);
    }
    for (answer, label) in answers.0 {
        asm.bind(label);
        asm.answer(answer);
    }
    asm.bind(kill);
    asm.answer(Answer::KillProcess);
    asm.assemble()
}

/// One place for each answer, so that few places are far away.
struct Answers(Vec<(Answer, Label)>);

impl Answers {
    fn label(&mut self, asm: &mut Assembler, answer: Answer) -> Label {
        if let Some((_, label)) = self.0.iter().find(|(known, _)| *known == answer) {
            return *label;
        }
        let label = asm.label();
        self.0.push((answer, label));
        label
    }
}

/// Jumps to `to` if a line holds, else goes on.
fn line(asm: &mut Assembler, allowed: &Allowed, to: Label) {
    if allowed.when.is_empty() {
        asm.jump(to);
        return;
    }
    let mut rest = allowed.when;
    while let Some((first, others)) = rest.split_first() {
        match values(rest) {
            // Numbers that one argument may be are looked for by bisection, too.
            (arg, count) if count > 2 => {
                let next = asm.label();
                let mut switch = Switch::new(next);
                for value in rest[..count].iter().filter_map(|checks| value(checks)) {
                    switch.set(value.1..=value.1, to);
                }
                asm.load(Word::ArgLow(arg));
                switch.emit(asm);
                asm.bind(next);
                rest = &rest[count..];
            }
            _ => {
                let next = asm.label();
                first.iter().for_each(|check| require(asm, *check, next));
                asm.jump(to);
                asm.bind(next);
                rest = others;
            }
        }
    }
}

/// The argument and the number that it has to be, if that is all there is to check.
fn value(checks: &[Check]) -> Option<(u8, u32)> {
    match *checks {
        [Check::Is(arg, value)] => Some((arg, value)),
        _ => None,
    }
}

/// How many alternatives from the first on say nothing but what one and the same argument is.
fn values(alternatives: &[&[Check]]) -> (u8, usize) {
    let Some((arg, _)) = alternatives.first().and_then(|checks| value(checks)) else {
        return (0, 0);
    };
    let is_same = |checks: &&&[Check]| value(checks).is_some_and(|(other, _)| other == arg);
    (arg, alternatives.iter().take_while(is_same).count())
}

/// Goes on if a check holds, else jumps.
fn require(asm: &mut Assembler, check: Check, otherwise: Label) {
    match check {
        Check::Is(arg, value) => {
            asm.load(Word::ArgLow(arg));
            asm.jump_unless(Test::Equals(value), otherwise);
        }
        Check::IsNot(arg, value) => {
            asm.load(Word::ArgLow(arg));
            asm.jump_if(Test::Equals(value), otherwise);
        }
        Check::Lacks(arg, bits) => lacks(asm, Word::ArgLow(arg), bits, otherwise),
        Check::HasOf { arg, mask, value } => {
            asm.load(Word::ArgLow(arg));
            asm.and(mask);
            asm.jump_unless(Test::Equals(value), otherwise);
        }
        Check::IsLong(arg, value) => {
            asm.load(Word::ArgLow(arg));
            asm.jump_unless(Test::Equals(value as u32), otherwise);
            asm.load(Word::ArgHigh(arg));
            asm.jump_unless(Test::Equals((value >> 32) as u32), otherwise);
        }
        Check::LacksLong(arg, bits) => {
            lacks(asm, Word::ArgLow(arg), bits as u32, otherwise);
            lacks(asm, Word::ArgHigh(arg), (bits >> 32) as u32, otherwise);
        }
    }
}

fn lacks(asm: &mut Assembler, word: Word, bits: u32, otherwise: Label) {
    if bits != 0 {
        asm.load(word);
        asm.jump_if(Test::HasAny(bits), otherwise);
    }
}

#[cfg(test)]
mod tests;
