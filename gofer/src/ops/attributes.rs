//! Get and set attributes, figures of the file system, write-back.

use gofer_protocol::message::{AttrReply, NodesRequest, SetAttrRequest, TargetRequest};
use gofer_protocol::transport::errno;
use gofer_protocol::wire::Reader;
use gofer_protocol::{MAX_ATTR_NODES, OpenFlags, Time, flags::SetAttrMask};
use linux_abi::Errno;
use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid};

use crate::connection::{Connection, Outcome};
use crate::handle::Handle;

const NSEC_PER_SEC: u64 = 1_000_000_000;

impl Connection {
    pub(crate) fn get_attr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let handle = self.nodes.get(fixed.node)?;
        let attr = match name {
            None => handle.attr()?,
            Some(name) => handle.entry_attr(name)?,
        };
        self.response.fixed(&attr);
        Ok(None)
    }

    pub(crate) fn get_attrs(&mut self, request: &mut Reader<'_>) -> Outcome {
        let NodesRequest { count, .. } = request.fixed()?;
        if !(1..=MAX_ATTR_NODES).contains(&(count as usize)) {
            return Err(Errno::EINVAL);
        }
        for _ in 0..count {
            let handle = self.nodes.get(request.fixed()?);
            let reply = match handle.and_then(|handle| handle.attr()) {
                Ok(attr) => AttrReply { attr, ..AttrReply::default() },
                Err(error) => AttrReply { error: error.raw() as u32, ..AttrReply::default() },
            };
            self.response.fixed(&reply);
        }
        request.finish()?;
        Ok(None)
    }

    pub(crate) fn set_attr(&mut self, request: &mut Reader<'_>) -> Outcome {
        let set: SetAttrRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let mask = SetAttrMask::from_bits(set.mask).ok_or(Errno::EINVAL)?;
        let times = parse_times(&set, mask)?;
        self.check_writable()?;
        let handle = self.target(set.node, name)?;
        check_applicable(&handle, mask)?;
        let object = handle.as_object()?;
        // Changing the owner takes set-id bits away, so the mode comes after it.
        if mask.intersects(SetAttrMask::UID | SetAttrMask::GID) {
            let uid = mask.contains(SetAttrMask::UID).then_some(set.uid);
            let gid = mask.contains(SetAttrMask::GID).then_some(set.gid);
            let uid = uid.filter(|&uid| uid != u32::MAX).map(Uid::from_raw_unchecked);
            let gid = gid.filter(|&gid| gid != u32::MAX).map(Gid::from_raw_unchecked);
            rustix::fs::chownat(object, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(errno)?;
        }
        if mask.contains(SetAttrMask::MODE) {
            let mode = Mode::from_bits_truncate(set.mode & 0o7777);
            let path = handle.proc_name(self.proc_dir)?;
            rustix::fs::chmodat(CWD, path, mode, AtFlags::empty()).map_err(errno)?;
        }
        if mask.contains(SetAttrMask::SIZE) {
            let file = handle.open_file(OpenFlags::WRONLY, self.proc_dir)?;
            rustix::fs::ftruncate(file, set.size).map_err(errno)?;
        }
        if let Some(times) = times {
            rustix::fs::utimensat(object, c"", &times, AtFlags::EMPTY_PATH).map_err(errno)?;
        }
        let attr = handle.attr()?;
        self.response.fixed(&attr);
        Ok(None)
    }

    pub(crate) fn stat_fs(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let stats = self.target(fixed.node, name)?.stat_fs()?;
        self.response.fixed(&stats);
        Ok(None)
    }

    pub(crate) fn sync(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: TargetRequest = request.fixed()?;
        let name = request.optional_name()?;
        request.finish()?;
        let handle = self.target(fixed.node, name)?;
        let file = match handle.file_type() {
            libc::S_IFDIR => handle.open_dir(self.proc_dir)?,
            libc::S_IFREG => handle.open_file(OpenFlags::RDONLY, self.proc_dir)?,
            _ => return Err(Errno::EINVAL),
        };
        rustix::fs::fsync(file).map_err(errno)?;
        Ok(None)
    }
}

/// EISDIR and EINVAL for the size of what is no regular file, EOPNOTSUPP for the mode of a symbolic
/// link.
fn check_applicable(handle: &Handle, mask: SetAttrMask) -> Result<(), Errno> {
    if mask.contains(SetAttrMask::MODE) && handle.is_symlink() {
        return Err(Errno::EOPNOTSUPP);
    }
    match handle.file_type() {
        _ if !mask.contains(SetAttrMask::SIZE) => Ok(()),
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(Errno::EISDIR),
        _ => Err(Errno::EINVAL),
    }
}

/// The times to set, if any. EINVAL for nanoseconds that are too many, a size that is negative as
/// the host would read it, or a time that is to be set in two ways.
fn parse_times(set: &SetAttrRequest, mask: SetAttrMask) -> Result<Option<Timestamps>, Errno> {
    if mask.contains(SetAttrMask::SIZE) && i64::try_from(set.size).is_err() {
        return Err(Errno::EINVAL);
    }
    let last_access = parse_time(set.atime, mask, SetAttrMask::ATIME, SetAttrMask::ATIME_NOW)?;
    let last_modification =
        parse_time(set.mtime, mask, SetAttrMask::MTIME, SetAttrMask::MTIME_NOW)?;
    let times = Timestamps { last_access, last_modification };
    let all =
        SetAttrMask::ATIME | SetAttrMask::ATIME_NOW | SetAttrMask::MTIME | SetAttrMask::MTIME_NOW;
    Ok(mask.intersects(all).then_some(times))
}

fn parse_time(
    time: Time,
    mask: SetAttrMask,
    at: SetAttrMask,
    now: SetAttrMask,
) -> Result<Timespec, Errno> {
    match (mask.contains(at), mask.contains(now)) {
        (false, false) => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }),
        (false, true) => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }),
        (true, false) if time.nsec < NSEC_PER_SEC => {
            Ok(Timespec { tv_sec: time.sec, tv_nsec: time.nsec as i64 })
        }
        _ => Err(Errno::EINVAL),
    }
}
