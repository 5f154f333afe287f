//! The `mounts` list.

use std::path::Path;

use control_protocol::{MountConfig, MountSource};
use oci_spec::runtime::Mount;

use super::options::{self, Options};
use super::text::{check_nul, clean_absolute, parse_mode, parse_number};
use super::{ConfigError, Export, Notices};
use crate::launch::slots;

const TYPES: &str = "proc, sysfs, tmpfs, devpts, mqueue, cgroup, cgroup2 and bind are supported";

/// Most mounts of a container.
const MAX_MOUNTS: usize = 1000;

/// Converts the mounts in order, and adds the host paths of bind mounts to `exports`.
///
/// A `/dev` with the standard devices is always there: if no mount has that destination, one is
/// put in front.
pub fn convert(
    mounts: &[Mount],
    bundle: &Path,
    exports: &mut Vec<Export>,
    notices: &mut Notices,
) -> Result<Vec<MountConfig>, ConfigError> {
    if mounts.len() > MAX_MOUNTS {
        return Err(ConfigError::new("mounts", format!("more than {MAX_MOUNTS} mounts")));
    }
    let mut converted = Vec::with_capacity(mounts.len() + 1);
    for (index, mount) in mounts.iter().enumerate() {
        converted.push(one(mount, &format!("mounts[{index}]"), bundle, exports, notices)?);
    }
    if !converted.iter().any(|mount| mount.destination == "/dev") {
        converted.insert(0, plain("/dev", MountSource::Dev));
    }
    Ok(converted)
}

/// A mount without flags.
pub fn plain(destination: &str, source: MountSource) -> MountConfig {
    MountConfig {
        destination: destination.to_owned(),
        source,
        readonly: false,
        nosuid: false,
        nodev: false,
        noexec: false,
        noatime: false,
    }
}

fn one(
    mount: &Mount,
    field: &str,
    bundle: &Path,
    exports: &mut Vec<Export>,
    notices: &mut Notices,
) -> Result<MountConfig, ConfigError> {
    let destination = mount.destination().to_string_lossy();
    let destination_field = format!("{field}.destination");
    check_nul(&destination, &destination_field)?;
    if destination.is_empty() {
        return Err(ConfigError::new(destination_field, "must not be empty"));
    }
    let destination = clean_absolute(&destination);
    if destination == "/" {
        return Err(ConfigError::new(destination_field, "the root itself cannot be mounted over"));
    }
    let has_mappings = |ids: &Option<Vec<_>>| ids.as_ref().is_some_and(|ids| !ids.is_empty());
    if has_mappings(mount.uid_mappings()) || has_mappings(mount.gid_mappings()) {
        let problem = "mounts with their own id mappings are not supported";
        return Err(ConfigError::new(format!("{field}.uidMappings"), problem));
    }
    let list = mount.options().as_deref().unwrap_or_default();
    let options = options::parse(list, &format!("{field}.options"), notices)?;
    let source = source(mount, &destination, &options, field, bundle, exports, notices)?;
    let is_empty_cgroup = matches!(mount.typ().as_deref(), Some("cgroup" | "cgroup2"))
        && options.bind_recursive.is_none();
    Ok(MountConfig {
        destination,
        source,
        readonly: options.readonly || is_empty_cgroup,
        nosuid: options.nosuid,
        nodev: options.nodev,
        noexec: options.noexec,
        noatime: options.noatime,
    })
}

fn source(
    mount: &Mount,
    destination: &str,
    options: &Options,
    field: &str,
    bundle: &Path,
    exports: &mut Vec<Export>,
    notices: &mut Notices,
) -> Result<MountSource, ConfigError> {
    let kind = mount.typ().as_deref().unwrap_or("");
    if options.bind_recursive.is_some() || kind == "bind" {
        return bind(mount, options, field, bundle, exports);
    }
    match kind {
        "proc" => proc_options(options, notices).map(|()| MountSource::Proc),
        "sysfs" => options.refuse_data(kind).map(|()| MountSource::Sysfs),
        "mqueue" => options.refuse_data(kind).map(|()| MountSource::Mqueue),
        "tmpfs" | "devtmpfs" if destination == "/dev" => {
            tmpfs(options, notices).map(|_| MountSource::Dev)
        }
        "tmpfs" => tmpfs(options, notices),
        "devpts" => devpts(options),
        "cgroup" | "cgroup2" => {
            notices.not_honoured(
                &format!("{field} of type {kind:?}"),
                "the sandbox shows an empty read-only directory instead of the host's cgroups",
            );
            Ok(empty_tmpfs(0o755))
        }
        "" => Err(ConfigError::new(format!("{field}.type"), format!("missing; {TYPES}"))),
        other => {
            let problem = format!("unknown mount type {other:?} for {destination:?}; {TYPES}");
            Err(ConfigError::new(format!("{field}.type"), problem))
        }
    }
}

fn bind(
    mount: &Mount,
    options: &Options,
    field: &str,
    bundle: &Path,
    exports: &mut Vec<Export>,
) -> Result<MountSource, ConfigError> {
    options.refuse_data("bind")?;
    let field = format!("{field}.source");
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    if source.as_os_str().is_empty() {
        return Err(ConfigError::new(field, "a bind mount needs the host path to mount"));
    }
    check_nul(&source.to_string_lossy(), &field)?;
    let path = bundle.join(source);
    let metadata = path
        .metadata()
        .map_err(|error| ConfigError::new(field, format!("{}: {error}", path.display())))?;
    let gofer = slots::export(exports.len());
    exports.push(Export {
        path,
        readonly: options.readonly,
        recursive: options.bind_recursive.unwrap_or(true),
    });
    Ok(MountSource::Bind { gofer, is_directory: metadata.is_dir(), exclusive: false })
}

fn proc_options(options: &Options, notices: &mut Notices) -> Result<(), ConfigError> {
    for (name, _, field) in &options.data {
        match name.as_str() {
            "hidepid" | "gid" | "subset" => {
                notices.not_honoured(field, &format!("{name:?} is not implemented"));
            }
            _ => return Err(options::unknown(name, "proc", field)),
        }
    }
    Ok(())
}

/// An empty directory in memory.
pub fn empty_tmpfs(mode: u32) -> MountSource {
    MountSource::Tmpfs { size: None, nr_inodes: None, mode: Some(mode), uid: None, gid: None }
}

fn tmpfs(options: &Options, notices: &mut Notices) -> Result<MountSource, ConfigError> {
    let (mut size, mut nr_inodes, mut mode, mut uid, mut gid) = (None, None, None, None, None);
    for (name, value, field) in &options.data {
        let value = || {
            let problem = format!("mount option {name:?} needs a value");
            value.as_deref().ok_or_else(|| ConfigError::new(field, problem))
        };
        match name.as_str() {
            "size" => size = Some(parse_size(value()?, field)?),
            "nr_blocks" => size = Some(parse_scaled(value()?, field)?.saturating_mul(4096)),
            "nr_inodes" => nr_inodes = Some(parse_scaled(value()?, field)?),
            "mode" => mode = Some(parse_mode(value()?, 0o7777, field)?),
            "uid" => uid = Some(parse_number(value()?, field)?),
            "gid" => gid = Some(parse_number(value()?, field)?),
            "inode32" | "inode64" => {}
            "huge" | "noswap" => {
                notices.not_honoured(field, &format!("{name:?} is not implemented"));
            }
            _ => return Err(options::unknown(name, "tmpfs", field)),
        }
    }
    // Zero means no limit, as with Linux' tmpfs.
    let limit = |value: Option<u64>| value.map(|value| if value == 0 { u64::MAX } else { value });
    Ok(MountSource::Tmpfs { size: limit(size), nr_inodes: limit(nr_inodes), mode, uid, gid })
}

fn devpts(options: &Options) -> Result<MountSource, ConfigError> {
    let (mut mode, mut gid, mut ptmxmode) = (None, None, None);
    for (name, value, field) in &options.data {
        let value = value.as_deref().unwrap_or_default();
        match name.as_str() {
            "newinstance" => {}
            "mode" => mode = Some(parse_mode(value, 0o7777, field)?),
            "ptmxmode" => ptmxmode = Some(parse_mode(value, 0o7777, field)?),
            "gid" => gid = Some(parse_number(value, field)?),
            _ => return Err(options::unknown(name, "devpts", field)),
        }
    }
    Ok(MountSource::Devpts { mode, gid, ptmxmode })
}

/// Parses bytes with a `k`, `m`, `g` suffix or as a percentage of the host's memory.
fn parse_size(text: &str, field: &str) -> Result<u64, ConfigError> {
    let Some(percent) = text.strip_suffix('%') else {
        return parse_scaled(text, field);
    };
    let percent: u64 = parse_number(percent, field)?;
    let info = rustix::system::sysinfo();
    let total = info.totalram as u64 * u64::from(info.mem_unit);
    Ok((u128::from(total) * u128::from(percent) / 100).min(u128::from(u64::MAX)) as u64)
}

fn parse_scaled(text: &str, field: &str) -> Result<u64, ConfigError> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = parse_number(digits, field)?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| ConfigError::new(field, format!("{text:?} is too large")))
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
