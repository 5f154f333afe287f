//! The tracer's requests (Linux: `ptrace_request`, `arch_ptrace`).

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::signal::{NSIG, SI_USER, SIGKILL, SigInfo, SigSet};
use linux_abi::task::{
    PTRACE_ARCH_PRCTL, PTRACE_CONT, PTRACE_DETACH, PTRACE_EVENT_STOP, PTRACE_GET_SYSCALL_INFO,
    PTRACE_GETEVENTMSG, PTRACE_GETFPREGS, PTRACE_GETREGS, PTRACE_GETREGSET, PTRACE_GETSIGINFO,
    PTRACE_GETSIGMASK, PTRACE_INTERRUPT, PTRACE_KILL, PTRACE_LISTEN, PTRACE_PEEKDATA,
    PTRACE_PEEKSIGINFO, PTRACE_PEEKTEXT, PTRACE_PEEKUSR, PTRACE_POKEDATA, PTRACE_POKETEXT,
    PTRACE_POKEUSR, PTRACE_SEIZE, PTRACE_SETFPREGS, PTRACE_SETOPTIONS, PTRACE_SETREGS,
    PTRACE_SETREGSET, PTRACE_SETSIGINFO, PTRACE_SETSIGMASK, PTRACE_SINGLESTEP, PTRACE_SYSCALL,
    PTRACE_SYSEMU, PTRACE_SYSEMU_SINGLESTEP, PtraceOptions,
};

use super::relation::{link_running, unlink};
use super::stop::Stop;
use super::{State, TraceFlags, facts, memory, registers, regset};
use crate::memory::UserPtr;
use crate::signal;
use crate::syscall::SysResult;
use crate::task::{Ctx, Task};

/// A request to a tracee, with the caller that makes it.
pub(super) struct Request<'a> {
    pub ctx: &'a Ctx,
    pub tracee: Arc<Task>,
    pub addr: u64,
    pub data: u64,
}

/// `PTRACE_ATTACH` and `PTRACE_SEIZE`.
///
/// # Errors
/// EIO and EINVAL for bad options, EPERM (see [`link_running`]).
pub(crate) fn attach(
    caller: &Arc<Task>,
    target: &Arc<Task>,
    request: i32,
    addr: u64,
    data: u64,
) -> SysResult {
    let options = match request {
        PTRACE_SEIZE if addr != 0 || data & !u64::from(PtraceOptions::all().bits()) != 0 => {
            return Err(Errno::EIO);
        }
        PTRACE_SEIZE => Some(options(data)?),
        _ => None,
    };
    link_running(caller, target, options).map(|()| 0)
}

/// Errors: EINVAL for bits that are no options, and for `PTRACE_O_SUSPEND_SECCOMP`.
fn options(data: u64) -> Result<PtraceOptions, Errno> {
    let bits = u32::try_from(data).map_err(|_| Errno::EINVAL)?;
    let options = PtraceOptions::from_bits(bits).ok_or(Errno::EINVAL)?;
    // Linux: as without CONFIG_CHECKPOINT_RESTORE.
    if options.contains(PtraceOptions::SUSPEND_SECCOMP) { Err(Errno::EINVAL) } else { Ok(options) }
}

/// Serves a request to a tracee.
///
/// # Errors
/// ESRCH unless the caller is the tracer and (but for `PTRACE_KILL` and `PTRACE_INTERRUPT`) the
/// tracee is in a stop; EIO for unknown requests, bad signals, and bad addresses; EFAULT; EINVAL.
pub(crate) fn request(
    ctx: &Ctx,
    tracee: &Arc<Task>,
    request: i32,
    addr: u64,
    data: u64,
) -> SysResult {
    let request_to = Request { ctx, tracee: tracee.clone(), addr, data };
    match request {
        PTRACE_KILL => request_to.kill(),
        PTRACE_INTERRUPT => request_to.interrupt(),
        PTRACE_LISTEN => request_to.listen(),
        PTRACE_DETACH => request_to.detach(),
        PTRACE_CONT
        | PTRACE_SYSCALL
        | PTRACE_SINGLESTEP
        | PTRACE_SYSEMU
        | PTRACE_SYSEMU_SINGLESTEP => request_to.resume(request),
        PTRACE_SETOPTIONS => request_to.set_options(),
        PTRACE_GETEVENTMSG => request_to.event_message(),
        _ => request_to.about_contents(request),
    }
}

impl Request<'_> {
    /// Does something about the tracee's stop.
    ///
    /// Errors: ESRCH if there is none that the caller holds it in.
    pub fn with_stop<T>(&self, act: impl FnOnce(&mut Stop) -> T) -> Result<T, Errno> {
        self.with_state(|state| state.stop.as_mut().map(act))?.ok_or(Errno::ESRCH)
    }

    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, Errno> {
        let mut state = self.tracee.tracing.state.lock();
        let is_held = state.stop.as_ref().is_some_and(|stop| stop.holds() && !stop.is_listening);
        if !self.is_tracer(&state) || !is_held {
            return Err(Errno::ESRCH);
        }
        Ok(act(&mut state))
    }

    fn is_tracer(&self, state: &State) -> bool {
        let is_traced = self.tracee.tracing.is_traced();
        is_traced && std::ptr::eq(state.tracer.as_ptr(), Arc::as_ptr(&self.ctx.task))
    }

    /// Errors: ESRCH unless the caller is the tracer.
    fn check_tracer(&self) -> Result<(), Errno> {
        let state = self.tracee.tracing.state.lock();
        if self.is_tracer(&state) { Ok(()) } else { Err(Errno::ESRCH) }
    }

    fn kill(&self) -> SysResult {
        self.check_tracer()?;
        let caller = &self.ctx.task;
        let info = SigInfo::kill(SIGKILL, SI_USER, caller.pid(), caller.credentials().uid);
        signal::send_to_task(&self.tracee, info).map(|()| 0)
    }

    /// Errors: EIO unless the tracee was seized.
    fn interrupt(&self) -> SysResult {
        self.check_tracer()?;
        if !self.tracee.tracing.is_seized() {
            return Err(Errno::EIO);
        }
        signal::request_trap(&self.tracee);
        Ok(0)
    }

    /// Errors: EIO unless the tracee was seized and is in a stop of its process or for the asking.
    fn listen(&self) -> SysResult {
        self.with_stop(|_| ())?;
        if !self.tracee.tracing.is_seized() {
            return Err(Errno::EIO);
        }
        let is_stop = |info: &SigInfo| info.code >> 8 == PTRACE_EVENT_STOP;
        self.with_stop(|stop| {
            let can_listen = stop.info.as_ref().is_some_and(is_stop);
            stop.is_listening = can_listen;
            if can_listen { Ok(0) } else { Err(Errno::EIO) }
        })?
        .inspect(|_| self.tracee.wake())
    }

    fn detach(&self) -> SysResult {
        self.with_stop(|_| ())?;
        let signo = self.signal()?;
        let mut tree = self.ctx.task.kernel.tasks.lock();
        unlink(&mut tree, &self.tracee, signo);
        Ok(0)
    }

    /// The signal of a request that lets the tracee go. Errors: EIO for what is none.
    fn signal(&self) -> Result<i32, Errno> {
        match i32::try_from(self.data) {
            Ok(signo @ 0..NSIG) => Ok(signo),
            _ => Err(Errno::EIO),
        }
    }

    fn resume(&self, request: i32) -> SysResult {
        self.with_stop(|_| ())?;
        let signo = self.signal()?;
        let tracing = &self.tracee.tracing;
        let emulates = matches!(request, PTRACE_SYSEMU | PTRACE_SYSEMU_SINGLESTEP);
        let steps = matches!(request, PTRACE_SINGLESTEP | PTRACE_SYSEMU_SINGLESTEP);
        self.with_state(|state| {
            let mut flags = tracing.flags();
            flags.set(TraceFlags::CALLS, request == PTRACE_SYSCALL);
            flags.set(TraceFlags::EMULATION, emulates);
            flags.set(TraceFlags::STEP, steps);
            tracing.set_flags(flags);
            if let Some(stop) = &mut state.stop {
                stop.end = Some(signo);
            }
        })?;
        self.tracee.wake();
        Ok(0)
    }

    fn set_options(&self) -> SysResult {
        self.with_stop(|_| ())?;
        let options = options(self.data)?;
        self.with_state(|state| state.options = options)?;
        Ok(0)
    }

    fn event_message(&self) -> SysResult {
        self.put(&self.message()?)
    }

    pub fn message(&self) -> Result<u64, Errno> {
        self.with_state(|state| state.message)
    }

    /// Writes an answer to where `data` says.
    pub fn put<T: zerocopy::IntoBytes + zerocopy::Immutable>(&self, value: &T) -> SysResult {
        self.ctx.memory().write_value(UserPtr::new(self.data), value)?;
        Ok(0)
    }

    /// What looks into the tracee, or changes it.
    fn about_contents(&self, request: i32) -> SysResult {
        self.with_stop(|_| ())?;
        match request {
            PTRACE_PEEKTEXT | PTRACE_PEEKDATA => memory::peek(self),
            PTRACE_POKETEXT | PTRACE_POKEDATA => memory::poke(self),
            PTRACE_PEEKUSR => registers::peek(self),
            PTRACE_POKEUSR => registers::poke(self),
            PTRACE_GETREGS => registers::get_all(self),
            PTRACE_SETREGS => registers::set_all(self),
            PTRACE_ARCH_PRCTL => registers::segment_base(self),
            PTRACE_GETFPREGS => regset::get_fp(self),
            PTRACE_SETFPREGS => regset::set_fp(self),
            PTRACE_GETREGSET => regset::get(self),
            PTRACE_SETREGSET => regset::set(self),
            PTRACE_GETSIGINFO => facts::get_info(self),
            PTRACE_SETSIGINFO => facts::set_info(self),
            PTRACE_PEEKSIGINFO => facts::peek_infos(self),
            PTRACE_GET_SYSCALL_INFO => facts::call_info(self),
            PTRACE_GETSIGMASK => self.mask(),
            PTRACE_SETSIGMASK => self.set_mask(),
            _ => Err(Errno::EIO),
        }
    }

    /// Errors: EINVAL unless `addr` is the size of a mask.
    fn mask(&self) -> SysResult {
        self.check_mask_size()?;
        self.put(&signal::tracee_mask(&self.tracee).0)
    }

    fn set_mask(&self) -> SysResult {
        self.check_mask_size()?;
        let mask = self.ctx.memory().read_value(UserPtr::<u64>::new(self.data))?;
        signal::set_tracee_mask(&self.tracee, SigSet(mask));
        Ok(0)
    }

    fn check_mask_size(&self) -> Result<(), Errno> {
        if self.addr == size_of::<u64>() as u64 { Ok(()) } else { Err(Errno::EINVAL) }
    }
}
