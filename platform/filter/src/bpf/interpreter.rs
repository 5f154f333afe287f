//! Executes programs as the host's kernel would, for tests.

use linux_abi::task::SeccompData;
use zerocopy::IntoBytes;

use super::instruction::{
    ALU_ADD_K, ALU_ADD_X, ALU_AND_K, Instruction, JMP_JA, JMP_JEQ_K, JMP_JGE_K, JMP_JGE_X,
    JMP_JGT_K, JMP_JSET_K, LD_W_ABS, MISC_TAX, RET_K,
};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The action and its data, `SECCOMP_RET_*`.
    pub value: u32,
    /// How many instructions were executed.
    pub steps: usize,
}

/// Runs `program` on `data`; `None` if it does what no valid program does: read outside of `data`,
/// jump out of the program, or use an instruction that the assembler does not know.
pub fn run(program: &[Instruction], data: &SeccompData) -> Option<Outcome> {
    let bytes = data.as_bytes();
    let (mut a, mut x) = (0_u32, 0_u32);
    let mut next = 0;
    for steps in 1.. {
        let Instruction { code, jt, jf, k } = *program.get(next)?;
        next += 1;
        let mut skip_if = |holds| next += usize::from(if holds { jt } else { jf });
        match code {
            LD_W_ABS => {
                let at = k as usize;
                let word = bytes.get(at..at + 4).filter(|_| k.is_multiple_of(4))?;
                a = u32::from_ne_bytes(word.try_into().ok()?);
            }
            ALU_ADD_X => a = a.wrapping_add(x),
            ALU_ADD_K => a = a.wrapping_add(k),
            ALU_AND_K => a &= k,
            MISC_TAX => x = a,
            JMP_JA => next += k as usize,
            JMP_JEQ_K => skip_if(a == k),
            JMP_JGT_K => skip_if(a > k),
            JMP_JGE_K => skip_if(a >= k),
            JMP_JGE_X => skip_if(a >= x),
            JMP_JSET_K => skip_if(a & k != 0),
            RET_K => return Some(Outcome { value: k, steps }),
            _ => return None,
        }
    }
    None
}
