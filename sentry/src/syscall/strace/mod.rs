//! Decoded traces of system calls.

mod kind;

pub use kind::ArgKind;

pub struct StraceLog {}
