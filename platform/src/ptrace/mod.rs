//! The reference platform: guest threads are tracees, system calls stop them (`PTRACE_SYSEMU`).
//!
//! [`Ptrace::new`] forks the sentry once and strips the child to an empty address space, the
//! template ([`template`]). New guest processes and threads are clones that the stub itself makes
//! when the tracer runs a system call in it ([`inject`]); memory operations work the same way.
//! One host thread, the tracer, makes every ptrace request and is the kernel's only worker: it
//! resumes threads ([`thread`]), waits for whatever stops next ([`wake`], [`tracer`]) and decodes
//! the stop ([`trap`]). Tracer and stubs share one processor, because a hand-over to a sleeping
//! processor costs twenty times one on the same processor.
//!
//! **Invariant:** guest code never runs at host rights. A stub thread runs either under
//! `PTRACE_SYSEMU` or, between an injection and its `int3`, in the stub's code page, which no
//! operation offered to the kernel can change.
//!
//! **Invariant:** every stub thread is a traced child of the sentry that the table knows.
//! It dies with the tracer (`PTRACE_O_EXITKILL`).

mod fpu;
mod inject;
mod registers;
mod stub;
mod sys;
mod template;
mod thread;
mod tracer;
mod trap;
mod wake;

use std::future::ready;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use linux_abi::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use self::stub::Region;
use self::thread::PtraceThread;
pub(crate) use self::thread::{CLONE_COPY, CLONE_SHARE, CLONE_THREAD};
use self::tracer::{Setup, Tracer};
use self::wake::Parker;
use crate::contract::{BoxFuture, Layout, NewProcess, Platform};
use crate::host;
use crate::process::procfs::Procfs;
use crate::process::space::{Common, OwnMemory};
use crate::process::{PAGE_BYTES, USER_END, USER_START, heap};

/// One page of code and one of data.
const OWN_MEMORY: OwnMemory =
    OwnMemory { mapped: Region::BYTES, resident: Region::BYTES, data: PAGE_BYTES };

/// The ptrace platform. See the module's description.
pub struct Ptrace {
    tracer: Arc<Tracer>,
    /// Where the calling thread could run before it was bound to one processor.
    processors: Option<CpuSet>,
}

impl Ptrace {
    /// Sets up the platform; the calling thread becomes the tracer.
    ///
    /// Call it once, while the process has only this thread, no other children and its final
    /// identity (a stub gets the user ids of now), after entering its namespaces and before its
    /// seccomp filter. SIGCHLD and SIGURG belong to the platform from now on, and children other
    /// than stubs must not be made.
    ///
    /// # Errors
    /// Those of the host calls involved, with a description; `AlreadyExists` for a second one.
    pub fn new() -> io::Result<Arc<Ptrace>> {
        let parker = Parker::new()?;
        let (sender, receiver) = host::net::socketpair(host::net::Kind::SeqPacket)?;
        let (processors, cpu) = bind_to_one_processor();
        let template = template::create(receiver.as_fd())?;
        let layout = Layout {
            user: USER_START..USER_END,
            reserved: template.region.range(),
            vdso: template.vdso,
            places_heap: heap::can_place(),
        };
        let tracer = Tracer::new(Setup {
            parker,
            common: Arc::new(Common::new(layout, OWN_MEMORY)),
            region: template.region,
            blank_fpu: template.blank_fpu,
            cpu,
            sender,
            receiver,
            template: template.tid,
        });
        Ok(Arc::new(Ptrace { tracer, processors }))
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
        *self.tracer.common.procfs.write() = Some(Procfs::new(directory)?);
        Ok(())
    }

    /// Number of live stub threads, the template not counted.
    pub fn thread_count(&self) -> usize {
        self.tracer.thread_count().saturating_sub(1)
    }
}

impl Platform for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn new_address_space(&self) -> BoxFuture<'_, Result<NewProcess, Errno>> {
        let made = match PtraceThread::from_template(&self.tracer) {
            // The template was killed: no more processes, but those that live go on.
            Err(Errno::ESRCH) => Err(Errno::EAGAIN),
            result => result,
        };
        Box::pin(ready(made))
    }

    fn park(&self, deadline: Option<Instant>) {
        self.tracer.park(deadline);
    }

    fn unpark(&self) {
        self.tracer.parker.unpark();
    }

    fn workers(&self) -> usize {
        1
    }

    fn unbind_helper(&self) {
        if let Some(processors) = &self.processors {
            let _ = sched_setaffinity(None, processors);
        }
    }
}

/// Binds the calling thread to one of its processors, drawn at random so that sandboxes spread;
/// answers with the old set (if it was changed) and the processor.
fn bind_to_one_processor() -> (Option<CpuSet>, u32) {
    let here = host::process::current_cpu();
    let Ok(all) = sched_getaffinity(None) else { return (None, here as u32) };
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).collect();
    let draw = host::random::number().unwrap_or(0) as usize;
    let Some(&cpu) = usable.get(draw % usable.len().max(1)) else { return (None, here as u32) };
    let mut one = CpuSet::new();
    one.set(cpu);
    match sched_setaffinity(None, &one) {
        Ok(()) => (Some(all), cpu as u32),
        Err(_) => (None, here as u32),
    }
}
