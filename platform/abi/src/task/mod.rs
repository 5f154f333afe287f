//! Processes and threads: `clone(2)`, `wait4(2)`, `prctl(2)`, `sched(7)`, `capabilities(7)`,
//! `ptrace(2)`, `seccomp(2)`.

pub mod auxv;
mod capability;
mod clone;
mod prctl;
mod ptrace;
mod resource;
mod sched;
mod seccomp;
mod system;
mod wait;

pub use capability::*;
pub use clone::*;
pub use prctl::*;
pub use ptrace::*;
pub use resource::*;
pub use sched::*;
pub use seccomp::*;
pub use system::*;
pub use wait::*;
