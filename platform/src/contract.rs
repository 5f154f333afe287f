//! The contract between a platform and the kernel on top of it.
//!
//! A [`Platform`] makes [`AddressSpace`]s, each a host process whose memory *is* the guest's
//! memory, and [`Thread`]s, each a host thread that runs guest code. The kernel owns a thread's
//! [`Thread`] handle and repeats: set registers, [`Thread::resume`], await [`Thread::poll_trap`],
//! serve the trap. While a thread is trapped the kernel may have it execute host memory operations
//! ([`Thread::host_op`]) on its own address space.
//!
//! **Invariant:** the host's mappings are the truth. No page fault of a valid access ever reaches
//! the kernel; a [`Trap::Fault`] is always the guest's own error.

mod trap;
mod unasked;

use std::future::Future;
use std::num::NonZeroU32;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use linux_abi::Errno;

use crate::systrap::{Conduit, Descriptors};

pub use trap::{Begun, Fault, Registers, Trap};
pub use unasked::{Foretold, GuestState, Posted, Poster, TakeBack};

/// A host operation that a trapped thread executes on its own address space.
///
/// Addresses are guest addresses. The platform refuses (EINVAL, or ENOMEM for mmap) any range
/// that touches its own reserved region. All errors are the host's own.
#[derive(Clone, Copy, Debug)]
pub enum HostOp<'a> {
    /// `mmap(2)`; `fd` is a descriptor of the *sentry*, which the platform brings into the stub
    /// and closes there again. Result: the address.
    Mmap {
        addr: u64,
        len: u64,
        prot: i32,
        flags: i32,
        fd: Option<BorrowedFd<'a>>,
        offset: u64,
    },
    Munmap {
        addr: u64,
        len: u64,
    },
    Mprotect {
        addr: u64,
        len: u64,
        prot: i32,
    },
    /// `mremap(2)`. Result: the address.
    Mremap {
        addr: u64,
        old_len: u64,
        new_len: u64,
        flags: i32,
        new_addr: u64,
    },
    Madvise {
        addr: u64,
        len: u64,
        advice: i32,
    },
    Msync {
        addr: u64,
        len: u64,
        flags: i32,
    },
    /// `mlock2(2)`.
    Mlock {
        addr: u64,
        len: u64,
        flags: i32,
    },
    Munlock {
        addr: u64,
        len: u64,
    },
    Mlockall {
        flags: i32,
    },
    Munlockall,
    /// `mincore(2)`; `vec` is a guest address.
    Mincore {
        addr: u64,
        len: u64,
        vec: u64,
    },
    /// `membarrier(2)`.
    Membarrier {
        cmd: i32,
        flags: u32,
        cpu: i32,
    },
    /// Runs `sched_yield(2)`.
    Yield,
    /// Wakes one who waits for the futex at `addr`, which may lie in shared memory. Only where
    /// futexes are native ([`Platform::has_native_futexes`]), else ENOSYS.
    FutexWake {
        addr: u64,
    },
    /// Changes the futex word at `addr` in one atomic step. Result: what it was before, from which
    /// [`WordChange::applies`] tells whether it was changed. Errors: EFAULT if it cannot be read, or
    /// cannot be written and is to be changed; EINVAL if it is not aligned.
    FutexChange {
        addr: u64,
        change: WordChange,
    },
    /// For [`Thread::catch_all`] only.
    CatchAll,
    /// `brk(2)`. Result: the break in force, whether it was moved or not.
    Brk {
        addr: u64,
    },
    /// Says where the heap of a new program is, which has run nothing yet. Only where that can be said
    /// ([`Layout::places_heap`]), else ENOSYS.
    PlaceHeap(Heap),
}

/// What the host has to know of a new program's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// Where the break is at first.
    pub start: u64,
    /// Start and end of the program's data, which count as the heap does (`RLIMIT_DATA`).
    pub data: [u64; 2],
    /// The stack pointer.
    pub stack: u64,
}

/// A change of a futex word, which depends on what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordChange {
    /// The bits that are compared.
    pub mask: u32,
    /// What they must be for anything to change.
    pub expected: u32,
    /// The bits that stay as they are; all others become 0.
    pub keep: u32,
    /// The bits that become 1.
    pub set: u32,
}

impl WordChange {
    /// Whether it changes a word that is `old`.
    pub fn applies(&self, old: u32) -> bool {
        old & self.mask == self.expected
    }

    /// What becomes of `old` then.
    pub fn apply(&self, old: u32) -> u32 {
        old & self.keep | self.set
    }
}

/// Who a thread is to the guest: what `getpid(2)` and its kin answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub pid: i32,
    pub tid: i32,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
}

/// What [`Thread::spawn`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawn {
    /// A thread in the same host process.
    Thread,
    /// A process with a copy-on-write copy of the address space (`fork`).
    CopyMemory,
    /// A process with the same memory (`vfork`, `CLONE_VM` without `CLONE_THREAD`).
    ShareMemory,
}

/// One region of a host process' memory, as `/proc/[pid]/smaps` or `maps` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMapping {
    pub range: Range<u64>,
    pub read: bool,
    pub write: bool,
    pub exec: bool,
    pub shared: bool,
    pub offset: u64,
    /// Host device (major, minor) and inode; zero for anonymous memory.
    pub dev: (u32, u32),
    pub inode: u64,
    /// The host's own label for special regions only: `[vdso]`, `[vvar]`, …; else empty.
    pub label: String,
}

/// Memory totals of an address space in bytes, less the platform's own region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    pub virtual_size: u64,
    pub resident: u64,
    pub shared: u64,
    pub data: u64,
}

/// A copy of code of a file, in which the platform has put other instructions that do the same and
/// are executed faster. It is to be mapped private, in place of the file's.
#[derive(Debug)]
pub struct PreparedCode {
    pub file: Arc<OwnedFd>,
    pub len: u64,
    pub(crate) changes: Vec<crate::systrap::cpuid::Change>,
}

/// What the kernel needs to know about where guest code may live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// First address and one past the last that guest mappings may use.
    pub user: Range<u64>,
    /// The platform's own region, not available to the guest.
    pub reserved: Range<u64>,
    /// Base address of the host vDSO in a fresh address space, if mapped.
    pub vdso: Option<u64>,
    /// Whether heaps can be placed ([`HostOp::PlaceHeap`]). Where the host does not know how to
    /// (`CONFIG_CHECKPOINT_RESTORE`), they are all at one place.
    pub places_heap: bool,
}

/// An address space and a new thread in it, trapped.
pub type NewProcess = (Arc<dyn AddressSpace>, Box<dyn Thread>);

/// A future that a method of a trait object answers with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to run guest code.
pub trait Platform: Send + Sync {
    fn name(&self) -> &'static str;

    /// Makes an empty address space (nothing mapped but the reserved region and the vDSO) with one
    /// trapped thread in it, which is complete. The caller polls the future to its end.
    ///
    /// Errors: EAGAIN or ENOMEM when the host refuses another process.
    fn new_address_space(&self) -> BoxFuture<'_, Result<NewProcess, Errno>>;

    /// Says that more address spaces will be wanted: the platform may make some when there is time.
    fn expect_address_space(&self) {}

    /// Prepares code of a program that is started often, of which the first `used` bytes are code and
    /// the rest is nothing; `None` if that would change nothing, or may not be done. Where it is mapped is said by [`AddressSpace::set_prepared`].
    fn prepare_code(&self, _code: &[u8], _used: usize) -> Option<PreparedCode> {
        None
    }

    /// Makes a conduit, through which guests can pass bytes to each other by themselves.
    ///
    /// Errors: ENOSYS where there is no such thing; EMFILE or ENOMEM when there are too many.
    fn new_conduit(&self) -> Result<Arc<Conduit>, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The calling worker is done with a thread for now, and whoever is told that it has trapped may serve
    /// it: what need not be done before that is done. `park` does so, too.
    fn rest(&self) {}

    /// Waits until a trap has arrived for some thread, [`unpark`] was called, or `deadline` passed.
    /// The waker of a thread whose trap arrived is woken from within, and `park` returns then.
    /// Only kernel workers call it, several at the same time; with ptrace there is exactly one,
    /// the tracer thread, which must also make every other call.
    ///
    /// [`unpark`]: Platform::unpark
    fn park(&self, deadline: Option<Instant>);

    /// Makes one current `park` return, or else the next one. Callable from any host thread; never
    /// lost, but several calls may count as one until a `park` has returned.
    fn unpark(&self);

    /// How many kernel workers this platform wants (1 for ptrace).
    fn workers(&self) -> usize;

    /// Lets the platform answer calls by itself, or not, of threads with an identity
    /// ([`Thread::set_identity`]), as far as it can. To be said before there are any; the default
    /// is that it may.
    fn set_fast_calls(&self, _are_allowed: bool) {}

    /// Whether guest code makes `futex(2)` and `futex_waitv(2)` of the host, so that they do not
    /// trap: all but operations that the host does not get to see, which the kernel has to serve or
    /// refuse. A thread that waits counts as running guest code. When it is interrupted, the host has gone
    /// back to the call (its number in rax, `rip` at the instruction) or, if there was a timeout,
    /// ended it with EINTR.
    ///
    /// The same goes then for a few calls that only change the caller, in the most frequent cases: new
    /// private memory by `mmap(2)`, memory that `mprotect(2)` makes read-only, `brk(2)`, FS.base by
    /// `arch_prctl(2)`, `getrandom(2)`. Where they trap, the kernel serves them. And the host answers to
    /// [`UNKNOWN_CALLS`](crate::UNKNOWN_CALLS) that there are no such calls.
    fn has_native_futexes(&self) -> bool {
        false
    }

    /// How often what has happened since the start, for people.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Makes the calling host thread a worker. Each calls it once, before it parks.
    fn enter_worker(&self) {}

    /// Lets the calling host thread, which is no worker, run on every processor that the sentry
    /// may use. A platform may bind its workers to few, and threads inherit that from whoever
    /// starts them, so helper threads call this first.
    fn unbind_helper(&self) {}
}

/// The memory of a guest process: a host process (or several that share memory).
pub trait AddressSpace: Send + Sync {
    fn layout(&self) -> &Layout;

    /// Copies from guest memory. Returns the number of bytes up to the first inaccessible byte,
    /// EFAULT if that is none (and `buf` is not empty), ESRCH if the process is gone.
    /// Honours the host's page protections (an unreadable page is inaccessible).
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Copies to guest memory; the counterpart of [`AddressSpace::read`].
    fn write(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno>;

    /// Copies to guest memory even where the guest itself may not write (for ptrace and the
    /// loader), copy-on-write as usual.
    fn write_forced(&self, addr: u64, buf: &[u8]) -> Result<usize, Errno>;

    /// The host's mappings, less the reserved region.
    fn mappings(&self) -> Result<Vec<HostMapping>, Errno>;

    fn usage(&self) -> Result<MemoryUsage, Errno>;

    /// Sets a host resource limit that the host enforces for us (`RLIMIT_AS`, `RLIMIT_DATA`,
    /// `RLIMIT_STACK`, `RLIMIT_MEMLOCK`); bytes or `u64::MAX`. The platform adds its own region.
    fn set_limit(&self, resource: i32, soft: u64) -> Result<(), Errno>;

    /// Says in which range of whole pages the kernel keeps no account of what is mapped: threads with
    /// an identity may then unmap, move and advise about memory there, and protect it but not make
    /// it executable, without a word. (New private memory of no file they may map anywhere.) A copy
    /// of the address space has the same range, a new one has none.
    ///
    /// Calls that are being made while the range shrinks may still go by the old one.
    fn set_plain_range(&self, _range: Range<u64>) {}

    /// Says where the heap begins, which the host moves without a word to anybody: nothing of the
    /// platform's may be where it can grow.
    fn set_heap(&self, _start: u64) {}

    /// Says where prepared code is mapped whole, before it is executed. There is one such place in an
    /// address space, which its copies have as well.
    fn set_prepared(&self, _start: u64, _code: &Arc<PreparedCode>) {}

    /// A number that no two live address spaces share.
    fn id(&self) -> u64;
}

/// Access to a thread that may be running: makes it trap, tells its CPU time.
pub trait Interrupter: Send + Sync {
    /// If the thread runs guest code it traps soon with [`Trap::Interrupted`]; if it is trapped
    /// (also while it completes, spawns or executes an operation), its next resume traps at once.
    /// Idempotent until that trap is seen. Any host thread may call it.
    fn interrupt(&self);

    /// CPU time (user, system) that the host thread used so far, in nanoseconds, whether it runs
    /// or not; zero when it is gone. Any host thread may call it.
    fn cpu_time_ns(&self) -> (u64, u64);

    /// CPU time of all threads that the thread's host process has and had, in nanoseconds; once all
    /// handles are dropped, what it was then. Any host thread may call it.
    fn process_cpu_time_ns(&self) -> u64;

    /// If the thread waits in a call that it has begun by itself, that call is one that filters have
    /// judged. To be followed by [`Interrupter::interrupt`]. Any host thread may call it.
    fn keep_judgement(&self) {}

    /// Whether the host thread sleeps in the host, as one that runs guest code does only while it
    /// waits for a native futex. Any host thread may call it.
    fn is_asleep(&self) -> bool {
        false
    }

    /// Lets the host thread, and what it spawns from now on, run only on those of the sentry's
    /// processors that `is_allowed` accepts by their number. Nothing happens where there is none,
    /// or where the platform has only one processor for all. Any host thread may call it.
    fn bind(&self, _is_allowed: &dyn Fn(u32) -> bool) {}
}

/// A guest thread. Dropping the handle kills the host thread.
///
/// All methods but [`Thread::poll_trap`] require that the thread is trapped. The handle may move
/// from one worker to another between any two calls.
///
/// After a trap by a system call a platform may know only the number, the arguments and `rip`, and
/// nothing of the other registers and the floating-point state. Such a thread is *incomplete*
/// until [`Thread::complete`]; whatever else stops a thread leaves it complete.
pub trait Thread: Send + Sync {
    /// The thread's registers; of an incomplete one, only those that its trap tells are valid.
    fn registers(&self) -> &Registers;

    /// Registers that the next resume loads. Segment selectors and privileged flag bits that the
    /// guest may not choose are sanitised by the platform. Of an incomplete thread only `rax`,
    /// the result of its call, may be changed.
    fn registers_mut(&mut self) -> &mut Registers;

    /// Brings in all registers and the floating-point state. Immediate if they are there already.
    ///
    /// A platform may have to let the host thread leave its system call with the present `rax` and
    /// trap it again before it executes anything. So `rax`, `orig_rax` and `rip` stay as they were,
    /// but `rax` must be a value that the call could have answered with, never a restart code,
    /// which the host would act upon. The caller polls the future to its end.
    ///
    /// Errors: ESRCH when the thread is dead, as its next trap will say.
    fn complete(&mut self) -> BoxFuture<'_, Result<(), Errno>>;

    /// The floating-point state in XSAVE format (as in a signal frame, without its trailing magic)
    /// of a complete thread.
    fn fp_state(&mut self) -> Result<Vec<u8>, Errno>;

    /// Sets the floating-point state of a complete thread. Errors: EINVAL when the host refuses the
    /// image.
    fn set_fp_state(&mut self, xsave: &[u8]) -> Result<(), Errno>;

    /// Gives a complete thread the floating-point state of a fresh process.
    fn reset_fp_state(&mut self) -> Result<(), Errno>;

    /// Lets guest code run. Must be followed by [`Thread::poll_trap`] until it is ready.
    fn resume(&mut self, mode: ResumeMode);

    /// Waits a moment for the trap that ends the last resume, if that is likely to come and the calling
    /// worker would look out for it in any case: to do so here, before [`Thread::poll_trap`], is quicker.
    fn stay(&mut self) {}

    /// Answers with the trap that ended the last resume; else keeps `cx`'s waker and wakes it then.
    fn poll_trap(&mut self, cx: &mut Context<'_>) -> Poll<Trap>;

    /// Starts a host operation, of an incomplete thread as well. Must be followed by
    /// [`Thread::poll_host_op`] until it is ready; `op`'s descriptor may be closed as soon as this
    /// returns.
    fn start_host_op(&mut self, op: HostOp<'_>);

    /// Answers with the result of the started operation.
    fn poll_host_op(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, Errno>>;

    /// Executes operations one after the other until one fails, whose error is the answer, with as
    /// few words to the kernel in between as the platform can. Nobody learns of their results. The
    /// caller polls the future to its end.
    fn host_ops<'a>(&'a mut self, ops: &'a [HostOp<'a>]) -> BoxFuture<'a, Result<(), Errno>> {
        Box::pin(one_by_one(self, ops))
    }

    /// Executes a host operation and lets guest code run with the result in `rax`, with no word to
    /// the kernel in between. `op` must have no descriptor. Must be followed by
    /// [`Thread::poll_trap`].
    ///
    /// Answers `false`, and has done nothing, where that cannot be: the thread is incomplete or has
    /// to trap first, or the platform has no such short way.
    fn resume_with(&mut self, op: HostOp<'_>) -> bool;

    /// Like [`Thread::resume_with`], but with `value` in `rax`, and if the operation fails the thread
    /// does not run: the next trap is [`Trap::Failed`]. `op` may have a descriptor.
    fn resume_unless_failed(&mut self, _op: HostOp<'_>, _value: u64) -> bool {
        false
    }

    /// Tells who the thread is, and so lets the platform answer calls that need nothing else by
    /// itself: those that ask for it, for the time, for the processor, and `sched_yield(2)`. They
    /// do not trap any more then, or sometimes. `None` makes all calls trap, and is what a new
    /// thread starts with: for threads whose calls are filtered or traced. Takes effect at the next
    /// resume.
    fn set_identity(&mut self, _identity: Option<&Identity>) {}

    /// Gives the thread's process the memory of a conduit, of which it has an end open. Copies of the
    /// process have it as well. The caller polls the future to its end.
    ///
    /// Errors: ESRCH when the thread is dead; EMFILE, ENOMEM; ENOSYS.
    fn map_conduit<'a>(
        &'a mut self,
        _conduit: &'a Arc<Conduit>,
    ) -> BoxFuture<'a, Result<(), Errno>> {
        Box::pin(async { Err(Errno::ENOSYS) })
    }

    /// The table by which the thread's process serves descriptors by itself, if it can. It has the
    /// memory of all conduits that are named there, or takes the slow way.
    fn descriptors(&self) -> Option<Descriptors> {
        None
    }

    /// Lets the thread go by its process' [`Thread::descriptors`], or not, which is what a new thread
    /// starts with: some threads have a descriptor table of their own, or filters that want to see
    /// [`FILE_CALLS`](crate::FILE_CALLS). Only a thread with an identity does so at all.
    fn use_descriptors(&mut self, _are_used: bool) {}

    /// Whether the platform can do what [`Thread::let_post`] and [`Thread::foretell`] say of the present
    /// call, which has ended what was foretold before. Otherwise that has to be taken back.
    fn can_post(&self) -> bool {
        false
    }

    /// Lets guest code make some calls on the descriptor with which the present call will be answered
    /// without waiting for them: `close(2)` and `F_SETFD`, which `poster` makes then before anything else
    /// that the thread does is told; and calls of which it knows the result, such as `F_GETFL`, if
    /// these `flags` are that. Only where [`Thread::can_post`] says so.
    fn let_post(&mut self, _flags: Option<u32>, _poster: &mut dyn FnMut() -> Arc<dyn Poster>) {}

    /// Ends [`Thread::let_post`] for a descriptor. For a thread that is in a call.
    fn end_posting_on(&mut self, _fd: u32) {}

    /// Ends [`Thread::let_post`] for all descriptors. For a thread that is in a call or was interrupted.
    fn end_posting(&mut self) {}

    /// Makes ready for [`Thread::foretell`] in the present call.
    fn prepare_foretelling(&mut self) {}

    /// Lets guest code answer the thread's next call behind the present one by itself, if it is this
    /// one. Only where [`Thread::can_post`] says so. Answers with whether that was of use last time.
    fn foretell(&mut self, _what: &Foretold) -> bool {
        false
    }

    /// How to take that back, from whatever host thread.
    fn foretold(&self) -> Option<Arc<dyn TakeBack>> {
        None
    }

    /// What guest code of the thread changes by itself, if it can: as long as the thread has an identity,
    /// and of the mask and the actions only what this lets it.
    fn guest_state(&self) -> Option<Arc<dyn GuestState>> {
        None
    }

    /// Makes all calls of the thread trap, and of all that it spawns from now on, also those that guest
    /// code makes of the host (native futexes, the vsyscall page). That cannot be taken back.
    /// Immediate if it is so already. The caller polls the future to its end, and sees to it that the
    /// thread has no identity.
    ///
    /// Errors: ENOMEM when the host refuses; ESRCH when the thread is dead.
    fn catch_all(&mut self) -> BoxFuture<'_, Result<(), Errno>> {
        Box::pin(async { Ok(()) })
    }

    /// Lets the host execute the present call, which has trapped only because of
    /// [`Thread::catch_all`], and guest code run. Must be followed by [`Thread::poll_trap`], which
    /// answers with [`Trap::Interrupted`] after the call, if not with another trap; what that says
    /// about native futexes goes for this call.
    ///
    /// Answers `false`, and has done nothing, where that cannot be: the thread has to trap first, or
    /// the call is none that the host executes for guests.
    fn resume_call(&mut self) -> bool {
        false
    }

    /// Has the host clear the `int` at `addr`, and wake one who waits for that futex, when the
    /// handle is dropped and so the thread is gone (`CLONE_CHILD_CLEARTID`). `false` where that
    /// cannot be: futexes are not native, or the process ends with the thread.
    fn clear_at_exit(&mut self, _addr: u64) -> bool {
        false
    }

    /// Has a new thread put a word into its memory before it runs, unless that cannot be written
    /// (`CLONE_CHILD_SETTID`). Only for what [`Thread::spawn`] has just made. `false` where that cannot
    /// be.
    fn write_at_birth(&mut self, _addr: u64, _word: u32) -> bool {
        false
    }

    /// Says in whose name the thread's process maps files, and those that it will make: those of the
    /// same domain can reach the same files, and may get descriptors before they ask for them of what
    /// others of them map. With `None` the process gets and gives nothing.
    fn set_domain(&mut self, _domain: Option<NonZeroU32>) {}

    /// After [`Trap::Waiting`], once: what the call has begun with.
    fn begun(&mut self) -> Begun {
        Begun::default()
    }

    /// The thread's memory, for its own system calls only: a platform may have got some of it along
    /// with the present call, and sends some back with the result. `None` where that is no other
    /// than its address space.
    fn memory(&self) -> Option<Arc<dyn AddressSpace>> {
        None
    }

    /// Makes another thread or process with a copy of the registers and the floating-point state of
    /// this thread, which must be complete. With [`Spawn::Thread`] the returned address space is
    /// this thread's own; with [`Spawn::ShareMemory`] it has the same memory and the same `id`.
    /// The new thread has registers, but is incomplete otherwise. The caller polls the future to its
    /// end, whatever signals arrive meanwhile.
    ///
    /// Errors: EAGAIN, ENOMEM; ESRCH when this thread is dead.
    fn spawn(&mut self, kind: Spawn) -> BoxFuture<'_, Result<NewProcess, Errno>>;

    fn interrupter(&self) -> Arc<dyn Interrupter>;

    /// CPU time (user, system) that the host thread used, in nanoseconds.
    fn cpu_time_ns(&self) -> (u64, u64);

    /// Host processor it last ran on (for `getcpu`).
    fn host_cpu(&self) -> u32;
}

/// [`Thread::host_ops`] with a word to the kernel after each.
pub(crate) async fn one_by_one<T: Thread + ?Sized>(
    thread: &mut T,
    ops: &[HostOp<'_>],
) -> Result<(), Errno> {
    for op in ops {
        thread.start_host_op(*op);
        std::future::poll_fn(|cx| thread.poll_host_op(cx)).await?;
    }
    Ok(())
}

/// How guest code is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeMode {
    Run,
    /// One instruction, then a SIGTRAP fault (for a guest that traces another).
    SingleStep,
}

/// A descriptor number inside the sentry process, for messages.
pub type HostFd = RawFd;
