//! The argument strings of a process as it shows them.

use linux_abi::Errno;

use crate::task::Task;

/// Longest command line that is shown, in bytes.
const MAX_BYTES: u64 = 4096;

/// The arguments of `task`'s process, joined by spaces.
///
/// # Errors
/// EFAULT when the process has unmapped them.
pub fn command_line(task: &Task) -> Result<String, Errno> {
    let mm = task.mm();
    let args = mm.with_record(|record| record.args.clone());
    let len = (args.end - args.start).min(MAX_BYTES) as usize;
    let mut bytes = mm.memory().read_bytes(crate::memory::UserAddr(args.start), len)?;
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    for byte in &mut bytes {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
