//! Clocks and timers, `time(7)`.
//!
//! * [`Timers`]: all timers of the sandbox and the one host thread that expires them; also the
//!   [`Reactor`], which watches host descriptors.
//! * [`Sleep`]: the future behind every timeout.
//! * [`Clock`]: the clocks that programs name, CPU clocks included.
//! * [`ItimerState`]: timers of a process: `setitimer`, POSIX timers, timers on CPU time.
//!
//! Times are nanoseconds in an `i64`, as in Linux (`ktime_t`); sums saturate.

mod clock;
mod cpu;
mod cpu_limit;
mod cpu_timers;
mod events;
mod heap;
mod interval;
mod itimer;
pub mod posix;
mod reactor;
mod sleep;
mod timers;

pub use clock::{Clock, CpuClock, CpuKind};
pub use cpu::{CpuTime, children_cpu, process_cpu, process_cpu_ticks, thread_cpu};
pub use cpu_limit::watch_cpu_limit;
pub use cpu_timers::{CpuTimerKind, cpu_timer, set_cpu_timer};
pub(crate) use events::signal_taken;
pub use events::{process_exiting, reset_for_exec};
pub use heap::{Expire, Target};
pub(crate) use interval::{forward, remaining};
pub use itimer::{ItimerState, TimerSetting, real_timer, set_real_timer};
pub use reactor::{Reactor, Registration};
pub use sleep::{Sleep, timeout};
pub use timers::{TimerClock, TimerKey, Timers};
