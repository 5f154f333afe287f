//! File systems.

pub mod dev;
mod devices;
pub mod epoll;
pub mod eventfd;
pub mod gofer;
pub mod host_stdio;
pub mod inotify;
pub mod ioctl;
pub mod mqueue;
pub mod nsfs;
pub mod overlay;
pub mod pidfd;
pub mod pipe;
pub mod proc;
pub mod signalfd;
pub mod synthetic;
pub mod sysfs;
pub mod timerfd;
pub mod tmpfs;
pub mod tty;
mod types;

pub use devices::{DeviceOpen, DeviceOpener, Devices};
pub use types::new_file_system;
