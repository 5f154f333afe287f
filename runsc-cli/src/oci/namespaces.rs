//! Namespaces and id mappings.
//!
//! A sandbox always has pid, mount, IPC, UTS and network namespaces of its own, those of its
//! kernel; sharing one of them with the host or with another container is not possible.

use std::path::Path;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

use super::{ConfigError, Notices};

/// A range of ids: `size` ids from `inside` are those from `outside` on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

/// How the container's user and group ids map to the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMappings {
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
}

impl IdMappings {
    /// Maps `inside` to one host user and group.
    pub fn single(inside: u32, uid: u32, gid: u32) -> IdMappings {
        IdMappings {
            uids: vec![IdMapping { inside, outside: uid, size: 1 }],
            gids: vec![IdMapping { inside, outside: gid, size: 1 }],
        }
    }
}

/// Most ranges the kernel accepts in a map (user_namespaces(7)).
const MAX_RANGES: usize = 340;

/// Checks `linux.namespaces` and gives the id mappings of a user namespace.
pub fn convert(linux: &Linux, notices: &mut Notices) -> Result<Option<IdMappings>, ConfigError> {
    let list = linux.namespaces().as_deref().unwrap_or_default();
    let mut has_user = false;
    for (index, namespace) in list.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        let kind = namespace.typ();
        if list[..index].iter().any(|earlier| earlier.typ() == kind) {
            return Err(ConfigError::new(field, format!("{kind} namespace is given twice")));
        }
        has_user |= kind == LinuxNamespaceType::User;
        let path = namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = path {
            check_path(kind, path, &format!("{field}.path"), notices)?;
        } else if kind == LinuxNamespaceType::Time {
            notices.not_honoured(&field, "time namespaces are not implemented");
        }
    }
    for kind in [LinuxNamespaceType::Pid, LinuxNamespaceType::Ipc, LinuxNamespaceType::Uts] {
        if !list.iter().any(|namespace| namespace.typ() == kind) {
            notices.not_honoured(
                &format!("sharing the host's {kind} namespace"),
                "a sandbox always has its own",
            );
        }
    }
    let uids = ranges(linux.uid_mappings().as_deref(), "linux.uidMappings")?;
    let gids = ranges(linux.gid_mappings().as_deref(), "linux.gidMappings")?;
    match (has_user, uids.is_empty() && gids.is_empty()) {
        (false, true) => Ok(None),
        (false, false) => Err(ConfigError::new(
            "linux.uidMappings",
            "id mappings need a namespace of type \"user\" in linux.namespaces",
        )),
        (true, _) => {
            require_root(&uids, "linux.uidMappings")?;
            require_root(&gids, "linux.gidMappings")?;
            Ok(Some(IdMappings { uids, gids }))
        }
    }
}

fn check_path(
    kind: LinuxNamespaceType,
    path: &Path,
    field: &str,
    notices: &mut Notices,
) -> Result<(), ConfigError> {
    match kind {
        LinuxNamespaceType::Network => {
            path.metadata()
                .map_err(|error| ConfigError::new(field, format!("{}: {error}", path.display())))?;
            notices.not_honoured(field, "with --network none the sandbox has loopback only");
            Ok(())
        }
        // The host's cgroup and mount namespaces are never visible from inside.
        LinuxNamespaceType::Cgroup | LinuxNamespaceType::Time => {
            notices.not_honoured(field, "a sandbox always has its own");
            Ok(())
        }
        _ => Err(ConfigError::new(
            field,
            format!("a sandbox cannot join the {kind} namespace {path:?}: it always has its own"),
        )),
    }
}

fn ranges(mappings: Option<&[LinuxIdMapping]>, field: &str) -> Result<Vec<IdMapping>, ConfigError> {
    let mappings = mappings.unwrap_or_default();
    if mappings.len() > MAX_RANGES {
        return Err(ConfigError::new(field, format!("more than {MAX_RANGES} ranges")));
    }
    let mut ranges = Vec::with_capacity(mappings.len());
    for (index, mapping) in mappings.iter().enumerate() {
        let range = IdMapping {
            inside: mapping.container_id(),
            outside: mapping.host_id(),
            size: mapping.size(),
        };
        let fits = |start: u32| start.checked_add(range.size).is_some();
        if range.size == 0 || !fits(range.inside) || !fits(range.outside) {
            let problem = "size must be at least 1 and the range must end below 4294967295";
            return Err(ConfigError::new(format!("{field}[{index}].size"), problem));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn require_root(ranges: &[IdMapping], field: &str) -> Result<(), ConfigError> {
    match ranges.iter().any(|range| range.inside == 0) {
        true => Ok(()),
        false => Err(ConfigError::new(
            field,
            "a user namespace needs a mapping of the container's id 0 (containerID 0)",
        )),
    }
}
