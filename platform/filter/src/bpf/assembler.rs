//! Places instructions and resolves labels.

use std::fmt;

use super::instruction::{
    ALU_ADD_K, ALU_ADD_X, ALU_AND_K, Answer, Instruction, JMP_JA, LD_W_ABS, MISC_TAX, RET_K, Test,
    Word,
};

/// `BPF_MAXINSNS`.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A place in a program, made by [`Assembler::label`] and given its position by
/// [`Assembler::bind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Why a program cannot be assembled; each is an error of its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A jump leads to a label that has no position.
    Unbound(Label),
    /// A label was given a position twice.
    BoundTwice(Label),
    /// A jump leads backwards, which classic BPF does not have.
    Backward(Label),
    /// The last instruction is no return, or there is none at all.
    OpenEnd,
    /// More than [`MAX_INSTRUCTIONS`].
    TooLong(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unbound(Label(label)) => write!(f, "label {label} has no position"),
            Error::BoundTwice(Label(label)) => write!(f, "label {label} has two positions"),
            Error::Backward(Label(label)) => write!(f, "a jump leads backwards to label {label}"),
            Error::OpenEnd => write!(f, "the program does not end with a return"),
            Error::TooLong(len) => {
                write!(f, "{len} instructions are more than {MAX_INSTRUCTIONS}")
            }
        }
    }
}

impl std::error::Error for Error {}

#[derive(Clone, Copy, Debug)]
enum Item {
    Plain(Instruction),
    Jump(Label),
    Branch { test: Test, holds: Label, fails: Label },
}

/// A program under construction. A conditional jump reaches 255 instructions; where a label is
/// farther away, the assembler puts a long jump behind it.
#[derive(Debug, Default)]
pub struct Assembler {
    items: Vec<Item>,
    /// Where each label stands.
    labels: Vec<Place>,
}

/// The item before which a label stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Unbound,
    At(usize),
    Ambiguous,
}

/// Which sides of a conditional jump, `[holds, fails]`, need a long jump.
type Long = [bool; 2];

impl Assembler {
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// A new label without a position.
    pub fn label(&mut self) -> Label {
        self.labels.push(Place::Unbound);
        Label(self.labels.len() - 1)
    }

    /// Gives `label` the position of the next instruction.
    pub fn bind(&mut self, label: Label) {
        let place = &mut self.labels[label.0];
        *place = match place {
            Place::Unbound => Place::At(self.items.len()),
            Place::At(_) | Place::Ambiguous => Place::Ambiguous,
        };
    }

    /// A = `word`.
    pub fn load(&mut self, word: Word) {
        self.plain(LD_W_ABS, word.offset());
    }

    /// X = A.
    pub fn copy_to_x(&mut self) {
        self.plain(MISC_TAX, 0);
    }

    /// A += X, modulo 2³².
    pub fn add_x(&mut self) {
        self.plain(ALU_ADD_X, 0);
    }

    /// A += `value`, modulo 2³².
    pub fn add(&mut self, value: u32) {
        self.plain(ALU_ADD_K, value);
    }

    /// A &= `mask`.
    pub fn and(&mut self, mask: u32) {
        self.plain(ALU_AND_K, mask);
    }

    pub fn answer(&mut self, answer: Answer) {
        self.plain(RET_K, answer.value());
    }

    pub fn jump(&mut self, to: Label) {
        self.items.push(Item::Jump(to));
    }

    pub fn branch(&mut self, test: Test, holds: Label, fails: Label) {
        self.items.push(Item::Branch { test, holds, fails });
    }

    /// Jumps if `test` holds, else goes on.
    pub fn jump_if(&mut self, test: Test, to: Label) {
        let next = self.label();
        self.branch(test, to, next);
        self.bind(next);
    }

    /// Goes on if `test` holds, else jumps.
    pub fn jump_unless(&mut self, test: Test, to: Label) {
        let next = self.label();
        self.branch(test, next, to);
        self.bind(next);
    }

    fn plain(&mut self, code: u16, k: u32) {
        self.items.push(Item::Plain(Instruction::plain(code, k)));
    }

    /// # Errors
    /// [`Error`] says what is wrong with the program.
    pub fn assemble(&self) -> Result<Vec<Instruction>, Error> {
        let ends = matches!(self.items.last(), Some(Item::Plain(last)) if last.code == RET_K);
        if !ends {
            return Err(Error::OpenEnd);
        }
        self.check_labels()?;
        // Long jumps push others out of reach: repeat until nothing changes. Each round adds one,
        // so it ends.
        let mut long: Vec<Long> = vec![[false; 2]; self.items.len()];
        loop {
            let positions = self.place(&long);
            if !self.lengthen(&positions, &mut long) {
                return self.encode(&positions, &long);
            }
        }
    }

    fn check_labels(&self) -> Result<(), Error> {
        let is_ambiguous = |place: &Place| matches!(place, Place::Ambiguous);
        if let Some(index) = self.labels.iter().position(is_ambiguous) {
            return Err(Error::BoundTwice(Label(index)));
        }
        for (from, item) in self.items.iter().enumerate() {
            let targets = match *item {
                Item::Plain(_) => continue,
                Item::Jump(to) => [to, to],
                Item::Branch { holds, fails, .. } => [holds, fails],
            };
            for label in targets {
                match self.labels[label.0] {
                    Place::At(to) if to <= from => return Err(Error::Backward(label)),
                    // A label behind the last return.
                    Place::At(to) if to == self.items.len() => return Err(Error::OpenEnd),
                    Place::At(_) => {}
                    Place::Unbound | Place::Ambiguous => return Err(Error::Unbound(label)),
                }
            }
        }
        Ok(())
    }

    /// The position of each item's first instruction, and the length of the program at the end.
    fn place(&self, long: &[Long]) -> Vec<usize> {
        let mut next = 0;
        let mut positions = Vec::with_capacity(self.items.len() + 1);
        for sides in long {
            positions.push(next);
            next += 1 + sides.iter().filter(|&&is_long| is_long).count();
        }
        positions.push(next);
        positions
    }

    /// Marks the sides that are out of reach; whether there were any.
    fn lengthen(&self, positions: &[usize], long: &mut [Long]) -> bool {
        let mut changed = false;
        for (index, item) in self.items.iter().enumerate() {
            let Item::Branch { holds, fails, .. } = *item else { continue };
            for (side, label) in [holds, fails].into_iter().enumerate() {
                let skipped = self.position(label, positions) - positions[index] - 1;
                if !long[index][side] && skipped > usize::from(u8::MAX) {
                    long[index][side] = true;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Where a label that [`Assembler::check_labels`] has seen stands.
    fn position(&self, label: Label, positions: &[usize]) -> usize {
        match self.labels[label.0] {
            Place::At(item) => positions[item],
            Place::Unbound | Place::Ambiguous => 0,
        }
    }

    fn encode(&self, positions: &[usize], long: &[Long]) -> Result<Vec<Instruction>, Error> {
        let len = positions[self.items.len()];
        if len > MAX_INSTRUCTIONS {
            return Err(Error::TooLong(len));
        }
        let mut program = Vec::with_capacity(len);
        for (index, item) in self.items.iter().enumerate() {
            match *item {
                Item::Plain(instruction) => program.push(instruction),
                Item::Jump(to) => program.push(self.long_jump(to, program.len(), positions)),
                Item::Branch { test, holds, fails } => {
                    let sides = [holds, fails];
                    let mut skips = [0; 2];
                    let mut long_jumps = 0;
                    for side in 0..2 {
                        skips[side] = if long[index][side] {
                            long_jumps += 1;
                            long_jumps - 1
                        } else {
                            // `lengthen` found it in reach.
                            (self.position(sides[side], positions) - positions[index] - 1) as u8
                        };
                    }
                    let (code, k) = test.encode();
                    program.push(Instruction { code, jt: skips[0], jf: skips[1], k });
                    for side in 0..2 {
                        if long[index][side] {
                            program.push(self.long_jump(sides[side], program.len(), positions));
                        }
                    }
                }
            }
        }
        Ok(program)
    }

    fn long_jump(&self, to: Label, from: usize, positions: &[usize]) -> Instruction {
        // Both are below `MAX_INSTRUCTIONS`, and jumps lead forwards.
        let skipped = self.position(to, positions) - from - 1;
        Instruction::plain(JMP_JA, skipped as u32)
    }
}
