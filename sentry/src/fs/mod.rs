//! File systems.

#[derive(Default)]
pub struct Devices {}
