//! Where `cpuid` is, among the code of a program.

use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register,
};

pub(super) const CPUID: [u8; 2] = [0x0f, 0xa2];

/// Offsets of `cpuid` in the code of a program.
///
/// Data among the code must stay as it is. So one counts only where everything that is executed before
/// it, wherever one starts to read, leads to it, loads the number of a leaf, and goes on as code.
pub(super) fn find_sites(code: &[u8]) -> Vec<usize> {
    let candidates = memchr::memmem::find_iter(code, &CPUID);
    candidates.filter(|&at| is_instruction(code, at)).collect()
}

/// How far before a candidate reading starts, at how many places, and for how long it goes on behind.
const WINDOW: usize = 96;
const STARTS: usize = 64;
const BEHIND: usize = 6;
/// So many instructions before a `cpuid` its leaf is loaded at the latest.
const NEAR: usize = 13;
/// So many bytes before it all readings have fallen into step, so that they tell of the code.
const JUDGED: usize = 56;

fn is_instruction(code: &[u8], at: usize) -> bool {
    let Some(first) = at.checked_sub(WINDOW) else { return false };
    let readings: Vec<_> =
        (first..first + STARTS).filter_map(|start| read_up_to(code, start, at)).collect();
    let agree = readings.iter().all(Option::is_some) && readings.len() >= STARTS / 4;
    let Some(Some(loads)) = readings.first() else { return false };
    let mut behind = Decoder::new(64, &code[at..], DecoderOptions::NONE);
    let goes_on = (0..=BEHIND).map(|_| behind.decode());
    agree && *loads && goes_on.into_iter().all(|next| !next.is_invalid() && is_usual(&next))
}

/// Reads instructions from `start` to `at`: whether one of the last loads eax. `Some(None)` if they
/// lead past it, `None` if they are none.
fn read_up_to(code: &[u8], start: usize, at: usize) -> Option<Option<bool>> {
    let mut decoder = Decoder::new(64, &code[start..], DecoderOptions::NONE);
    let (mut loads, mut is_plain) = (Vec::new(), true);
    while start + decoder.position() < at {
        let before = start + decoder.position();
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        is_plain &= is_usual(&instruction) || before + JUDGED < at;
        let is_load = instruction.op0_register() == Register::EAX
            && matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Xor | Mnemonic::Lea);
        loads.push(is_load);
    }
    let arrives = start + decoder.position() == at;
    Some(arrives.then(|| is_plain && loads.iter().rev().take(NEAR).any(|is_load| *is_load)))
}

/// Whether compilers make such an instruction for code that is not about numbers.
fn is_usual(instruction: &Instruction) -> bool {
    let is_usual_feature = |feature: &CpuidFeature| {
        use CpuidFeature::{
            CET_IBT, CMOV, CPUID, INTEL186, INTEL286, INTEL386, INTEL486, INTEL8086, MULTIBYTENOP,
            SSE, SSE2, X64, XSAVE,
        };
        matches!(
            feature,
            INTEL8086
                | INTEL186
                | INTEL286
                | INTEL386
                | INTEL486
                | X64
                | CMOV
                | CPUID
                | MULTIBYTENOP
                | SSE
                | SSE2
                | CET_IBT
                | XSAVE
        )
    };
    !instruction.is_privileged()
        && !instruction.is_string_instruction()
        && instruction.flow_control() != FlowControl::Interrupt
        && instruction.cpuid_features().iter().all(is_usual_feature)
}
