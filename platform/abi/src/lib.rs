//! The Linux ABI of x86-64: numbers, structures and flags, no logic.
//!
//! One module per family of headers. Structures have the kernel's layout and implement the
//! zerocopy traits, so that they are read from and written to workload memory as bytes; every
//! padding byte is a named field. Field names are the kernel's without their prefix (`st_mode` is
//! [`fs::Stat::mode`]). Flag words are `bitflags` types with the Linux names without prefix;
//! numbers that a program chooses freely are plain constants with their full names.
#![forbid(unsafe_code)]

pub mod errno;
pub mod fs;
pub mod futex;
pub mod ipc;
#[cfg(test)]
mod layout_tests;
pub mod mm;
pub mod mqueue;
pub mod net;
pub mod poll;
pub mod random;
pub mod signal;
pub mod sysno;
pub mod task;
pub mod time;
pub mod tty;

pub use errno::Errno;
