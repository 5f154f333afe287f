//! The system call table: one row a call, and everything made from it.
//!
//! A row is `number name(argument: Kind, …) => [mode] family::handler, level;` where *Kind* is how
//! strace shows the argument (`strace::ArgKind`), *mode* is `sync` or `async`, and *level* is
//! `full` or `partial "what is missing"`. `stubs` rows answer with a fixed errno: calls that we
//! leave out on purpose. A number in neither list is ENOSYS, as for a kernel without that call.

use linux_abi::Errno;

use super::strace::ArgKind;
use super::{Args, Flow};
use crate::task::Ctx;

/// How much of a call is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Full,
    /// With what is missing.
    Partial(&'static str),
    /// Always fails so, with the reason.
    Stub(Errno, &'static str),
}

/// A row of the table, for strace, documentation and tests.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub number: u32,
    pub name: &'static str,
    pub args: &'static [(&'static str, ArgKind)],
    pub level: Level,
}

macro_rules! syscall_table {
    (
        syscalls {
            $($nr:literal $name:ident($($arg:ident: $kind:ident),*)
                => [$mode:ident] $family:ident::$handler:ident, $level:ident $($note:literal)?;)*
        }
        stubs {
            $($stub_nr:literal $stub_name:ident => $errno:ident $reason:literal;)*
        }
    ) => {
        /// All rows, in the order they are written.
        pub const TABLE: &[Entry] = &[
            $(Entry {
                number: $nr,
                name: stringify!($name),
                args: &[$((stringify!($arg), ArgKind::$kind)),*],
                level: syscall_table!(@level $level $($note)?),
            },)*
            $(Entry {
                number: $stub_nr,
                name: stringify!($stub_name),
                args: &[],
                level: Level::Stub(Errno::$errno, $reason),
            },)*
        ];

        /// Runs system call `number`.
        pub async fn dispatch(ctx: &mut Ctx, number: u64, raw: [u64; 6]) -> Flow {
            let mut args = Args::new(raw);
            let _ = &mut args;
            match number {
                $($nr => syscall_table!(@call $mode $family $handler ctx args $($arg)*),)*
                $($stub_nr => Flow::Return(Err(Errno::$errno)),)*
                _ => Flow::Return(Err(Errno::ENOSYS)),
            }
        }
    };
    (@level full) => { Level::Full };
    (@level partial $note:literal) => { Level::Partial($note) };
    (@call sync $family:ident $handler:ident $ctx:ident $args:ident $($arg:ident)*) => {
        Flow::from(super::$family::$handler($ctx $(, { let $arg = $args.next(); $arg })*))
    };
    (@call async $family:ident $handler:ident $ctx:ident $args:ident $($arg:ident)*) => {
        Flow::from(super::$family::$handler($ctx $(, { let $arg = $args.next(); $arg })*).await)
    };
}

syscall_table! {
    syscalls {
    }
    stubs {
    }
}
