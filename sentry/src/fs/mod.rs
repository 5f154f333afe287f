//! File systems.

mod devices;
pub mod epoll;
pub mod eventfd;
pub mod gofer;
pub mod host_stdio;
pub mod ioctl;
pub mod pipe;
pub mod synthetic;
pub mod tmpfs;
pub mod tty;

pub use devices::{DeviceOpen, DeviceOpener, Devices};
