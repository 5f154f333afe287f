//! Mounts of a child: an empty root, a procfs of its own, and clones of host trees. All of them
//! exist in the child's mount namespace or on descriptors only.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree, unmount,
};

use super::process::SetupError;

/// Replaces the whole file system view of this process by an empty read-only directory.
///
/// Needs a mount namespace of its own.
pub fn enter_empty_root() -> Result<(), SetupError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(SetupError::at("make mounts private"))?;
    let root = empty_file_system().map_err(SetupError::at("mount an empty root"))?;
    move_mount(root.as_fd(), "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(SetupError::at("attach the empty root"))?;
    rustix::process::fchdir(&root).map_err(SetupError::at("enter the empty root"))?;
    // With both names the same the old root ends up on top of the new one, ready to be detached
    // (pivot_root(2)).
    rustix::process::pivot_root(".", ".").map_err(SetupError::at("pivot_root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(SetupError::at("detach the old root"))?;
    rustix::process::chdir("/").map_err(SetupError::at("chdir"))
}

fn empty_file_system() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", "0555")?;
    fsconfig_set_string(&context, "size", "4096")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts a procfs of this process' pid namespace and attaches it nowhere: the descriptor is its
/// only way in. It has the processes only (`subset=pid`), no `/proc/sys`, where the kernel can.
///
/// To be called before [`enter_empty_root`]: inside a user namespace the kernel allows it only
/// while a procfs is visible.
pub fn own_proc(readonly: bool) -> Result<OwnedFd, SetupError> {
    let mount = || {
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        // Linux before 5.8 does not know it.
        let _ = fsconfig_set_string(&context, "subset", "pid");
        fsconfig_create(&context)?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, readonly);
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    mount().map_err(SetupError::at(
        "mount a procfs (in a container the host's /proc must not be partly covered)",
    ))
}

/// Clones the mount of `path` (with those below it if `recursive`) without attaching it.
///
/// The clone is private, has no device files, and is read-only if asked for. Needs CAP_SYS_ADMIN
/// over the calling process' mount namespace.
pub fn clone_tree(path: &Path, recursive: bool, readonly: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::OPEN_TREE_CLONE;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let path = CString::new(path.as_os_str().as_bytes())?;
    let tree = open_tree(CWD, &path, flags)?;
    let mut attributes = libc::MOUNT_ATTR_NODEV;
    if readonly {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    set_attributes(&tree, attributes, recursive)?;
    Ok(tree)
}

fn set_attributes(tree: &OwnedFd, attributes: u64, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: 1. The path is an empty C string. 2. `attributes` is as long as the size says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
