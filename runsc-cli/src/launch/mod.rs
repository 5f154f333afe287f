//! Makes the processes of a sandbox.

pub mod slots;
