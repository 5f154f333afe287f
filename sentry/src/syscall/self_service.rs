//! Lets guest code read and write descriptors by itself that it uses much: pipes, connections,
//! `/dev/zero` and `/dev/null`. The platform has the means ([`platform::Descriptors`]); the file says
//! whether that may be ([`File::self_served`](crate::vfs::File::self_served)).

use std::sync::Arc;

use linux_abi::fs::OpenFlags;
use platform::ServedFile;

use super::Fd;
use crate::net::socket_of;
use crate::task::Ctx;
use crate::vfs::{Conduits, FileDescription, SelfServed};

/// With these somebody wants to know of each read or write, or it is more than bytes.
const REFUSED: OpenFlags = OpenFlags::DIRECT.union(OpenFlags::FASYNC);

/// After a read or write of `fd`: if there were many, lets the caller's process make them by itself.
pub(super) async fn offer(ctx: &mut Ctx, fd: Fd, file: &Arc<FileDescription>) {
    if !file.is_worth_serving() || !platform::Descriptors::has_room_for(fd.0) {
        return;
    }
    let (Some(descriptors), true) = (ctx.thread.descriptors(), ctx.may_serve_itself()) else {
        return;
    };
    if file.flags().intersects(REFUSED) {
        return;
    }
    let platform = ctx.task.kernel.platform.clone();
    let Some(served) = file.file().self_served(&|| platform.new_conduit()) else { return };
    let (reads, writes) = (file.is_readable(), file.is_writable());
    let is_nonblocking = file.is_nonblocking();
    let served = match served {
        SelfServed::Zero => ServedFile::zero(reads, writes),
        SelfServed::Null => ServedFile::null(reads, writes),
        SelfServed::Conduits(Conduits { input, output }) => {
            for conduit in [&input, &output].into_iter().flatten() {
                if ctx.thread.map_conduit(conduit).await.is_err() {
                    return;
                }
            }
            let is_socket = socket_of(file).is_ok();
            ServedFile::conduits(input.as_ref(), output.as_ref(), is_nonblocking, is_socket)
        }
    };
    if ctx.task.fds().serve(fd.0, file, served, &descriptors) {
        ctx.thread.use_descriptors(true);
    }
    if file.is_nonblocking() != is_nonblocking {
        // Whoever has changed that may have come too early to take it back.
        file.file().flags_changed();
    }
}
