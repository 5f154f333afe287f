//! One traced call, from entry to exit.

use linux_abi::Errno;
use linux_abi::fs::FD_CLOEXEC;
use linux_abi::sysno;

use super::flags::open_flags;
use super::structs::poll_fds;
use super::{Arg, ArgKind, ReadMemory, SysResult, format_arg};

/// A call as its table row describes it: names and kinds of the arguments.
pub type Arguments = &'static [(&'static str, ArgKind)];

/// How calls without a table row are shown.
const UNKNOWN_ARGUMENTS: Arguments = &[
    ("a", ArgKind::Hex),
    ("b", ArgKind::Hex),
    ("c", ArgKind::Hex),
    ("d", ArgKind::Hex),
    ("e", ArgKind::Hex),
    ("f", ArgKind::Hex),
];

/// A call that has been entered: what it reads is decoded already, since `execve` replaces the
/// memory and others overwrite it.
pub struct Call {
    name: String,
    arguments: Arguments,
    raw: [u64; 6],
    /// The text of each argument; `None` where the call has yet to fill in the memory.
    shown: Vec<Option<String>>,
}

impl Call {
    /// Decodes what the call `name` is given.
    pub fn enter(name: &str, arguments: Arguments, raw: [u64; 6], memory: ReadMemory<'_>) -> Call {
        let decode = |(index, (_, kind)): (usize, &(&str, ArgKind))| {
            let arg = Arg { raw: &raw, index, result: None, memory };
            (!kind.is_output()).then(|| format_arg(*kind, &arg))
        };
        let shown = arguments.iter().enumerate().map(decode).collect();
        Call { name: name.to_owned(), arguments, raw, shown }
    }

    /// Decodes a call that has no table row: six registers.
    pub fn enter_unknown(number: u64, raw: [u64; 6], memory: ReadMemory<'_>) -> Call {
        match sysno::name(number) {
            Some(name) => Call::enter(name, UNKNOWN_ARGUMENTS, raw, memory),
            None => Call::enter(&format!("syscall_{number:#x}"), UNKNOWN_ARGUMENTS, raw, memory),
        }
    }

    /// The line of the call with its result: `close(3) = 0`.
    pub fn exit(&self, result: SysResult, memory: ReadMemory<'_>) -> String {
        let mut line = self.with_arguments(Some(result), memory);
        line.push_str(" = ");
        line.push_str(&self.result_text(result));
        if let Some(more) = self.after_result(result, memory) {
            line.push_str(&format!(" ({more})"));
        }
        line
    }

    /// The line of a call that does not return: `exit_group(0) = ?`.
    pub fn exit_never(&self, memory: ReadMemory<'_>) -> String {
        self.with_arguments(None, memory) + " = ?"
    }

    fn with_arguments(&self, result: Option<SysResult>, memory: ReadMemory<'_>) -> String {
        let texts: Vec<String> = self
            .arguments
            .iter()
            .zip(&self.shown)
            .enumerate()
            .map(|(index, ((_, kind), shown))| match shown {
                Some(text) => text.clone(),
                None => format_arg(*kind, &Arg { raw: &self.raw, index, result, memory }),
            })
            .collect();
        format!("{}({})", self.name, texts.join(", "))
    }

    /// The result as the kind of call has it: a number, an address, a mode, flags or an error.
    fn result_text(&self, result: SysResult) -> String {
        let value = match result {
            Ok(value) => value,
            Err(errno) => return error_text(errno),
        };
        let command = self.raw[1] as i32;
        match self.name.as_str() {
            "mmap" | "mremap" | "brk" | "shmat" => format!("{value:#x}"),
            "umask" => format!("0{value:03o}"),
            "fcntl" if command == linux_abi::fs::F_GETFL => {
                format!("{value:#x} (flags {})", open_flags(value as u32))
            }
            "fcntl" if command == linux_abi::fs::F_GETFD && value == FD_CLOEXEC as usize => {
                "0x1 (flags FD_CLOEXEC)".to_owned()
            }
            _ => (value as i64).to_string(),
        }
    }

    /// What `poll(2)` reported, or that time ran out.
    fn after_result(&self, result: SysResult, memory: ReadMemory<'_>) -> Option<String> {
        let waits = matches!(
            self.name.as_str(),
            "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
        );
        match result {
            Ok(0) if waits => Some("Timeout".to_owned()),
            Ok(1..) => {
                let index =
                    self.arguments.iter().position(|(_, kind)| *kind == ArgKind::PollFds)?;
                let (addr, count) = (self.raw[index], *self.raw.get(index + 1)?);
                poll_fds(memory, addr, count, "revents", |fd| fd.revents)
            }
            _ => None,
        }
    }
}

/// An error as `-1 ENOENT (No such file or directory)`; restart codes as strace words them.
fn error_text(errno: Errno) -> String {
    let reason = match errno {
        Errno::ERESTARTSYS => "To be restarted if SA_RESTART is set",
        Errno::ERESTARTNOINTR => "To be restarted",
        Errno::ERESTARTNOHAND => "To be restarted if no handler",
        Errno::ERESTART_RESTARTBLOCK => "Interrupted by signal",
        _ => return format!("-1 {errno}"),
    };
    format!("? {errno:?} ({reason})")
}
