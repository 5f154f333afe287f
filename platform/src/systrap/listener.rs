//! The listener of the stubs' filter, `seccomp_unotify(2)`: one host call each, no policy.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use linux_abi::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::workers::Parked;
use crate::host::last_errno;
use crate::process::Tid;

const NOTIF_RECV: u64 = 0xc050_2100;
const NOTIF_SEND: u64 = 0xc018_2101;
const NOTIF_ID_VALID: u64 = 0x4008_2102;
const NOTIF_ADDFD: u64 = 0x4018_2103;
const NOTIF_SET_FLAGS: u64 = 0x4008_2104;
/// Wakes the other side on the same processor and lets it run at once, since Linux 6.6.
const SYNC_WAKE_UP: u64 = 1;

/// `SECCOMP_ADDFD_FLAG_SEND`: the descriptor's number is the answer.
const SEND: u32 = 2;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
const CONTINUE: u32 = 1;

/// A system call that a stub's thread makes and the sentry answers: `struct seccomp_notif`.
/// All of it is the kernel's word.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Notification {
    pub(super) id: u64,
    /// The thread, in the sentry's pid namespace.
    pub(super) tid: u32,
    flags: u32,
    pub(super) number: i32,
    arch: u32,
    /// Behind the `syscall` instruction.
    pub(super) ip: u64,
    pub(super) args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Takes over the descriptor; where the host cannot wake synchronously, it goes on without.
    pub(super) fn new(descriptor: OwnedFd) -> Listener {
        let listener = Listener(descriptor);
        listener.set_flags(SYNC_WAKE_UP);
        listener
    }

    fn set_flags(&self, flags: u64) {
        // SAFETY: the request takes flags as its argument.
        unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_SET_FLAGS, flags) };
    }

    /// Waits for the next call. Errors: EINTR when the worker was notified; ENOENT for one whose
    /// thread died at once.
    pub(super) fn receive(&self, parked: Parked<'_>) -> Result<Notification, Errno> {
        let mut notification = Notification::default();
        let argument = (&raw mut notification).addr() as u64;
        parked.ioctl(&self.0, NOTIF_RECV, argument)?;
        Ok(notification)
    }

    /// Waits until there is a call, the worker is notified, or `deadline`; `true` for a call.
    pub(super) fn wait_until(&self, parked: Parked<'_>, deadline: Instant) -> bool {
        parked.poll(&self.0, Some(deadline)) & libc::POLLIN != 0
    }

    /// Whether a call waits to be received.
    pub(super) fn has_call(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        let at_once = Timespec::default();
        poll(&mut polled, Some(&at_once)) == Ok(1)
    }

    /// Whether nobody is left who could make a call, so that no wait for one would ever end.
    pub(super) fn is_orphaned(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::empty())];
        let at_once = Timespec::default();
        poll(&mut polled, Some(&at_once)) == Ok(1) && polled[0].revents().contains(PollFlags::HUP)
    }

    /// Waits for the next call; nobody can interrupt it.
    pub(super) fn receive_alone(&self) -> Result<Notification, Errno> {
        let mut notification = Notification::default();
        // SAFETY: the request writes a `struct seccomp_notif`.
        unsafe { self.request(NOTIF_RECV, (&raw mut notification).addr()) }?;
        Ok(notification)
    }

    /// Answers a call: the thread goes on with `value` in rax.
    ///
    /// Errors: ENOENT when its thread was killed.
    pub(super) fn answer(&self, id: u64, value: u64) -> Result<(), Errno> {
        self.respond(Response { id, value: value as i64, error: 0, flags: 0 })
    }

    /// The same, and the thread goes on where the host finds a processor for it. (Answers that
    /// others give meanwhile may be meant so, too.)
    pub(super) fn answer_elsewhere(&self, id: u64, value: u64) -> Result<(), Errno> {
        self.set_flags(0);
        let answered = self.answer(id, value);
        self.set_flags(SYNC_WAKE_UP);
        answered
    }

    /// Lets the host execute a call.
    ///
    /// Errors: ENOENT when its thread was killed.
    pub(super) fn allow(&self, id: u64) -> Result<(), Errno> {
        self.respond(Response { id, value: 0, error: 0, flags: CONTINUE })
    }

    fn respond(&self, response: Response) -> Result<(), Errno> {
        // SAFETY: the request reads a `struct seccomp_notif_resp`.
        unsafe { self.request(NOTIF_SEND, (&raw const response).addr()) }.map(drop)
    }

    /// Gives the thread that makes the call a descriptor; answers with its number there.
    ///
    /// Errors: ESRCH when its thread was killed; EMFILE.
    pub(super) fn add_descriptor(&self, id: u64, file: BorrowedFd<'_>) -> Result<u64, Errno> {
        self.add(id, file, 0)
    }

    /// The same, and answers the call with that number.
    pub(super) fn answer_with(&self, id: u64, file: BorrowedFd<'_>) -> Result<u64, Errno> {
        self.add(id, file, SEND)
    }

    fn add(&self, id: u64, file: BorrowedFd<'_>, flags: u32) -> Result<u64, Errno> {
        // A signal could end the wait when the host counts the call as answered already, but its
        // thread has got nothing.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let added = self.add_undisturbed(id, file, flags);
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
        added
    }

    fn add_undisturbed(&self, id: u64, file: BorrowedFd<'_>, flags: u32) -> Result<u64, Errno> {
        let source = file.as_raw_fd() as u32;
        let add = AddDescriptor { id, flags, source, target: 0, target_flags: 0 };
        // SAFETY: the request reads a `struct seccomp_notif_addfd`.
        match unsafe { self.request(NOTIF_ADDFD, (&raw const add).addr()) } {
            Ok(number) => Ok(number as u64),
            Err(Errno::ENOENT) => Err(Errno::ESRCH),
            Err(error) => Err(error),
        }
    }

    /// Whether the call still waits, so that its thread id is still that thread's.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the request reads 8 bytes.
        unsafe { self.request(NOTIF_ID_VALID, (&raw const id).addr()) }.is_ok()
    }

    /// # Safety
    /// `argument` is the address of what the request reads or writes.
    unsafe fn request(&self, request: u64, argument: usize) -> Result<i32, Errno> {
        loop {
            // SAFETY: the caller's promise.
            let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) };
            match result {
                0.. => return Ok(result),
                _ => match last_errno() {
                    Errno::EINTR => continue,
                    error => return Err(error),
                },
            }
        }
    }
}

impl Notification {
    pub(super) fn tid(&self) -> Tid {
        self.tid as Tid
    }
}
