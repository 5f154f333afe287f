//! Filters that programs put on their own system calls, `seccomp(2)`.
//!
//! A filter is a program of classic BPF ([`program`], checked as the kernel would) that looks at
//! number and arguments and answers with an action. A task has a chain of them ([`Filter`]), which
//! children share and never change: a new filter only refers to those before it. [`screen`] asks
//! them before a call is dispatched.
//!
//! A filter may leave the decision to another process ([`Notifier`]), which has a [`Listener`].
//!
//! The platform makes some calls without a word to the kernel. A filter knows for which numbers it
//! answers "allow" whatever the arguments are ([`analysis`]); only if all calls that would not be
//! seen are among them ([`Seccomp::allows_all`]) may they go on unseen.

mod action;
mod analysis;
mod filter;
mod install;
mod listener;
mod notifier;
mod program;
mod screen;
mod state;

pub(crate) use action::is_available;
pub use filter::Filter;
pub use install::{Installed, install, set_strict};
pub use listener::Listener;
pub use notifier::{Notifier, Reply};
pub use program::Program;
pub use screen::screen;
pub use state::{Seccomp, TaskSeccomp};
