//! `cmdline`, `environ`, `auxv`, `comm`.

use std::ops::Range;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::task::TASK_COMM_LEN;

use super::state;
use crate::fs::proc::subject::Subject;
use crate::fs::synthetic::{NodeAttributes, SyntheticFile, Writable};
use crate::memory::UserAddr;
use crate::mm::Mm;
use crate::vfs::{Inode, IoContext};

/// Longest argument or environment area; the loader admits no more.
const MAX_AREA: u64 = 6 << 20;

/// What lies in `range` of the process' memory, as far as it is mapped.
fn area(mm: &Mm, range: Range<u64>) -> Vec<u8> {
    let len = range.end.saturating_sub(range.start).min(MAX_AREA);
    let mut bytes = vec![0; len as usize];
    let got = mm.memory().read_partial(UserAddr(range.start), &mut bytes).unwrap_or(0);
    bytes.truncate(got);
    bytes
}

/// `/proc/[pid]/cmdline`: the arguments, each with its NUL. Empty for a zombie.
///
/// A program that overwrites its arguments with a longer text (without the last NUL) shows the
/// text up to its end in the environment (Linux: the `setproctitle` hack of `get_mm_cmdline`).
pub(super) fn cmdline(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let Some(task) = subject.living_task()? else { return Ok(Vec::new()) };
    let mm = task.mm();
    let (args, env) = mm.with_record(|record| (record.args.clone(), record.env.clone()));
    let mut bytes = area(&mm, args.clone());
    let is_whole = bytes.len() as u64 == args.end.saturating_sub(args.start);
    if !is_whole || bytes.last().is_none_or(|&byte| byte == 0) {
        return Ok(bytes);
    }
    if env.start == args.end {
        bytes.extend(area(&mm, env));
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    Ok(bytes)
}

/// `/proc/[pid]/environ`.
pub(super) fn environ(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let Some(task) = subject.living_task()? else { return Ok(Vec::new()) };
    let mm = task.mm();
    let env = mm.with_record(|record| record.env.clone());
    Ok(area(&mm, env))
}

/// `/proc/[pid]/auxv`.
pub(super) fn auxv(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let Some(task) = subject.living_task()? else { return Ok(Vec::new()) };
    Ok(task.mm().with_record(|record| record.auxv.clone()))
}

/// `/proc/[pid]/comm`: threads of the process may change it (EINVAL for others).
pub(super) fn comm(subject: &Arc<Subject>, attributes: NodeAttributes) -> Arc<dyn Inode> {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &IoContext<'_>| {
        let mut name = state::name(&reader, reader.living_task()?.as_ref())?;
        name.push(b'\n');
        Ok(name)
    };
    let write = move |data: &[u8], io: &IoContext<'_>| {
        let task = writer.task()?;
        if !writer.is_caller(io) {
            return Err(Errno::EINVAL);
        }
        let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
        *task.name.lock() = data[..end.min(TASK_COMM_LEN - 1)].to_vec();
        Ok(())
    };
    SyntheticFile::new(attributes, Writable { read, write })
}
