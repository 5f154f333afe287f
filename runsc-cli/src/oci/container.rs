//! The whole configuration: puts the parts together.

use std::path::{Path, PathBuf};

use control_protocol::{ContainerConfig, RootConfig};
use oci_spec::runtime::{Hook, Linux, Process, Spec};

use super::text::check_nul;
use super::{
    Bundle, ConfigError, Container, Export, HookProgram, HookPrograms, Notices, ignored, mounts,
    namespaces, process, resources,
};
use crate::launch::slots;

/// Longest host name Linux accepts.
const MAX_HOSTNAME_BYTES: usize = 64;

/// Checks a bundle's configuration and converts it for the container `id`.
pub fn convert(bundle: &Bundle, id: &str) -> Result<Container, ConfigError> {
    let spec = &bundle.spec;
    let mut notices = Notices::default();
    check_version(spec.version())?;
    ignored::check_system(spec)?;
    let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
    let process_config = process::convert(process, "process", &mut notices)?;
    let (root, root_export) = root(spec, &bundle.directory)?;
    let mut exports = vec![root_export];
    let list = spec.mounts().as_deref().unwrap_or_default();
    let mounts = mounts::convert(list, &bundle.directory, &mut exports, &mut notices)?;
    let default_linux = Linux::default_empty();
    let linux = spec.linux().as_ref().unwrap_or(&default_linux);
    let ids = namespaces::convert(linux, &mut notices)?;
    ignored::note(linux, &mut notices);
    Ok(Container {
        config: ContainerConfig {
            id: id.to_owned(),
            hostname: name(spec.hostname(), "hostname")?.unwrap_or_else(|| short(id)),
            domainname: name(spec.domainname(), "domainname")?,
            root,
            mounts,
            process: process_config,
        },
        exports,
        ids,
        hooks: hooks(spec, &mut notices)?,
        cgroups_path: linux.cgroups_path().clone().filter(|path| !path.as_os_str().is_empty()),
        resources: resources::convert(linux.resources().as_ref(), &mut notices)?,
        console_size: console_size(process)?,
        oom_score_adj: oom_score_adj(process)?,
        annotations: spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        notices,
    })
}

/// `Linux::default()` is a template with namespaces and devices; an absent object has nothing.
trait DefaultEmpty {
    fn default_empty() -> Linux;
}

impl DefaultEmpty for Linux {
    fn default_empty() -> Linux {
        serde_json::from_str("{}").expect("every field of the object is optional")
    }
}

fn missing(field: &str) -> ConfigError {
    ConfigError::new(field, "missing in config.json")
}

fn check_version(version: &str) -> Result<(), ConfigError> {
    match version.split_once('.') {
        Some(("1", _)) => Ok(()),
        _ if version.is_empty() => Err(missing("ociVersion")),
        _ => Err(ConfigError::new("ociVersion", format!("{version:?} is not supported; 1.x is"))),
    }
}

fn root(spec: &Spec, bundle: &Path) -> Result<(RootConfig, Export), ConfigError> {
    let root = spec.root().as_ref().ok_or_else(|| missing("root"))?;
    let text = root.path().to_string_lossy();
    check_nul(&text, "root.path")?;
    if text.is_empty() {
        return Err(ConfigError::new("root.path", "must name the root directory"));
    }
    let path = bundle.join(root.path());
    let problem =
        |text: String| ConfigError::new("root.path", format!("{}: {text}", path.display()));
    let metadata = path.metadata().map_err(|error| problem(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(problem("not a directory".into()));
    }
    let readonly = root.readonly().unwrap_or(false);
    let config = RootConfig { gofer: slots::export(0), readonly, overlay: false, exclusive: true };
    // The sentry makes missing mount points in the root, so the gofer may write even if the
    // container itself may not.
    Ok((config, Export { path, readonly: false, recursive: true }))
}

fn name(name: &Option<String>, field: &str) -> Result<Option<String>, ConfigError> {
    let Some(name) = name.as_ref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    check_nul(name, field)?;
    if name.len() > MAX_HOSTNAME_BYTES {
        let problem = format!("{} bytes long, at most {MAX_HOSTNAME_BYTES}", name.len());
        return Err(ConfigError::new(field, problem));
    }
    Ok(Some(name.clone()))
}

fn short(id: &str) -> String {
    id[..id.len().min(MAX_HOSTNAME_BYTES)].to_owned()
}

/// Columns and rows of `process.consoleSize`, if given.
pub fn console_size(process: &Process) -> Result<Option<(u16, u16)>, ConfigError> {
    let Some(size) = process.console_size() else {
        return Ok(None);
    };
    match (u16::try_from(size.width()), u16::try_from(size.height())) {
        (Ok(0), Ok(0)) => Ok(None),
        (Ok(width), Ok(height)) => Ok(Some((width, height))),
        _ => Err(ConfigError::new("process.consoleSize", "width or height is above 65535")),
    }
}

fn oom_score_adj(process: &Process) -> Result<Option<i32>, ConfigError> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            let problem = format!("{score} is not between -1000 and 1000");
            Err(ConfigError::new("process.oomScoreAdj", problem))
        }
        score => Ok(score),
    }
}

fn hooks(spec: &Spec, notices: &mut Notices) -> Result<HookPrograms, ConfigError> {
    let Some(hooks) = spec.hooks() else {
        return Ok(HookPrograms::default());
    };
    let list = |hooks: &Option<Vec<Hook>>, field: &str| -> Result<Vec<HookProgram>, ConfigError> {
        let hooks = hooks.as_deref().unwrap_or_default();
        hooks.iter().enumerate().map(|(i, h)| hook(h, &format!("hooks.{field}[{i}]"))).collect()
    };
    #[allow(deprecated, reason = "Docker still uses prestart hooks")]
    let mut create_runtime = list(hooks.prestart(), "prestart")?;
    create_runtime.extend(list(hooks.create_runtime(), "createRuntime")?);
    if !list(hooks.start_container(), "startContainer")?.is_empty() {
        notices.not_honoured("hooks.startContainer", "the host's programs cannot run in a sandbox");
    }
    Ok(HookPrograms {
        create_runtime,
        create_container: list(hooks.create_container(), "createContainer")?,
        poststart: list(hooks.poststart(), "poststart")?,
        poststop: list(hooks.poststop(), "poststop")?,
    })
}

fn hook(hook: &Hook, field: &str) -> Result<HookProgram, ConfigError> {
    let path: PathBuf = hook.path().clone();
    if !path.is_absolute() {
        let problem = format!("{path:?} is not an absolute path");
        return Err(ConfigError::new(format!("{field}.path"), problem));
    }
    let timeout_s = match hook.timeout() {
        None => None,
        Some(timeout) if timeout > 0 => Some(timeout as u64),
        Some(_) => {
            return Err(ConfigError::new(format!("{field}.timeout"), "must be above zero"));
        }
    };
    Ok(HookProgram {
        path,
        args: hook.args().clone().unwrap_or_default(),
        env: hook.env().clone().unwrap_or_default(),
        timeout_s,
    })
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
