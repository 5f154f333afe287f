//! `prctl(2)` and `arch_prctl(2)`.

use std::sync::atomic::Ordering;

use linux_abi::Errno;
use linux_abi::task::{
    ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS, CAP_LAST_CAP, CAP_SETPCAP, PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_LOWER, PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE, PR_GET_KEEPCAPS,
    PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP, PR_GET_SECUREBITS,
    PR_GET_THP_DISABLE, PR_GET_TID_ADDRESS, PR_GET_TIMERSLACK, PR_GET_TIMING,
    PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_SECUREBITS, PR_SET_TIMERSLACK, PR_SET_TIMING,
    TASK_COMM_LEN,
};

use super::SysResult;
use crate::memory::{UserAddr, UserPtr};
use crate::task::{Credentials, Ctx};

const SECBIT_KEEP_CAPS: u32 = 1 << 4;
const SECBIT_KEEP_CAPS_LOCKED: u32 = 1 << 5;
const SECBIT_NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
const SECUREBITS_ALL: u32 = 0xff;
const SECUREBITS_LOCKS: u32 = 0xaa;

/// `prctl(2)`.
///
/// Errors: EINVAL for an unknown option, as a kernel without it, and those of the options.
pub async fn prctl(ctx: &mut Ctx, option: i32, a2: u64, a3: u64, a4: u64, a5: u64) -> SysResult {
    let group = ctx.task.group.clone();
    match option {
        PR_SET_NAME => set_name(ctx, UserAddr(a2)),
        PR_GET_NAME => {
            let mut name = ctx.task.name.lock().clone();
            name.resize(TASK_COMM_LEN, 0);
            ctx.memory().write_exact(UserAddr(a2), &name)?;
            Ok(0)
        }
        PR_SET_PDEATHSIG => {
            if a2 > 64 {
                return Err(Errno::EINVAL);
            }
            ctx.task.death_signal.store(a2 as i32, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_PDEATHSIG => {
            let signal = ctx.task.death_signal.load(Ordering::Relaxed);
            ctx.memory().write_value(UserPtr::new(a2), &signal)?;
            Ok(0)
        }
        PR_GET_DUMPABLE => Ok(group.dumpable.load(Ordering::Relaxed) as usize),
        PR_SET_DUMPABLE => {
            if a2 > 1 {
                return Err(Errno::EINVAL);
            }
            group.dumpable.store(a2 as u32, Ordering::Relaxed);
            Ok(0)
        }
        PR_SET_CHILD_SUBREAPER => {
            group.is_child_subreaper.store(a2 != 0, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_CHILD_SUBREAPER => {
            let value = i32::from(group.is_child_subreaper.load(Ordering::Relaxed));
            ctx.memory().write_value(UserPtr::new(a2), &value)?;
            Ok(0)
        }
        PR_GET_TIMING => Ok(0),
        PR_SET_TIMING if a2 == 0 => Ok(0),
        PR_GET_SECCOMP => Ok(ctx.task.seccomp.get().mode() as usize),
        PR_SET_SECCOMP => super::seccomp::set_mode(ctx, a2, a3).await,
        PR_GET_TID_ADDRESS => {
            let address = ctx.task.clear_child_tid.load(Ordering::Relaxed);
            ctx.memory().write_value(UserPtr::new(a2), &address)?;
            Ok(0)
        }
        PR_GET_TIMERSLACK => Ok(ctx.task.sched.lock().timer_slack_ns as usize),
        PR_SET_TIMERSLACK => {
            ctx.task.sched.lock().timer_slack_ns = if a2 == 0 { 50_000 } else { a2 };
            Ok(0)
        }
        PR_GET_THP_DISABLE if (a2 | a3 | a4 | a5) == 0 => Ok(0),
        _ => credentials_option(ctx, option, a2, a3, a4, a5),
    }
}

/// Options that concern credentials.
fn credentials_option(ctx: &mut Ctx, option: i32, a2: u64, a3: u64, a4: u64, a5: u64) -> SysResult {
    let mut new = (*ctx.task.credentials()).clone();
    let result = match option {
        PR_SET_NO_NEW_PRIVS => {
            if a2 != 1 || (a3 | a4 | a5) != 0 {
                return Err(Errno::EINVAL);
            }
            new.no_new_privs = true;
            0
        }
        PR_GET_NO_NEW_PRIVS => {
            if (a2 | a3 | a4 | a5) != 0 {
                return Err(Errno::EINVAL);
            }
            return Ok(usize::from(new.no_new_privs));
        }
        PR_GET_KEEPCAPS => return Ok(usize::from(new.securebits & SECBIT_KEEP_CAPS != 0)),
        PR_SET_KEEPCAPS => {
            if a2 > 1 {
                return Err(Errno::EINVAL);
            }
            if new.securebits & SECBIT_KEEP_CAPS_LOCKED != 0 {
                return Err(Errno::EPERM);
            }
            new.securebits &= !SECBIT_KEEP_CAPS;
            new.securebits |= if a2 == 1 { SECBIT_KEEP_CAPS } else { 0 };
            0
        }
        PR_GET_SECUREBITS => return Ok(new.securebits as usize),
        PR_SET_SECUREBITS => set_securebits(&mut new, a2)?,
        PR_CAPBSET_READ => {
            if a2 > u64::from(CAP_LAST_CAP) {
                return Err(Errno::EINVAL);
            }
            return Ok(usize::from(new.bounding & (1 << a2) != 0));
        }
        PR_CAPBSET_DROP => {
            if !new.has(CAP_SETPCAP) {
                return Err(Errno::EPERM);
            }
            if a2 > u64::from(CAP_LAST_CAP) {
                return Err(Errno::EINVAL);
            }
            new.bounding &= !(1 << a2);
            0
        }
        PR_CAP_AMBIENT => return ambient(ctx, new, a2, a3, a4, a5),
        _ => return Err(Errno::EINVAL),
    };
    ctx.task.set_credentials(new);
    Ok(result)
}

fn set_name(ctx: &Ctx, addr: UserAddr) -> SysResult {
    let mut name = Vec::new();
    while name.len() < TASK_COMM_LEN - 1 {
        let byte = ctx.memory().read_bytes(addr.add(name.len() as u64), 1)?[0];
        if byte == 0 {
            break;
        }
        name.push(byte);
    }
    *ctx.task.name.lock() = name;
    Ok(0)
}

/// `PR_SET_SECUREBITS`: locked bits stay, locks stay. Errors: EPERM.
fn set_securebits(new: &mut Credentials, wanted: u64) -> SysResult {
    let old = new.securebits;
    let locked = (old & SECUREBITS_LOCKS) >> 1;
    let wanted = u32::try_from(wanted).map_err(|_| Errno::EPERM)?;
    let allowed = new.has(CAP_SETPCAP)
        && wanted & !SECUREBITS_ALL == 0
        && (old ^ wanted) & locked == 0
        && old & SECUREBITS_LOCKS & !wanted == 0;
    if !allowed {
        return Err(Errno::EPERM);
    }
    new.securebits = wanted;
    Ok(0)
}

/// `PR_CAP_AMBIENT`, capabilities(7).
fn ambient(
    ctx: &Ctx,
    mut new: Credentials,
    operation: u64,
    capability: u64,
    a4: u64,
    a5: u64,
) -> SysResult {
    let operation = operation as i32;
    if operation == PR_CAP_AMBIENT_CLEAR_ALL {
        if (capability | a4 | a5) != 0 {
            return Err(Errno::EINVAL);
        }
        new.ambient = 0;
        ctx.task.set_credentials(new);
        return Ok(0);
    }
    if (a4 | a5) != 0 || capability > u64::from(CAP_LAST_CAP) {
        return Err(Errno::EINVAL);
    }
    let bit = 1 << capability;
    match operation {
        PR_CAP_AMBIENT_IS_SET => return Ok(usize::from(new.ambient & bit != 0)),
        PR_CAP_AMBIENT_RAISE => {
            let possible = new.permitted & new.inheritable & bit != 0;
            if !possible || new.securebits & SECBIT_NO_CAP_AMBIENT_RAISE != 0 {
                return Err(Errno::EPERM);
            }
            new.ambient |= bit;
        }
        PR_CAP_AMBIENT_LOWER => new.ambient &= !bit,
        _ => return Err(Errno::EINVAL),
    }
    ctx.task.set_credentials(new);
    Ok(0)
}

/// `arch_prctl(2)`.
///
/// Errors: EPERM for a base outside user space, EINVAL for an unknown code, EFAULT.
pub async fn arch_prctl(ctx: &mut Ctx, code: i32, value: u64) -> SysResult {
    ctx.thread.complete().await?;
    let limit = ctx.memory().space().layout().user.end;
    match code {
        ARCH_SET_FS | ARCH_SET_GS if value >= limit => return Err(Errno::EPERM),
        ARCH_SET_FS => ctx.thread.registers_mut().fs_base = value,
        ARCH_SET_GS => ctx.thread.registers_mut().gs_base = value,
        ARCH_GET_FS => {
            let base = ctx.thread.registers().fs_base;
            ctx.memory().write_value(UserPtr::new(value), &base)?;
        }
        ARCH_GET_GS => {
            let base = ctx.thread.registers().gs_base;
            ctx.memory().write_value(UserPtr::new(value), &base)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
