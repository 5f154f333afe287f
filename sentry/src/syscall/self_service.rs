//! Lets guest code read and write descriptors by itself that it uses much: pipes, connections,
//! `/dev/zero` and `/dev/null`. The platform has the means ([`platform::Descriptors`]); the file says
//! whether that may be ([`File::self_served`](crate::vfs::File::self_served)).

use std::sync::Arc;

use linux_abi::fs::OpenFlags;
use platform::{ServedFile, ServedHow};

use super::Fd;
use crate::net::socket_of;
use crate::task::Ctx;
use crate::vfs::{Conduits, FileDescription, SelfServed};

/// After a read or write of `fd`: if there were many, lets the caller's process make them by itself.
pub(super) async fn offer(ctx: &mut Ctx, fd: Fd, file: &Arc<FileDescription>) {
    if !file.is_worth_serving() || !platform::Descriptors::has_room_for(fd.0) {
        return;
    }
    let (Some(descriptors), true) = (ctx.thread.descriptors(), ctx.may_serve_itself()) else {
        return;
    };
    let flags = file.flags();
    if flags.contains(OpenFlags::FASYNC) {
        // Somebody wants to know of each read or write.
        return;
    }
    let platform = ctx.task.kernel.platform.clone();
    let Some(served) = file.file().self_served(&|| platform.new_conduit()) else { return };
    let (reads, writes) = (file.is_readable(), file.is_writable());
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
            let how = ServedHow {
                is_nonblocking: flags.contains(OpenFlags::NONBLOCK),
                has_packets: flags.contains(OpenFlags::DIRECT) && !is_socket,
                is_socket,
            };
            ServedFile::conduits(input.as_ref(), output.as_ref(), how)
        }
    };
    if ctx.task.fds().serve(fd.0, file, served, &descriptors) {
        ctx.thread.use_descriptors(true);
    }
    if file.flags() != flags {
        // Whoever has changed that may have come too early to take it back.
        file.file().flags_changed();
    }
}
