//! A second filter, for threads whose every call the sentry has to see.
//!
//! The host has no way to change a filter, but a thread can have one more, and the severer answer
//! counts. This one makes trap what the first lets guest code do by itself. It is the same program
//! for all and lies in the stub's code, which nobody can change, and the sentry is asked each time
//! one is installed.

use linux_abi::task::AUDIT_ARCH_X86_64;

use super::program::{Error, Layout, VSYSCALL_HIGH, low, only};
use super::table::{FUTEX_CALLS, HostCall, OWN_CALLS, UNKNOWN_CALLS, VSYSCALLS};
use crate::filter::bpf::{Answer, Assembler, Instruction, Switch, Test, Word};

/// Numbers of the calls that it catches.
pub const NATIVE_CALLS: &[u32] = &native_calls();

/// All that the first filter lets through.
const LET_THROUGH: [&[HostCall]; 3] = [FUTEX_CALLS, OWN_CALLS, VSYSCALLS];

const NATIVE_COUNT: usize =
    FUTEX_CALLS.len() + OWN_CALLS.len() + VSYSCALLS.len() + UNKNOWN_CALLS.len();

const fn native_calls() -> [u32; NATIVE_COUNT] {
    let mut all = [0; NATIVE_COUNT];
    let (mut table, mut row) = (0, 0);
    let mut index = 0;
    while index < all.len() {
        if table < LET_THROUGH.len() && row == LET_THROUGH[table].len() {
            (table, row) = (table + 1, 0);
        }
        all[index] = match table < LET_THROUGH.len() {
            true => LET_THROUGH[table][row].number as u32,
            false => UNKNOWN_CALLS[row] as u32,
        };
        (row, index) = (row + 1, index + 1);
    }
    all
}

/// The program, as the bytes of an array of `struct sock_filter`.
///
/// # Errors
/// [`Error`] names what is wrong with the layout.
pub fn catch_all(layout: &Layout) -> Result<Vec<u8>, Error> {
    Ok(assemble(layout)?.into_iter().flat_map(Instruction::to_bytes).collect())
}

/// The same, not yet as bytes.
pub(super) fn assemble(layout: &Layout) -> Result<Vec<Instruction>, Error> {
    layout.check()?;
    let mut asm = Assembler::new();
    let (guest, allow) = (asm.label(), asm.label());
    let (trap, vsyscall) = (asm.label(), asm.label());
    asm.load(Word::Arch);
    asm.jump_unless(Test::Equals(AUDIT_ARCH_X86_64), allow);
    asm.load(Word::IpHigh);
    asm.jump_unless(Test::Equals(layout.window_high()), guest);
    asm.load(Word::IpLow);
    asm.jump_if(Test::AtLeast(low(layout.code.end)), guest);
    asm.jump_if(Test::AtLeast(low(layout.code.start)), allow);
    asm.bind(guest);
    let mut switch = Switch::new(allow);
    for call in FUTEX_CALLS.iter().chain(OWN_CALLS) {
        switch.set(only(call.number), trap);
    }
    for &number in UNKNOWN_CALLS {
        switch.set(only(number), trap);
    }
    for call in VSYSCALLS {
        switch.set(only(call.number), vsyscall);
    }
    asm.load(Word::Number);
    switch.emit(&mut asm);
    asm.bind(vsyscall);
    asm.load(Word::IpHigh);
    asm.branch(Test::Equals(VSYSCALL_HIGH), trap, allow);
    asm.bind(trap);
    asm.answer(Answer::Trap);
    asm.bind(allow);
    asm.answer(Answer::Allow);
    asm.assemble().map_err(Error::Program)
}
