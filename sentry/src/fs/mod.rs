//! File systems.

pub mod eventfd;
pub mod ioctl;
pub mod pipe;

#[derive(Default)]
pub struct Devices {}
