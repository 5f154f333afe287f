//! Calls of the system administrator: `reboot`, `vhangup`.

use linux_abi::Errno;
use linux_abi::signal::{SIGHUP, SIGINT};
use linux_abi::task::{
    CAP_SYS_BOOT, CAP_SYS_TTY_CONFIG, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF,
    LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_RESTART2, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
    LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C, exited_status,
    signaled_status,
};

use super::{Flow, SysResult};
use crate::task::{Ctx, ExitReason, INIT_PID, end_group};

/// `reboot(2)` in a pid namespace: ends the container's first process with a signal that says why.
///
/// Errors: EPERM without CAP_SYS_BOOT; EINVAL.
pub fn reboot(ctx: &mut Ctx, magic1: u32, magic2: u32, command: u32) -> Flow {
    match reboot_signal(ctx, magic1, magic2, command) {
        Err(errno) => Flow::Return(Err(errno)),
        Ok(signal) => {
            if let Some(init) = ctx.task.kernel.tasks.group(INIT_PID) {
                end_group(&init, signaled_status(signal, false) as u32);
            }
            Flow::Exit(ExitReason::Thread(exited_status(0) as u32))
        }
    }
}

fn reboot_signal(ctx: &Ctx, magic1: u32, magic2: u32, command: u32) -> Result<i32, Errno> {
    const MAGICS: [u32; 4] =
        [LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C];
    if !ctx.task.credentials().has(CAP_SYS_BOOT) {
        return Err(Errno::EPERM);
    }
    if magic1 != LINUX_REBOOT_MAGIC1 || !MAGICS.contains(&magic2) {
        return Err(Errno::EINVAL);
    }
    match command {
        LINUX_REBOOT_CMD_RESTART | LINUX_REBOOT_CMD_RESTART2 => Ok(SIGHUP),
        LINUX_REBOOT_CMD_HALT | LINUX_REBOOT_CMD_POWER_OFF => Ok(SIGINT),
        _ => Err(Errno::EINVAL),
    }
}

/// `vhangup(2)`: hangs up the caller's terminal, if it has one.
///
/// Errors: EPERM without CAP_SYS_TTY_CONFIG.
pub fn vhangup(ctx: &mut Ctx) -> SysResult {
    if !ctx.task.credentials().has(CAP_SYS_TTY_CONFIG) {
        return Err(Errno::EPERM);
    }
    let session = ctx.task.group.session();
    let terminal = session.terminal.lock().take();
    if let Some(terminal) = terminal {
        terminal.session_ended();
    }
    Ok(0)
}
