//! The fast platform: seccomp traps, and a stub in every guest process.
//!
//! [`Systrap::new`] makes the template ([`template`]): a child of the sentry that strips itself
//! to an empty address space with a *window* ([`region`], [`layout`]) that holds the stub and the
//! memory it shares with the sentry ([`channel`]). All guest processes descend from it and share
//! its seccomp filter, so that one [`listener`] tells the sentry of all their system calls:
//!
//! - Most calls of the guest are *user notifications*: the sentry gets number and arguments from
//!   the kernel, serves the call and answers with its result. The guest's registers stay where
//!   they are, and the stub has no part in it.
//! - Calls for which the sentry needs all registers, or the guest process itself has to act (memory,
//!   `clone`), raise SIGSYS. So the guest enters the stub, as it does at a fault or when it is
//!   kicked. The stub rings its *doorbell*, a reserved system call that notifies the sentry too, and
//!   obeys the commands that it gets as answers. Its signal frame holds the registers ([`frame`]).
//! - When it turns out late that all registers are needed (a signal has to be delivered), the
//!   thread is kicked before its call is answered, and so enters the stub right behind it.
//! - Calls that need no kernel are served in the stub, without any of this: their sites are patched
//!   ([`patch`], [`install`], [`patching`]) to jump there ([`directory`], [`shortcut`], [`fast`], [`vdso`]).
//!   Memory operations take care of patches ([`care`], [`gate`]); those on anonymous memory the stub
//!   makes by itself, where nobody keeps account of it ([`patching`]).
//!
//! - `cpuid`, which costs more than a signal in a virtual machine, is answered by the stub in programs
//!   that are started often ([`cpuid`]).
//! - A thread that makes one call after the other puts them where a worker looks ([`hotline`]), as
//!   long as there is a processor to spare. What they read and write goes along ([`along`]).
//!
//! - Pipes and connections in use lie in memory that the processes at their ends share ([`conduit`]),
//!   so that stubs read and write them by themselves.
//!
//! The kernel's workers ([`workers`]) wait for notifications and hand them to the threads they are
//! from ([`supervisor`], [`thread`]); [`spawn`] makes threads and processes, which [`newcomers`] hands
//! over; [`nursery`] keeps some for programs to come; [`reaper`] learns of
//! processes that ended; [`watchdog`] ends those that do not obey; [`word`] changes futexes.
//!
//! **Invariant:** a notification's thread is known by the kernel's word only. What the stub says is
//! said in the doorbell's arguments, which nobody can change any more, or lies in memory that the
//! guest can write, is copied once and then checked; it concerns the thread's own process only.

mod along;
mod batch;
mod begun;
mod calling;
mod care;
mod channel;
mod conduit;
mod counters;
pub(crate) mod cpuid;
mod descriptors;
mod directory;
mod familiar;
mod fast;
mod finishing;
mod foretelling;
mod frame;
mod gate;
mod hand;
mod hotline;
mod install;
mod kept;
mod late;
mod layout;
#[cfg_attr(not(test), expect(dead_code, reason = "half of it is for the stub"))]
mod line;
mod listener;
mod lock_all;
mod newcomers;
mod nursery;
pub mod patch;
mod patching;
mod posts;
mod reaper;
mod reception;
mod region;
mod reports;
mod resuming;
mod running;
mod seen;
mod shortcut;
mod slot;
mod spares;
mod spawn;
mod state;
mod state_words;
mod stock;
mod supervisor;
mod template;
mod thread;
mod vdso;
mod watchdog;
mod word;
mod workers;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use linux_abi::Errno;

use self::cpuid::Cpuid;
use self::hotline::Seen;
use self::nursery::Nursery;
use self::reaper::Reaper;
use self::slot::{Greeting, Process};
use self::supervisor::{Setup, Supervisor};
use self::template::Template;
use self::thread::{Position, SystrapThread};
use self::vdso::LazyVdso;
use self::watchdog::Watchdog;
use self::workers::Workers;
use crate::contract::{BoxFuture, Layout, NewProcess, Platform, PreparedCode, Registers, Thread};
use crate::host;
use crate::process::procfs::Procfs;
use crate::process::space::{Common, OwnMemory};
use crate::process::{USER_END, USER_START, heap};

pub use self::begun::Disturbed;
pub use self::conduit::{
    Conduit, Descriptors, End, Listener, Owner, Readiness, ServedFile, ServedHow,
};

/// Numbers of calls that the platform may serve of descriptors ([`Descriptors`]).
pub const FILE_CALLS: &[u32] = &[
    libc::SYS_read as u32,
    libc::SYS_write as u32,
    libc::SYS_sendto as u32,
    libc::SYS_recvfrom as u32,
    libc::SYS_readv as u32,
    libc::SYS_writev as u32,
];

/// Numbers of calls that the platform may answer, and memory calls that it may let guest code make,
/// of threads with an identity ([`Thread::set_identity`](crate::Thread::set_identity)).
pub const FAST_CALLS: &[u32] = &fast_calls();

const FAST_COUNT: usize =
    layout::served::ALL.len() + layout::changing::ALL.len() + state_words::CALLS.len();

const fn fast_calls() -> [u32; FAST_COUNT] {
    let mut all = [0; FAST_COUNT];
    let (served, others) = all.split_at_mut(layout::served::ALL.len());
    let (changing, signals) = others.split_at_mut(layout::changing::ALL.len());
    served.copy_from_slice(&layout::served::ALL);
    changing.copy_from_slice(&layout::changing::ALL);
    signals.copy_from_slice(&state_words::CALLS);
    all
}

/// Who knows those that wait for futexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Futexes {
    /// The host, which guest code calls by itself ([`Platform::has_native_futexes`]).
    Native,
    /// The kernel above: the calls trap like all others.
    Reported,
}

/// The systrap platform. See the module's description.
pub struct Systrap {
    supervisor: Arc<Supervisor>,
    nursery: Arc<Nursery>,
    cpuid: Cpuid,
    // Dropped in this order.
    _reaper: Reaper,
    _claim: Claim,
}

/// The right to be the process' platform: all of its children are stubs.
struct Claim;

static IS_CLAIMED: AtomicBool = AtomicBool::new(false);

impl Claim {
    /// Errors: `AlreadyExists` while there is another one.
    fn new() -> io::Result<Claim> {
        if IS_CLAIMED.swap(true, Ordering::SeqCst) {
            let message = "this process has a systrap platform already";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(Claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        IS_CLAIMED.store(false, Ordering::SeqCst);
    }
}

impl Systrap {
    /// Sets up the platform, which serves futexes so for good.
    ///
    /// Call it while the process has only this thread, no other children and its final identity
    /// (a stub gets the user ids of now), after entering its namespaces and before its seccomp
    /// filter. SIGURG belongs to the platform from now on, and children other than stubs must not
    /// be made.
    ///
    /// # Errors
    /// Those of the host calls involved, with a description; `AlreadyExists` while there is another
    /// one.
    pub fn new(futexes: Futexes) -> io::Result<Arc<Systrap>> {
        let claim = Claim::new()?;
        // The first use looks for the vDSO, by calls that the sentry's filter will not allow.
        host::process::current_cpu();
        let workers = Workers::new()?;
        let has_native_futexes = futexes == Futexes::Native;
        let template = template::create(has_native_futexes)?;
        let Template { tid, id, frame, slot, region, listener, cpuid, .. } = template;
        let Template { blank_fpu, fpu_features, .. } = template;
        let layout = Layout {
            user: USER_START..USER_END,
            reserved: region.range(),
            vdso: template.vdso,
            places_heap: heap::can_place(),
        };
        let own = OwnMemory {
            mapped: layout::WINDOW_BYTES,
            resident: 2 * layout::CONTROL_BYTES,
            data: 0,
        };
        let common = Arc::new(Common::new(layout, own));
        let (memory, patching) = (common.new_memory(None), Arc::default());
        let process =
            Process::new(tid, memory, Arc::clone(slot.channel()), patching, Arc::default());
        let supervisor = Supervisor::new(Setup {
            common,
            listener,
            workers,
            watchdog: Watchdog::new(),
            region,
            blank_fpu,
            fpu_features,
            has_native_futexes,
            vdso: LazyVdso::new(tid, template.vdso),
        });
        let slot = supervisor.add(tid, process, slot, Greeting::Over);
        let registers = blank_registers();
        let position = Position::Stub { id, frame };
        let mut thread = SystrapThread::new(Arc::clone(&supervisor), slot, registers, position);
        (thread.loaded.fs_base, thread.loaded.gs_base) = template.bases;
        thread.reset_fp_state()?;
        let nursery = Nursery::new(thread);
        let reaper = Reaper::start(&supervisor, &nursery)?;
        supervisor.watchdog.start(&supervisor.common)?;
        Ok(Arc::new(Systrap { supervisor, nursery, cpuid, _reaper: reaper, _claim: claim }))
    }

    /// Gives the platform a procfs of the sentry's own pid namespace, for
    /// [`AddressSpace::mappings`] and the like; without one these fail with ENOSYS. At set-up the
    /// platform takes `/proc` if that is there.
    ///
    /// # Errors
    /// EINVAL for a directory that is no such procfs.
    ///
    /// [`AddressSpace::mappings`]: crate::contract::AddressSpace::mappings
    pub fn set_proc_dir(&self, directory: OwnedFd) -> Result<(), Errno> {
        *self.supervisor.common.procfs.write() = Some(Procfs::new(directory)?);
        Ok(())
    }

    /// Sets how long a guest thread may take to trap when it is interrupted, a few seconds by
    /// default. Its process is killed then.
    pub fn set_patience(&self, patience: Duration) {
        self.supervisor.watchdog.set_patience(patience);
    }

    /// Makes a worker watch out for a thread's calls from the first on, where it would otherwise see
    /// whether that pays. For tests.
    pub fn watch_at_once(&self) {
        self.supervisor.watch.be_eager();
    }

    /// How many calls a worker has watched out for.
    pub fn line_calls(&self) -> u64 {
        self.supervisor.watch.served()
    }

    /// How many address spaces were made that nobody has asked for yet.
    pub fn blank_count(&self) -> usize {
        self.nursery.count()
    }

    /// Number of live guest threads, the template and those that wait for a program not counted.
    pub fn thread_count(&self) -> usize {
        self.supervisor.thread_count().saturating_sub(1 + self.nursery.count())
    }
}

impl Platform for Systrap {
    fn name(&self) -> &'static str {
        "systrap"
    }

    fn new_address_space(&self) -> BoxFuture<'_, Result<NewProcess, Errno>> {
        Box::pin(self.nursery.take())
    }

    fn expect_address_space(&self) {
        self.nursery.expect();
    }

    fn prepare_code(&self, code: &[u8], used: usize) -> Option<PreparedCode> {
        let may_change = self.supervisor.serves_fast_calls.load(Ordering::Relaxed);
        if may_change { self.cpuid.prepare(code, used) } else { None }
    }

    fn new_conduit(&self) -> Result<Arc<Conduit>, Errno> {
        Conduit::new(&self.supervisor.conduits)
    }

    fn rest(&self) {
        late::catch_up();
    }

    fn park(&self, deadline: Option<Instant>) {
        late::catch_up();
        let supervisor = &self.supervisor;
        let reception = &supervisor.reception;
        let mut needs_reserve = false;
        supervisor.workers.park(|parked| {
            let listener = &supervisor.listener;
            match supervisor.watch.look(listener, &supervisor.workers, parked) {
                Seen::Call => return true,
                Seen::Notified => return false,
                Seen::Nothing => {}
            }
            let Some(turn) = reception.enter() else {
                reception.rest(listener, parked, deadline);
                return deadline.is_some_and(|deadline| deadline <= Instant::now());
            };
            let glance = supervisor.watch.next_glance();
            if let Some(end) = deadline.into_iter().chain(glance).min()
                && !listener.wait_until(parked, end)
            {
                return supervisor.watch.glance()
                    || deadline.is_some_and(|deadline| deadline <= Instant::now());
            }
            let received = listener.receive(parked);
            drop(turn);
            match received {
                Ok(notification) => {
                    needs_reserve |= reception.note(notification.tid());
                    supervisor.dispatch(&notification)
                }
                Err(Errno::ENOENT) if listener.is_orphaned() => {
                    parked.sleep_until(None);
                    false
                }
                Err(_) => false,
            }
        });
        if needs_reserve {
            supervisor.workers.unpark();
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        self.supervisor.counters()
    }

    fn unpark(&self) {
        self.supervisor.workers.unpark();
    }

    fn set_fast_calls(&self, are_allowed: bool) {
        let may_serve = are_allowed && patch::can_execute();
        self.supervisor.serves_fast_calls.store(may_serve, Ordering::SeqCst);
    }

    fn has_native_futexes(&self) -> bool {
        self.supervisor.has_native_futexes
    }

    /// One that looks at the line of a thread, while the other waits for notifications.
    fn workers(&self) -> usize {
        if self.supervisor.watch.is_possible() { 2 } else { 1 }
    }
}

impl Drop for Systrap {
    fn drop(&mut self) {
        self.supervisor.watchdog.stop();
        self.supervisor.kill_all();
    }
}

/// Registers of a thread that has run nothing yet.
fn blank_registers() -> Registers {
    Registers {
        cs: 0x33,
        ss: 0x2b,
        // Interrupts on, and the bit that is always one.
        eflags: 0x202,
        orig_rax: u64::MAX,
        ..Registers::default()
    }
}
