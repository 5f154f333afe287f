//! Ends stubs that do not do as they are told.
//!
//! Guest code can keep the kick from its thread by blocking the signal, and lead its stub astray in
//! the middle of a command. Nobody but its own process suffers, but the kernel above must be able
//! to end that. So a thread that was asked to trap has to report within the patience,
//! or its process is killed. A command may make the host work for long (many pages to make), so it
//! gets some times as much. Time does not count in which the host holds the thread up (a page from
//! a slow disk, a stop from outside) or in which the sentry itself is stopped.
//!
//! The thread of this module sleeps without a timeout while there is nobody to watch.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::slot::{Overdue, Slot};
use crate::process::space::Common;

/// How often the patience is divided: so often a stub is looked at.
const TICKS: u32 = 10;
/// The same for a stub that obeys a command.
const COMMAND_TICKS: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(10);
/// Small: the thread looks at flags and kills.
const STACK_BYTES: usize = 64 << 10;

pub(super) struct Watchdog {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    watched: Vec<Watched>,
    tick: Duration,
    has_stopped: bool,
}

struct Watched {
    slot: Weak<Slot>,
    /// How much it had reported when it was last looked at.
    reports: u32,
    ticks: u32,
}

impl Watchdog {
    pub(super) fn new() -> Arc<Watchdog> {
        let tick = PATIENCE / TICKS;
        let state = Mutex::new(State { watched: Vec::new(), tick, has_stopped: false });
        Arc::new(Watchdog { state, wake: Condvar::new() })
    }

    /// Starts the thread. It ends with [`Watchdog::stop`].
    pub(super) fn start(self: &Arc<Self>, common: &Arc<Common>) -> io::Result<()> {
        let (own, common) = (Arc::clone(self), Arc::clone(common));
        let thread = std::thread::Builder::new().name("watchdog".into()).stack_size(STACK_BYTES);
        thread.spawn(move || own.run(&common)).map(drop)
    }

    /// Sets how long a stub may take.
    pub(super) fn set_patience(&self, patience: Duration) {
        self.state.lock().tick = patience / TICKS;
    }

    /// Watches a thread until it reports.
    pub(super) fn watch(&self, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        if !slot.start_watching() {
            return;
        }
        state.watched.push(Watched { slot: Arc::downgrade(slot), reports: 0, ticks: 0 });
        if state.watched.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.state.lock().has_stopped = true;
        self.wake.notify_one();
    }

    fn run(&self, common: &Common) {
        let mut state = self.state.lock();
        while !state.has_stopped {
            if state.watched.is_empty() {
                self.wake.wait(&mut state);
                continue;
            }
            let tick = state.tick;
            if self.wake.wait_for(&mut state, tick).timed_out() {
                let mut late = Vec::new();
                state.watched.retain_mut(|watched| watched.look(common, &mut late));
                MutexGuard::unlocked(&mut state, || {
                    late.iter().for_each(|slot| slot.process.kill());
                });
            }
        }
    }
}

impl Watched {
    /// Looks at the thread; `false` if there is no need to look again.
    fn look(&mut self, common: &Common, late: &mut Vec<Arc<Slot>>) -> bool {
        let Some(slot) = self.slot.upgrade() else { return false };
        let Some(Overdue { reports, is_obeying }) = slot.overdue() else {
            slot.stop_watching();
            return false;
        };
        if reports != self.reports {
            (self.reports, self.ticks) = (reports, 0);
        }
        if !common.is_held_up(slot.tid) {
            self.ticks += 1;
        }
        if self.ticks <= if is_obeying { COMMAND_TICKS } else { TICKS } {
            return true;
        }
        slot.stop_watching();
        late.push(slot);
        false
    }
}
