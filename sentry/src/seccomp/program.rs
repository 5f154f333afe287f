//! Programs of classic BPF over `struct seccomp_data`: which are valid, and what they answer.

use linux_abi::Errno;
use linux_abi::task::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_DIV, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT,
    BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_LSH, BPF_MAXINSNS, BPF_MEM,
    BPF_MEMWORDS, BPF_MISC, BPF_MUL, BPF_NEG, BPF_OR, BPF_RET, BPF_RSH, BPF_ST, BPF_STX, BPF_SUB,
    BPF_TAX, BPF_TXA, BPF_W, BPF_X, BPF_XOR, SeccompData, SockFilter,
};

use super::analysis::Analysis;

/// What the length of the data is, for `BPF_LEN`.
const DATA_BYTES: u32 = size_of::<SeccompData>() as u32;

// Codes of whole instructions.
pub(super) const LD_W_ABS: u16 = BPF_LD | BPF_W | BPF_ABS;
pub(super) const LD_W_LEN: u16 = BPF_LD | BPF_W | BPF_LEN;
pub(super) const LDX_W_LEN: u16 = BPF_LDX | BPF_W | BPF_LEN;
pub(super) const LD_IMM: u16 = BPF_LD | BPF_IMM;
pub(super) const LDX_IMM: u16 = BPF_LDX | BPF_IMM;
pub(super) const LD_MEM: u16 = BPF_LD | BPF_MEM;
pub(super) const LDX_MEM: u16 = BPF_LDX | BPF_MEM;
pub(super) const RET_K: u16 = BPF_RET | BPF_K;
pub(super) const RET_A: u16 = BPF_RET | BPF_A;
pub(super) const JA: u16 = BPF_JMP | BPF_JA;
pub(super) const NEG: u16 = BPF_ALU | BPF_NEG;
pub(super) const TAX: u16 = BPF_MISC | BPF_TAX;
pub(super) const TXA: u16 = BPF_MISC | BPF_TXA;

/// The operation of an arithmetic instruction or a jump, without class and source.
const OPERATION: u16 = 0xf0;
const CLASS: u16 = 0x07;

/// A valid program: it ends, and reads nothing but the data and words it has written.
#[derive(Debug)]
pub struct Program {
    code: Vec<SockFilter>,
}

impl Program {
    /// Checks a program (Linux: `bpf_check_classic`, `seccomp_check_filter`).
    ///
    /// # Errors
    /// EINVAL.
    pub fn new(code: Vec<SockFilter>) -> Result<Program, Errno> {
        if code.is_empty() || code.len() > BPF_MAXINSNS {
            return Err(Errno::EINVAL);
        }
        for (at, instruction) in code.iter().enumerate() {
            check(instruction, code.len() - at - 1)?;
        }
        let ends = |last: &SockFilter| matches!(last.code, RET_K | RET_A);
        if !code.last().is_some_and(ends) || !reads_what_was_written(&code) {
            return Err(Errno::EINVAL);
        }
        Ok(Program { code })
    }

    pub(super) fn code(&self) -> &[SockFilter] {
        &self.code
    }

    /// How many instructions the kernel counts: those of its own language, into which it
    /// translates (Linux: `bpf_convert_filter`).
    pub fn weight(&self) -> usize {
        const PROLOGUE: usize = 3;
        PROLOGUE + self.code.iter().map(weight).sum::<usize>()
    }

    /// Whether all calls with these numbers are known to be allowed, whatever their arguments are.
    pub fn always_allows_all(&self, numbers: &[u32]) -> bool {
        let mut analysis = Analysis::new(self);
        numbers.iter().all(|&number| analysis.always_allows(number))
    }

    /// The answer to a call.
    pub fn run(&self, data: &SeccompData) -> u32 {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; BPF_MEMWORDS];
        let mut next = 0;
        // Every path ends with a return, and jumps lead forward only.
        while let Some(&SockFilter { code, jt, jf, k }) = self.code.get(next) {
            next += 1;
            match code {
                LD_W_ABS => a = word(data, k),
                LD_W_LEN => a = DATA_BYTES,
                LDX_W_LEN => x = DATA_BYTES,
                LD_IMM => a = k,
                LDX_IMM => x = k,
                LD_MEM => a = memory[k as usize % BPF_MEMWORDS],
                LDX_MEM => x = memory[k as usize % BPF_MEMWORDS],
                BPF_ST => memory[k as usize % BPF_MEMWORDS] = a,
                BPF_STX => memory[k as usize % BPF_MEMWORDS] = x,
                TAX => x = a,
                TXA => a = x,
                RET_K => return k,
                RET_A => return a,
                JA => next += k as usize,
                _ => {
                    let operand = if code & BPF_X != 0 { x } else { k };
                    if code & CLASS == BPF_JMP {
                        let skipped = if holds(code, a, operand) { jt } else { jf };
                        next += usize::from(skipped);
                    } else {
                        match compute(code, a, operand) {
                            Some(value) => a = value,
                            None => return 0,
                        }
                    }
                }
            }
        }
        0
    }
}

/// The word of the data at `offset`, which is aligned.
fn word(data: &SeccompData, offset: u32) -> u32 {
    let half =
        |value: u64| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
    match offset {
        0 => data.nr as u32,
        4 => data.arch,
        8 | 12 => half(data.instruction_pointer),
        _ => half(data.args[(offset as usize - 16) / 8 % 6]),
    }
}

/// Whether the condition of a jump holds.
pub(super) fn holds(code: u16, a: u32, operand: u32) -> bool {
    match code & OPERATION {
        BPF_JEQ => a == operand,
        BPF_JGT => a > operand,
        BPF_JGE => a >= operand,
        _ => a & operand != 0,
    }
}

/// The result of an arithmetic instruction; `None` for a division by zero, which ends the program
/// with the answer 0.
pub(super) fn compute(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & OPERATION {
        BPF_ADD => a.wrapping_add(operand),
        BPF_SUB => a.wrapping_sub(operand),
        BPF_MUL => a.wrapping_mul(operand),
        BPF_DIV => return a.checked_div(operand),
        BPF_AND => a & operand,
        BPF_OR => a | operand,
        BPF_XOR => a ^ operand,
        BPF_LSH => a.wrapping_shl(operand),
        BPF_RSH => a.wrapping_shr(operand),
        _ => a.wrapping_neg(),
    })
}

/// Checks one instruction with `left` behind it.
fn check(instruction: &SockFilter, left: usize) -> Result<(), Errno> {
    let &SockFilter { code, jt, jf, k } = instruction;
    let is_valid = match code {
        LD_W_ABS => k < DATA_BYTES && k.is_multiple_of(4),
        LD_MEM | LDX_MEM | BPF_ST | BPF_STX => (k as usize) < BPF_MEMWORDS,
        LD_W_LEN | LDX_W_LEN | LD_IMM | LDX_IMM | RET_K | RET_A | TAX | TXA | NEG => true,
        JA => (k as usize) < left,
        _ if code & CLASS == BPF_JMP => {
            is_conditional(code) && usize::from(jt) < left && usize::from(jf) < left
        }
        _ if code & CLASS == BPF_ALU => is_arithmetic(code) && is_defined(code, k),
        _ => false,
    };
    if is_valid { Ok(()) } else { Err(Errno::EINVAL) }
}

fn is_conditional(code: u16) -> bool {
    let operation = code & !(CLASS | BPF_X);
    matches!(operation, BPF_JEQ | BPF_JGT | BPF_JGE | BPF_JSET)
}

fn is_arithmetic(code: u16) -> bool {
    let operation = code & !(CLASS | BPF_X);
    matches!(
        operation,
        BPF_ADD | BPF_SUB | BPF_MUL | BPF_DIV | BPF_AND | BPF_OR | BPF_XOR | BPF_LSH | BPF_RSH
    )
}

/// Whether an operation with a constant has a result.
fn is_defined(code: u16, k: u32) -> bool {
    match code & OPERATION {
        _ if code & BPF_X != 0 => true,
        BPF_DIV => k != 0,
        BPF_LSH | BPF_RSH => k < 32,
        _ => true,
    }
}

/// Whether no path reads a word of memory that it has not written (Linux: `check_load_and_stores`).
fn reads_what_was_written(code: &[SockFilter]) -> bool {
    // What is written on all ways to an instruction, one bit a word.
    let mut written = vec![u16::MAX; code.len()];
    let mut now = 0_u16;
    for (at, instruction) in code.iter().enumerate() {
        now &= written[at];
        let &SockFilter { code, jt, jf, k } = instruction;
        let mut join = |skipped: usize| {
            if let Some(there) = written.get_mut(at + 1 + skipped) {
                *there &= now;
            }
        };
        match code {
            BPF_ST | BPF_STX => now |= 1 << (k % 16),
            LD_MEM | LDX_MEM if now & 1 << (k % 16) == 0 => return false,
            JA => {
                join(k as usize);
                now = u16::MAX;
            }
            _ if code & CLASS == BPF_JMP => {
                join(usize::from(jt));
                join(usize::from(jf));
                now = u16::MAX;
            }
            _ => {}
        }
    }
    true
}

/// What one instruction is translated into.
fn weight(instruction: &SockFilter) -> usize {
    let &SockFilter { code, jt, jf, k } = instruction;
    match code {
        JA => 1,
        RET_K => 2,
        _ if code & CLASS == BPF_JMP => {
            let has_wide = code & BPF_X == 0 && (k as i32) < 0;
            let is_invertible = code & OPERATION != BPF_JSET;
            let is_single = jf == 0 || (jt == 0 && is_invertible);
            usize::from(has_wide) + if is_single { 1 } else { 2 }
        }
        _ if code == BPF_ALU | BPF_DIV | BPF_X => 5,
        _ => 1,
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
