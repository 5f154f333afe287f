//! Decoded traces of system calls, in the manner of strace(1).
//!
//! [`Call::enter`] decodes what a call is given, [`Call::exit`] what it gave back. Both are pure
//! functions of registers and memory, which is read through a [`ReadMemory`] closure: they know no
//! task, and whatever the workload passes, they answer with text of bounded length.
//! [`StraceLog`] takes the finished lines.

mod call;
mod choices;
mod flags;
mod kind;
mod log;
mod memory;
mod names;
mod numbers;
mod sigs;
mod sockets;
mod structs;
#[cfg(test)]
mod tests;
mod text;
mod times;

pub use call::Call;
pub use kind::ArgKind;
pub use log::StraceLog;
pub use memory::ReadMemory;

use super::SysResult;

/// One argument, with what its meaning depends on.
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    /// All six registers.
    pub raw: &'a [u64; 6],
    /// Which of them this argument is.
    pub index: usize,
    /// The call's result, once it has returned.
    pub result: Option<SysResult>,
    pub memory: ReadMemory<'a>,
}

impl Arg<'_> {
    /// The register.
    fn value(&self) -> u64 {
        self.at(self.index)
    }

    /// The register after this one, often a length.
    fn next(&self) -> u64 {
        self.at(self.index + 1)
    }

    /// The register before this one, often a command.
    fn previous(&self) -> u64 {
        self.index.checked_sub(1).map_or(0, |index| self.at(index))
    }

    fn at(&self, index: usize) -> u64 {
        self.raw.get(index).copied().unwrap_or(0)
    }

    /// What a call that succeeded returned; 0 otherwise.
    fn returned(&self) -> u64 {
        match self.result {
            Some(Ok(value)) => value as u64,
            _ => 0,
        }
    }
}

/// Shows one argument as strace does.
///
/// Output kinds show an address unless the call has returned and succeeded.
pub fn format_arg(kind: ArgKind, arg: &Arg<'_>) -> String {
    let value = arg.value();
    numbers::number(kind, value)
        .or_else(|| flags::flags(kind, value))
        .or_else(|| choices::choice(kind, arg))
        .or_else(|| {
            if value == 0 {
                return Some("NULL".to_owned());
            }
            if kind.is_output() && !matches!(arg.result, Some(Ok(_))) {
                return None;
            }
            text::text(kind, arg)
                .or_else(|| times::time(kind, arg))
                .or_else(|| sigs::signal_argument(kind, arg))
                .or_else(|| sockets::socket_argument(kind, arg))
                .or_else(|| structs::structure(kind, arg))
        })
        .unwrap_or_else(|| format!("{value:#x}"))
}
