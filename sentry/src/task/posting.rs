//! Calls that guest code does not wait for: on which descriptors it may make some.
//!
//! A descriptor of a file or directory that was opened for reading only, by a process with one thread
//! and a table of its own: that it is closed concerns nobody who could learn of it before we make the
//! call (`platform::Thread::let_post`), unless there are locks or watches. The guest knows of such
//! descriptors until it makes a call that is not known to leave them alone.

use std::sync::{Arc, Weak};

use linux_abi::fs::{F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, FileKind};
use linux_abi::sysno::*;
use linux_abi::tty::FICLONE;
use platform::{Posted, Poster};

use super::{Ctx, Task};
use crate::vfs::FileDescription;

/// Makes the calls of a task.
struct Desk(Weak<Task>);

impl Poster for Desk {
    fn make(&self, posted: Posted) {
        let Some(task) = self.0.upgrade() else { return };
        let (Posted::Close { fd } | Posted::SetCloexec { fd, .. }) = posted;
        let fds = task.fds();
        // The guest may say what it was never told.
        if !fds.get(fd).is_ok_and(|file| is_only_read(&file)) {
            return;
        }
        // An error would be for nobody: it was told already that they succeed.
        let _ = match posted {
            Posted::Close { fd } => fds.close(fd),
            Posted::SetCloexec { fd, is_cloexec } => fds.set_cloexec(fd, is_cloexec),
        };
        task.kernel.vfs.deferred().run();
    }
}

/// Before a call is made: what it could do to descriptors, guest code must not know otherwise.
pub(super) fn begin(ctx: &mut Ctx, number: u64, args: &[u64; 6]) {
    if ctx.posts_on == 0 {
        return;
    }
    if !leaves_descriptors(number, args) {
        end(ctx);
    } else if number == SYS_CLOSE && ctx.posts_on >> (args[0] as u32).min(63) & 1 != 0 {
        // It may have been closed at a place where the stub has not seen it.
        ctx.thread.end_posting_on(args[0] as u32);
    }
}

/// Guest code shall know of no descriptors any more. The thread is in a call, or was interrupted.
pub(super) fn end(ctx: &mut Ctx) {
    if std::mem::take(&mut ctx.posts_on) != 0 {
        ctx.thread.end_posting();
    }
}

/// A call was made, with this result: if that is a descriptor of which guest code may know, it does.
pub(super) fn note(ctx: &mut Ctx, number: u64, args: &[u64; 6], result: usize) {
    let is_new = match number {
        SYS_OPEN | SYS_OPENAT => true,
        SYS_FCNTL if matches!(args[1] as i32, F_DUPFD | F_DUPFD_CLOEXEC) => false,
        _ => return,
    };
    if !is_possible(ctx) {
        return;
    }
    let task = &ctx.task;
    let Ok(file) = task.fds().get(result as i32) else { return };
    if !closes_silently(&file) {
        return;
    }
    // Nobody else can change the flags of one that was opened just now.
    let flags = is_new.then(|| file.flags().bits());
    let mut desk = || -> Arc<dyn Poster> { Arc::new(Desk(Arc::downgrade(task))) };
    ctx.thread.let_post(flags, &mut desk);
    ctx.posts_on |= 1 << result.min(63);
}

/// Whether guest code may make calls without our word behind the present one: nobody wants to see them,
/// and nobody else can change its descriptors.
pub(super) fn is_possible(ctx: &Ctx) -> bool {
    let task = &ctx.task;
    ctx.thread.can_post()
        && task.kernel.strace.is_none()
        && !task.seccomp.is_on()
        && !task.tracing.is_traced()
        && task.has_own_fds()
}

/// Whether nobody can tell when a descriptor of this file is closed.
fn closes_silently(file: &FileDescription) -> bool {
    let inode = file.inode();
    let common = inode.common();
    is_only_read(file) && common.existing_locks().is_none() && common.existing_watches().is_none()
}

/// Whether this is a file or directory that was opened for reading only, which stays so.
fn is_only_read(file: &FileDescription) -> bool {
    let is_plain = matches!(file.location().kind(), FileKind::Regular | FileKind::Directory);
    is_plain && !file.is_path() && !file.is_writable()
}

/// Whether a call neither closes nor changes a descriptor but in ways that are posted, nor locks a
/// file, nor gives a descriptor to others.
fn leaves_descriptors(number: u64, args: &[u64; 6]) -> bool {
    match number {
        SYS_FCNTL => {
            matches!(args[1] as i32, F_DUPFD | F_DUPFD_CLOEXEC | F_GETFD | F_SETFD | F_GETFL)
        }
        SYS_IOCTL => args[1] as u32 == FICLONE,
        SYS_OPEN | SYS_OPENAT | SYS_CLOSE | SYS_READ | SYS_PREAD64 | SYS_READV | SYS_WRITE
        | SYS_PWRITE64 | SYS_WRITEV | SYS_LSEEK | SYS_GETDENTS64 | SYS_COPY_FILE_RANGE
        | SYS_FADVISE64 | SYS_FSYNC | SYS_FDATASYNC | SYS_FTRUNCATE => true,
        SYS_STAT | SYS_FSTAT | SYS_LSTAT | SYS_NEWFSTATAT | SYS_STATX | SYS_STATFS
        | SYS_FSTATFS | SYS_ACCESS | SYS_FACCESSAT | SYS_FACCESSAT2 | SYS_READLINK
        | SYS_READLINKAT | SYS_GETCWD | SYS_CHDIR | SYS_FCHDIR => true,
        SYS_MKDIR | SYS_MKDIRAT | SYS_RMDIR | SYS_UNLINK | SYS_UNLINKAT | SYS_RENAME
        | SYS_RENAMEAT | SYS_RENAMEAT2 | SYS_LINK | SYS_LINKAT | SYS_SYMLINK | SYS_SYMLINKAT
        | SYS_CHMOD | SYS_FCHMOD | SYS_FCHMODAT | SYS_CHOWN | SYS_FCHOWN | SYS_LCHOWN
        | SYS_FCHOWNAT | SYS_UTIMENSAT | SYS_UMASK => true,
        SYS_BRK | SYS_MMAP | SYS_MUNMAP | SYS_MPROTECT | SYS_MREMAP | SYS_MADVISE
        | SYS_RT_SIGACTION | SYS_RT_SIGPROCMASK | SYS_RT_SIGRETURN | SYS_NANOSLEEP
        | SYS_CLOCK_NANOSLEEP | SYS_WAIT4 => true,
        _ => false,
    }
}
