//! Notes for the fields of `linux` that we understand and do not honour.

use oci_spec::runtime::{Linux, LinuxDevice, Spec};

use super::{ConfigError, Notices};

const OWN_KERNEL: &str = "system calls are served by the sandbox' own kernel";

/// Devices that `/dev` of the sandbox has anyway.
const STANDARD_DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/console",
    "/dev/ptmx",
    "/dev/fuse",
];

/// Notes what of `linux` has no effect.
pub fn note(linux: &Linux, notices: &mut Notices) {
    let is_filled = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let mut keys: Vec<&String> = linux.sysctl().iter().flatten().map(|(key, _)| key).collect();
    keys.sort();
    for key in keys {
        notices.not_honoured(&format!("linux.sysctl[{key:?}]"), "not implemented");
    }
    for device in linux.devices().iter().flatten() {
        note_device(device, notices);
    }
    let mut note = |is_given: bool, field: &str, reason: &str| {
        if is_given {
            notices.not_honoured(field, reason);
        }
    };
    note(linux.seccomp().is_some(), "linux.seccomp", OWN_KERNEL);
    let own_files = "/proc and /sys are the sandbox' own and show nothing of the host";
    note(is_filled(linux.masked_paths()), "linux.maskedPaths", own_files);
    note(is_filled(linux.readonly_paths()), "linux.readonlyPaths", own_files);
    note(
        linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()),
        "linux.mountLabel",
        OWN_KERNEL,
    );
    note(
        linux
            .rootfs_propagation()
            .as_ref()
            .is_some_and(|mode| matches!(mode.as_str(), "shared" | "rshared")),
        "linux.rootfsPropagation",
        "mounts of a sandbox never propagate to the host",
    );
    note(linux.intel_rdt().is_some(), "linux.intelRdt", "not implemented");
    note(linux.memory_policy().is_some(), "linux.memoryPolicy", "not implemented");
    note(linux.time_offsets().is_some(), "linux.timeOffsets", "not implemented");
    note(
        linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()),
        "linux.netDevices",
        "with --network none the sandbox has loopback only",
    );
    let has_personality = linux.personality().as_ref().is_some_and(|personality| {
        serde_json::to_value(personality.domain()).is_ok_and(|domain| domain != "LINUX")
    });
    note(has_personality, "linux.personality", "not implemented");
}

fn note_device(device: &LinuxDevice, notices: &mut Notices) {
    let path = device.path().to_string_lossy();
    if !STANDARD_DEVICES.contains(&path.as_ref()) {
        notices.not_honoured(
            &format!("linux.devices {path:?}"),
            "host devices do not exist in a sandbox",
        );
    }
}

/// Refuses configurations for other systems.
pub fn check_system(spec: &Spec) -> Result<(), ConfigError> {
    let others = [
        (spec.windows().is_some(), "windows"),
        (spec.solaris().is_some(), "solaris"),
        (spec.vm().is_some(), "vm"),
        (spec.zos().is_some(), "zos"),
    ];
    match others.iter().find(|(is_given, _)| *is_given) {
        Some((_, field)) => Err(ConfigError::new(*field, "only Linux containers can be run")),
        None => Ok(()),
    }
}
