//! Host trees as the sentry's file systems: gofer file systems and overlays over them, with a real
//! gofer behind.

#[path = "host_files/ahead.rs"]
mod ahead;
#[path = "host_files/common.rs"]
mod common;
#[path = "host_files/gofer.rs"]
mod gofer;
#[path = "host_files/overlay.rs"]
mod overlay;
