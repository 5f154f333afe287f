//! The control server: what the command line asks of a running sandbox.
//!
//! One host thread waits on all connections; a request becomes a job on the kernel's executor,
//! which sends the response. Requests come from the launcher and the runtime's own commands only:
//! the socket lies in a directory that nobody else can enter.

mod requests;
mod server;
mod terminal_signals;

pub(crate) use server::ControlServer;
