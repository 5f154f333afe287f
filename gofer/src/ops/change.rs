//! Link, unlink, remove directory, rename.

use std::os::fd::BorrowedFd;

use gofer_protocol::message::{LinkRequest, RenameRequest, TargetRequest};
use gofer_protocol::transport::errno;
use gofer_protocol::wire::Reader;
use gofer_protocol::{Name, RenameFlags};
use linux_abi::Errno;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use crate::connection::{Connection, Outcome};
use crate::handle::Handle;

impl Connection {
    pub(crate) fn link(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: LinkRequest = request.fixed()?;
        let source_name = request.optional_name()?;
        let name = request.name()?;
        request.finish()?;
        self.check_writable()?;
        let source = self.nodes.get(fixed.node)?;
        let dir = self.nodes.get(fixed.dir)?;
        let to = dir.as_dir()?;
        match source_name {
            Some(source_name) => {
                let (from, flags) = (source.as_dir()?, AtFlags::empty());
                rustix::fs::linkat(from, source_name.as_bytes(), to, name.as_bytes(), flags)
                    .map_err(errno)?;
            }
            None => self.link_handle(&source, to, name)?,
        }
        let attr = dir.entry_attr(name)?;
        self.response.fixed(&attr);
        Ok(None)
    }

    /// Gives a file without a name its first one.
    pub(crate) fn name(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: LinkRequest = request.fixed()?;
        let name = request.name()?;
        request.finish()?;
        self.check_writable()?;
        let file = self.nodes.get(fixed.node)?;
        let dir = self.nodes.get(fixed.dir)?;
        self.link_handle(&file, dir.as_dir()?, name)?;
        // When it was written, its descriptor tells.
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        rustix::fs::utimensat(file.as_object()?, c"", &times, AtFlags::EMPTY_PATH)
            .map_err(errno)?;
        Ok(None)
    }

    /// Links what a handle refers to.
    ///
    /// By an empty path that takes half as long as by the magic link, but a kernel before 6.10 wants
    /// CAP_DAC_READ_SEARCH for it and says ENOENT.
    fn link_handle(
        &mut self,
        file: &Handle,
        dir: BorrowedFd<'_>,
        name: Name<'_>,
    ) -> Result<(), Errno> {
        let name = name.as_bytes();
        if self.links_empty_paths {
            let from = file.as_object()?;
            match rustix::fs::linkat(from, c"", dir, name, AtFlags::EMPTY_PATH).map_err(errno) {
                Err(Errno::ENOENT) => {}
                result => return result,
            }
        }
        let from = file.proc_name(self.proc_dir)?;
        rustix::fs::linkat(CWD, from, dir, name, AtFlags::SYMLINK_FOLLOW).map_err(errno)?;
        self.links_empty_paths = false;
        Ok(())
    }

    pub(crate) fn unlink(&mut self, request: &mut Reader<'_>) -> Outcome {
        self.remove(request, AtFlags::empty())
    }

    pub(crate) fn remove_directory(&mut self, request: &mut Reader<'_>) -> Outcome {
        self.remove(request, AtFlags::REMOVEDIR)
    }

    fn remove(&mut self, request: &mut Reader<'_>, flags: AtFlags) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let name = request.name()?;
        request.finish()?;
        self.check_writable()?;
        let dir = self.nodes.get(fixed.node)?;
        rustix::fs::unlinkat(dir.as_dir()?, name.as_bytes(), flags).map_err(errno)?;
        Ok(None)
    }

    pub(crate) fn rename(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: RenameRequest = request.fixed()?;
        let old_name = request.name()?;
        let new_name = request.name()?;
        request.finish()?;
        let flags = RenameFlags::from_bits(fixed.flags).ok_or(Errno::EINVAL)?;
        self.check_writable()?;
        let old_dir = self.nodes.get(fixed.old_dir)?;
        let new_dir = self.nodes.get(fixed.new_dir)?;
        rustix::fs::renameat_with(
            old_dir.as_dir()?,
            old_name.as_bytes(),
            new_dir.as_dir()?,
            new_name.as_bytes(),
            rustix::fs::RenameFlags::from_bits_retain(flags.bits()),
        )
        .map_err(errno)?;
        Ok(None)
    }
}
