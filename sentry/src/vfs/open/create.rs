//! Opens that may make the file: `O_CREAT` and `O_TMPFILE`.

use linux_abi::Errno;
use linux_abi::fs::{FileKind, OpenFlags};

use super::{OpenRequest, Opened, open_place};
use crate::vfs::entries::create_entry;
use crate::vfs::permission::{Want, check_inode, new_group_and_mode};
use crate::vfs::walk::{Last, PathContext, Walker};
use crate::vfs::{Dentry, Location, NewNode, NewNodeKind};

/// Opens the file at the end of `path`, or makes it.
pub(super) fn open_or_create(
    context: &PathContext<'_>,
    path: &[u8],
    request: &OpenRequest,
    umask: u32,
) -> Result<Opened, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let is_exclusive = request.flags.contains(OpenFlags::EXCL);
    let follow = !is_exclusive && !request.flags.contains(OpenFlags::NOFOLLOW);
    let mut walker = Walker::new(context, path)?;
    loop {
        let (last, has_slash) = walker.walk_to_last()?;
        let name = match last {
            Last::Name(_) if has_slash => return Err(Errno::EISDIR),
            Last::Name(name) => name,
            Last::Nothing | Last::Dot => {
                return open_existing(context, walker.at().clone(), request);
            }
            Last::DotDot => return open_existing(context, walker.up()?, request),
        };
        match walker.child(&name) {
            Ok(place) if follow && place.kind() == FileKind::Symlink => walker.follow(&place)?,
            Ok(place) => return open_existing(context, place, request),
            Err(Errno::ENOENT) => match create(context, walker.at(), &name, request, umask) {
                Ok(place) => return open_place(context, place, request, true),
                // Somebody else was faster: it exists now.
                Err(Errno::EEXIST) if !is_exclusive => return retry(context, path, request, umask),
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
}

/// Opens what a lost race has left at `path`; once more from the start if it is gone again.
fn retry(
    context: &PathContext<'_>,
    path: &[u8],
    request: &OpenRequest,
    umask: u32,
) -> Result<Opened, Errno> {
    let follow = !request.flags.contains(OpenFlags::NOFOLLOW);
    match context.lookup(path, follow, false) {
        Ok(place) => open_existing(context, place, request),
        // A file that the file system reports and hides at once is its error, not a race.
        Err(Errno::ENOENT) => {
            let parent = context.parent(path)?;
            match parent.last {
                Last::Name(name) => {
                    let place = create(context, &parent.at, &name, request, umask)?;
                    open_place(context, place, request, true)
                }
                _ => Err(Errno::ENOENT),
            }
        }
        Err(errno) => Err(errno),
    }
}

fn open_existing(
    context: &PathContext<'_>,
    place: Location,
    request: &OpenRequest,
) -> Result<Opened, Errno> {
    if request.flags.contains(OpenFlags::EXCL) {
        return Err(Errno::EEXIST);
    }
    if place.is_directory() {
        return Err(Errno::EISDIR);
    }
    open_place(context, place, request, false)
}

fn create(
    context: &PathContext<'_>,
    directory: &Location,
    name: &[u8],
    request: &OpenRequest,
    umask: u32,
) -> Result<Location, Errno> {
    directory.check_writable()?;
    let mode = request.mode & !umask;
    let credentials = &context.credentials;
    let made = create_entry(credentials, directory, name, NewNodeKind::Regular, mode)?;
    Ok(directory.with_dentry(made))
}

/// `O_TMPFILE`: a regular file without a name, on the file system of `directory`.
pub(super) fn open_unnamed(
    context: &PathContext<'_>,
    directory: &Location,
    request: &OpenRequest,
    umask: u32,
) -> Result<Opened, Errno> {
    directory.check_writable()?;
    let parent = directory.dentry().inode();
    let credentials = &context.credentials;
    check_inode(&**parent, credentials, Want::CHANGE_ENTRIES)?;
    let mode = request.mode & !umask;
    let (gid, permissions) =
        new_group_and_mode(&parent.attributes()?, credentials, FileKind::Regular, mode);
    let node = NewNode { kind: NewNodeKind::Regular, permissions, uid: credentials.fsuid, gid };
    let inode = parent.create_unnamed(&node)?;
    if !request.flags.contains(OpenFlags::EXCL) {
        inode.common().allow_revival();
    }
    let name = format!("#{}", inode.attributes()?.inode);
    let dentry = Dentry::unnamed(directory.dentry(), inode, name.as_bytes());
    // Nothing of `O_TMPFILE` but the file is left: the flags ask for a directory.
    let flags = request.flags - OpenFlags::EXCL;
    open_place(context, directory.with_dentry(dentry), &OpenRequest { flags, ..*request }, true)
}
