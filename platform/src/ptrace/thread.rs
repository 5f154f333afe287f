//! [`Thread`] by ptrace: one host thread that runs guest code between two stops.

use std::future::ready;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use linux_abi::Errno;

use super::fpu;
use super::inject::{self, Gone};
use super::registers::{bases_differ, sanitised, with_loadable_bases};
use super::stub::{Code, Entry, NOT_RECEIVED};
use super::sys::{self, Status, Tid};
use super::tracer::{Process, Report, Slot, Tracer};
use super::trap::TRAP_TRACE;
use crate::contract::{
    AddressSpace, BoxFuture, Fault, Heap, HostOp, Interrupter, NewProcess, Registers, ResumeMode,
    Spawn, Thread, Trap,
};
use crate::host;
use crate::process::space::{Memory, Space};
use crate::process::{copy, heap, ops};

/// `si_code` of a signal that the kernel raises itself.
const SI_KERNEL: i32 = 0x80;
/// Exception number of a general protection fault.
const PROTECTION_FAULT: u64 = 13;

/// Every stub thread is traced from its first instruction on.
const CLONE_BASE: i32 = libc::CLONE_PTRACE;
/// Every stub process is a child of the sentry, whoever made it.
pub(crate) const CLONE_COPY: i32 = CLONE_BASE | libc::CLONE_PARENT | libc::SIGCHLD;
pub(crate) const CLONE_SHARE: i32 = CLONE_COPY | libc::CLONE_VM;
pub(crate) const CLONE_THREAD: i32 = CLONE_BASE
    | libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM;

/// How much of [`PtraceThread::loaded`] is what the host thread really has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    All,
    /// Only the segment bases and data selectors: the rest was used for a call.
    Bases,
    Nothing,
}

pub(super) struct PtraceThread {
    tracer: Arc<Tracer>,
    slot: Arc<Slot>,
    registers: Registers,
    loaded: Registers,
    known: Known,
    /// A trap that needed no run.
    ready: Option<Trap>,
    op_result: Option<Result<u64, Errno>>,
    /// The last single step ended at a system call, which the host does not count as a step.
    is_step_due: bool,
    is_stepping: bool,
}

impl PtraceThread {
    /// The handle for a thread that was just cloned: `loaded` and `known` are its parent's.
    fn new(
        tracer: Arc<Tracer>,
        slot: Arc<Slot>,
        registers: Registers,
        loaded: Registers,
        known: Known,
    ) -> PtraceThread {
        PtraceThread {
            tracer,
            slot,
            registers,
            loaded,
            known,
            ready: None,
            op_result: None,
            is_step_due: false,
            is_stepping: false,
        }
    }

    /// The handles for a thread that this one made, which has the same registers.
    fn child(&self, tid: Tid, process: Arc<Process>) -> NewProcess {
        let tracer = &self.tracer;
        let slot = tracer.add(tid, Arc::clone(&process));
        let (registers, loaded) = (self.registers, self.loaded);
        let thread = PtraceThread::new(Arc::clone(tracer), slot, registers, loaded, self.known);
        (new_space(tracer, &process), Box::new(thread))
    }

    /// Makes a process from the template. Errors: EAGAIN, ENOMEM.
    pub(super) fn from_template(tracer: &Arc<Tracer>) -> Result<NewProcess, Errno> {
        let tid = clone(tracer, &tracer.template, CLONE_COPY)?;
        let process = Process::new(tid, tracer.common.new_memory(None));
        let slot = tracer.add(tid, Arc::clone(&process));
        let blank = inject::blank_registers();
        let thread = PtraceThread::new(Arc::clone(tracer), slot, blank, blank, Known::Bases);
        Ok((new_space(tracer, &process), Box::new(thread)))
    }

    fn call(&mut self, call: ops::Call) -> Result<u64, Errno> {
        self.execute(|tid, code, wait| inject::call(tid, code, call.number, call.args, wait))
    }

    /// Runs code of the stub in the thread.
    fn execute(
        &mut self,
        run: impl FnOnce(Tid, Code, &mut dyn FnMut() -> Status) -> Result<Result<u64, Errno>, Gone>,
    ) -> Result<u64, Errno> {
        self.forget_core();
        let mut wait = || self.tracer.wait(&self.slot);
        let code = self.tracer.region.code();
        run(self.slot.tid, code, &mut wait).unwrap_or(Err(Errno::ESRCH))
    }

    /// Maps a file: hands the descriptor over and lets the stub map and close it.
    fn map_file(&mut self, call: ops::Call, file: BorrowedFd<'_>) -> Result<u64, Errno> {
        self.forget_core();
        host::net::send(&self.tracer.sender, &[IoSlice::new(b"f")], &[file], true)?;
        let [r12, r13, r14, r10, _, r9] = call.args;
        let start = Registers {
            rbp: self.tracer.region.scratch(),
            r12,
            r13,
            r14,
            r10,
            r9,
            ..inject::blank_registers()
        };
        let mut wait = || self.tracer.wait(&self.slot);
        let code = self.tracer.region.code();
        match inject::run(self.slot.tid, code, Entry::MapFile, &start, &mut wait) {
            Ok(end) if end.rbx != NOT_RECEIVED => inject::to_result(end.rbx),
            Ok(_) => {
                self.take_back_descriptors();
                Err(Errno::ENOMEM)
            }
            Err(Gone) => {
                self.take_back_descriptors();
                Err(Errno::ESRCH)
            }
        }
    }

    /// The host reads where the heap is from the scratch page, before the program runs.
    fn place_heap(&mut self, heap: &Heap) -> Result<u64, Errno> {
        let scratch = self.tracer.region.scratch();
        let map: Vec<u8> = heap::map(heap).into_iter().flat_map(u64::to_ne_bytes).collect();
        if copy::write(self.slot.tid, scratch, &map)? != map.len() {
            return Err(Errno::EFAULT);
        }
        self.call(heap::call(scratch))
    }

    /// The next stub must not find a descriptor that was meant for this one.
    fn take_back_descriptors(&self) {
        let mut data = [0; 8];
        let mut bufs = [std::io::IoSliceMut::new(&mut data)];
        while host::net::receive(&self.tracer.receiver, &mut bufs, true).is_ok() {}
    }

    fn new_thread(&mut self) -> Result<NewProcess, Errno> {
        self.forget_core();
        let tid = match clone(&self.tracer, &self.slot, CLONE_THREAD) {
            Ok(tid) => tid,
            Err(Errno::ESRCH) => return Err(Errno::ESRCH),
            Err(_) => return Err(Errno::EAGAIN),
        };
        Ok(self.child(tid, Arc::clone(&self.slot.process)))
    }

    fn new_process(&mut self, flags: i32, memory: Arc<Memory>) -> Result<NewProcess, Errno> {
        self.forget_core();
        let tid = clone(&self.tracer, &self.slot, flags)?;
        Ok(self.child(tid, Process::new(tid, memory)))
    }

    fn forget_core(&mut self) {
        if self.known == Known::All {
            self.known = Known::Bases;
        }
    }

    /// Writes back the registers if they changed.
    ///
    /// Errors: EIO for segment bases that the host refuses; ESRCH.
    fn load(&mut self) -> Result<(), Errno> {
        let wanted = sanitised(&self.registers);
        let tid = self.slot.tid;
        if self.known == Known::Nothing || bases_differ(&wanted, &self.loaded) {
            if let Err(error) = sys::set_all_registers(tid, &wanted) {
                self.known = Known::Nothing;
                return Err(error);
            }
        } else if self.known == Known::Bases || wanted != self.loaded {
            sys::set_core_registers(tid, &wanted)?;
        }
        self.loaded = wanted;
        self.known = Known::All;
        Ok(())
    }

    /// What happens at a resume instead of running, if anything.
    fn trap_without_running(&mut self, mode: ResumeMode) -> Option<Trap> {
        if self.slot.is_gone() {
            return Some(Trap::Dead);
        }
        self.is_stepping = mode == ResumeMode::SingleStep;
        if std::mem::take(&mut self.is_step_due) && self.is_stepping {
            let (signo, addr) = (libc::SIGTRAP, self.registers.rip);
            let fault = Fault { signo, code: TRAP_TRACE, addr, trapno: 1, error_code: 0 };
            return Some(Trap::Fault(fault));
        }
        let old = self.loaded;
        if self.load() == Err(Errno::EIO) {
            // A handler of the fault must be able to run, so the bad values go.
            self.registers = with_loadable_bases(&self.registers, &old);
            return Some(Trap::Fault(Fault {
                signo: libc::SIGSEGV,
                code: SI_KERNEL,
                addr: 0,
                trapno: PROTECTION_FAULT,
                error_code: 0,
            }));
        }
        self.tracer.resume(&self.slot, self.is_stepping)
    }
}

impl Thread for PtraceThread {
    fn registers(&self) -> &Registers {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), Errno>> {
        // A stop tells everything.
        let is_alive = !self.slot.is_gone();
        Box::pin(ready(if is_alive { Ok(()) } else { Err(Errno::ESRCH) }))
    }

    fn fp_state(&mut self) -> Result<Vec<u8>, Errno> {
        fpu::get(self.slot.tid)
    }

    fn set_fp_state(&mut self, xsave: &[u8]) -> Result<(), Errno> {
        fpu::set(self.slot.tid, xsave, self.tracer.blank_fpu.len())
    }

    fn reset_fp_state(&mut self) -> Result<(), Errno> {
        sys::set_xstate(self.slot.tid, &self.tracer.blank_fpu)
    }

    fn resume(&mut self, mode: ResumeMode) {
        self.ready = self.trap_without_running(mode);
    }

    fn poll_trap(&mut self, cx: &mut Context<'_>) -> Poll<Trap> {
        if let Some(trap) = self.ready.take() {
            return Poll::Ready(trap);
        }
        match self.slot.fetch(cx.waker()) {
            Some(Report { trap: Trap::Dead, .. }) => Poll::Ready(Trap::Dead),
            Some(Report { trap, registers }) => {
                self.registers = registers;
                self.loaded = registers;
                self.known = Known::All;
                self.is_step_due = self.is_stepping && trap == Trap::Syscall;
                Poll::Ready(trap)
            }
            None => Poll::Pending,
        }
    }

    fn start_host_op(&mut self, op: HostOp<'_>) {
        let reserved = self.tracer.common.layout.reserved.clone();
        let result = match op {
            HostOp::PlaceHeap(heap) => self.place_heap(&heap),
            HostOp::FutexChange { addr, change } => ops::word_args(addr, &change, &reserved)
                .and_then(|args| {
                    self.execute(|tid, code, wait| inject::change_word(tid, code, args, wait))
                }),
            _ => ops::to_call(&op, &reserved).and_then(|call| match op {
                HostOp::Mmap { fd: Some(file), .. } => self.map_file(call, file),
                HostOp::FutexWake { .. } => Err(Errno::ENOSYS),
                _ => self.call(call),
            }),
        };
        self.op_result = Some(result);
    }

    fn poll_host_op(&mut self, _cx: &mut Context<'_>) -> Poll<Result<u64, Errno>> {
        // Operations are over when `start_host_op` returns.
        Poll::Ready(self.op_result.take().unwrap_or(Err(Errno::EINVAL)))
    }

    fn resume_with(&mut self, _op: HostOp<'_>) -> bool {
        // Two stops are needed in any case.
        false
    }

    fn spawn(&mut self, kind: Spawn) -> BoxFuture<'_, Result<NewProcess, Errno>> {
        let made = match kind {
            Spawn::Thread => self.new_thread(),
            Spawn::CopyMemory => self.new_process(CLONE_COPY, self.tracer.common.new_memory(None)),
            Spawn::ShareMemory => {
                self.new_process(CLONE_SHARE, Arc::clone(&self.slot.process.memory))
            }
        };
        Box::pin(ready(made))
    }

    fn interrupter(&self) -> Arc<dyn Interrupter> {
        let (tracer, slot) = (Arc::clone(&self.tracer), Arc::clone(&self.slot));
        Arc::new(RunningThread { tracer, slot })
    }

    fn cpu_time_ns(&self) -> (u64, u64) {
        cpu_time_ns(&self.tracer, &self.slot)
    }

    fn host_cpu(&self) -> u32 {
        self.tracer.cpu
    }
}

impl Drop for PtraceThread {
    fn drop(&mut self) {
        self.tracer.abandon(&self.slot);
    }
}

/// A thread as those see it who do not own it.
struct RunningThread {
    tracer: Arc<Tracer>,
    slot: Arc<Slot>,
}

impl Interrupter for RunningThread {
    fn interrupt(&self) {
        self.slot.interrupt();
    }

    fn cpu_time_ns(&self) -> (u64, u64) {
        cpu_time_ns(&self.tracer, &self.slot)
    }

    fn process_cpu_time_ns(&self) -> u64 {
        self.slot.process.clock.read_ns()
    }
}

fn cpu_time_ns(tracer: &Tracer, slot: &Slot) -> (u64, u64) {
    (tracer.common.cpu_time_ns(slot.tid), 0)
}

fn new_space(tracer: &Tracer, process: &Process) -> Arc<dyn AddressSpace> {
    let (common, memory) = (Arc::clone(&tracer.common), Arc::clone(&process.memory));
    Arc::new(Space::new(common, process.tgid, memory))
}

/// Has a stopped thread make another one, and waits until that has stopped.
///
/// Errors: EAGAIN, ENOMEM; ESRCH if the parent died, EAGAIN if the child did.
fn clone(tracer: &Tracer, parent: &Slot, flags: i32) -> Result<Tid, Errno> {
    if parent.is_gone() {
        return Err(Errno::ESRCH);
    }
    let args = [flags as u32 as u64, 0, 0, 0, 0, 0];
    let mut wait = || tracer.wait(parent);
    let code = tracer.region.code();
    let child = match inject::call(parent.tid, code, libc::SYS_clone, args, &mut wait) {
        Ok(child) => child? as Tid,
        Err(Gone) => return Err(Errno::ESRCH),
    };
    match tracer.wait_newcomer(child) {
        Status::Stopped { .. } => Ok(child),
        Status::Gone => Err(Errno::EAGAIN),
    }
}
