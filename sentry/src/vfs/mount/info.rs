//! Mounts as `/proc/[pid]/mountinfo`, `mounts` and `mountstats` tell them, proc(5).

use std::sync::Arc;

use super::{Mount, MountNamespace, MountOptions};
use crate::vfs::{DeviceId, Location, path_of};

/// One mount.
#[derive(Clone, Debug)]
pub struct MountInfo {
    pub id: i32,
    pub parent_id: i32,
    pub device: DeviceId,
    /// The directory of the file system that is the root of this mount.
    pub root: Vec<u8>,
    /// Where it is mounted, seen from the asking process' root.
    pub mountpoint: Vec<u8>,
    /// Options of the mount: `rw,nosuid,relatime`.
    pub options: String,
    pub fs_name: &'static str,
    pub source: Vec<u8>,
    /// Options of the file system: `rw,size=64k`.
    pub super_options: String,
}

impl MountNamespace {
    /// The mounts below `root`, in the order they were made.
    pub fn describe(&self, root: &Location) -> Vec<MountInfo> {
        let mounts = self.mounts();
        mounts.iter().filter_map(|(mount, at)| describe(mount, at.as_ref(), root)).collect()
    }
}

fn describe(mount: &Arc<Mount>, at: Option<&Location>, root: &Location) -> Option<MountInfo> {
    let own_root = Location::new(mount.clone(), mount.root().clone());
    let mut top = own_root.clone();
    // What is not below the asking process' root does not exist for it.
    while !Arc::ptr_eq(top.mount(), root.mount()) {
        top = top.mount().mountpoint()?;
    }
    if !top.dentry().is_within(root.dentry()) {
        return None;
    }
    Some(MountInfo {
        id: mount.id(),
        parent_id: at.map_or(mount.id(), |at| at.mount().id()),
        device: mount.root().inode().attributes().map(|found| found.device).unwrap_or_default(),
        root: path_in_fs(mount),
        mountpoint: path_of(&own_root, root),
        options: mount_options(mount.options()),
        fs_name: mount.fs().name(),
        source: mount.source().to_vec(),
        super_options: super_options(mount),
    })
}

/// Path of the mount's root within its file system.
fn path_in_fs(mount: &Mount) -> Vec<u8> {
    let mut names = Vec::new();
    let mut current = mount.root().clone();
    while let Some((parent, name)) = current.parent_and_name() {
        names.push(name);
        current = parent;
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

fn super_options(mount: &Mount) -> String {
    let access = if mount.options().contains(MountOptions::RDONLY) { "ro" } else { "rw" };
    match mount.fs().options() {
        more if more.is_empty() => access.to_owned(),
        more => format!("{access},{more}"),
    }
}

fn mount_options(options: MountOptions) -> String {
    let mut text = String::from(if options.contains(MountOptions::RDONLY) { "ro" } else { "rw" });
    let names = [
        (MountOptions::NOSUID, ",nosuid"),
        (MountOptions::NODEV, ",nodev"),
        (MountOptions::NOEXEC, ",noexec"),
        (MountOptions::NOSYMFOLLOW, ",nosymfollow"),
        (MountOptions::NOATIME, ",noatime"),
        (MountOptions::NODIRATIME, ",nodiratime"),
    ];
    for (option, name) in names {
        if options.contains(option) {
            text.push_str(name);
        }
    }
    if !options.intersects(MountOptions::NOATIME | MountOptions::STRICTATIME) {
        text.push_str(",relatime");
    }
    text
}
