//! Guests that attack their stub, and through it the sentry: systrap only.
//!
//! Whatever they do, the kernel goes on, other processes do not notice, and nothing is left behind.

mod conduit;
mod scribble;
mod single;
mod stub;

pub use conduit::scribbles_over_a_conduit;
pub use scribble::{a_command_without_end, scribbling_siblings, soak};
pub use single::*;

use std::sync::Arc;

use self::stub::Stub;
use super::guest::{Guest, getpid_loop};
use super::kind::{AnyPlatform, new_platform};

/// A platform with little patience, and a process on it that must not notice anything.
struct Arena {
    platform: Arc<dyn AnyPlatform>,
    bystander: Guest,
    stub: Stub,
}

impl Arena {
    fn new() -> Arena {
        let platform = new_platform();
        platform.set_patience(stub::PATIENCE);
        platform.watch_at_once();
        let bystander = Guest::on(&platform, getpid_loop());
        let stub = Stub::of_newest(&bystander);
        Arena { platform, bystander, stub }
    }

    /// The bystander still works.
    fn check(&mut self) {
        assert_eq!(self.bystander.run_to_call(), 39);
        self.bystander.thread.registers_mut().rax = 1;
        assert_eq!(self.bystander.op(platform::HostOp::Yield), Ok(0));
    }

    /// Only the template and the bystander are left, and then nobody.
    fn end(mut self) {
        self.check();
        let mut child = self.bystander.spawn(platform::Spawn::CopyMemory);
        assert_eq!(child.run_to_call(), 39);
        drop(child);
        Guest::await_host_children(2);
        assert_eq!(self.platform.thread_count(), 1);
        drop(self);
        assert_eq!(Guest::host_children().len(), 0);
    }
}
