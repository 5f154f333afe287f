//! `mounts`, `mountinfo`, `mountstats`.

use linux_abi::Errno;

use crate::fs::proc::subject::Subject;
use crate::fs::proc::text::escape;
use crate::vfs::{IoContext, MountInfo};

/// The mounts that the process sees. Errors: EINVAL for a zombie, which sees none.
fn visible(subject: &Subject) -> Result<Vec<MountInfo>, Errno> {
    let fs = subject.living_task()?.ok_or(Errno::EINVAL)?.fs();
    Ok(fs.namespace().describe(&fs.root()))
}

fn escaped(text: &[u8]) -> String {
    String::from_utf8_lossy(&escape(text, b" \t\n\\")).into_owned()
}

/// A name in the first column, where a `#` would start a comment.
fn escaped_source(text: &[u8]) -> String {
    String::from_utf8_lossy(&escape(text, b" \t\n\\#")).into_owned()
}

/// `/proc/[pid]/mounts`, in the format of fstab(5).
pub(super) fn mounts(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let line = |mount: MountInfo| {
        let source = escaped_source(&mount.source);
        let place = escaped(&mount.mountpoint);
        // The options of mount and file system together; both start with their access.
        let access = if mount.options.starts_with("ro") || mount.super_options.starts_with("ro") {
            "ro"
        } else {
            "rw"
        };
        let own = mount.options.get(2..).unwrap_or("");
        let more = mount.super_options.get(2..).unwrap_or("");
        format!("{source} {place} {} {access}{own}{more} 0 0\n", mount.fs_name)
    };
    Ok(visible(subject)?.into_iter().map(line).collect::<String>().into_bytes())
}

/// `/proc/[pid]/mountinfo`.
pub(super) fn mountinfo(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let line = |mount: MountInfo| {
        format!(
            "{} {} {}:{} {} {} {} - {} {} {}\n",
            mount.id,
            mount.parent_id,
            mount.device.major,
            mount.device.minor,
            escaped(&mount.root),
            escaped(&mount.mountpoint),
            mount.options,
            mount.fs_name,
            escaped_source(&mount.source),
            mount.super_options,
        )
    };
    Ok(visible(subject)?.into_iter().map(line).collect::<String>().into_bytes())
}

/// `/proc/[pid]/mountstats`.
pub(super) fn mountstats(subject: &Subject, _: &IoContext<'_>) -> Result<Vec<u8>, Errno> {
    let line = |mount: MountInfo| {
        let source = escaped_source(&mount.source);
        let place = escaped(&mount.mountpoint);
        format!("device {source} mounted on {place} with fstype {}\n", mount.fs_name)
    };
    Ok(visible(subject)?.into_iter().map(line).collect::<String>().into_bytes())
}
