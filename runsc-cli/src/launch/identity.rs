//! Who a child is: user namespaces, ids and capabilities.
//!
//! - The **gofer** of a privileged caller is root of the host with the few capabilities that file
//!   access takes. Of an ordinary caller, or for a container with id mappings, it is root of a user
//!   namespace.
//! - The **sentry** always gets a user namespace of its own with a single id in it. A privileged
//!   caller's sentry is `nobody` on the host. Another process of that user cannot trace it, as that
//!   takes CAP_SYS_PTRACE in the namespace. Where user namespaces are forbidden to root it is plain
//!   `nobody`.

use std::fs;
use std::io;
use std::process::Command;

use rustix::process::{Gid, Pid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::process::SetupError;
use crate::oci::{IdMapping, IdMappings};

/// User and group `nobody`, the kernel's overflow id, which owns no files.
pub const NOBODY: u32 = 65_534;

/// The mappings to write for a child's user namespace.
#[derive(Clone, Debug)]
pub struct Mappings {
    pub ids: IdMappings,
    /// Whether this process may write any mapping itself; otherwise only that of its own ids, and
    /// `newuidmap(1)` and `newgidmap(1)` write others.
    pub is_privileged: bool,
}

impl Mappings {
    /// Maps the namespace's root to the caller.
    pub fn caller(is_privileged: bool) -> Mappings {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        Mappings { ids: IdMappings::single(0, uid, gid), is_privileged }
    }

    /// Maps the namespace's root to [`NOBODY`].
    pub fn nobody() -> Mappings {
        Mappings { ids: IdMappings::single(0, NOBODY, NOBODY), is_privileged: true }
    }
}

/// Whether this process may make mounts, which decides who makes them: it, or its children inside
/// a user namespace.
pub fn is_privileged() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Writes the id mappings of process `pid` (user_namespaces(7)).
pub fn write(pid: Pid, mappings: &Mappings) -> io::Result<()> {
    let pid = pid.as_raw_nonzero();
    let IdMappings { uids, gids } = &mappings.ids;
    if mappings.is_privileged {
        fs::write(format!("/proc/{pid}/gid_map"), text(gids))?;
        return fs::write(format!("/proc/{pid}/uid_map"), text(uids));
    }
    let is_own = |ranges: &[IdMapping], id: u32| matches!(ranges, [IdMapping { outside, size: 1, .. }] if *outside == id);
    if is_own(gids, rustix::process::getegid().as_raw()) {
        // The kernel asks for it: dropping a group could gain access (CVE-2014-8989).
        fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
        fs::write(format!("/proc/{pid}/gid_map"), text(gids))?;
    } else {
        helper("newgidmap", pid.get(), gids)?;
    }
    match is_own(uids, rustix::process::geteuid().as_raw()) {
        true => fs::write(format!("/proc/{pid}/uid_map"), text(uids)),
        false => helper("newuidmap", pid.get(), uids),
    }
}

fn text(ranges: &[IdMapping]) -> String {
    let line = |range: &IdMapping| format!("{} {} {}\n", range.inside, range.outside, range.size);
    ranges.iter().map(line).collect()
}

fn helper(program: &str, pid: i32, ranges: &[IdMapping]) -> io::Result<()> {
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.size]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .map_err(|error| io::Error::other(format!("cannot run {program} (uidmap): {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(text.trim_end()))
        }
    }
}

/// Becomes user and group `id` without supplementary groups.
pub fn become_user(id: u32) -> Result<(), SetupError> {
    // Forbidden in the namespace of an ordinary caller, whose groups then stay.
    let _ = set_thread_groups(&[]);
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_res_gid(gid, gid, gid).map_err(SetupError::at("set group ids"))?;
    set_thread_res_uid(uid, uid, uid).map_err(SetupError::at("set user ids"))
}

/// Takes all capabilities but `kept` from whatever this process may execute.
pub fn bound_capabilities(kept: CapabilitySet) -> Result<(), SetupError> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know, or one that a former drop left us
            // without the right to drop: the sets below do not have it either.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(SetupError::at("drop capabilities")(error)),
        }
    }
    Ok(())
}

/// Gives up all capabilities but `kept`, now and for good, and every way to gain privileges.
pub fn drop_privileges(kept: CapabilitySet) -> Result<(), SetupError> {
    bound_capabilities(kept)?;
    let _ = clear_ambient_capability_set();
    let held = rustix::thread::capabilities(None).map_err(SetupError::at("read capabilities"))?;
    let kept = held.permitted & kept;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(SetupError::at("drop capabilities"))?;
    set_no_new_privs(true).map_err(SetupError::at("set no_new_privs"))
}
