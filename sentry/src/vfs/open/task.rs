//! Opening for a task: with waiting for the other end of a FIFO.

use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::InotifyMask;

use super::{OpenRequest, Opened, open_path};
use crate::fs::pipe::{Pipe, open_fifo};
use crate::task::Ctx;
use crate::vfs::watch::notify;
use crate::vfs::{FileDescription, Location, path_context};

/// Opens `path` relative to `dirfd` for the calling task.
///
/// # Errors
/// Those of open(2); ERESTARTSYS when a signal ends the wait for the other end of a FIFO.
pub async fn open_at(
    ctx: &mut Ctx,
    dirfd: i32,
    path: &[u8],
    request: &OpenRequest,
) -> Result<Arc<FileDescription>, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let opened = {
        let context = path_context(&ctx.task, dirfd, path, request.resolve)?;
        open_path(&context, path, request, ctx.task.fs().umask())?
    };
    match opened {
        Opened::File(description) => Ok(description),
        Opened::Fifo(place) => open_end(ctx, place, request).await,
    }
}

async fn open_end(
    ctx: &mut Ctx,
    place: Location,
    request: &OpenRequest,
) -> Result<Arc<FileDescription>, Errno> {
    let pipe = place.dentry().inode().common().fifo().get_or_insert_with(Pipe::new);
    let end = ctx.block(open_fifo(&pipe, request.flags)).await??;
    let description = FileDescription::new(Box::new(end), place, request.flags);
    notify(description.location(), InotifyMask::OPEN);
    Ok(description)
}
