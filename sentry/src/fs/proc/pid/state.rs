//! Whether a thread runs, sleeps, is stopped or dead.

use std::sync::Arc;

use linux_abi::Errno;

use crate::fs::proc::subject::{Subject, View};
use crate::task::Task;
use crate::vfs::IoContext;

/// The letter of `/proc/[pid]/stat` and the words of `/proc/[pid]/status`.
pub(super) type State = (char, &'static str);

const RUNNING: State = ('R', "running");
const SLEEPING: State = ('S', "sleeping");
const STOPPED: State = ('T', "stopped");
const TRACED: State = ('t', "tracing stop");
const ZOMBIE: State = ('Z', "zombie");

/// The state of the thread, or of the thread that leads the process.
pub(super) fn state(task: Option<&Arc<Task>>, io: &IoContext<'_>) -> State {
    let Some(task) = task else { return ZOMBIE };
    if task.tracing.is_in_stop() {
        TRACED
    } else if task.signals.lock().is_stopped() && !task.tracing.is_traced() {
        STOPPED
    } else if io.task.is_some_and(|caller| Arc::ptr_eq(caller, task)) || task.runs_guest_code() {
        RUNNING
    } else {
        SLEEPING
    }
}

/// `comm` of the thread, of a zombie too.
pub(super) fn name(subject: &Subject, task: Option<&Arc<Task>>) -> Result<Vec<u8>, Errno> {
    match task {
        Some(task) => Ok(task.name.lock().clone()),
        None => Ok(subject.group()?.last_name()),
    }
}

/// The threads that a file is about: all of the process, or the one.
pub(super) fn thread_count(subject: &Subject) -> Result<usize, Errno> {
    let count = subject.group()?.threads().len();
    Ok(if subject.view == View::Process { count.max(1) } else { count })
}
