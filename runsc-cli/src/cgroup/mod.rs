//! The host cgroup of a sandbox: sentry and gofer are put into it, so that the container's limits
//! bind both.
//!
//! Unified (v2) and split (v1) hierarchies are managed through their file systems. What could not
//! be set is an error that names the field of `linux.resources`.

mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::oci::Resources;

const MOUNT_POINT: &str = "/sys/fs/cgroup";

#[derive(Debug, Error)]
pub enum CgroupError {
    #[error("linux.cgroupsPath: cannot make cgroup {path:?}: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("linux.resources.{field}: cannot write {value:?} to {path:?}: {source}")]
    Limit { field: String, value: String, path: PathBuf, source: io::Error },
    #[error("cannot move process {pid} into cgroup {path:?}: {source}")]
    Join { pid: i32, path: PathBuf, source: io::Error },
}

/// The directories of a sandbox' cgroup: one in the unified hierarchy, or one for each controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    is_unified: bool,
    directories: Vec<PathBuf>,
}

/// One limit: the file, what to write, and the field that asked for it.
struct Setting {
    file: PathBuf,
    value: String,
    field: &'static str,
}

impl Cgroup {
    /// Chooses the directories for `linux.cgroupsPath` and makes none yet; `None` when no cgroup
    /// file system is mounted. `systemd` paths (`slice:prefix:name`) name their scope.
    pub fn plan(cgroups_path: &Path, resources: &Resources) -> Option<Cgroup> {
        let relative = relative_path(cgroups_path);
        let mount_point = Path::new(MOUNT_POINT);
        if mount_point.join("cgroup.controllers").exists() {
            return Some(Cgroup {
                is_unified: true,
                directories: vec![mount_point.join(relative)],
            });
        }
        let directories = v1::directories(mount_point, &relative, resources);
        (!directories.is_empty()).then_some(Cgroup { is_unified: false, directories })
    }

    /// Whether this process may make the directories.
    pub fn is_writable(&self) -> bool {
        self.directories.iter().all(|path| {
            let existing = path.ancestors().find(|ancestor| ancestor.exists());
            existing.is_some_and(|existing| {
                rustix::fs::access(existing, rustix::fs::Access::WRITE_OK).is_ok()
            })
        })
    }

    /// Makes the directories and sets the limits.
    pub fn create(&self, resources: &Resources) -> Result<(), CgroupError> {
        for path in &self.directories {
            let error = |source| CgroupError::Create { path: path.clone(), source };
            if self.is_unified {
                v2::make(Path::new(MOUNT_POINT), path).map_err(error)?;
            } else {
                fs::create_dir_all(path).map_err(error)?;
            }
        }
        let settings = match self.is_unified {
            true => {
                self.directories.iter().flat_map(|path| v2::settings(path, resources)).collect()
            }
            false => v1::settings(&self.directories, resources),
        };
        settings.into_iter().try_for_each(|setting| self.apply(setting))
    }

    fn apply(&self, setting: Setting) -> Result<(), CgroupError> {
        fs::write(&setting.file, &setting.value).map_err(|source| CgroupError::Limit {
            field: setting.field.to_owned(),
            value: setting.value,
            path: setting.file,
            source,
        })
    }

    /// Moves a process into the cgroup.
    pub fn join(&self, pid: i32) -> Result<(), CgroupError> {
        for path in &self.directories {
            fs::write(path.join("cgroup.procs"), pid.to_string())
                .map_err(|source| CgroupError::Join { pid, path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Removes the directories. Dead processes leave their cgroup a moment later than they end, so
    /// it is tried for a second.
    pub fn remove(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        for path in &self.directories {
            while let Err(error) = fs::remove_dir(path) {
                let is_busy = error.raw_os_error() == Some(libc::EBUSY);
                if !is_busy || Instant::now() > deadline {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Reads a file of the cgroup, for statistics.
    pub fn read(&self, unified_name: &str, split_name: &str) -> Option<String> {
        let name = if self.is_unified { unified_name } else { split_name };
        self.directories.iter().find_map(|path| fs::read_to_string(path.join(name)).ok())
    }
}

/// Makes a path below the mount point; `..` cannot leave it.
fn relative_path(cgroups_path: &Path) -> PathBuf {
    let text = cgroups_path.to_string_lossy();
    if let [slice, prefix, name] = text.split(':').collect::<Vec<_>>()[..] {
        let scope =
            if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}.scope") };
        return relative_path(&slice_directory(slice).join(scope));
    }
    let mut relative = PathBuf::new();
    for component in cgroups_path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::ParentDir => {
                relative.pop();
            }
            _ => {}
        }
    }
    relative
}

/// The directory of a systemd slice: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn slice_directory(slice: &str) -> PathBuf {
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let bare = slice.strip_suffix(".slice").unwrap_or(slice);
    if bare == "-" {
        return PathBuf::new();
    }
    let mut directory = PathBuf::new();
    for (index, _) in bare.match_indices('-').chain([(bare.len(), "")]) {
        directory.push(format!("{}.slice", &bare[..index]));
    }
    directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_mount_point() {
        for (given, expected) in [
            ("/docker/abc", "docker/abc"),
            ("docker/abc", "docker/abc"),
            ("/../../etc", "etc"),
            ("a/../../b", "b"),
            ("system.slice:docker:abc", "system.slice/docker-abc.scope"),
            (":docker:abc", "system.slice/docker-abc.scope"),
            (
                "kubepods-burstable-podX.slice:cri-containerd:abc",
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX.slice/cri-containerd-abc.scope",
            ),
        ] {
            assert_eq!(relative_path(Path::new(given)), Path::new(expected));
        }
    }
}
