//! `syslog`: the kernel's log, which holds one line.

use linux_abi::Errno;
use linux_abi::task::{
    CAP_SYS_ADMIN, CAP_SYSLOG, SYSLOG_ACTION_CLEAR, SYSLOG_ACTION_CLOSE,
    SYSLOG_ACTION_CONSOLE_LEVEL, SYSLOG_ACTION_CONSOLE_OFF, SYSLOG_ACTION_CONSOLE_ON,
    SYSLOG_ACTION_OPEN, SYSLOG_ACTION_READ, SYSLOG_ACTION_READ_ALL, SYSLOG_ACTION_READ_CLEAR,
    SYSLOG_ACTION_SIZE_BUFFER, SYSLOG_ACTION_SIZE_UNREAD,
};

use super::SysResult;
use crate::kernel::{KERNEL_RELEASE, KERNEL_VERSION};
use crate::memory::UserAddr;
use crate::task::Ctx;

/// Bytes that the log could hold.
const BUFFER_BYTES: usize = 1 << 17;

/// `syslog(2)`, with `dmesg_restrict` in force.
///
/// Errors: EPERM without CAP_SYSLOG, EINVAL, EFAULT; a read of new messages waits for ever (EINTR).
pub async fn syslog(ctx: &mut Ctx, action: i32, buffer: UserAddr, len: i32) -> SysResult {
    let own = ctx.task.credentials();
    if !own.has(CAP_SYSLOG) && !own.has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    let room = || match usize::try_from(len) {
        Ok(room) if !buffer.is_null() => Ok(room),
        _ => Err(Errno::EINVAL),
    };
    match action {
        SYSLOG_ACTION_CLOSE
        | SYSLOG_ACTION_OPEN
        | SYSLOG_ACTION_CLEAR
        | SYSLOG_ACTION_CONSOLE_OFF
        | SYSLOG_ACTION_CONSOLE_ON
        | SYSLOG_ACTION_SIZE_UNREAD => Ok(0),
        SYSLOG_ACTION_READ if room()? == 0 => Ok(0),
        SYSLOG_ACTION_READ => ctx.block(std::future::pending::<usize>()).await,
        SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_READ_CLEAR => {
            let line =
                format!("<5>[    0.000000] Linux version {KERNEL_RELEASE} {KERNEL_VERSION}\n");
            // The end of the log, if not all of it fits.
            let shown = line.len().min(room()?);
            ctx.memory().write_exact(buffer, &line.as_bytes()[line.len() - shown..])?;
            Ok(shown)
        }
        SYSLOG_ACTION_CONSOLE_LEVEL if (1..=8).contains(&len) => Ok(0),
        SYSLOG_ACTION_SIZE_BUFFER => Ok(BUFFER_BYTES),
        _ => Err(Errno::EINVAL),
    }
}
