//! Making the template: a child of the sentry that turns itself into an empty guest process.
//!
//! Every guest process is a `clone` of the template or of another guest process, made by the stub,
//! so what the template strips off here is gone for good: the sentry's memory, descriptors,
//! capabilities, signal handlers and the C library's registrations with the host.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::Arc;

use linux_abi::Errno;

use super::channel::{Channel, SlotMemory};
use super::cpuid::Cpuid;
use super::frame::Frame;
use super::layout::{
    CHANNEL_BYTES, CONTROL_BYTES, CPUID_BYTES, Control, Header, Init, SLOT_BYTES, STACK_OFFSET,
    UNMAP_MAX, event, init_state,
};
use super::listener::Listener;
use super::region::Region;
use crate::filter;
use crate::host::last_errno;
use crate::process::fpu;
use crate::process::{KICK, PAGE_BYTES, Tid, USER_END, copy, kill_process, procfs};

/// How often another window is drawn when the first is taken.
const ATTEMPTS: u32 = 16;
/// `arch_prctl` code that maps the host's vDSO anew, since Linux 4.8 with checkpoint support.
const ARCH_MAP_VDSO_64: i32 = 0x2003;
/// Most pages of data that lie before the vDSO's code.
const VVAR_PAGES_MAX: u64 = 32;
/// Where in the first slot the filter's program is put.
const PROGRAM_OFFSET: u64 = CONTROL_BYTES;
/// Signals that guest code itself raises, and the kick.
const OPEN_SIGNALS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, KICK];

/// The finished template, a process with one thread that waits in the stub.
pub(super) struct Template {
    pub(super) tid: Tid,
    /// Its notification, to be answered with a command.
    pub(super) id: u64,
    pub(super) frame: Frame,
    pub(super) slot: SlotMemory,
    pub(super) region: Region,
    pub(super) listener: Listener,
    pub(super) cpuid: Cpuid,
    pub(super) vdso: Option<u64>,
    /// FS.base and GS.base, which are still the sentry's.
    pub(super) bases: (u64, u64),
    pub(super) blank_fpu: Vec<u8>,
    pub(super) fpu_features: u64,
}

/// Forks the calling process, and waits until the child has stripped itself.
pub(super) fn create(has_native_futexes: bool) -> io::Result<Template> {
    for _ in 0..ATTEMPTS {
        let region = Region::random()?;
        match attempt(region, has_native_futexes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            result => return result,
        }
    }
    Err(describe("no room for the stub's window", Errno::ENOMEM))
}

/// What the child needs to know; made before the fork, because it must not allocate.
struct Plan {
    region: Region,
    code: OwnedFd,
    cpuid: Cpuid,
    channel: Arc<Channel>,
    slot: u64,
    /// Written by the child's parent.
    child: libc::c_long,
}

fn attempt(region: Region, has_native_futexes: bool) -> io::Result<Template> {
    let code = region.code_file().map_err(|error| describe("cannot make the stub", error))?;
    let cpuid = Cpuid::new().map_err(|error| describe("cannot make the stub", error))?;
    let channel = Channel::new(region.channel().start)?;
    let slot = channel.allocate()?;
    let (unmap, vdso_hint) = memory_plan(region)?;
    let layout = region.filter(has_native_futexes);
    let program = filter::systrap::program(&layout).map_err(io::Error::other)?;
    if program.len() as u64 > SLOT_BYTES - PROGRAM_OFFSET {
        return Err(describe("the stub's filter is too long", Errno::E2BIG));
    }
    slot.write_bytes(PROGRAM_OFFSET, &program);
    let open = OPEN_SIGNALS.iter().fold(0_u64, |set, signal| set | 1 << (signal - 1));
    let init = offset_of!(Control, init) as u64;
    slot.write(init + offset_of!(Init, unmap) as u64, &unmap);
    slot.write(init + offset_of!(Init, vdso_hint) as u64, &vdso_hint);
    slot.write(init + offset_of!(Init, signal_mask) as u64, &!open);
    slot.write(init + offset_of!(Init, filter_len) as u64, &(program.len() as u64 / 8));
    let program_address = slot.address() + PROGRAM_OFFSET;
    slot.write(init + offset_of!(Init, filter_address) as u64, &program_address);

    let mut plan = Plan { region, code, cpuid, channel, slot: slot.address(), child: 0 };
    let tid = fork(&mut plan)?;
    let result = finish(tid, region, slot, vdso_hint, plan.cpuid);
    if result.is_err() {
        kill_process(tid);
        // SAFETY: no status is asked for.
        unsafe { libc::waitpid(tid, null_mut(), libc::__WALL) };
    }
    result
}

/// What the child unmaps when it has moved into its window, and where the vDSO shall be (0: it
/// stays where it is).
fn memory_plan(region: Region) -> io::Result<([[u64; 2]; UNMAP_MAX], u64)> {
    let own = region.range();
    let mut keep = vec![own.clone()];
    // With the vDSO in place the answer is EEXIST, or EINVAL where the host cannot do this.
    // SAFETY: at address 0 nothing can be mapped.
    let probe = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_MAP_VDSO_64, 0) };
    let can_map = probe != 0 && last_errno() == Errno::EEXIST;
    let hint = own.end + (1 + crate::host::random::number()? % (1 << 16)) * PAGE_BYTES;
    if !can_map {
        // The child's layout is that of the sentry, whose procfs entry is there at set-up.
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        let special = ["[vdso]", "[vvar]", "[vvar_vclock]"];
        let mappings = maps.lines().filter_map(procfs::parse_mapping);
        keep.extend(mappings.filter(|m| special.contains(&m.label.as_str())).map(|m| m.range));
    }
    keep.sort_by_key(|range| range.start);
    let mut unmap = [[0; 2]; UNMAP_MAX];
    let mut from = 0;
    let ends = keep.iter().map(|range| (range.start, range.end)).chain([(USER_END, USER_END)]);
    for (place, (start, end)) in unmap.iter_mut().zip(ends) {
        *place = [from, start - from];
        from = end;
    }
    Ok((unmap, if can_map { hint } else { 0 }))
}

/// Makes the child. It has no registered `struct rseq`, to which the host would go on writing when
/// it is long unmapped: a child that shares memory loses the registration, and its own child, a
/// copy, has none either.
fn fork(plan: &mut Plan) -> io::Result<Tid> {
    const STACK_BYTES: usize = 64 << 10;
    let mut stack = vec![0_u128; STACK_BYTES / 16];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let argument = (&raw mut *plan).cast::<c_void>();
    // SAFETY: 1. The stack is large enough for `fork_again`, and alive until that is over, as
    // this thread waits. 2. `fork_again` makes raw system calls only.
    let middle = unsafe { libc::clone(fork_again, top, flags, argument) };
    if middle < 0 {
        return Err(describe("cannot fork", last_errno()));
    }
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(middle, null_mut(), libc::__WALL) };
    match plan.child {
        child if child > 0 => Ok(child as Tid),
        error => Err(describe("cannot fork", Errno::from_raw(-error as i32))),
    }
}

extern "C" fn fork_again(argument: *mut c_void) -> c_int {
    let plan: *mut Plan = argument.cast();
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: like fork(2), without the C library's handlers; the child makes raw system calls
    // only and never returns.
    let child = unsafe { raw(libc::SYS_clone, [flags as u64, 0, 0, 0, 0, 0]) };
    if child == 0 {
        // SAFETY: the plan is alive in this copy of the memory.
        let plan = unsafe { &*plan };
        // SAFETY: this process is a new one.
        let status = unsafe { strip(plan) };
        // SAFETY: ends the process.
        unsafe { raw(libc::SYS_exit_group, [status as u64, 0, 0, 0, 0, 0]) };
    }
    // SAFETY: the plan is alive, and its owner waits.
    unsafe { (*plan).child = child };
    0
}

/// A system call that leaves the C library's `errno` alone; a negated errno if it fails.
///
/// # Safety
/// As for the call.
unsafe fn raw(number: libc::c_long, args: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the caller's promise.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Exit status of a child that finds its window taken.
const WINDOW_TAKEN: i32 = 200;

/// The child's work; it ends in the stub. Answers with an exit status if something fails: the
/// number of the step.
///
/// # Safety
/// Called in a process of its own.
unsafe fn strip(plan: &Plan) -> i32 {
    let region = plan.region;
    let code = region.code();
    let rw = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let rx = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let private = (libc::MAP_FIXED | libc::MAP_PRIVATE) as u64;
    let none = u64::MAX;
    let window = region.range();
    let inaccessible = [
        window.start,
        window.end - window.start,
        libc::PROT_NONE as u64,
        (libc::MAP_FIXED_NOREPLACE | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
            as u64,
        none,
        0,
    ];
    // SAFETY: a new mapping where nothing is. It keeps the host from putting anything there.
    if unsafe { raw(libc::SYS_mmap, inaccessible) } != window.start as i64 {
        return WINDOW_TAKEN;
    }
    let channel = region.channel().start;
    let code_file = plan.code.as_raw_fd() as u64;
    let cpuid_file = plan.cpuid.file().as_raw_fd() as u64;
    let channel_file = plan.channel.file().as_raw_fd() as u64;
    let shared = (libc::MAP_FIXED | libc::MAP_SHARED) as u64;
    let mappings = [
        [code.start, code.end - code.start, rx, private, code_file, 0],
        [region.cpuid().start, CPUID_BYTES, libc::PROT_READ as u64, private, cpuid_file, 0],
        [channel, CHANNEL_BYTES, rw, shared, channel_file, 0],
    ];
    for args in mappings {
        // SAFETY: new mappings in the window.
        if unsafe { raw(libc::SYS_mmap, args) } != args[0] as i64 {
            return 1;
        }
    }
    // The sentry may lead the session of the container's terminal: its keys' signals are for the
    // guest's kernel, not for the host processes it runs in.
    // SAFETY: this process is nobody else's.
    unsafe { raw(libc::SYS_setsid, [0; 6]) };
    // SAFETY: as above.
    if let Err(step) = unsafe { set_handlers(region) } {
        return step;
    }
    // struct stack_t: ss_sp, ss_flags, ss_size.
    let stack = [plan.slot + STACK_OFFSET, 0, SLOT_BYTES - STACK_OFFSET];
    // Version 3, this process; no capabilities: a stub must not have more than the sentry will
    // keep, which could not access it otherwise.
    let header = 0x2008_0522_u64;
    let nothing = [0_u64; 3];
    let prctl = |option: i32, value: u64| (libc::SYS_prctl, [option as u64, value, 0, 0, 0, 0]);
    let steps = [
        (libc::SYS_sigaltstack, [(&raw const stack).addr() as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_close_range, [0, u64::from(u32::MAX), 0, 0, 0, 0]),
        (
            libc::SYS_capset,
            [(&raw const header).addr() as u64, nothing.as_ptr().addr() as u64, 0, 0, 0, 0],
        ),
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1),
        prctl(libc::PR_SET_DUMPABLE, 1),
        prctl(libc::PR_SET_NAME, c"guest".as_ptr().addr() as u64),
    ];
    for (step, (number, args)) in steps.into_iter().enumerate() {
        // SAFETY: what the arguments point to is alive.
        if unsafe { raw(number, args) } < 0 {
            return 10 + step as i32;
        }
    }
    let entry = region.entry(offset_of!(Header, init));
    // SAFETY: the stub's own code, on the small stack of the first slot; this stack and all else
    // of the sentry is about to be unmapped.
    unsafe {
        std::arch::asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            stack = in(reg) plan.slot + CONTROL_BYTES,
            entry = in(reg) entry,
            in("rdi") plan.slot,
            options(noreturn),
        )
    }
}

/// Gives every signal that can reach a guest the stub's handler, and all others their default.
///
/// # Safety
/// Called in a process of its own.
unsafe fn set_handlers(region: Region) -> Result<(), i32> {
    const SA_RESTORER: u64 = 0x0400_0000;
    let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART) as u64 | SA_RESTORER;
    let handler = region.entry(offset_of!(Header, on_signal));
    let restorer = region.entry(offset_of!(Header, restorer));
    // struct kernel_sigaction: handler, flags, restorer, mask.
    let caught = [handler, flags, restorer, u64::MAX];
    let default = [0_u64; 4];
    for signal in (1..=64).filter(|&signal| signal != libc::SIGKILL && signal != libc::SIGSTOP) {
        let action = if OPEN_SIGNALS.contains(&signal) { &caught } else { &default };
        let args = [signal as u64, action.as_ptr().addr() as u64, 0, 8, 0, 0];
        // SAFETY: the action is alive; this process has no other handlers to keep.
        if unsafe { raw(libc::SYS_rt_sigaction, args) } < 0 {
            return Err(signal);
        }
    }
    Ok(())
}

/// Follows the child until it waits in its first doorbell.
fn finish(
    tid: Tid,
    region: Region,
    slot: SlotMemory,
    vdso_hint: u64,
    cpuid: Cpuid,
) -> io::Result<Template> {
    let state = offset_of!(Control, init) as u64 + offset_of!(Init, state) as u64;
    let number = offset_of!(Control, init) as u64 + offset_of!(Init, listener) as u64;
    loop {
        match slot.read::<i64>(state) {
            init_state::STARTED => check_alive(tid)?,
            init_state::FILTERED => break,
            error => {
                let error = Errno::from_raw(-error as i32);
                return Err(describe(
                    "cannot install the stub's filter (needs Linux 5.19; --platform ptrace does not)",
                    error,
                ));
            }
        }
        slot.wait_word(state, init_state::STARTED as u32);
    }
    let listener = Listener::new(fetch_descriptor(tid, slot.read::<i64>(number) as i32)?);
    slot.write(state, &init_state::TAKEN);
    slot.wake_word(state);
    let first = listener.receive_alone()?;
    let [kind, context, _, _, fs_base, gs_base] = first.args;
    if kind != event::SIGNAL || first.tid() != tid {
        return Err(describe("the stub does not start", Errno::EPROTO));
    }
    let frame = Frame::at(&slot, context)?;
    let (bytes, fpu_features) = frame.fp_format(&slot)?;
    let blank_fpu = fpu::blank(&frame.fp_state(&slot, bytes)?);
    let vdso = match vdso_hint {
        0 => mapped_vdso()?,
        // The data pages before the code cannot be read from outside.
        hint => (0..VVAR_PAGES_MAX).map(|index| hint + index * PAGE_BYTES).find(|&page| {
            let mut magic = [0; 4];
            copy::read(tid, page, &mut magic) == Ok(4) && magic == *b"\x7fELF"
        }),
    };
    Ok(Template {
        tid,
        id: first.id,
        frame,
        slot,
        region,
        listener,
        cpuid,
        vdso,
        bases: (fs_base, gs_base),
        blank_fpu,
        fpu_features,
    })
}

/// Errors: the reason why the child has ended, if it has.
fn check_alive(tid: Tid) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: `status` is live.
    let ended = unsafe { libc::waitpid(tid, &raw mut status, libc::WNOHANG | libc::__WALL) };
    if ended == 0 {
        return Ok(());
    }
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == WINDOW_TAKEN {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let message = format!("systrap platform: the first stub ended at once (status {status:#x})");
    Err(io::Error::other(message))
}

/// A copy of another process' descriptor, `pidfd_getfd(2)`.
fn fetch_descriptor(tid: Tid, number: i32) -> io::Result<OwnedFd> {
    let denied = |error| {
        let what = "cannot reach into a child process (does Yama's ptrace_scope forbid it?)";
        describe(what, error)
    };
    // SAFETY: the call takes numbers only.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, tid, 0) } as i32;
    if pidfd < 0 {
        return Err(denied(last_errno()));
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: the call takes numbers only.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) } as i32;
    if copy < 0 {
        return Err(denied(last_errno()));
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Where the sentry, and so its child, has the vDSO.
fn mapped_vdso() -> io::Result<Option<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut mappings = maps.lines().filter_map(procfs::parse_mapping);
    Ok(mappings.find(|mapping| mapping.label == "[vdso]").map(|mapping| mapping.range.start))
}

fn describe(what: &str, error: Errno) -> io::Error {
    let kind = io::Error::from_raw_os_error(error.raw()).kind();
    io::Error::new(kind, format!("systrap platform: {what}: {error}"))
}
