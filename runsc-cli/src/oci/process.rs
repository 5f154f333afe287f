//! The `process` object, of `config.json` and of `exec --process`.

use control_protocol::ProcessConfig;
use oci_spec::runtime::{Process, User};

use super::text::{check_nul, clean_absolute};
use super::{ConfigError, Notices, capabilities, rlimits};

/// Most supplementary groups Linux allows (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

/// Converts a process object; `field` names it in errors. Standard input, output and error are the
/// caller's to fill in.
pub fn convert(
    process: &Process,
    field: &str,
    notices: &mut Notices,
) -> Result<ProcessConfig, ConfigError> {
    let args = process.args().clone().unwrap_or_default();
    if args.is_empty() {
        return Err(ConfigError::new(format!("{field}.args"), "must name a program to run"));
    }
    for (index, arg) in args.iter().enumerate() {
        check_nul(arg, &format!("{field}.args[{index}]"))?;
    }
    let env = process.env().clone().unwrap_or_default();
    check_env(&env, field)?;
    note_ignored(process, field, notices);
    let user = process.user();
    check_user(user, field)?;
    Ok(ProcessConfig {
        args,
        env,
        cwd: check_cwd(&process.cwd().to_string_lossy(), field)?,
        uid: user.uid(),
        gid: user.gid(),
        additional_gids: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
        capabilities: capabilities::convert(
            process.capabilities().as_ref(),
            &format!("{field}.capabilities"),
            notices,
        )?,
        rlimits: rlimits::convert(
            process.rlimits().as_deref().unwrap_or_default(),
            &format!("{field}.rlimits"),
        )?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        terminal: process.terminal().unwrap_or(false),
        stdio: [None; 3],
    })
}

fn check_env(env: &[String], field: &str) -> Result<(), ConfigError> {
    for (index, variable) in env.iter().enumerate() {
        let field = format!("{field}.env[{index}]");
        check_nul(variable, &field)?;
        match variable.find('=') {
            Some(0) => return Err(ConfigError::new(field, format!("{variable:?} has no name"))),
            Some(_) => {}
            None => {
                return Err(ConfigError::new(field, format!("{variable:?} is not NAME=value")));
            }
        }
    }
    Ok(())
}

fn check_cwd(cwd: &str, field: &str) -> Result<String, ConfigError> {
    let field = format!("{field}.cwd");
    check_nul(cwd, &field)?;
    if !cwd.starts_with('/') {
        return Err(ConfigError::new(field, format!("{cwd:?} is not an absolute path")));
    }
    Ok(clean_absolute(cwd))
}

fn check_user(user: &User, field: &str) -> Result<(), ConfigError> {
    // The all-ones id means "leave unchanged" to setuid(2) and its kin.
    if user.uid() == u32::MAX || user.gid() == u32::MAX {
        return Err(ConfigError::new(format!("{field}.user"), "4294967295 is not a valid id"));
    }
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    if groups.len() > MAX_GROUPS || groups.contains(&u32::MAX) {
        let problem = format!("more than {MAX_GROUPS} groups, or 4294967295 among them");
        return Err(ConfigError::new(format!("{field}.user.additionalGids"), problem));
    }
    if user.umask().is_some_and(|umask| umask > 0o777) {
        return Err(ConfigError::new(format!("{field}.user.umask"), "above 511 (octal 777)"));
    }
    Ok(())
}

fn note_ignored(process: &Process, field: &str, notices: &mut Notices) {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let mut note = |is_given: bool, name: &str, reason: &str| {
        if is_given {
            notices.not_honoured(&format!("{field}.{name}"), reason);
        }
    };
    const OWN_KERNEL: &str = "the sandbox' own kernel confines the process";
    note(is_set(process.apparmor_profile()), "apparmorProfile", OWN_KERNEL);
    note(is_set(process.selinux_label()), "selinuxLabel", OWN_KERNEL);
    note(process.io_priority().is_some(), "ioPriority", "not implemented");
    note(process.scheduler().is_some(), "scheduler", "not implemented");
    note(process.exec_cpu_affinity().is_some(), "execCPUAffinity", "not implemented");
    note(is_set(process.command_line()), "commandLine", "it is for Windows; args counts");
}
