//! `seccomp(2)`, and what `prctl(2)` has of it.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::OpenFlags;
use linux_abi::task::{
    BPF_MAXINSNS, CAP_SYS_ADMIN, SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES,
    SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_SET_MODE_STRICT,
    SeccompData, SeccompFilterFlags, SeccompNotif, SeccompNotifResp, SeccompNotifSizes, SockFilter,
    SockFprog,
};

use super::{SysResult, anonymous};
use crate::memory::UserPtr;
use crate::seccomp::{self, Installed, Listener, Notifier, Program};
use crate::task::Ctx;

/// Filters system calls, seccomp(2).
///
/// Errors: EINVAL for unknown operations and flags, bad programs, and for a mode other than the
/// present one; EACCES without `no_new_privs` and CAP_SYS_ADMIN; EFAULT; EMFILE; EBUSY for a
/// second listener; ENOMEM when there are too many filters; ESRCH when a thread has others (TSYNC_ESRCH); EOPNOTSUPP for unknown actions.
pub async fn seccomp(ctx: &mut Ctx, operation: u32, flags: u32, args: u64) -> SysResult {
    match operation {
        SECCOMP_SET_MODE_STRICT if flags == 0 && args == 0 => set_strict(ctx).await,
        SECCOMP_SET_MODE_FILTER => set_filter(ctx, flags, args).await,
        SECCOMP_GET_ACTION_AVAIL if flags == 0 => {
            let action = ctx.memory().read_value(UserPtr::<u32>::new(args))?;
            if seccomp::is_available(action) { Ok(0) } else { Err(Errno::EOPNOTSUPP) }
        }
        SECCOMP_GET_NOTIF_SIZES if flags == 0 => {
            let sizes = SeccompNotifSizes {
                notif: size_of::<SeccompNotif>() as u16,
                resp: size_of::<SeccompNotifResp>() as u16,
                data: size_of::<SeccompData>() as u16,
            };
            ctx.memory().write_value(UserPtr::new(args), &sizes)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `PR_SET_SECCOMP`. Errors: EINVAL for another mode, and those of [`seccomp`].
pub(super) async fn set_mode(ctx: &mut Ctx, mode: u64, program: u64) -> SysResult {
    match u32::try_from(mode) {
        Ok(SECCOMP_MODE_STRICT) => set_strict(ctx).await,
        Ok(SECCOMP_MODE_FILTER) => set_filter(ctx, 0, program).await,
        _ => Err(Errno::EINVAL),
    }
}

async fn set_strict(ctx: &mut Ctx) -> SysResult {
    ctx.thread.catch_all().await?;
    seccomp::set_strict(&ctx.task)?;
    ctx.tell_identity();
    Ok(0)
}

async fn set_filter(ctx: &mut Ctx, flags: u32, program: u64) -> SysResult {
    let flags = SeccompFilterFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let has = |flag| flags.contains(flag);
    let listens = has(SeccompFilterFlags::NEW_LISTENER);
    // The result is a thread's number or a descriptor.
    let is_ambiguous =
        listens && has(SeccompFilterFlags::TSYNC) && !has(SeccompFilterFlags::TSYNC_ESRCH);
    if is_ambiguous || (has(SeccompFilterFlags::WAIT_KILLABLE_RECV) && !listens) {
        return Err(Errno::EINVAL);
    }
    let program = read_program(ctx, UserPtr::new(program))?;
    let listener = match listens {
        true => Some((anonymous::reserve(&ctx.task)?, new_notifier(flags)?)),
        false => None,
    };
    if !program.always_allows_all(platform::NATIVE_CALLS) {
        ctx.thread.catch_all().await?;
    }
    let notifier = listener.as_ref().map(|(_, notifier)| notifier);
    let installed = seccomp::install(&ctx.task, flags, &Arc::new(program), notifier)?;
    ctx.tell_identity();
    match installed {
        Installed::Done => Ok(listener.map_or(0, |(place, notifier)| {
            let file = Listener::new(notifier);
            let file = anonymous::describe(ctx, file, "seccomp notify", OpenFlags::RDWR);
            place.fill(file, true) as usize
        })),
        Installed::Unlike(_) if has(SeccompFilterFlags::TSYNC_ESRCH) => Err(Errno::ESRCH),
        Installed::Unlike(tid) => Ok(tid as usize),
    }
}

/// Errors: those of `getrandom(2)`.
fn new_notifier(flags: SeccompFilterFlags) -> Result<Arc<Notifier>, Errno> {
    // Linux: the numbers start anywhere. They never wrap.
    let first = platform::host::random::number()? >> 1;
    Ok(Notifier::new(first, flags.contains(SeccompFilterFlags::WAIT_KILLABLE_RECV)))
}

fn read_program(ctx: &Ctx, program: UserPtr<SockFprog>) -> Result<Program, Errno> {
    let SockFprog { len, filter, .. } = ctx.memory().read_value(program)?;
    let len = usize::from(len);
    if len == 0 || len > BPF_MAXINSNS {
        return Err(Errno::EINVAL);
    }
    let credentials = ctx.task.credentials();
    if !credentials.no_new_privs && !credentials.has(CAP_SYS_ADMIN) {
        return Err(Errno::EACCES);
    }
    Program::new(ctx.memory().read_array(UserPtr::<SockFilter>::new(filter), len)?)
}
