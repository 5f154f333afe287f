//! Decoded traces of system calls.

/// How an argument is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Int,
    Hex,
}

pub struct StraceLog {}
