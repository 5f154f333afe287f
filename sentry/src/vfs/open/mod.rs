//! Opening files, open(2), openat2(2).

mod create;
mod exec;
mod request;
mod task;

use std::any::Any;
use std::sync::Arc;

use linux_abi::Errno;
use linux_abi::fs::{FileKind, InotifyMask, O_RDONLY, OpenFlags};

pub use exec::open_for_exec;
pub use request::OpenRequest;
pub use task::open_at;

use super::permission::{Want, check_inode, is_owner};
use super::walk::PathContext;
use super::watch::notify;
use super::{
    Access, AttributeChange, File, FileDescription, Inode, IoContext, Location, MountOptions,
    TimeChange, mode_without_privileges,
};
use crate::fs::DeviceOpen;

/// What an open leads to.
pub enum Opened {
    File(Arc<FileDescription>),
    /// A FIFO whose end is still to be opened, which may wait.
    Fifo(Location),
}

/// Opens `path`, making it if `request` says so; `umask` applies to what is made.
///
/// # Errors
/// Those of open(2).
pub fn open_path(
    context: &PathContext<'_>,
    path: &[u8],
    request: &OpenRequest,
    umask: u32,
) -> Result<Opened, Errno> {
    let flags = request.flags;
    let wants_directory = flags.contains(OpenFlags::DIRECTORY);
    let follow = !flags.contains(OpenFlags::NOFOLLOW);
    if flags.contains(OpenFlags::PATH) {
        let place = context.lookup(path, follow, wants_directory)?;
        return Ok(Opened::File(FileDescription::new(Box::new(PathFile), place, flags)));
    }
    if flags.contains(OpenFlags::TMPFILE) {
        let directory = context.lookup(path, follow, true)?;
        return create::open_unnamed(context, &directory, request, umask);
    }
    if flags.contains(OpenFlags::CREAT) {
        return create::open_or_create(context, path, request, umask);
    }
    let place = match flags.access_mode() == O_RDONLY && !wants_directory {
        true => context.lookup_to_open(path, follow)?,
        false => context.lookup(path, follow, wants_directory)?,
    };
    open_place(context, place, request, false)
}

/// Opens what is at `place`. What was just `created` is opened whatever its mode says.
///
/// # Errors
/// ELOOP (a symlink), EISDIR, ENOTDIR, EACCES, EPERM, EROFS, ETXTBSY, ENXIO and those of the file.
pub fn open_place(
    context: &PathContext<'_>,
    place: Location,
    request: &OpenRequest,
    created: bool,
) -> Result<Opened, Errno> {
    let mut flags = request.flags;
    if created {
        flags -= OpenFlags::TRUNC;
    }
    let kind = place.kind();
    let wants = request.wants();
    match kind {
        FileKind::Symlink => return Err(Errno::ELOOP),
        FileKind::Directory if wants.contains(Want::WRITE) => return Err(Errno::EISDIR),
        FileKind::CharDevice | FileKind::BlockDevice
            if place.mount().options().contains(MountOptions::NODEV) =>
        {
            return Err(Errno::EACCES);
        }
        _ => {}
    }
    let is_regular = kind == FileKind::Regular;
    let truncates = is_regular && flags.contains(OpenFlags::TRUNC);
    if truncates {
        place.check_writable()?;
    }
    if !created {
        check_inode(&**place.dentry().inode(), &context.credentials, wants)?;
        check_noatime(context, &place, flags)?;
    }
    if is_regular && (flags.is_writable() || flags.access_mode() == 3) {
        place.check_writable()?;
    }
    let access = take_access(&place, flags, truncates)?;
    if truncates {
        truncate_at_open(&place)?;
    }
    open_checked(context, place, flags, access)
}

/// `O_NOATIME` is for the owner. Errors: EPERM.
fn check_noatime(
    context: &PathContext<'_>,
    place: &Location,
    flags: OpenFlags,
) -> Result<(), Errno> {
    if !flags.contains(OpenFlags::NOATIME) {
        return Ok(());
    }
    let attributes = place.dentry().inode().attributes()?;
    if is_owner(&attributes, &context.credentials) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Write access to a place, given back when dropped unless it is kept by a description.
struct HeldAccess<'a> {
    inode: &'a Arc<dyn Inode>,
    access: Access,
}

impl Drop for HeldAccess<'_> {
    fn drop(&mut self) {
        if self.access == Access::Writes {
            self.inode.common().end_write();
        }
    }
}

/// Counts a writer of a regular file. Errors: ETXTBSY.
fn take_access(place: &Location, flags: OpenFlags, truncates: bool) -> Result<Access, Errno> {
    let common = place.dentry().inode().common();
    if place.kind() != FileKind::Regular {
        return Ok(Access::Nothing);
    }
    if flags.is_writable() {
        common.begin_write()?;
        return Ok(Access::Writes);
    }
    if truncates {
        common.begin_write()?;
        common.end_write();
    }
    Ok(Access::Nothing)
}

fn open_checked(
    context: &PathContext<'_>,
    place: Location,
    flags: OpenFlags,
    access: Access,
) -> Result<Opened, Errno> {
    let inode = place.inode();
    let mut held = HeldAccess { inode: &inode, access };
    let io = IoContext { flags, ..context.io };
    let file = match place.kind() {
        FileKind::Fifo if !inode.common().opens_itself() => return Ok(Opened::Fifo(place)),
        FileKind::CharDevice | FileKind::BlockDevice if !inode.common().opens_itself() => {
            open_device(&place, flags, &io)?
        }
        FileKind::Socket if !inode.common().opens_itself() => return Err(Errno::ENXIO),
        _ => inode.clone().open(flags, &io)?,
    };
    held.access = Access::Nothing;
    let description = FileDescription::with_access(file, place, flags, access);
    notify(description.location(), InotifyMask::OPEN);
    Ok(Opened::File(description))
}

/// Opens the device that a node stands for. Errors: ENXIO and those of the driver.
fn open_device(
    place: &Location,
    flags: OpenFlags,
    io: &IoContext<'_>,
) -> Result<Box<dyn File>, Errno> {
    let attributes = place.dentry().inode().attributes()?;
    let task = io.task.ok_or(Errno::ENXIO)?;
    let is_char = attributes.kind == FileKind::CharDevice;
    let open = DeviceOpen { location: place, id: attributes.rdev, flags, io };
    task.kernel.devices.open(is_char, &open)
}

/// `O_TRUNC`: size, times, and setuid and setgid bits.
fn truncate_at_open(place: &Location) -> Result<(), Errno> {
    let inode = place.dentry().inode();
    let attributes = inode.attributes()?;
    let change = AttributeChange {
        size: Some(0),
        modified: Some(TimeChange::Now),
        permissions: mode_without_privileges(&attributes),
        ..AttributeChange::default()
    };
    inode.set_attributes(&change)?;
    notify(place, InotifyMask::MODIFY);
    Ok(())
}

/// What an `O_PATH` descriptor can do: nothing.
struct PathFile;

impl File for PathFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}
