//! Many-way decisions on a number.

use std::ops::RangeInclusive;

use super::assembler::{Assembler, Label};
use super::instruction::Test;

/// A map from every 32-bit number to a label.
#[derive(Debug)]
pub struct Switch {
    /// Each label holds from its number on, up to the next one. The first is for 0.
    starts: Vec<(u32, Label)>,
}

impl Switch {
    /// Sends everything to one label.
    pub fn new(default: Label) -> Switch {
        Switch { starts: vec![(0, default)] }
    }

    /// Sends these numbers to `label` instead of where they went so far.
    pub fn set(&mut self, numbers: RangeInclusive<u32>, label: Label) {
        let (first, last) = (*numbers.start(), *numbers.end());
        let from = self.starts.partition_point(|&(start, _)| start < first);
        let to = self.starts.partition_point(|&(start, _)| start <= last);
        // What comes behind goes where it went, unless that is said already.
        let behind = last
            .checked_add(1)
            .filter(|next| self.starts.get(to).is_none_or(|(start, _)| start != next));
        let behind = behind.zip(to.checked_sub(1).map(|before| self.starts[before].1));
        self.starts.splice(from..to, [(first, label)].into_iter().chain(behind));
    }

    /// Adds the decision on A to a program. It takes as many instructions as the number of ranges
    /// has binary digits, or one or two more for labels that are far away.
    pub fn emit(&self, asm: &mut Assembler) {
        let mut ranges = self.starts.clone();
        ranges.dedup_by_key(|(_, label)| *label);
        match ranges[..] {
            [(_, only)] => asm.jump(only),
            _ => bisect(asm, &ranges),
        }
    }
}

/// Decides between at least two ranges.
fn bisect(asm: &mut Assembler, ranges: &[(u32, Label)]) {
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let mut target = |side: &[(u32, Label)]| match *side {
        [(_, only)] => only,
        _ => asm.label(),
    };
    let (low, high) = (target(below), target(above));
    asm.branch(Test::AtLeast(above[0].0), high, low);
    for (side, label) in [(below, low), (above, high)] {
        if side.len() > 1 {
            asm.bind(label);
            bisect(asm, side);
        }
    }
}
