//! Making files: create, make directory, make node, symbolic link.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use gofer_protocol::message::{NewDirectoryRequest, NewRequest, UnnamedReply, UnnamedRequest};
use gofer_protocol::transport::{MAX_DESCRIPTORS, errno};
use gofer_protocol::wire::Reader;
use gofer_protocol::{Attr, FsStats, MAX_LINK_BYTES, Name};
use linux_abi::Errno;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::path::DecInt;

use crate::connection::{Connection, Donation, Outcome};
use crate::handle::Handle;
use crate::ops::walk::{parse_bool, parse_open_flags};

/// Bits that a change of owner takes away, and that `mkdir(2)` ignores.
const SET_ID_BITS: u32 = 0o6000;

/// Files without a name are made only while at least so much is free.
const RESERVED_BYTES: u64 = 16 << 20;
const RESERVED_FILES: u64 = 256;

impl Connection {
    pub(crate) fn create(&mut self, request: &mut Reader<'_>) -> Outcome {
        let (new, dir, name) = self.start_making(request)?;
        request.finish()?;
        let flags = parse_open_flags(new.open_flags)?;
        let (handle, attr) = dir.create(name, flags, permissions(new.mode), self.resolution)?;
        let handle = self.finish_making(handle, attr, &new)?;
        Ok(Some(Donation::Created(vec![handle])))
    }

    pub(crate) fn make_directory(&mut self, request: &mut Reader<'_>) -> Outcome {
        let (new, dir, name) = self.start_making(request)?;
        request.finish()?;
        let mode = permissions(new.mode & !SET_ID_BITS);
        rustix::fs::mkdirat(dir.as_dir()?, name.as_bytes(), mode).map_err(errno)?;
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        self.finish_making(handle, attr, &new)?;
        Ok(None)
    }

    /// Makes a directory that is known by the client's number.
    pub(crate) fn make_directory_as(&mut self, request: &mut Reader<'_>) -> Outcome {
        let NewDirectoryRequest { node, dir, mode, uid, gid, .. } = request.fixed()?;
        let name = request.name()?;
        request.finish()?;
        self.check_writable()?;
        self.nodes.check_choice(node)?;
        let dir = self.nodes.get(dir)?;
        let permitted = permissions(mode & !SET_ID_BITS);
        rustix::fs::mkdirat(dir.as_dir()?, name.as_bytes(), permitted).map_err(errno)?;
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        let new = NewRequest { mode, uid, gid, ..NewRequest::default() };
        let (_, owner_error) = set_up(&handle, attr, &new)?;
        self.nodes.insert_chosen(node, Rc::new(handle))?;
        // As the one before it, for which the client has waited.
        if let Some(error) = owner_error {
            tracing::debug!(?error, "a directory does not have the owner asked for");
        }
        Ok(None)
    }

    pub(crate) fn make_node(&mut self, request: &mut Reader<'_>) -> Outcome {
        let (new, dir, name) = self.start_making(request)?;
        request.finish()?;
        let file_type = match new.mode & libc::S_IFMT {
            0 | libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            // Not even the overlay's whiteout: devices of the host are no business of a sandbox.
            libc::S_IFCHR | libc::S_IFBLK => return Err(Errno::EPERM),
            _ => return Err(Errno::EINVAL),
        };
        let mode = permissions(new.mode);
        rustix::fs::mknodat(dir.as_dir()?, name.as_bytes(), file_type, mode, 0).map_err(errno)?;
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        self.finish_making(handle, attr, &new)?;
        Ok(None)
    }

    pub(crate) fn symlink(&mut self, request: &mut Reader<'_>) -> Outcome {
        let (new, dir, name) = self.start_making(request)?;
        let target = request.rest();
        if target.len() > MAX_LINK_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        rustix::fs::symlinkat(target, dir.as_dir()?, name.as_bytes()).map_err(errno)?;
        let (handle, attr) = dir.lookup(name, self.resolution)?;
        self.finish_making(handle, attr, &new)?;
        Ok(None)
    }

    pub(crate) fn make_unnamed(&mut self, request: &mut Reader<'_>) -> Outcome {
        let fixed: UnnamedRequest = request.fixed()?;
        request.finish()?;
        let count = fixed.count as usize;
        if !(1..=MAX_DESCRIPTORS).contains(&count) {
            return Err(Errno::EINVAL);
        }
        self.check_writable()?;
        let dir = self.nodes.get(fixed.dir)?;
        let UnnamedRequest { mode, uid, gid, .. } = fixed;
        let new = NewRequest { mode, uid, gid, wants_node: 1, ..NewRequest::default() };
        if !has_space_for_names(&dir.stat_fs()?) {
            return Err(Errno::ENOSPC);
        }
        let start = self.response.len();
        self.response.fixed(&UnnamedReply::default());
        let mut made = Vec::with_capacity(count);
        while made.len() < count {
            let file = dir
                .create_unnamed(permissions(mode), self.resolution)
                .and_then(|(handle, attr)| self.finish_making(handle, attr, &new));
            match file {
                Ok(handle) => made.push(handle),
                Err(error) if made.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        self.response.replace(start, &UnnamedReply { count: made.len() as u32, reserved: 0 });
        Ok(Some(Donation::Created(made)))
    }

    /// Reads the common part of the requests and does the common checks.
    fn start_making<'a>(
        &self,
        request: &mut Reader<'a>,
    ) -> Result<(NewRequest, Rc<Handle>, Name<'a>), Errno> {
        let new: NewRequest = request.fixed()?;
        let name = request.name()?;
        self.check_writable()?;
        if parse_bool(new.wants_node)? {
            self.nodes.check_room()?;
        }
        let dir = self.nodes.get(new.dir)?;
        dir.as_dir()?;
        Ok((new, dir, name))
    }

    /// Gives the new file its owner and mode and reports it.
    fn finish_making(
        &mut self,
        handle: Handle,
        attr: Attr,
        new: &NewRequest,
    ) -> Result<Rc<Handle>, Errno> {
        let (attr, owner_error) = set_up(&handle, attr, new)?;
        let handle = Rc::new(handle);
        self.reply_node(Rc::clone(&handle), attr, new.wants_node != 0, owner_error)?;
        Ok(handle)
    }
}

/// Gives a new file its owner and mode; answers with what it is like then, and why it does not have the
/// owner asked for.
fn set_up(
    handle: &Handle,
    mut attr: Attr,
    new: &NewRequest,
) -> Result<(Attr, Option<Errno>), Errno> {
    let object = handle.as_object()?;
    let changed_owner = set_owner(object, &attr, new.uid, new.gid);
    if changed_owner != Ok(false) {
        attr = handle.attr()?;
    }
    let mut owner_error = changed_owner.err();
    // The set-id bits are lost when the owner changes; the others are as the host made
    // them, which may be less than asked for where the directory has a default ACL.
    let mode = (attr.mode & 0o1777) | (new.mode & SET_ID_BITS);
    if !handle.is_symlink() && mode != attr.mode & 0o7777 {
        let changed =
            rustix::fs::chmodat(CWD, DecInt::from_fd(object), permissions(mode), AtFlags::empty());
        owner_error = owner_error.or(changed.map_err(errno).err());
        attr = handle.attr()?;
    }
    Ok((attr, owner_error))
}

/// Whether directories can surely grow by some names.
fn has_space_for_names(stats: &FsStats) -> bool {
    let bytes = stats.blocks_available.saturating_mul(stats.fragment_size.max(stats.block_size));
    // Figures that are not kept are zero.
    let has_bytes = stats.blocks == 0 || bytes >= RESERVED_BYTES;
    has_bytes && (stats.files == 0 || stats.files_free >= RESERVED_FILES)
}

/// Changes the owner to what is asked for, where it differs; at least the group if not both.
/// Answers with whether anything did.
fn set_owner(object: BorrowedFd<'_>, attr: &Attr, uid: u32, gid: u32) -> Result<bool, Errno> {
    let uid = (uid != u32::MAX && uid != attr.uid).then(|| Uid::from_raw_unchecked(uid));
    let gid = (gid != u32::MAX && gid != attr.gid).then(|| Gid::from_raw_unchecked(gid));
    if uid.is_none() && gid.is_none() {
        return Ok(false);
    }
    let chown = |uid, gid| {
        rustix::fs::chownat(object.as_fd(), c"", uid, gid, AtFlags::EMPTY_PATH).map_err(errno)
    };
    let result = chown(uid, gid);
    if result.is_err() && uid.is_some() && gid.is_some() {
        // The error told is that of the owner.
        let _ = chown(None, gid);
    }
    result.map(|()| true)
}

fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}
