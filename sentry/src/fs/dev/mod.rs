//! Devices: the file system at `/dev` and the drivers of memory devices.
//!
//! [`new_dev`] makes a tmpfs with the nodes, links and directories that every container has;
//! [`register`] connects the numbers of `null`, `zero`, `full`, `random` and `urandom` with their
//! drivers. Terminals register their own.

mod memory;
mod nodes;
mod random;

pub use nodes::new_dev;

use super::Devices;

/// Major number of memory devices.
const MEMORY: u32 = 1;
/// Major number of `/dev/tty` and its relatives.
const TTY: u32 = 5;

/// Registers the drivers of memory devices.
pub fn register(devices: &Devices) {
    use memory::MemoryDevice::{Full, Null, Zero};
    for (minor, device) in [(3, Null), (5, Zero), (7, Full)] {
        devices.register_char(MEMORY, minor, move |_| Ok(Box::new(device)));
    }
    for minor in [8, 9] {
        devices.register_char(MEMORY, minor, |_| Ok(Box::new(random::Random::default())));
    }
}
