//! A small assembler for seccomp programs (classic BPF), for what `seccompiler` cannot say: user
//! notifications, the instruction pointer, arithmetic on arguments.
//!
//! [`Assembler`] takes instructions and [`Label`]s; jumps are never counted by hand. [`Switch`]
//! finds the label for a number by bisection. The interpreter beside them is for tests: it shows
//! what a program answers without installing it.

mod assembler;
mod instruction;
pub mod interpreter;
mod switch;
#[cfg(test)]
mod tests;

pub use assembler::{Assembler, Error, Label, MAX_INSTRUCTIONS};
pub use instruction::{Answer, Instruction, Test, Word};
pub use switch::Switch;
