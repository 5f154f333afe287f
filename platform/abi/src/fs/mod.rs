//! Files and file systems: `open(2)`, `stat(2)`, `fcntl(2)`, `mount(2)` and their kin.

mod fcntl;
mod io;
mod mode;
mod mount;
mod notify;
mod open;
mod stat;

pub use fcntl::*;
pub use io::*;
pub use mode::*;
pub use mount::*;
pub use notify::*;
pub use open::*;
pub use stat::*;

/// The longest path a system call takes, with its terminating zero byte (`limits.h`).
pub const PATH_MAX: usize = 4096;
/// The longest name of one directory entry, without a terminating zero byte.
pub const NAME_MAX: usize = 255;
/// How many symbolic links one path walk follows before ELOOP (`path_resolution(7)`).
pub const MAXSYMLINKS: u32 = 40;
