//! Mount options: the flags that every type knows, and what is left for the type itself.

use super::{ConfigError, Notices};

/// The options of one mount, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub readonly: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub noexec: bool,
    pub noatime: bool,
    /// A bind mount; `Some(true)` brings the mounts below it.
    pub bind_recursive: Option<bool>,
    /// Options of the file system type: name, value, and the field to name in errors.
    pub data: Vec<(String, Option<String>, String)>,
}

/// Parses `options`; `field` names them in errors.
pub fn parse(
    options: &[String],
    field: &str,
    notices: &mut Notices,
) -> Result<Options, ConfigError> {
    let mut parsed = Options::default();
    for (index, option) in options.iter().enumerate() {
        let field = format!("{field}[{index}]");
        match option.as_str() {
            "ro" | "rro" => parsed.readonly = true,
            "rw" | "rrw" => parsed.readonly = false,
            "nosuid" | "rnosuid" => parsed.nosuid = true,
            "suid" | "rsuid" => parsed.nosuid = false,
            "nodev" | "rnodev" => parsed.nodev = true,
            "dev" | "rdev" => parsed.nodev = false,
            "noexec" | "rnoexec" => parsed.noexec = true,
            "exec" | "rexec" => parsed.noexec = false,
            "noatime" | "rnoatime" => parsed.noatime = true,
            "atime" | "ratime" => parsed.noatime = false,
            "bind" => parsed.bind_recursive = Some(parsed.bind_recursive.unwrap_or(false)),
            "rbind" => parsed.bind_recursive = Some(true),
            // What a mount in the sandbox is anyway.
            "defaults" | "async" | "norelatime" | "relatime" | "rrelatime" | "strictatime"
            | "rstrictatime" | "nostrictatime" | "diratime" | "nodiratime" | "nolazytime"
            | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable"
            | "nomand" | "loud" => {}
            "shared" | "rshared" => {
                notices.not_honoured(&field, "mounts of a sandbox never propagate to the host");
            }
            "sync" | "dirsync" | "lazytime" | "mand" | "silent" => {
                notices.not_honoured(&field, &format!("{option:?} is not implemented"));
            }
            "idmap" | "ridmap" | "tmpcopyup" | "remount" => {
                let problem = format!("mount option {option:?} is not supported");
                return Err(ConfigError::new(field, problem));
            }
            other => {
                let (name, value) = match other.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (other, None),
                };
                parsed.data.push((name.to_owned(), value, field));
            }
        }
    }
    Ok(parsed)
}

impl Options {
    /// Refuses options that neither the flags nor the file system type know.
    pub fn refuse_data(&self, kind: &str) -> Result<(), ConfigError> {
        match self.data.first() {
            None => Ok(()),
            Some((name, _, field)) => Err(unknown(name, kind, field)),
        }
    }
}

/// The error for an option that the type does not have.
pub fn unknown(name: &str, kind: &str, field: &str) -> ConfigError {
    ConfigError::new(field, format!("unknown mount option {name:?} for a mount of type {kind:?}"))
}
