//! File systems.

pub mod epoll;
pub mod eventfd;
pub mod host_stdio;
pub mod ioctl;
pub mod pipe;

#[derive(Default)]
pub struct Devices {}
