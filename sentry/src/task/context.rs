//! What a system call handler works with.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use linux_abi::Errno;
use platform::{Begun, HostOp, Identity, Registers, Thread, WordChange};

use super::foretelling::{self, Foresight};
use super::{Task, posting};
use crate::memory::{UserAddr, UserMemory};
use crate::mm::Undo;
use crate::signal;
use crate::vfs::FileDescription;

/// The calling task and its trapped thread.
pub struct Ctx {
    pub task: Arc<Task>,
    pub thread: Box<dyn Thread>,
    memory: UserMemory,
    /// The platform was told to let all calls trap, because of a tracer.
    is_told_traced: bool,
    /// Whether the present call may let the thread go on while nobody waits for its end.
    pub may_finish: bool,
    /// The present call was begun by guest code itself, and waits.
    begun: Option<Begun>,
    /// What is to be put right if the operation fails with which the thread was resumed.
    undo: Option<Undo>,
    /// Descriptors on which guest code may make calls without waiting for them, perhaps more of them
    /// than that: see [`posting`](super::posting).
    pub(super) posts_on: u64,
    /// What guest code is told of its next call.
    pub(super) foresight: Foresight,
}

impl Ctx {
    pub fn new(task: Arc<Task>, thread: Box<dyn Thread>) -> Ctx {
        let memory = own_memory(&task, &*thread);
        let (begun, undo) = (None, None);
        let (is_told_traced, may_finish) = (false, false);
        let (posts_on, foresight) = (0, Foresight::default());
        Ctx { task, thread, memory, is_told_traced, may_finish, begun, undo, posts_on, foresight }
    }

    /// The caller's memory.
    pub fn memory(&self) -> &UserMemory {
        &self.memory
    }

    /// Number and arguments of the present system call.
    pub fn call(&self) -> (u64, [u64; 6]) {
        let Registers { orig_rax, rdi, rsi, rdx, r10, r8, r9, .. } = *self.thread.registers();
        (orig_rax, [rdi, rsi, rdx, r10, r8, r9])
    }

    /// After `execve`: the task's new memory, and thread.
    pub fn reload_memory(&mut self) {
        self.memory = own_memory(&self.task, &*self.thread);
        self.foresight = Foresight::default();
    }

    /// The present call was begun by guest code itself, and is gone on with as it has begun until
    /// [`Ctx::end_begun`].
    pub(super) fn go_on_with_begun(&mut self) {
        self.begun = Some(self.thread.begun());
    }

    pub(super) fn end_begun(&mut self) {
        self.begun = None;
    }

    /// Whether filters have judged the present call before.
    pub(super) fn was_judged(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.is_judged)
    }

    /// Whether the present call has waited already: it goes on whatever the file's flags say now.
    pub fn has_waited(&self) -> bool {
        self.begun.is_some()
    }

    /// The description behind `fd` for reading or writing, which for a call that waits already is that
    /// with which it has begun. Errors: as for [`FdTable::get_usable`](crate::vfs::FdTable::get_usable).
    pub fn file(&self, fd: impl Into<i32>) -> Result<Arc<FileDescription>, Errno> {
        let begun = self.begun.as_ref().and_then(|begun| begun.file.clone());
        match begun.and_then(|file| file.downcast().ok()) {
            Some(file) => Ok(file),
            None => self.task.fds().get_usable(fd),
        }
    }

    /// Tells the platform who the task is. To be called when that has changed, or what filters see of
    /// the task's calls: the platform may answer for us.
    pub fn tell_identity(&mut self) {
        self.is_told_traced = self.task.tracing.is_traced();
        let seccomp = &self.task.seccomp;
        let is_filtered = seccomp.is_on() && !seccomp.get().allows_all(platform::FAST_CALLS);
        if !self.may_serve_itself() {
            self.thread.use_descriptors(false);
        }
        if self.is_told_traced || is_filtered {
            posting::end(self);
            self.thread.set_identity(None);
            return;
        }
        if let Some(guest) = self.thread.guest_state() {
            signal::let_guest(&self.task, &guest);
        }
        let credentials = self.task.credentials();
        self.thread.set_identity(Some(&Identity {
            pid: self.task.pid(),
            tid: self.task.tid(),
            uid: credentials.uid,
            euid: credentials.euid,
            gid: credentials.gid,
            egid: credentials.egid,
        }));
    }

    /// Tells guest code what it may know of the task's actions, and takes over what it has set. To be
    /// called by the task before it looks at them, and when they have changed.
    pub fn tell_actions(&self) {
        if let Some(guest) = self.thread.guest_state() {
            signal::tell_defaults(&self.task, &guest);
        }
    }

    /// Takes over what guest code has set, which knows of no actions then: before they change, or are
    /// shared with others.
    pub fn hide_actions(&self) {
        if let Some(guest) = self.thread.guest_state() {
            signal::hide_defaults(&self.task, &guest);
        }
    }

    /// Whether guest code of the task may read and write descriptors by itself.
    pub fn may_serve_itself(&self) -> bool {
        let seccomp = &self.task.seccomp;
        !seccomp.is_on() || seccomp.get().allows_all(platform::FILE_CALLS)
    }

    /// Tells the platform if the task has got or lost a tracer, who is to see all calls.
    pub fn refresh_identity(&mut self) {
        if self.is_told_traced != self.task.tracing.is_traced() {
            self.tell_identity();
        }
    }

    /// Sees to it that all calls of a filtered task are judged that its filters could refuse.
    ///
    /// Errors: those of [`Thread::catch_all`]; nothing must run then.
    pub async fn follow_filters(&mut self) -> Result<(), Errno> {
        if !self.task.seccomp.is_on() {
            return Ok(());
        }
        self.tell_identity();
        if self.task.seccomp.get().allows_all(platform::NATIVE_CALLS) {
            return Ok(());
        }
        self.thread.catch_all().await
    }

    /// Waits for `future`, or until a signal (or stop, or exit) wants the task.
    ///
    /// Errors: ERESTARTSYS when interrupted; the caller may turn it into EINTR (or another
    /// restart code) where signal(7) says so. The future is dropped then.
    pub fn block<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Errno>> + use<F> {
        // Does not borrow `self`: a thread handle may move between workers but not be shared.
        let task = self.task.clone();
        async move {
            let mut future = pin!(future);
            std::future::poll_fn(|cx| {
                if let Poll::Ready(value) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(value));
                }
                if task.must_attend() {
                    return Poll::Ready(Err(Errno::ERESTARTSYS));
                }
                Poll::Pending
            })
            .await
        }
    }

    /// Lets the caller's thread go on with an operation whose success is recorded already, and makes
    /// its call return `value`. If it fails, `undo` is done.
    ///
    /// Answers with `undo` if that cannot be: the operation is still to be made then.
    pub fn finish(&mut self, op: HostOp<'_>, value: u64, undo: Undo) -> Result<(), Undo> {
        if !self.may_finish || self.task.has_attention() {
            return Err(undo);
        }
        foretelling::end_others(self);
        self.task.is_in_guest.store(true, Ordering::Relaxed);
        if !self.thread.resume_unless_failed(op, value) {
            self.task.is_in_guest.store(false, Ordering::Relaxed);
            return Err(undo);
        }
        self.undo = Some(undo);
        Ok(())
    }

    /// The operation of [`Ctx::finish`], if there was one, is done.
    pub fn forget_undo(&mut self) {
        self.undo = None;
    }

    /// The operation of [`Ctx::finish`] has failed, with an error in the caller's rax.
    pub fn take_back(&mut self) {
        if let Some(undo) = self.undo.take() {
            self.task.mm().undo(undo);
        }
    }

    /// Executes a memory operation in the caller's own address space.
    pub async fn host_op(&mut self, op: HostOp<'_>) -> Result<u64, Errno> {
        self.thread.start_host_op(op);
        std::future::poll_fn(|cx| self.thread.poll_host_op(cx)).await
    }

    /// Changes a futex word of the caller's in one step. Answers with what it was.
    ///
    /// Errors: EFAULT; EINVAL if it is not aligned; ESRCH when the thread is dead.
    pub async fn change_word(&mut self, addr: UserAddr, change: WordChange) -> Result<u32, Errno> {
        let old = self.host_op(HostOp::FutexChange { addr: addr.0, change }).await?;
        Ok(old as u32)
    }
}

/// The memory of a task as its own calls see it.
fn own_memory(task: &Task, thread: &dyn Thread) -> UserMemory {
    match thread.memory() {
        Some(space) => UserMemory::new(space),
        None => task.mm().memory().clone(),
    }
}
