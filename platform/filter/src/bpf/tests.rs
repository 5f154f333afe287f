//! The assembler against the interpreter.

use linux_abi::Errno;
use linux_abi::task::SeccompData;
use proptest::prelude::*;

use super::interpreter::run;
use super::*;

fn numbered(nr: u32) -> SeccompData {
    SeccompData { nr: nr as i32, ..SeccompData::default() }
}

fn refuse(number: u32) -> Answer {
    Answer::Refuse(Errno::from_raw(number as i32))
}

/// Runs an assembled program that must be valid.
fn answer(program: &[Instruction], data: &SeccompData) -> u32 {
    run(program, data).expect("a valid program").value
}

fn pad(asm: &mut Assembler, instructions: usize) {
    for _ in 0..instructions {
        asm.load(Word::Number);
    }
}

#[test]
fn instructions_have_the_layout_of_the_header() {
    let mut asm = Assembler::new();
    let (yes, no) = (asm.label(), asm.label());
    asm.load(Word::ArgHigh(5));
    asm.branch(Test::AtLeast(7), yes, no);
    asm.bind(no);
    asm.answer(Answer::KillProcess);
    asm.bind(yes);
    asm.answer(refuse(38));
    let bytes: Vec<[u8; 8]> =
        asm.assemble().expect("valid").into_iter().map(Instruction::to_bytes).collect();
    let expected = [
        [0x20, 0, 0, 0, 60, 0, 0, 0],
        [0x35, 0, 1, 0, 7, 0, 0, 0],
        [0x06, 0, 0, 0, 0, 0, 0, 0x80],
        [0x06, 0, 0, 0, 38, 0, 5, 0],
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn words_are_the_fields_of_seccomp_data() {
    let data = SeccompData {
        nr: 1,
        arch: 2,
        instruction_pointer: 3 | 4 << 32,
        args: [5 | 6 << 32, 7 | 8 << 32, 9 | 10 << 32, 11 | 12 << 32, 13 | 14 << 32, 15 | 16 << 32],
    };
    let mut words = vec![Word::Number, Word::Arch, Word::IpLow, Word::IpHigh];
    words.extend((0..6).flat_map(|arg| [Word::ArgLow(arg), Word::ArgHigh(arg)]));
    for (word, expected) in words.into_iter().zip(1..) {
        let mut asm = Assembler::new();
        let wrong = asm.label();
        asm.load(word);
        asm.jump_unless(Test::Equals(expected), wrong);
        asm.answer(Answer::Allow);
        asm.bind(wrong);
        asm.answer(Answer::KillProcess);
        let program = asm.assemble().expect("valid");
        assert_eq!(answer(&program, &data), Answer::Allow.value(), "{word:?}");
    }
}

#[test]
fn tests_compare_unsigned() {
    let holds = |test, nr| {
        let mut asm = Assembler::new();
        let no = asm.label();
        asm.load(Word::Arch);
        asm.copy_to_x();
        asm.load(Word::Number);
        asm.jump_unless(test, no);
        asm.answer(Answer::Allow);
        asm.bind(no);
        asm.answer(Answer::Trap);
        let data = SeccompData { arch: 5, ..numbered(nr) };
        answer(&asm.assemble().expect("valid"), &data) == Answer::Allow.value()
    };
    let edges = [0, 1, 4, 5, 6, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    for (nr, k) in edges.into_iter().flat_map(|nr| edges.map(|k| (nr, k))) {
        assert_eq!(holds(Test::Equals(k), nr), nr == k);
        assert_eq!(holds(Test::AtLeast(k), nr), nr >= k);
        assert_eq!(holds(Test::Above(k), nr), nr > k);
        assert_eq!(holds(Test::HasAny(k), nr), nr & k != 0);
        assert_eq!(holds(Test::AtLeastX, nr), nr >= 5);
    }
}

#[test]
fn arithmetic_wraps_at_32_bits() {
    let mut asm = Assembler::new();
    let wrong = asm.label();
    asm.load(Word::Arch);
    asm.copy_to_x();
    asm.load(Word::Number);
    asm.add_x();
    asm.jump_unless(Test::Equals(0x11), wrong);
    asm.and(0xf0);
    asm.jump_unless(Test::Equals(0x10), wrong);
    asm.answer(Answer::Allow);
    asm.bind(wrong);
    asm.answer(Answer::KillProcess);
    let data = SeccompData { arch: 0x12, ..numbered(u32::MAX) };
    assert_eq!(answer(&asm.assemble().expect("valid"), &data), Answer::Allow.value());
}

#[test]
fn conditional_jumps_reach_255_instructions_and_are_lengthened_beyond() {
    for (distance, long_jumps) in [(0, 0), (254, 0), (255, 0), (256, 1), (300, 1)] {
        for far_side_holds in [true, false] {
            let mut asm = Assembler::new();
            let far = asm.label();
            asm.load(Word::Number);
            if far_side_holds {
                asm.jump_if(Test::Equals(7), far);
            } else {
                asm.jump_unless(Test::Equals(8), far);
            }
            pad(&mut asm, distance);
            asm.bind(far);
            asm.load(Word::Arch);
            asm.answer(Answer::Allow);
            let program = asm.assemble().expect("valid");
            assert_eq!(program.len(), distance + 4 + long_jumps);
            let jumped = run(&program, &numbered(7)).expect("valid");
            assert_eq!(jumped.steps, 4 + long_jumps);
            let not_jumped = run(&program, &numbered(8)).expect("valid");
            assert_eq!(not_jumped.steps, 4 + distance);
        }
    }
}

#[test]
fn lengthening_one_jump_may_push_another_out_of_reach() {
    let mut asm = Assembler::new();
    let (first, second) = (asm.label(), asm.label());
    asm.load(Word::Number);
    asm.jump_if(Test::Equals(1), first);
    asm.jump_if(Test::Equals(2), second);
    pad(&mut asm, 254);
    // In reach of the first jump only while the second one is short.
    asm.bind(first);
    asm.answer(refuse(1));
    pad(&mut asm, 1);
    asm.bind(second);
    asm.answer(refuse(2));
    let program = asm.assemble().expect("valid");
    assert_eq!(program.len(), 1 + 2 + 2 + 254 + 3);
    assert_eq!(answer(&program, &numbered(1)), refuse(1).value());
    assert_eq!(answer(&program, &numbered(2)), refuse(2).value());
    assert_eq!(answer(&program, &numbered(3)), refuse(1).value());
}

#[test]
fn wrong_programs_are_refused() {
    let assemble = |build: fn(&mut Assembler) -> Label| {
        let mut asm = Assembler::new();
        let label = build(&mut asm);
        (asm.assemble().map(|program| program.len()), label)
    };
    let (result, label) = assemble(|asm| {
        let label = asm.label();
        asm.jump(label);
        asm.answer(Answer::Allow);
        label
    });
    assert_eq!(result, Err(Error::Unbound(label)));
    let (result, label) = assemble(|asm| {
        let label = asm.label();
        asm.bind(label);
        asm.load(Word::Number);
        asm.bind(label);
        asm.answer(Answer::Allow);
        label
    });
    assert_eq!(result, Err(Error::BoundTwice(label)));
    let (result, label) = assemble(|asm| {
        let label = asm.label();
        asm.bind(label);
        asm.jump_if(Test::Equals(0), label);
        asm.answer(Answer::Allow);
        label
    });
    assert_eq!(result, Err(Error::Backward(label)));
    let (result, _) = assemble(|asm| {
        let label = asm.label();
        asm.jump(label);
        asm.answer(Answer::Allow);
        asm.bind(label);
        label
    });
    assert_eq!(result, Err(Error::OpenEnd));
    let (result, _) = assemble(|asm| {
        asm.load(Word::Number);
        asm.label()
    });
    assert_eq!(result, Err(Error::OpenEnd));
    assert_eq!(Assembler::new().assemble(), Err(Error::OpenEnd));
}

#[test]
fn programs_have_4096_instructions_at_most() {
    for (loads, expected) in [(4095, Ok(4096)), (4096, Err(Error::TooLong(4097)))] {
        let mut asm = Assembler::new();
        pad(&mut asm, loads);
        asm.answer(Answer::Allow);
        assert_eq!(asm.assemble().map(|program| program.len()), expected);
    }
}

#[test]
fn the_interpreter_refuses_invalid_programs() {
    let load = |k| Instruction { code: 0x20, jt: 0, jf: 0, k };
    let end = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
    let data = numbered(0);
    assert_eq!(run(&[], &data), None);
    assert_eq!(run(&[load(0)], &data), None);
    assert_eq!(run(&[load(2), end], &data), None);
    assert_eq!(run(&[load(64), end], &data), None);
    assert_eq!(run(&[Instruction { code: 0x05, jt: 0, jf: 0, k: 1 }, end], &data), None);
    assert_eq!(run(&[Instruction { code: 0x15, jt: 1, jf: 0, k: 0 }, end], &data), None);
    assert_eq!(run(&[Instruction { code: 0xffff, jt: 0, jf: 0, k: 0 }, end], &data), None);
    assert!(run(&[load(60), end], &data).is_some());
}

proptest! {
    /// A switch, with `distance` instructions between it and its labels, against a list.
    #[test]
    fn switches_send_each_number_where_it_was_set(
        ranges in prop::collection::vec((0_u32..60, 0_u32..12, 1_u32..9), 0..20),
        top in any::<bool>(),
        distance in prop::sample::select(vec![0_usize, 200, 250, 600]),
    ) {
        let mut asm = Assembler::new();
        let labels: Vec<Label> = (0..9).map(|_| asm.label()).collect();
        let mut switch = Switch::new(labels[0]);
        let mut expected = vec![0; 100];
        for (start, more, label) in ranges {
            let range = start..=start + more;
            switch.set(range.clone(), labels[label as usize]);
            range.for_each(|number| expected[number as usize] = label);
        }
        if top {
            switch.set(90..=u32::MAX, labels[8]);
            expected[90..].fill(8);
        }
        asm.load(Word::Number);
        switch.emit(&mut asm);
        pad(&mut asm, distance);
        for (label, number) in labels.into_iter().zip(1..) {
            asm.bind(label);
            asm.answer(refuse(number));
        }
        let program = asm.assemble().expect("valid");
        for (number, label) in expected.iter().enumerate() {
            prop_assert_eq!(answer(&program, &numbered(number as u32)), refuse(label + 1).value());
        }
        let last = answer(&program, &numbered(u32::MAX));
        prop_assert_eq!(last, refuse(expected[99] + 1).value());
    }

    /// Random forward jumps over random distances end where the labels say.
    #[test]
    fn random_jumps_arrive(
        blocks in prop::collection::vec((0_usize..150, 1_usize..6, 1_usize..6), 1..25),
        number in 0_u32..32,
    ) {
        let mut asm = Assembler::new();
        let labels: Vec<Label> = (0..blocks.len() + 6).map(|_| asm.label()).collect();
        for (index, &(padding, holds, fails)) in blocks.iter().enumerate() {
            asm.bind(labels[index]);
            pad(&mut asm, 1);
            let bit = 1 << (index % 5);
            asm.branch(Test::HasAny(bit), labels[index + holds], labels[index + fails]);
            pad(&mut asm, padding);
        }
        for (index, label) in labels.iter().enumerate().skip(blocks.len()) {
            asm.bind(*label);
            asm.answer(refuse(index as u32 + 1));
        }
        let mut at = 0;
        while let Some(&(_, holds, fails)) = blocks.get(at) {
            at += if number & 1 << (at % 5) != 0 { holds } else { fails };
        }
        let program = asm.assemble().expect("valid");
        prop_assert_eq!(answer(&program, &numbered(number)), refuse(at as u32 + 1).value());
    }
}
