//! Signals: `signal(7)`, `sigaction(2)`, `sigaltstack(2)`, `siginfo_t`, the signal frame,
//! `signalfd(2)`.

mod action;
mod frame;
mod info;
mod number;
mod sigset;

pub use action::*;
pub use frame::*;
pub use info::*;
pub use number::*;
pub use sigset::*;
