//! The gofer: the process that serves host directory trees to a sentry, which has no path access.
//!
//! The launcher calls [`Gofer::prepare`] in the process that will serve, moves it into its
//! namespaces, and then [`Gofer::start`] and [`Serving::run`], which give each [`Export`] a thread
//! and return when all sockets are closed by their peers. `gofer-protocol` defines the messages.
//!
//! Confinement, outermost first:
//! 1. the launcher's namespaces: only the exported trees are mounted;
//! 2. [`confine`]: file capabilities only, no new privileges, a system call filter ([`filter`]);
//! 3. [`handle`]: each lookup takes one proven [`gofer_protocol::Name`] below a directory that is
//!    already open, by `openat2(RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS)`, so a
//!    rename at any moment leads nowhere else; whatever is found is opened again through
//!    `/proc/self/fd`, never by name;
//! 4. mounts of the kernel's own interfaces (proc, sysfs, cgroup, …) inside a tree are sealed.
//!
//! **Architecture invariant:** no message makes the gofer resolve a string that holds a `/`.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod confine;
mod connection;
mod error;
pub mod filter;
mod handle;
mod host;
mod nodes;
mod ops;
mod placement;
mod serve;

pub use confine::Confinement;
pub use error::Error;
pub use serve::{Export, Gofer, Serving, serve_unconfined};
