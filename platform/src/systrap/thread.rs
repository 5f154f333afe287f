//! [`Thread`] on systrap: a host thread that is in guest code, in a call that the sentry was
//! notified of, or in the stub.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use linux_abi::Errno;

use super::along::Along;
use super::care::Careful;
use super::conduit::{Conduit, Descriptors};
use super::finishing::Outcome;
use super::frame::{self, Cause, Frame, TRAP_FLAG};
use super::hand::{put_calls, to_result};
use super::layout::{CALLS_MAX, Call, command};
use super::patch::Threads;
use super::patching::Place;
use super::running::RunningThread;
use super::shortcut::Shortcut;
use super::slot::{Event, Slot};
use super::stock::NO_DOMAIN;
use super::supervisor::Supervisor;
use super::{batch, lock_all, spawn, word};
use crate::contract::{
    AddressSpace, Begun, BoxFuture, Foretold, GuestState, HostOp, Identity, Interrupter,
    NewProcess, Poster, Registers, ResumeMode, Spawn, TakeBack, Thread, Trap,
};
use crate::host;
use crate::process::{KICK, fpu, ops};

/// Where the host thread is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    /// Made, but not heard of yet. It will load its registers from this frame.
    Unborn { frame: Frame },
    /// In guest code, or on the way there.
    Running,
    /// In a system call of the guest, of which only number and arguments are known.
    Call { id: u64 },
    /// In the stub with a call by the line, of which only number and arguments are known.
    Line,
    /// In the stub, with all registers in a frame.
    Stub { id: u64, frame: Frame },
}

/// A host operation under way.
enum Operation {
    None,
    /// The thread must be in the stub first.
    Completing(ops::Call, Option<OwnedFd>),
    Started,
    /// It needs care.
    Careful(Careful, Frame),
    Over(Result<u64, Errno>),
}

pub(super) struct SystrapThread {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) slot: Arc<Slot>,
    pub(super) registers: Registers,
    /// What the frame and the processor hold.
    pub(super) loaded: Registers,
    pub(super) position: Position,
    /// A trap that needed no run.
    ready: Option<Trap>,
    /// It runs since its call on the line was answered.
    pub(super) has_line: bool,
    /// What it told meanwhile.
    told: Option<Event>,
    operation: Operation,
    /// What the operation consists of beside its first call, whose results do not matter.
    rest: Vec<Call>,
    /// The trap flag is set in the registers that the host thread has.
    pub(super) is_stepping: bool,
    /// The last single step ended at a system call, which the host does not count as a step.
    pub(super) is_step_due: bool,
    /// The resume that waits until the thread is in the stub.
    pub(super) resume_then: Option<ResumeMode>,
    /// Its frame, if the stub tells that the operation with which it was resumed has failed.
    pub(super) unless_failed: Option<Frame>,
    pub(super) shortcut: Shortcut,
    /// Whether the host thread has the second filter.
    pub(super) catches_all: bool,
    /// What the present call has begun with, if it waited.
    pub(super) begun: Begun,
    /// While a call is made at the gate: what comes behind the guest's own.
    pub(super) gate_behind: Option<u64>,
}

impl SystrapThread {
    pub(super) fn new(
        supervisor: Arc<Supervisor>,
        slot: Arc<Slot>,
        registers: Registers,
        position: Position,
    ) -> SystrapThread {
        SystrapThread {
            supervisor,
            slot,
            registers,
            loaded: registers,
            position,
            ready: None,
            has_line: false,
            told: None,
            operation: Operation::None,
            rest: Vec::new(),
            is_stepping: false,
            is_step_due: false,
            resume_then: None,
            unless_failed: None,
            shortcut: Shortcut::default(),
            catches_all: false,
            begun: Begun::default(),
            gate_behind: None,
        }
    }

    pub(super) fn answer(&self, id: u64, value: u64) {
        let Supervisor { listener, reception, .. } = &*self.supervisor;
        // A failure means that it was killed; the reaper will tell.
        let _ = match reception.may_go_elsewhere(self.slot.tid) {
            true => listener.answer_elsewhere(id, value),
            false => listener.answer(id, value),
        };
    }

    /// The notification and the frame of a thread in the stub. Errors: ESRCH elsewhere.
    pub(super) fn in_stub(&self) -> Result<(u64, Frame), Errno> {
        match self.position {
            Position::Stub { id, frame } => Ok((id, frame)),
            _ => Err(Errno::ESRCH),
        }
    }

    /// Starts to bring the thread from a call into the stub.
    pub(super) fn start_completing(&mut self) {
        match self.position {
            // It is on its way there, and nothing else can happen to it before.
            Position::Unborn { .. } => {
                self.supervisor.start_obeying(&self.slot);
                return;
            }
            Position::Call { id } => {
                self.supervisor.start_completing(&self.slot);
                // A harmless value: the kernel acts on restart codes.
                self.answer(id, 0);
            }
            Position::Line => {
                self.supervisor.start_completing(&self.slot);
                self.slot.end_call();
            }
            _ => return,
        }
        self.position = Position::Running;
    }

    /// Takes the event that follows [`SystrapThread::start_completing`].
    pub(super) fn finish_completing(&mut self, event: Event) -> Result<(), Errno> {
        if let Position::Unborn { frame } = self.position {
            self.slot.has_obeyed();
            if let Event::Hello { id } = event {
                self.position = Position::Stub { id, frame };
                return Ok(());
            }
        }
        let (rax, orig_rax, rip) =
            (self.registers.rax, self.registers.orig_rax, self.registers.rip);
        match self.take(event) {
            Trap::Interrupted => {
                let r11 = self.registers.eflags;
                let old = self.registers;
                // As a system call leaves them.
                self.registers = Registers { rax, orig_rax, rip, rcx: rip, r11, ..old };
                Ok(())
            }
            Trap::Dead => Err(Errno::ESRCH),
            _ => {
                self.corrupt();
                Err(Errno::ESRCH)
            }
        }
    }

    /// Notes what an event says; answers with the trap that it is.
    fn take(&mut self, event: Event) -> Trap {
        let unless_failed = self.unless_failed.take();
        match event {
            Event::Call { id, number, ip, args } => {
                let [rdi, rsi, rdx, r10, r8, r9] = args;
                let orig_rax = number as u64;
                let rax = Errno::ENOSYS.to_return_value();
                let rip = self.note_call(ip);
                let old = self.registers;
                self.registers =
                    Registers { rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, rip, ..old };
                self.position = Position::Call { id };
                self.is_step_due = self.is_stepping;
                Trap::Syscall
            }
            Event::Hotline { number, info, args } => {
                let Some(rip) = self.note_line_call(info) else { return self.corrupt() };
                let [rdi, rsi, rdx, r10, r8, r9] = args;
                let orig_rax = number as u64;
                let rax = Errno::ENOSYS.to_return_value();
                let old = self.registers;
                self.registers =
                    Registers { rax, orig_rax, rdi, rsi, rdx, r10, r8, r9, rip, ..old };
                self.position = Position::Line;
                Trap::Syscall
            }
            Event::Signal { id, context, info, signo, fs_base, gs_base } => {
                let Ok(frame) = Frame::at(&self.slot.memory, context) else {
                    return self.corrupt();
                };
                let bases = Registers { fs_base, gs_base, ..self.registers };
                let (registers, cause) = frame.registers(&self.slot.memory, &bases);
                self.registers = registers;
                self.loaded = registers;
                self.position = Position::Stub { id, frame };
                if self.leave_gate(signo, cause) {
                    return Trap::Interrupted;
                }
                let Some(place) = self.find_place() else { return self.corrupt() };
                self.begun = self.slot.take_begun(place == Place::Waiting);
                if std::mem::take(&mut self.is_stepping) {
                    self.registers.eflags &= !TRAP_FLAG;
                    self.is_step_due |= signo == libc::SIGSYS;
                }
                match self.decode(signo, info, cause) {
                    trap if place == Place::Waiting => self.take_waiting(trap),
                    Trap::Fault(fault) => self.judge(fault, cause, place),
                    trap => trap,
                }
            }
            Event::Done { id, result } => match unless_failed {
                Some(frame) if to_result(result).is_err() => {
                    self.position = Position::Stub { id, frame };
                    self.registers.rax = result;
                    Trap::Failed
                }
                _ => self.corrupt(),
            },
            Event::Hello { .. } => self.corrupt(),
            Event::Dead => {
                self.position = Position::Running;
                Trap::Dead
            }
        }
    }

    fn decode(&mut self, signo: i32, info: u64, cause: Cause) -> Trap {
        match signo {
            libc::SIGSYS => {
                self.registers.orig_rax = self.registers.rax as i32 as u64;
                self.registers.rax = Errno::ENOSYS.to_return_value();
                Trap::Syscall
            }
            KICK => Trap::Interrupted,
            libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP => {
                Trap::Fault(frame::fault(&self.slot.memory, signo, info, cause))
            }
            _ => self.corrupt(),
        }
    }

    /// The stub says what it cannot say: the guest has meddled with it. Only its own process dies.
    pub(super) fn corrupt(&mut self) -> Trap {
        self.slot.process.kill();
        self.position = Position::Running;
        Trap::Dead
    }

    /// Has a thread in the stub make system calls.
    pub(super) fn start_calls(&mut self, calls: &[Call]) -> Result<(), Errno> {
        let (id, _) = self.in_stub()?;
        put_calls(&self.slot.memory, calls);
        self.supervisor.start_obeying(&self.slot);
        self.answer(id, command::CALLS);
        Ok(())
    }

    /// Goes on with calls that are left; `false` if there are none.
    fn start_rest(&mut self) -> bool {
        let left = self.rest.split_off(self.rest.len().min(CALLS_MAX));
        let calls = std::mem::replace(&mut self.rest, left);
        if calls.is_empty() {
            return false;
        }
        self.operation = match self.start_calls(&calls) {
            Ok(()) => Operation::Started,
            Err(error) => Operation::Over(Err(error)),
        };
        true
    }

    fn start_operation(&mut self, call: ops::Call, file: Option<BorrowedFd<'_>>) -> Operation {
        match self.start_carefully(&call, file) {
            Ok(None) => {}
            Ok(Some((work, frame))) => return Operation::Careful(work, frame),
            Err(error) => return Operation::Over(Err(error)),
        }
        let started = match file {
            None => self.start_calls(&[Call { number: call.number as u64, args: call.args }]),
            Some(file) => self.start_mapping(&call, file),
        };
        if started.is_err() {
            self.shortcut.end_operation();
        }
        match started {
            Ok(()) => Operation::Started,
            Err(error) => Operation::Over(Err(error)),
        }
    }

    /// Waits until a command is done; answers with its result.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, Errno>> {
        let Poll::Ready(event) = self.slot.poll_event(cx) else { return Poll::Pending };
        Poll::Ready(match (event, self.position) {
            (Event::Done { id, result }, Position::Stub { frame, .. }) => {
                self.position = Position::Stub { id, frame };
                to_result(result)
            }
            (Event::Dead, _) => Err(Errno::ESRCH),
            _ => {
                self.corrupt();
                Err(Errno::ESRCH)
            }
        })
    }
}

impl Thread for SystrapThread {
    fn registers(&self) -> &Registers {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), Errno>> {
        Box::pin(async {
            match self.position {
                Position::Stub { .. } if self.slot.is_gone() => Err(Errno::ESRCH),
                Position::Stub { .. } => Ok(()),
                Position::Running => Err(Errno::ESRCH),
                Position::Unborn { .. } | Position::Call { .. } | Position::Line => {
                    self.start_completing();
                    let event = self.slot.next_event().await;
                    self.finish_completing(event)
                }
            }
        })
    }

    fn fp_state(&mut self) -> Result<Vec<u8>, Errno> {
        let (_, frame) = self.in_stub()?;
        let supervisor = &self.supervisor;
        let mut image = frame.fp_state(&self.slot.memory, supervisor.blank_fpu.len())?;
        fpu::set_software_bytes(&mut image, supervisor.fpu_features);
        Ok(image)
    }

    fn set_fp_state(&mut self, xsave: &[u8]) -> Result<(), Errno> {
        let (_, frame) = self.in_stub()?;
        let supervisor = &self.supervisor;
        let image = fpu::completed(xsave, supervisor.blank_fpu.len())?;
        fpu::check_loadable(&image, supervisor.fpu_features)?;
        frame.set_fp_state(&self.slot.memory, &image)
    }

    fn reset_fp_state(&mut self) -> Result<(), Errno> {
        let (_, frame) = self.in_stub()?;
        frame.set_fp_state(&self.slot.memory, &self.supervisor.blank_fpu)
    }

    fn resume(&mut self, mode: ResumeMode) {
        self.start_shortcut(mode);
        self.ready = self.trap_without_running(mode);
    }

    fn stay(&mut self) {
        if std::mem::take(&mut self.has_line) {
            self.told = self.supervisor.watch.stay(&self.slot);
            if self.told.is_some() {
                self.slot.make_posts();
            }
        }
    }

    fn poll_trap(&mut self, cx: &mut Context<'_>) -> Poll<Trap> {
        if let Some(trap) = self.ready.take() {
            return Poll::Ready(trap);
        }
        loop {
            match self.poll_detour(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(trap)) => return Poll::Ready(trap),
                Poll::Ready(None) => {}
            }
            let event = match self.told.take() {
                Some(event) => event,
                None => ready!(self.slot.poll_event(cx)),
            };
            let mode = match self.resume_then.take() {
                Some(_) if self.finish_completing(event).is_err() => {
                    return Poll::Ready(Trap::Dead);
                }
                Some(mode) => mode,
                None => {
                    let trap = self.take(event);
                    match self.take_goes_on() {
                        Some(mode) => mode,
                        None if trap == Trap::Syscall && self.start_detour() => continue,
                        None => return Poll::Ready(trap),
                    }
                }
            };
            if let Some(trap) = self.trap_without_running(mode) {
                return Poll::Ready(trap);
            }
        }
    }

    fn start_host_op(&mut self, op: HostOp<'_>) {
        self.rest.clear();
        let plain = match op {
            HostOp::FutexChange { addr, change } => {
                word::plan(addr, &change, &self.supervisor.common.layout.reserved)
            }
            HostOp::CatchAll => Ok(self.plan_catch_all()),
            HostOp::PlaceHeap(heap) => Ok(batch::plan_heap(&self.slot, &heap)),
            _ => ops::to_call(&op, &self.supervisor.common.layout.reserved),
        };
        let call = match plain {
            Ok(call) => call,
            Err(error) => {
                self.operation = Operation::Over(Err(error));
                return;
            }
        };
        let call = match op {
            HostOp::Mlockall { flags } if flags & libc::MCL_CURRENT != 0 => {
                match lock_all::plan(&self.supervisor, &self.slot, flags) {
                    Ok(calls) => self.rest = calls,
                    Err(error) => {
                        self.operation = Operation::Over(Err(error));
                        return;
                    }
                }
                ops::Call { number: libc::SYS_sched_yield, args: [0; 6] }
            }
            _ => call,
        };
        let file = match op {
            HostOp::Mmap { fd, .. } => fd,
            _ => None,
        };
        self.operation = match self.position {
            Position::Unborn { .. } | Position::Call { .. } | Position::Line => {
                match file.map(host::fs::dup).transpose() {
                    Ok(copy) => {
                        self.start_completing();
                        Operation::Completing(call, copy)
                    }
                    Err(error) => Operation::Over(Err(error)),
                }
            }
            _ => self.start_operation(call, file),
        };
    }

    fn poll_host_op(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, Errno>> {
        loop {
            match std::mem::replace(&mut self.operation, Operation::None) {
                Operation::None => return Poll::Ready(Err(Errno::EINVAL)),
                Operation::Over(result) => return Poll::Ready(result),
                Operation::Started => {
                    let done = self.poll_done(cx);
                    match done {
                        Poll::Pending => self.operation = Operation::Started,
                        Poll::Ready(Ok(_)) if self.start_rest() => continue,
                        Poll::Ready(_) => {
                            self.slot.has_obeyed();
                            self.shortcut.end_operation();
                        }
                    }
                    return done;
                }
                Operation::Careful(mut work, frame) => {
                    let Poll::Ready(done) = work.as_mut().poll(cx) else {
                        self.operation = Operation::Careful(work, frame);
                        return Poll::Pending;
                    };
                    return Poll::Ready(done.and_then(|(id, result)| {
                        self.position = Position::Stub { id, frame };
                        result
                    }));
                }
                Operation::Completing(call, file) => {
                    let Poll::Ready(event) = self.slot.poll_event(cx) else {
                        self.operation = Operation::Completing(call, file);
                        return Poll::Pending;
                    };
                    self.operation = match self.finish_completing(event) {
                        Ok(()) => self.start_operation(call, file.as_ref().map(OwnedFd::as_fd)),
                        Err(error) => Operation::Over(Err(error)),
                    };
                }
            }
        }
    }

    fn host_ops<'a>(&'a mut self, ops: &'a [HostOp<'a>]) -> BoxFuture<'a, Result<(), Errno>> {
        Box::pin(batch::execute(self, ops))
    }

    fn resume_with(&mut self, op: HostOp<'_>) -> bool {
        self.finish_with(op, Outcome::Result)
    }

    fn resume_unless_failed(&mut self, op: HostOp<'_>, value: u64) -> bool {
        // With others there would be no telling what comes first.
        let is_alone = self.slot.process.patching.threads() == Threads::One;
        is_alone && self.finish_with(op, Outcome::Value(value))
    }

    fn prepare_foretelling(&mut self) {
        self.slot.prepare_foretelling();
    }

    fn foretell(&mut self, what: &Foretold) -> bool {
        self.slot.foretell(what)
    }

    fn foretold(&self) -> Option<Arc<dyn TakeBack>> {
        Some(Arc::clone(&self.slot) as Arc<dyn TakeBack>)
    }

    fn guest_state(&self) -> Option<Arc<dyn GuestState>> {
        let may_serve = self.supervisor.serves_fast_calls.load(Ordering::Relaxed);
        may_serve.then(|| Arc::clone(&self.slot) as Arc<dyn GuestState>)
    }

    fn catch_all(&mut self) -> BoxFuture<'_, Result<(), Errno>> {
        Box::pin(self.install_second_filter())
    }

    fn resume_call(&mut self) -> bool {
        self.resume_at_gate()
    }

    fn set_identity(&mut self, identity: Option<&Identity>) {
        self.allow_shortcuts(identity);
    }

    fn map_conduit<'a>(
        &'a mut self,
        conduit: &'a Arc<Conduit>,
    ) -> BoxFuture<'a, Result<(), Errno>> {
        Box::pin(self.share_conduit(conduit))
    }

    fn descriptors(&self) -> Option<Descriptors> {
        let may_serve = self.supervisor.serves_fast_calls.load(Ordering::Relaxed);
        may_serve.then(|| self.own_descriptors())
    }

    fn use_descriptors(&mut self, are_used: bool) {
        self.set_has_files(are_used);
    }

    fn can_post(&self) -> bool {
        matches!(self.position, Position::Line)
            && !self.slot.process.has_threads.load(Ordering::SeqCst)
    }

    fn let_post(&mut self, flags: Option<u32>, poster: &mut dyn FnMut() -> Arc<dyn Poster>) {
        self.slot.let_post(flags, poster);
    }

    fn end_posting_on(&mut self, fd: u32) {
        self.slot.end_posting_on(fd);
    }

    fn end_posting(&mut self) {
        self.slot.end_posting();
    }

    fn clear_at_exit(&mut self, addr: u64) -> bool {
        if !self.supervisor.has_native_futexes || self.slot.process.has_one_owned() {
            return false;
        }
        self.slot.clear_at_exit(addr);
        true
    }

    fn write_at_birth(&mut self, addr: u64, word: u32) -> bool {
        spawn::write_at_birth(&self.slot.memory, addr, word, &self.supervisor.common.layout)
    }

    fn set_domain(&mut self, domain: Option<NonZeroU32>) {
        let number = domain.map_or(NO_DOMAIN, NonZeroU32::get);
        self.slot.process.domain.store(number, Ordering::Relaxed);
    }

    fn begun(&mut self) -> Begun {
        std::mem::take(&mut self.begun)
    }

    fn memory(&self) -> Option<Arc<dyn AddressSpace>> {
        let space = self.supervisor.space(&self.slot.process);
        Some(Arc::new(Along { slot: Arc::clone(&self.slot), space }))
    }

    fn spawn(&mut self, kind: Spawn) -> BoxFuture<'_, Result<NewProcess, Errno>> {
        Box::pin(async move {
            let (space, thread) = spawn::spawn(self, kind).await?;
            Ok((space, thread as Box<dyn Thread>))
        })
    }

    fn interrupter(&self) -> Arc<dyn Interrupter> {
        let (supervisor, slot) = (Arc::clone(&self.supervisor), Arc::clone(&self.slot));
        Arc::new(RunningThread { supervisor, slot })
    }

    fn cpu_time_ns(&self) -> (u64, u64) {
        (self.supervisor.cpu_time_ns(&self.slot), 0)
    }

    fn host_cpu(&self) -> u32 {
        // A notification wakes the worker on the processor that it comes from.
        host::process::current_cpu() as u32
    }
}

impl Drop for SystrapThread {
    fn drop(&mut self) {
        self.end_shortcut();
        let event = match self.position {
            Position::Unborn { .. } | Position::Running => None,
            Position::Call { id } => Some(Event::Call { id, number: 0, ip: 0, args: [0; 6] }),
            Position::Line => Some(Event::Hotline { number: 0, info: 0, args: [0; 6] }),
            Position::Stub { id, .. } => Some(Event::Done { id, result: 0 }),
        };
        self.supervisor.abandon(&self.slot, event);
    }
}
