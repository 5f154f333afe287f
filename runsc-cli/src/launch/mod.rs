//! Makes the processes of a sandbox: the gofer and the sentry, each with namespaces of its own and
//! no more rights than its part needs.
//!
//! ```text
//! command line ──clone──► child: namespaces, empty root, descriptors, privileges ─────────► gofer
//!       │                                                                                   │
//!       └───────clone──► child: the same, as pid 1 of its pid namespace ──exec──► sentry ◄──┘
//! ```
//! All set-up happens behind the clone, in a process that is still our own image; the gofer goes on in
//! it, and the sentry's image (again our own binary, by descriptor) starts with its final, empty root,
//! its final ids and no privilege it would have to give up.
//!
//! - [`process`] is the frame of both: clone, hand-shake, error report.
//! - [`sentry`] and [`gofer`] say what is particular to each.
//! - [`start`] puts both together, in an empty [`network`] that they share, [`sandbox`] watches over
//!   them.
//!
//! **Invariants.** Nothing is mounted in the host's mount namespace. Descriptors reach a child by
//! fixed numbers ([`slots`]) and all others are closed. A child never runs on without its
//! parent's go-ahead, and dies with a parent that is killed before the sandbox is complete.

mod descriptors;
mod gofer;
mod identity;
mod image;
mod limits;
mod memory_file;
mod mounts;
pub mod network;
mod process;
mod sandbox;
mod sentry;
pub mod slots;
mod start;
mod title;

pub use process::{Child, Cloned, End, clone_process};
pub use sandbox::{SETTLED_AFTER, Sandbox};
pub use sentry::main as sentry_main;
pub use start::Launch;
