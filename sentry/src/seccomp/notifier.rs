//! Calls that wait for the word of a supervisor, `seccomp_unotify(2)`.
//!
//! A filter with a listener and the listener's descriptor share a [`Notifier`]. A filtered task
//! puts its call there and waits until that is replied to; the supervisor takes calls and replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::poll::PollEvents;
use linux_abi::task::{SECCOMP_USER_NOTIF_FLAG_CONTINUE, SeccompData, SeccompNotif};

use crate::sync::{Mutex, Rank, WaitQueue};
use crate::task::Task;

/// What a supervisor says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub value: i64,
    /// A negated errno; 0 if `value` counts.
    pub error: i32,
    /// `SECCOMP_USER_NOTIF_FLAG_*`.
    pub flags: u32,
}

impl Reply {
    pub fn continues(&self) -> bool {
        self.flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0
    }
}

/// How far a call is.
enum Progress {
    New,
    /// The supervisor has taken it.
    Taken,
    Replied(Reply),
}

struct Call {
    task: Arc<Task>,
    data: SeccompData,
    progress: Progress,
}

struct State {
    /// Whether the supervisor has the listener's descriptor.
    is_open: bool,
    /// How many filters send calls here: one, until that is dropped.
    filters: usize,
    next_id: u64,
    /// By number, so that the oldest comes first.
    calls: BTreeMap<u64, Call>,
}

/// See the module's description.
pub struct Notifier {
    state: Mutex<State>,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: once a call is taken only death interrupts it.
    pub is_killable_only: bool,
    /// Notified as the listener's readiness changes.
    pub(super) listening: WaitQueue,
    /// Notified when calls are replied to.
    pub(super) answered: WaitQueue,
}

impl Notifier {
    /// One with a listener. `first_id` is the number of the first call, by which programs shall not
    /// go.
    pub fn new(first_id: u64, is_killable_only: bool) -> Arc<Notifier> {
        let state = State { is_open: true, filters: 0, next_id: first_id, calls: BTreeMap::new() };
        Arc::new(Notifier {
            state: Mutex::new(Rank::FileObject, state),
            is_killable_only,
            listening: WaitQueue::new(),
            answered: WaitQueue::new(),
        })
    }

    pub(super) fn add_filter(&self) {
        self.state.lock().filters += 1;
    }

    /// A filter is gone, and so are all tasks that it was for.
    pub(super) fn remove_filter(&self) {
        self.state.lock().filters -= 1;
        self.listening.notify(PollEvents::HUP);
    }

    /// Whether there is a supervisor.
    pub fn is_open(&self) -> bool {
        self.state.lock().is_open
    }

    /// The listener is closed: calls are as if they did not exist from now on.
    pub(super) fn close(&self) {
        {
            let mut state = self.state.lock();
            state.is_open = false;
            for call in state.calls.values_mut() {
                if !matches!(call.progress, Progress::Replied(_)) {
                    call.progress = Progress::Replied(NO_SUCH_CALL);
                }
            }
        }
        self.answered.notify(PollEvents::IN);
    }

    /// Puts a call before the supervisor; `None` if there is none.
    pub(super) fn begin(
        self: &Arc<Notifier>,
        task: &Arc<Task>,
        data: SeccompData,
    ) -> Option<Asked> {
        let id = {
            let mut state = self.state.lock();
            if !state.is_open {
                return None;
            }
            let id = state.next_id;
            state.next_id = id.wrapping_add(1);
            state.calls.insert(id, Call { task: task.clone(), data, progress: Progress::New });
            id
        };
        self.listening.notify(PollEvents::IN | PollEvents::RDNORM);
        Some(Asked { notifier: self.clone(), id })
    }

    /// Takes the oldest call that nobody has taken.
    ///
    /// # Errors
    /// EAGAIN if there is none, ENOENT if there will be none.
    pub fn take(&self) -> Result<SeccompNotif, Errno> {
        let notification = {
            let mut state = self.state.lock();
            let is_over = state.filters == 0;
            let new = |(_, call): &(&u64, &mut Call)| matches!(call.progress, Progress::New);
            let Some((&id, call)) = state.calls.iter_mut().find(new) else {
                return Err(if is_over { Errno::ENOENT } else { Errno::EAGAIN });
            };
            call.progress = Progress::Taken;
            SeccompNotif { id, pid: call.task.tid() as u32, flags: 0, data: call.data }
        };
        self.listening.notify(PollEvents::OUT | PollEvents::WRNORM);
        Ok(notification)
    }

    /// Puts a call back that could not be told.
    pub fn untake(&self, id: u64) {
        if let Some(call) = self.state.lock().calls.get_mut(&id)
            && matches!(call.progress, Progress::Taken)
        {
            call.progress = Progress::New;
        }
        self.listening.notify(PollEvents::IN | PollEvents::RDNORM);
    }

    /// Whose call it is.
    ///
    /// # Errors
    /// ENOENT when it is over, EINPROGRESS when it was not taken or is replied to.
    pub fn taken(&self, id: u64) -> Result<Arc<Task>, Errno> {
        let state = self.state.lock();
        let call = state.calls.get(&id).ok_or(Errno::ENOENT)?;
        match call.progress {
            Progress::Taken => Ok(call.task.clone()),
            Progress::New | Progress::Replied(_) => Err(Errno::EINPROGRESS),
        }
    }

    /// Replies to a call that was taken.
    ///
    /// # Errors
    /// Those of [`Notifier::taken`].
    pub fn reply(&self, id: u64, reply: Reply) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            let call = state.calls.get_mut(&id).ok_or(Errno::ENOENT)?;
            if !matches!(call.progress, Progress::Taken) {
                return Err(Errno::EINPROGRESS);
            }
            call.progress = Progress::Replied(reply);
        }
        self.answered.notify(PollEvents::IN);
        Ok(())
    }

    /// What the listener is ready for.
    pub(super) fn readiness(&self) -> PollEvents {
        let state = self.state.lock();
        let mut ready = PollEvents::empty();
        for call in state.calls.values() {
            match call.progress {
                Progress::New => ready |= PollEvents::IN | PollEvents::RDNORM,
                Progress::Taken => ready |= PollEvents::OUT | PollEvents::WRNORM,
                Progress::Replied(_) => {}
            }
        }
        if state.filters == 0 {
            ready |= PollEvents::HUP;
        }
        ready
    }
}

/// There is no supervisor.
const NO_SUCH_CALL: Reply = Reply { value: 0, error: -Errno::ENOSYS.raw(), flags: 0 };

/// A call that waits for a reply; dropping it takes it back.
pub(super) struct Asked {
    pub(super) notifier: Arc<Notifier>,
    id: u64,
}

impl Asked {
    /// The reply, if it is there.
    pub(super) fn reply(&self) -> Option<Reply> {
        match self.notifier.state.lock().calls.get(&self.id)?.progress {
            Progress::Replied(reply) => Some(reply),
            Progress::New | Progress::Taken => None,
        }
    }

    /// Whether only death may interrupt it.
    pub(super) fn must_wait(&self) -> bool {
        self.notifier.is_killable_only && self.notifier.taken(self.id).is_ok()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.notifier.state.lock().calls.remove(&self.id);
    }
}
