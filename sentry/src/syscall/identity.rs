//! User and group ids and capabilities, credentials(7), capabilities(7).

use linux_abi::Errno;
use linux_abi::task::{
    _LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_2, _LINUX_CAPABILITY_VERSION_3,
    CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CapData, CapHeader,
};

use super::SysResult;
use crate::memory::UserPtr;
use crate::task::{ALL_CAPABILITIES, Credentials, Ctx};

/// "No change" in `setresuid` and its kin.
const KEEP: u32 = u32::MAX;
/// Most supplementary groups.
const NGROUPS_MAX: usize = 65536;
const SECBIT_KEEP_CAPS: u32 = 1 << 4;
const SECBIT_NO_SETUID_FIXUP: u32 = 1 << 2;

/// `getuid(2)`.
pub fn getuid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.credentials().uid as usize)
}

/// `geteuid(2)`.
pub fn geteuid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.credentials().euid as usize)
}

/// `getgid(2)`.
pub fn getgid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.credentials().gid as usize)
}

/// `getegid(2)`.
pub fn getegid(ctx: &mut Ctx) -> SysResult {
    Ok(ctx.task.credentials().egid as usize)
}

/// `getresuid(2)`.
pub fn getresuid(
    ctx: &mut Ctx,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> SysResult {
    let credentials = ctx.task.credentials();
    ctx.memory().write_value(real, &credentials.uid)?;
    ctx.memory().write_value(effective, &credentials.euid)?;
    ctx.memory().write_value(saved, &credentials.suid)?;
    Ok(0)
}

/// `getresgid(2)`.
pub fn getresgid(
    ctx: &mut Ctx,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> SysResult {
    let credentials = ctx.task.credentials();
    ctx.memory().write_value(real, &credentials.gid)?;
    ctx.memory().write_value(effective, &credentials.egid)?;
    ctx.memory().write_value(saved, &credentials.sgid)?;
    Ok(0)
}

/// Puts new user ids in force: capabilities follow the rules of capabilities(7), "Effect of user
/// ID changes on capabilities"; a changed effective id makes the process undumpable.
fn commit_uids(ctx: &mut Ctx, mut new: Credentials) {
    let old = ctx.task.credentials();
    if new.securebits & SECBIT_NO_SETUID_FIXUP == 0 {
        let was_root = old.uid == 0 || old.euid == 0 || old.suid == 0;
        let is_root = new.uid == 0 || new.euid == 0 || new.suid == 0;
        if was_root && !is_root && new.securebits & SECBIT_KEEP_CAPS == 0 {
            new.permitted = 0;
            new.effective = 0;
        }
        if was_root && !is_root {
            new.ambient = 0;
        }
        if old.euid == 0 && new.euid != 0 {
            new.effective = 0;
        }
        if old.euid != 0 && new.euid == 0 {
            new.effective = new.permitted;
        }
    }
    commit(ctx, new);
}

/// Puts new credentials in force.
fn commit(ctx: &mut Ctx, new: Credentials) {
    let old = ctx.task.credentials();
    if old.euid != new.euid || old.egid != new.egid || old.fsuid != new.fsuid {
        ctx.task.group.dumpable.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    ctx.task.set_credentials(new);
    ctx.tell_identity();
}

/// `setuid(2)`.
pub fn setuid(ctx: &mut Ctx, uid: u32) -> SysResult {
    if uid == KEEP {
        return Err(Errno::EINVAL);
    }
    let mut new = (*ctx.task.credentials()).clone();
    if new.has(CAP_SETUID) {
        new.uid = uid;
        new.suid = uid;
    } else if uid != new.uid && uid != new.suid {
        return Err(Errno::EPERM);
    }
    new.euid = uid;
    new.fsuid = uid;
    commit_uids(ctx, new);
    Ok(0)
}

/// `setreuid(2)`.
pub fn setreuid(ctx: &mut Ctx, real: u32, effective: u32) -> SysResult {
    let old = ctx.task.credentials();
    let mut new = (*old).clone();
    let privileged = old.has(CAP_SETUID);
    if real != KEEP {
        if !privileged && real != old.uid && real != old.euid {
            return Err(Errno::EPERM);
        }
        new.uid = real;
    }
    if effective != KEEP {
        let known = [old.uid, old.euid, old.suid].contains(&effective);
        if !privileged && !known {
            return Err(Errno::EPERM);
        }
        new.euid = effective;
    }
    if real != KEEP || (effective != KEEP && effective != old.uid) {
        new.suid = new.euid;
    }
    new.fsuid = new.euid;
    commit_uids(ctx, new);
    Ok(0)
}

/// `setresuid(2)`.
pub fn setresuid(ctx: &mut Ctx, real: u32, effective: u32, saved: u32) -> SysResult {
    let old = ctx.task.credentials();
    let known = [old.uid, old.euid, old.suid];
    let allowed = |id: u32| id == KEEP || old.has(CAP_SETUID) || known.contains(&id);
    if !allowed(real) || !allowed(effective) || !allowed(saved) {
        return Err(Errno::EPERM);
    }
    let mut new = (*old).clone();
    replace(&mut new.uid, real);
    replace(&mut new.euid, effective);
    replace(&mut new.suid, saved);
    new.fsuid = new.euid;
    commit_uids(ctx, new);
    Ok(0)
}

fn replace(slot: &mut u32, id: u32) {
    if id != KEEP {
        *slot = id;
    }
}

/// `setgid(2)`.
pub fn setgid(ctx: &mut Ctx, gid: u32) -> SysResult {
    if gid == KEEP {
        return Err(Errno::EINVAL);
    }
    let mut new = (*ctx.task.credentials()).clone();
    if new.has(CAP_SETGID) {
        new.gid = gid;
        new.sgid = gid;
    } else if gid != new.gid && gid != new.sgid {
        return Err(Errno::EPERM);
    }
    new.egid = gid;
    new.fsgid = gid;
    commit(ctx, new);
    Ok(0)
}

/// `setregid(2)`.
pub fn setregid(ctx: &mut Ctx, real: u32, effective: u32) -> SysResult {
    let old = ctx.task.credentials();
    let mut new = (*old).clone();
    let privileged = old.has(CAP_SETGID);
    if real != KEEP {
        if !privileged && real != old.gid && real != old.egid {
            return Err(Errno::EPERM);
        }
        new.gid = real;
    }
    if effective != KEEP {
        let known = [old.gid, old.egid, old.sgid].contains(&effective);
        if !privileged && !known {
            return Err(Errno::EPERM);
        }
        new.egid = effective;
    }
    if real != KEEP || (effective != KEEP && effective != old.gid) {
        new.sgid = new.egid;
    }
    new.fsgid = new.egid;
    commit(ctx, new);
    Ok(0)
}

/// `setresgid(2)`.
pub fn setresgid(ctx: &mut Ctx, real: u32, effective: u32, saved: u32) -> SysResult {
    let old = ctx.task.credentials();
    let known = [old.gid, old.egid, old.sgid];
    let allowed = |id: u32| id == KEEP || old.has(CAP_SETGID) || known.contains(&id);
    if !allowed(real) || !allowed(effective) || !allowed(saved) {
        return Err(Errno::EPERM);
    }
    let mut new = (*old).clone();
    replace(&mut new.gid, real);
    replace(&mut new.egid, effective);
    replace(&mut new.sgid, saved);
    new.fsgid = new.egid;
    commit(ctx, new);
    Ok(0)
}

/// Capabilities that follow the file system user id (`CAP_FS_SET`).
const FILE_CAPABILITIES: u64 = 0b1_1111 | 1 << 9 | 1 << 27 | 1 << 32;

/// `setfsuid(2)`: answers with the former id, whether it changed or not.
pub fn setfsuid(ctx: &mut Ctx, uid: u32) -> SysResult {
    let old = ctx.task.credentials();
    let known = [old.uid, old.euid, old.suid, old.fsuid];
    if uid != KEEP && (known.contains(&uid) || old.has(CAP_SETUID)) {
        let mut new = (*old).clone();
        new.fsuid = uid;
        if old.securebits & SECBIT_NO_SETUID_FIXUP == 0 {
            if old.fsuid == 0 && uid != 0 {
                new.effective &= !FILE_CAPABILITIES;
            }
            if old.fsuid != 0 && uid == 0 {
                new.effective |= new.permitted & FILE_CAPABILITIES;
            }
        }
        commit(ctx, new);
    }
    Ok(old.fsuid as usize)
}

/// `setfsgid(2)`: answers with the former id, whether it changed or not.
pub fn setfsgid(ctx: &mut Ctx, gid: u32) -> SysResult {
    let old = ctx.task.credentials();
    let known = [old.gid, old.egid, old.sgid, old.fsgid];
    if gid != KEEP && (known.contains(&gid) || old.has(CAP_SETGID)) {
        let mut new = (*old).clone();
        new.fsgid = gid;
        commit(ctx, new);
    }
    Ok(old.fsgid as usize)
}

/// `getgroups(2)`.
pub fn getgroups(ctx: &mut Ctx, size: i32, list: UserPtr<u32>) -> SysResult {
    if size < 0 {
        return Err(Errno::EINVAL);
    }
    let credentials = ctx.task.credentials();
    let count = credentials.groups.len();
    if size == 0 {
        return Ok(count);
    }
    if count > size as usize {
        return Err(Errno::EINVAL);
    }
    ctx.memory().write_array(list, &credentials.groups)?;
    Ok(count)
}

/// `setgroups(2)`.
pub fn setgroups(ctx: &mut Ctx, size: u32, list: UserPtr<u32>) -> SysResult {
    let old = ctx.task.credentials();
    if !old.has(CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    if size as usize > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups = ctx.memory().read_array(list, size as usize)?;
    groups.sort_unstable();
    let mut new = (*old).clone();
    new.groups = groups;
    commit(ctx, new);
    Ok(0)
}

/// Number of 32-bit halves for a header version; the preferred one is told for unknown versions.
fn halves(ctx: &Ctx, header: UserPtr<CapHeader>) -> Result<(CapHeader, usize), Errno> {
    let mut value = ctx.memory().read_value(header)?;
    match value.version {
        _LINUX_CAPABILITY_VERSION_1 => Ok((value, 1)),
        _LINUX_CAPABILITY_VERSION_2 | _LINUX_CAPABILITY_VERSION_3 => Ok((value, 2)),
        _ => {
            value.version = _LINUX_CAPABILITY_VERSION_3;
            ctx.memory().write_value(header, &value)?;
            Err(Errno::EINVAL)
        }
    }
}

/// `capget(2)`.
pub fn capget(ctx: &mut Ctx, header: UserPtr<CapHeader>, data: UserPtr<CapData>) -> SysResult {
    let (head, count) = match halves(ctx, header) {
        // A null data pointer only asks for the version.
        Err(Errno::EINVAL) if data.is_null() => return Ok(0),
        other => other?,
    };
    if head.pid < 0 {
        return Err(Errno::EINVAL);
    }
    let credentials = if head.pid == 0 {
        ctx.task.credentials()
    } else {
        ctx.task.kernel.tasks.task(head.pid).ok_or(Errno::ESRCH)?.credentials()
    };
    if data.is_null() {
        return Ok(0);
    }
    let half = |shift: u32| CapData {
        effective: (credentials.effective >> shift) as u32,
        permitted: (credentials.permitted >> shift) as u32,
        inheritable: (credentials.inheritable >> shift) as u32,
    };
    ctx.memory().write_array(data, &[half(0), half(32)][..count])?;
    Ok(0)
}

/// `capset(2)`.
pub fn capset(ctx: &mut Ctx, header: UserPtr<CapHeader>, data: UserPtr<CapData>) -> SysResult {
    let (head, count) = halves(ctx, header)?;
    if head.pid != 0 && head.pid != ctx.task.tid() {
        return Err(Errno::EPERM);
    }
    let mut wanted = [CapData::default(); 2];
    wanted[..count].copy_from_slice(&ctx.memory().read_array(data, count)?);
    let join = |pick: fn(&CapData) -> u32| {
        (u64::from(pick(&wanted[0])) | u64::from(pick(&wanted[1])) << 32) & ALL_CAPABILITIES
    };
    let effective = join(|half| half.effective);
    let permitted = join(|half| half.permitted);
    let inheritable = join(|half| half.inheritable);
    let old = ctx.task.credentials();
    let may_add = if old.has(CAP_SETPCAP) { old.bounding } else { 0 };
    let allowed = permitted & !old.permitted == 0
        && effective & !permitted == 0
        && inheritable & !(old.inheritable | old.permitted | may_add) == 0
        && inheritable & !(old.inheritable | old.bounding) == 0;
    if !allowed {
        return Err(Errno::EPERM);
    }
    let mut new = (*old).clone();
    new.effective = effective;
    new.permitted = permitted;
    new.inheritable = inheritable;
    new.ambient &= permitted & inheritable;
    commit(ctx, new);
    Ok(0)
}
