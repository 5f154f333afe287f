//! Devices: the drivers of memory devices.
//!
//! [`register`] connects the numbers of `null`, `zero`, `full`, `random` and `urandom` with their
//! drivers. Terminals register their own.

mod memory;
mod random;

use super::Devices;

/// Major number of memory devices.
const MEMORY: u32 = 1;

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
