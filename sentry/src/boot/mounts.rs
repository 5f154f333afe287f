//! The container's mount tree, made from its configuration.

use std::sync::Arc;

use control_protocol::{ContainerConfig, MountConfig, MountSource};
use linux_abi::Errno;

use super::{BootError, adopt};
use crate::fs::gofer::GoferFs;
use crate::fs::overlay::Overlay;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::tty::{DevptsOptions, new_devpts};
use crate::kernel::Kernel;
use crate::vfs::{FileSystem, MountNamespace, MountOptions};

/// Builds the mount namespace of `container`: its root, then its mounts in their order.
///
/// # Errors
/// [`BootError::Mount`] naming the destination, [`BootError::Descriptor`].
pub(super) fn build(
    kernel: &Arc<Kernel>,
    container: &ContainerConfig,
) -> Result<Arc<MountNamespace>, BootError> {
    let root_error = |errno| mount_error("/", errno);
    let gofer = adopt(container.root.gofer, "root gofer")?;
    let exclusive = container.root.exclusive || container.root.overlay;
    let devices = kernel.vfs.device_numbers();
    let lower = GoferFs::connect(gofer, devices, exclusive).map_err(root_error)?;
    let root: Arc<dyn FileSystem> = if container.root.overlay {
        let upper = Tmpfs::new(kernel, &TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() });
        Overlay::new(upper, lower, kernel.vfs.new_device()).map_err(root_error)?
    } else {
        lower
    };
    let mut options = MountOptions::empty();
    // Mount points that are missing are made before the root becomes read-only.
    let namespace = MountNamespace::new(root, options);
    for mount in &container.mounts {
        add_mount(kernel, &namespace, mount)?;
    }
    if container.root.readonly {
        options |= MountOptions::RDONLY;
        namespace.root().mount().set_options(options);
    }
    Ok(namespace)
}

fn mount_error(destination: &str, errno: Errno) -> BootError {
    BootError::Mount { destination: destination.to_owned(), reason: errno.to_string() }
}

fn add_mount(
    kernel: &Arc<Kernel>,
    namespace: &Arc<MountNamespace>,
    mount: &MountConfig,
) -> Result<(), BootError> {
    let error = |errno| mount_error(&mount.destination, errno);
    let path = mount.destination.as_bytes();
    let is_file = matches!(mount.source, MountSource::Bind { is_directory: false, .. });
    let fs = file_system(kernel, mount)?;
    if is_file {
        namespace.create_file_all(path).map_err(error)?;
    } else {
        namespace.mkdir_all(path).map_err(error)?;
    }
    let mut options = MountOptions::empty();
    options.set(MountOptions::RDONLY, mount.readonly);
    options.set(MountOptions::NOSUID, mount.nosuid);
    options.set(MountOptions::NODEV, mount.nodev);
    options.set(MountOptions::NOEXEC, mount.noexec);
    options.set(MountOptions::NOATIME, mount.noatime);
    namespace.mount_at(path, fs, options).map_err(error)?;
    Ok(())
}

fn file_system(
    kernel: &Arc<Kernel>,
    mount: &MountConfig,
) -> Result<Arc<dyn FileSystem>, BootError> {
    let error = |errno| mount_error(&mount.destination, errno);
    Ok(match &mount.source {
        MountSource::Proc => crate::fs::proc::ProcFs::new(kernel),
        MountSource::Sysfs => crate::fs::sysfs::SysFs::new(kernel),
        MountSource::Dev => crate::fs::dev::new_dev(kernel).map_err(error)?,
        MountSource::Devpts { mode, gid, ptmxmode } => {
            let options = DevptsOptions { mode: *mode, gid: *gid, ptmxmode: *ptmxmode };
            new_devpts(kernel, &options)
        }
        MountSource::Tmpfs { size, nr_inodes, mode, uid, gid } => {
            let options = TmpfsOptions {
                size: Some(size.unwrap_or(kernel.memory_total / 2)),
                inodes: *nr_inodes,
                mode: mode.unwrap_or(0o1777),
                uid: uid.unwrap_or(0),
                gid: gid.unwrap_or(0),
            };
            Tmpfs::new(kernel, &options)
        }
        MountSource::Bind { gofer, exclusive, .. } => {
            let gofer = adopt(*gofer, "bind mount gofer")?;
            let devices = kernel.vfs.device_numbers();
            GoferFs::connect(gofer, devices, *exclusive).map_err(error)?
        }
        MountSource::Mqueue => crate::fs::mqueue::new_mqueue(kernel),
    })
}
