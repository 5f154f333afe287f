//! Which platform a process tests.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use platform::Platform;
use platform::ptrace::Ptrace;
use platform::systrap::{Futexes, Systrap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ptrace,
    Systrap,
}

static SELECTED: OnceLock<Kind> = OnceLock::new();

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Ptrace, Kind::Systrap];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Ptrace => "ptrace",
            Kind::Systrap => "systrap",
        }
    }

    /// A case's full name.
    pub fn case(self, name: &str) -> String {
        format!("{}::{name}", self.name())
    }

    /// Makes this the platform of this process.
    pub fn select(self) {
        SELECTED.set(self).expect("selected once");
    }

    /// The platform of this process.
    pub fn selected() -> Kind {
        *SELECTED.get().expect("main selects one")
    }

    pub fn is_systrap() -> bool {
        Kind::selected() == Kind::Systrap
    }
}

/// What the platforms offer beside the contract.
pub trait AnyPlatform: Platform {
    fn thread_count(&self) -> usize;
    /// How long a thread may take that was interrupted; a tracer needs no patience.
    fn set_patience(&self, _patience: Duration) {}
    /// Watches out for calls from the first on, where the platform can.
    fn watch_at_once(&self) {}
    /// How many address spaces wait for somebody who asks for one.
    fn blank_count(&self) -> usize {
        0
    }
    /// How many calls came that way.
    fn line_calls(&self) -> u64 {
        0
    }
}

impl AnyPlatform for Ptrace {
    fn thread_count(&self) -> usize {
        Ptrace::thread_count(self)
    }
}

impl AnyPlatform for Systrap {
    fn thread_count(&self) -> usize {
        Systrap::thread_count(self)
    }

    fn set_patience(&self, patience: Duration) {
        Systrap::set_patience(self, patience);
    }

    fn watch_at_once(&self) {
        Systrap::watch_at_once(self);
    }

    fn blank_count(&self) -> usize {
        Systrap::blank_count(self)
    }

    fn line_calls(&self) -> u64 {
        Systrap::line_calls(self)
    }
}

pub fn try_new_platform() -> std::io::Result<Arc<dyn AnyPlatform>> {
    Ok(match Kind::selected() {
        Kind::Ptrace => Ptrace::new()?,
        Kind::Systrap => Systrap::new(Futexes::Native)?,
    })
}

pub fn new_platform() -> Arc<dyn AnyPlatform> {
    try_new_platform().expect("platform")
}
