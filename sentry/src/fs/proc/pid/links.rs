//! `exe`, `cwd`, `root`.

use linux_abi::Errno;

use crate::fs::proc::subject::Subject;
use crate::vfs::{IoContext, Location, path_of};

/// What a link to `place` shows to the reader.
pub(super) fn shown(place: &Location, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let reader = io.task.ok_or(Errno::ENOENT)?;
    Ok(path_of(place, &reader.fs().root()))
}

/// The program. Errors: ENOENT for a zombie.
pub(super) fn exe(subject: &Subject) -> Result<Location, Errno> {
    let task = subject.living_task()?.ok_or(Errno::ENOENT)?;
    let exe = task.mm().with_record(|record| record.exe.clone()).ok_or(Errno::ENOENT)?;
    Ok(exe.location().clone())
}

pub(super) fn exe_text(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    shown(&exe(subject)?, io)
}

/// The working directory. Errors: ENOENT for a zombie.
pub(super) fn cwd(subject: &Subject) -> Result<Location, Errno> {
    Ok(subject.living_task()?.ok_or(Errno::ENOENT)?.fs().cwd())
}

pub(super) fn cwd_text(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    shown(&cwd(subject)?, io)
}

/// The root directory. Errors: ENOENT for a zombie.
pub(super) fn root(subject: &Subject) -> Result<Location, Errno> {
    Ok(subject.living_task()?.ok_or(Errno::ENOENT)?.fs().root())
}

pub(super) fn root_text(subject: &Subject, io: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    shown(&root(subject)?, io)
}
