//! Tracing of a thread's system calls into the debug log.

use linux_abi::Errno;

use super::Ctx;
use crate::memory::UserAddr;
use crate::syscall::strace::Call;
use crate::syscall::{Flow, TABLE};

/// A call that is being traced.
pub(super) struct Trace {
    call: Call,
    tid: i32,
}

/// Decodes the call's arguments, if calls are traced at all.
pub(super) fn begin(ctx: &Ctx, number: u64, raw: [u64; 6]) -> Option<Trace> {
    ctx.task.kernel.strace.as_ref()?;
    let read = reader(ctx);
    let call = match TABLE.iter().find(|entry| u64::from(entry.number) == number) {
        Some(entry) => Call::enter(entry.name, entry.args, raw, &read),
        None => Call::enter_unknown(number, raw, &read),
    };
    Some(Trace { call, tid: ctx.task.tid() })
}

/// Writes the line of a finished call.
pub(super) fn end(ctx: &Ctx, trace: &Trace, flow: &Flow) {
    let Some(log) = &ctx.task.kernel.strace else { return };
    let read = reader(ctx);
    let line = match flow {
        Flow::Return(result) => trace.call.exit(*result, &read),
        Flow::Resume | Flow::Finish(_) | Flow::Runs => trace.call.exit(Ok(0), &read),
        Flow::Exit(_) => trace.call.exit_never(&read),
    };
    log.write(trace.tid, &line);
}

/// Writes the line of a fault of the guest's own.
pub(super) fn fault(ctx: &Ctx, fault: &platform::Fault) {
    let Some(log) = &ctx.task.kernel.strace else { return };
    let rip = ctx.thread.registers().rip;
    let line = format!(
        "--- signal {} {{si_code={}, si_addr={:#x}}} at {rip:#x} ---",
        fault.signo, fault.code, fault.addr
    );
    log.write(ctx.task.tid(), &line);
}

fn reader(ctx: &Ctx) -> impl Fn(u64, &mut [u8]) -> Result<usize, Errno> + '_ {
    move |addr, buf| ctx.memory().read_partial(UserAddr(addr), buf)
}
