//! What a program answers to calls of which not everything is known.
//!
//! All jumps lead forward, so one pass is enough: each instruction is looked at with what is known
//! on all ways that lead there. Nothing is lost but precision: an answer that is reported as
//! possible may never be given, but no other one is.

use linux_abi::task::{
    AUDIT_ARCH_X86_64, BPF_ALU, BPF_JMP, BPF_MEMWORDS, BPF_ST, BPF_STX, BPF_X,
    SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ALLOW, SockFilter,
};

use super::program::{
    JA, LD_IMM, LD_MEM, LD_W_ABS, LD_W_LEN, LDX_IMM, LDX_MEM, LDX_W_LEN, Program, RET_A, RET_K,
    TAX, TXA, compute, holds,
};

const DATA_BYTES: u32 = 64;
const CLASS: u16 = 0x07;

/// A value, if it is known.
type Value = Option<u32>;

/// What is known of the machine.
#[derive(Clone, Copy)]
struct State {
    a: Value,
    x: Value,
    memory: [Value; BPF_MEMWORDS],
}

impl State {
    const START: State = State { a: Some(0), x: Some(0), memory: [None; BPF_MEMWORDS] };

    fn join(&mut self, other: &State) {
        let join = |one: &mut Value, other: Value| {
            if *one != other {
                *one = None;
            }
        };
        join(&mut self.a, other.a);
        join(&mut self.x, other.x);
        for (one, other) in self.memory.iter_mut().zip(other.memory) {
            join(one, other);
        }
    }
}

/// Most instructions that are looked at for one program, over all numbers.
const BUDGET: usize = 200_000;

/// The look at one program.
pub(super) struct Analysis<'a> {
    code: &'a [SockFilter],
    /// What is known at an instruction, if that is to be looked at.
    states: Vec<State>,
    /// Which ones are, one bit each.
    pending: Vec<u64>,
    budget: usize,
}

impl<'a> Analysis<'a> {
    pub(super) fn new(program: &'a Program) -> Analysis<'a> {
        let code = program.code();
        Analysis {
            code,
            states: vec![State::START; code.len()],
            pending: vec![0; code.len().div_ceil(64)],
            budget: BUDGET,
        }
    }

    /// Whether the program is known to allow every 64-bit call with this number, whatever the
    /// arguments are.
    pub(super) fn always_allows(&mut self, number: u32) -> bool {
        self.pending.fill(0);
        self.lead(0, &State::START);
        while let Some(at) = self.first_pending() {
            self.pending[at / 64] &= !(1 << (at % 64));
            if self.budget == 0 {
                return false;
            }
            self.budget -= 1;
            let (instruction, state) = (self.code[at], self.states[at]);
            let is_allowed = match instruction.code {
                RET_K => allows(Some(instruction.k)),
                RET_A => allows(state.a),
                _ => self.step(at, instruction, state, number),
            };
            if !is_allowed {
                return false;
            }
        }
        true
    }

    fn first_pending(&self) -> Option<usize> {
        let (index, word) = self.pending.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(index * 64 + word.trailing_zeros() as usize)
    }

    fn lead(&mut self, to: usize, state: &State) {
        let (Some(there), Some(word)) = (self.states.get_mut(to), self.pending.get_mut(to / 64))
        else {
            return;
        };
        let bit = 1 << (to % 64);
        if *word & bit != 0 {
            there.join(state);
        } else {
            *there = *state;
            *word |= bit;
        }
    }

    /// Follows one instruction; `false` if it can end the program.
    fn step(&mut self, at: usize, op: SockFilter, mut state: State, number: u32) -> bool {
        let SockFilter { code, jt, jf, k } = op;
        let place = k as usize % BPF_MEMWORDS;
        match code {
            LD_W_ABS => {
                state.a = match k {
                    0 => Some(number),
                    4 => Some(AUDIT_ARCH_X86_64),
                    _ => None,
                }
            }
            LD_W_LEN => state.a = Some(DATA_BYTES),
            LDX_W_LEN => state.x = Some(DATA_BYTES),
            LD_IMM => state.a = Some(k),
            LDX_IMM => state.x = Some(k),
            LD_MEM => state.a = state.memory[place],
            LDX_MEM => state.x = state.memory[place],
            BPF_ST => state.memory[place] = state.a,
            BPF_STX => state.memory[place] = state.x,
            TAX => state.x = state.a,
            TXA => state.a = state.x,
            JA => {
                self.lead(at + 1 + k as usize, &state);
                return true;
            }
            _ => {
                let operand = if code & BPF_X != 0 { state.x } else { Some(k) };
                let known = state.a.zip(operand);
                if code & CLASS == BPF_JMP {
                    let decided = known.map(|(a, operand)| holds(code, a, operand));
                    if decided != Some(false) {
                        self.lead(at + 1 + usize::from(jt), &state);
                    }
                    if decided != Some(true) {
                        self.lead(at + 1 + usize::from(jf), &state);
                    }
                    return true;
                }
                let divides = code == BPF_ALU | linux_abi::task::BPF_DIV | BPF_X;
                if divides && operand.is_none_or(|divisor| divisor == 0) {
                    return false;
                }
                state.a = known.and_then(|(a, operand)| compute(code, a, operand));
            }
        }
        self.lead(at + 1, &state);
        true
    }
}

fn allows(answer: Value) -> bool {
    answer.is_some_and(|answer| answer & SECCOMP_RET_ACTION_FULL == SECCOMP_RET_ALLOW)
}

#[cfg(test)]
mod tests {
    use linux_abi::task::{BPF_AND, BPF_JEQ, BPF_JGE, SECCOMP_RET_ERRNO, SeccompData};

    use super::*;

    fn op(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
        SockFilter { code, jt, jf, k }
    }

    const ALLOW: SockFilter = SockFilter { code: RET_K, jt: 0, jf: 0, k: SECCOMP_RET_ALLOW };
    const REFUSE: SockFilter = SockFilter { code: RET_K, jt: 0, jf: 0, k: SECCOMP_RET_ERRNO };

    fn always_allows(program: &Program, number: u32) -> bool {
        Analysis::new(program).always_allows(number)
    }

    fn program(code: &[SockFilter]) -> Program {
        Program::new(code.to_vec()).unwrap()
    }

    #[test]
    fn numbers_decide() {
        let program = program(&[
            op(LD_W_ABS, 0, 0, 4),
            op(BPF_JMP | BPF_JEQ, 0, 3, AUDIT_ARCH_X86_64),
            op(LD_W_ABS, 0, 0, 0),
            op(BPF_JMP | BPF_JGE, 1, 0, 100),
            ALLOW,
            REFUSE,
        ]);
        assert!(always_allows(&program, 99));
        assert!(!always_allows(&program, 100));
    }

    #[test]
    fn arguments_are_unknown() {
        let program = program(&[
            op(LD_W_ABS, 0, 0, 0),
            op(BPF_JMP | BPF_JEQ, 0, 2, 5),
            op(LD_W_ABS, 0, 0, 16),
            op(BPF_ALU | BPF_AND, 0, 0, 1),
            op(BPF_JMP | BPF_JEQ, 0, 1, 1),
            ALLOW,
            REFUSE,
        ]);
        assert!(!always_allows(&program, 5));
        // The number itself goes on to the last test.
        assert!(always_allows(&program, 1));
        assert!(!always_allows(&program, 2));
    }

    #[test]
    fn what_is_written_on_one_way_only_is_unknown() {
        let program = program(&[
            op(LD_IMM, 0, 0, SECCOMP_RET_ALLOW),
            op(BPF_ST, 0, 0, 1),
            op(LD_W_ABS, 0, 0, 16),
            op(BPF_JMP | BPF_JEQ, 0, 1, 3),
            op(BPF_ST, 0, 0, 1),
            op(LD_MEM, 0, 0, 1),
            op(RET_A, 0, 0, 0),
        ]);
        assert!(!always_allows(&program, 0));
    }

    #[test]
    fn the_look_ends() {
        let mut code = vec![op(LD_W_ABS, 0, 0, 16); 4095];
        code.push(ALLOW);
        let program = program(&code);
        let mut analysis = Analysis::new(&program);
        assert!(analysis.always_allows(0));
        assert!((1..512).any(|number| !analysis.always_allows(number)));
    }

    /// Whatever is said to be always allowed is, for programs and calls by chance.
    #[test]
    fn nothing_else_is_ever_answered() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let codes = [
            LD_W_ABS, LD_W_ABS, LD_IMM, LDX_IMM, LD_MEM, BPF_ST, BPF_STX, TAX, TXA, JA, RET_A,
            RET_K, RET_K, 0x15, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x04, 0x0c, 0x54, 0x3c, 0x84,
        ];
        let (mut valid, mut proven) = (0, 0);
        for _ in 0..200_000 {
            let len = 3 + random() as usize % 8;
            let mut code: Vec<_> = (0..len)
                .map(|_| {
                    let code = codes[random() as usize % codes.len()];
                    let k = match code {
                        LD_W_ABS => [0, 4, 16][random() as usize % 3],
                        RET_K | LD_IMM => [SECCOMP_RET_ALLOW, 1][random() as usize % 2],
                        _ => random() as u32 % 4,
                    };
                    op(code, random() as u8 % 3, random() as u8 % 3, k)
                })
                .collect();
            code.push(ALLOW);
            let Ok(program) = Program::new(code) else { continue };
            valid += 1;
            if !always_allows(&program, 2) {
                continue;
            }
            proven += 1;
            for arg in 0..6 {
                let args = [arg; 6];
                let data =
                    SeccompData { nr: 2, arch: AUDIT_ARCH_X86_64, args, ..SeccompData::default() };
                assert!(allows(Some(program.run(&data))), "{program:?} {arg}");
            }
        }
        assert!(valid > 1000 && proven > 100, "{valid} {proven}");
    }
}
