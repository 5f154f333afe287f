//! What the command line and a sentry say to each other, and the configuration a sentry starts from.
//!
//! Transport: a `SOCK_STREAM` Unix socket; each message is a little-endian `u32` length and that
//! many bytes of JSON, its file descriptors attached (`SCM_RIGHTS`) to the length bytes. One
//! request, one response; a connection may carry several in turn. [`Request::Wait`] answers late.
#![forbid(unsafe_code)]

pub mod config;
pub mod message;
pub mod startup;
pub mod transport;

pub use config::*;
pub use message::*;
