//! Many-way decisions on a number.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::assembler::{Assembler, Label};
use super::instruction::Test;

/// A map from every 32-bit number to a label.
#[derive(Debug)]
pub struct Switch {
    /// Each label holds from its number on, up to the next one. There is one for 0.
    starts: BTreeMap<u32, Label>,
}

impl Switch {
    /// Sends everything to one label.
    pub fn new(default: Label) -> Switch {
        Switch { starts: BTreeMap::from([(0, default)]) }
    }

    /// Sends these numbers to `label` instead of where they went so far.
    pub fn set(&mut self, numbers: RangeInclusive<u32>, label: Label) {
        let after = numbers.end().checked_add(1);
        let after = after.and_then(|next| Some((next, self.get(next)?)));
        self.starts.retain(|start, _| !numbers.contains(start));
        self.starts.insert(*numbers.start(), label);
        self.starts.extend(after);
    }

    fn get(&self, number: u32) -> Option<Label> {
        self.starts.range(..=number).next_back().map(|(_, label)| *label)
    }

    /// Adds the decision on A to a program. It takes as many instructions as the number of ranges
    /// has binary digits, or one or two more for labels that are far away.
    pub fn emit(&self, asm: &mut Assembler) {
        let mut ranges: Vec<(u32, Label)> = self.starts.iter().map(|(&s, &l)| (s, l)).collect();
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
