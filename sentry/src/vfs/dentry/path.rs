//! From a place back to its path.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use linux_abi::Errno;

use super::Dentry;
use crate::vfs::Location;

/// Path of `location` as `/proc` shows it (`d_path`): from `root` on, or, if it does not lie below
/// `root`, from the root of its mount tree. A removed file's path ends in ` (deleted)`.
pub fn path_of(location: &Location, root: &Location) -> Vec<u8> {
    if let Some(label) = unattached_label(location) {
        return label;
    }
    let (mut path, _) = climb(location, root);
    if location.dentry().is_deleted() {
        path.extend_from_slice(b" (deleted)");
    }
    path
}

/// Path of a working directory as `getcwd(2)` gives it: one outside of `root` starts with
/// `(unreachable)`.
///
/// # Errors
/// ENOENT when the directory was removed.
pub fn getcwd_path(location: &Location, root: &Location) -> Result<Vec<u8>, Errno> {
    if location.dentry().is_deleted() {
        return Err(Errno::ENOENT);
    }
    let (mut path, is_below_root) = climb(location, root);
    if !is_below_root {
        path.splice(..0, b"(unreachable)".iter().copied());
    }
    Ok(path)
}

/// What is shown for names outside of any directory: `pipe:[7]`, `/memfd:x (deleted)`.
fn unattached_label(location: &Location) -> Option<Vec<u8>> {
    let place = location.dentry().place.lock();
    (place.parent.is_none() && &*place.name != b"/").then(|| place.name.to_vec())
}

/// The path and whether it leads up to `root`; repeated when a rename came in between.
fn climb(location: &Location, root: &Location) -> (Vec<u8>, bool) {
    let superblock = location.dentry().superblock();
    loop {
        let renames = superblock.renames.load(Ordering::Acquire);
        if !renames.is_multiple_of(2) {
            drop(superblock.rename_lock.lock());
            continue;
        }
        let result = climb_once(location, root);
        if superblock.renames.load(Ordering::Acquire) == renames {
            return result;
        }
    }
}

fn climb_once(location: &Location, root: &Location) -> (Vec<u8>, bool) {
    let mut names: Vec<Arc<[u8]>> = Vec::new();
    let mut current = location.clone();
    let is_below_root = loop {
        if current.is_same(root) {
            break true;
        }
        if current.is_mount_root() {
            match current.mount().mountpoint() {
                Some(below) => current = below,
                None => break false,
            }
            continue;
        }
        let Some((parent, name)) = Dentry::parent_and_name(current.dentry()) else { break false };
        names.push(name);
        current = current.with_dentry(parent);
    };
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    (path, is_below_root)
}
