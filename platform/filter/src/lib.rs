//! Seccomp filters: tables of what a process may ask of the host and why, their translation, and an
//! assembler for programs that need more than a table can say.
//!
//! To find out what killed a process, look for `type=1326` in the host's kernel log.

pub mod bpf;
mod install;
mod rule;
mod translation;

pub use install::install_for_all_threads;
pub use rule::{Allowed, Check};
pub use translation::{List, translate};
