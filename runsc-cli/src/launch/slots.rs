//! Which descriptor a sentry finds where. Every number is fixed before the process exists, so that
//! its configuration can be written first.

use control_protocol::FdSlot;

/// The configuration, JSON in a memory file (sentry and gofer).
pub const CONFIG: FdSlot = 3;
/// The socket to the launching process.
pub const LAUNCHER: FdSlot = 4;
/// A procfs of the sentry's own pid namespace.
pub const PROC: FdSlot = 5;
/// The listening control socket.
pub const CONTROL: FdSlot = 6;
/// The debug log.
pub const DEBUG_LOG: FdSlot = 7;
/// The first process' standard input, output and error.
pub const STDIO: [FdSlot; 3] = [8, 9, 10];

/// A pidfd of the gofer.
pub const GOFER_PROCESS: FdSlot = 11;

/// The gofer connection of the export with this index.
pub const fn export(index: usize) -> FdSlot {
    12 + index
}
