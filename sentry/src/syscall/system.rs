//! The system as a whole: `uname`, `sysinfo`, `getrandom`, host names, `personality`.

use linux_abi::Errno;
use linux_abi::random::GetrandomFlags;
use linux_abi::task::{CAP_SYS_ADMIN, NEW_UTS_LEN, SysInfo, Utsname};

use super::SysResult;
use crate::kernel::{KERNEL_RELEASE, KERNEL_VERSION};
use crate::memory::{IoDest, UserAddr, UserIoVec, UserPtr};
use crate::mm::memory_in_use;
use crate::task::Ctx;

/// `uname(2)`.
pub fn uname(ctx: &mut Ctx, buf: UserPtr<Utsname>) -> SysResult {
    let names = ctx.task.kernel.uts.lock().clone();
    let mut value = Utsname::default();
    let fill = |field: &mut [u8; 65], text: &[u8]| {
        let len = text.len().min(64);
        field[..len].copy_from_slice(&text[..len]);
    };
    fill(&mut value.sysname, b"Linux");
    fill(&mut value.nodename, &names.hostname);
    fill(&mut value.release, KERNEL_RELEASE.as_bytes());
    fill(&mut value.version, KERNEL_VERSION.as_bytes());
    fill(&mut value.machine, b"x86_64");
    fill(&mut value.domainname, &names.domainname);
    ctx.memory().write_value(buf, &value)?;
    Ok(0)
}

/// Reads a new name. Errors: EPERM without CAP_SYS_ADMIN, EINVAL (too long), EFAULT.
fn read_name(ctx: &Ctx, name: UserAddr, len: i32) -> Result<Vec<u8>, Errno> {
    if !ctx.task.credentials().has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    if len > NEW_UTS_LEN {
        return Err(Errno::EINVAL);
    }
    ctx.memory().read_bytes(name, len)
}

/// `sethostname(2)`.
pub fn sethostname(ctx: &mut Ctx, name: UserAddr, len: i32) -> SysResult {
    let name = read_name(ctx, name, len)?;
    ctx.task.kernel.uts.lock().hostname = name;
    Ok(0)
}

/// `setdomainname(2)`.
pub fn setdomainname(ctx: &mut Ctx, name: UserAddr, len: i32) -> SysResult {
    let name = read_name(ctx, name, len)?;
    ctx.task.kernel.uts.lock().domainname = name;
    Ok(0)
}

/// `sysinfo(2)`: the memory the sandbox may use, its own uptime and processes.
pub fn sysinfo(ctx: &mut Ctx, info: UserPtr<SysInfo>) -> SysResult {
    let kernel = &ctx.task.kernel;
    let host = platform::host::process::machine_info();
    let uptime_ns = kernel.monotonic_ns() - kernel.boot_time_ns;
    let total = kernel.memory_total;
    let value = SysInfo {
        uptime: (uptime_ns / 1_000_000_000) as i64,
        loads: host.loads,
        totalram: total,
        freeram: total.saturating_sub(memory_in_use(kernel)),
        procs: kernel.tasks.groups().len().min(usize::from(u16::MAX)) as u16,
        mem_unit: 1,
        ..SysInfo::default()
    };
    ctx.memory().write_value(info, &value)?;
    Ok(0)
}

/// `getrandom(2)`.
pub fn getrandom(ctx: &mut Ctx, buf: UserAddr, len: usize, flags: u32) -> SysResult {
    let flags = GetrandomFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(GetrandomFlags::RANDOM | GetrandomFlags::INSECURE) {
        return Err(Errno::EINVAL);
    }
    let len = len.min(i32::MAX as usize);
    let memory = ctx.memory().clone();
    let mut dest = IoDest::user(&memory, vec![UserIoVec { addr: buf, len }]);
    dest.fill(len, |_, piece| {
        platform::host::random::fill(piece)?;
        Ok(piece.len())
    })
}

/// `personality(2)`: only plain Linux, with the flags kept.
pub fn personality(ctx: &mut Ctx, wanted: u64) -> SysResult {
    const QUERY: u64 = 0xffff_ffff;
    let slot = &ctx.task.group.personality;
    let old = slot.load(std::sync::atomic::Ordering::Relaxed);
    if wanted & QUERY != QUERY {
        slot.store(wanted as u32, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(old as usize)
}
