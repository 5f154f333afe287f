//! `delete`: forgets a container.

use std::process::ExitCode;
use std::time::Duration;

use super::Context;
use crate::cli::DeleteArgs;
use crate::error::Error;
use crate::hooks;
use crate::state::{Entry, HostProcess, Record, StateError, Status};

/// How long a killed sandbox may take to die.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
/// How long the gofer of a sandbox that has ended may take to end as well.
const GOFER_DEADLINE: Duration = Duration::from_secs(1);

/// Deletes a stopped or created container; with `--force` a running one too, without its help.
pub fn delete(context: &Context, args: &DeleteArgs) -> Result<ExitCode, Error> {
    let opened = match args.force {
        // A hung create, start or exec must not keep us from killing.
        true => kill_unlocked(context, &args.id).and_then(|()| context.store.open(&args.id)),
        false => context.store.open(&args.id),
    };
    let (entry, record) = match opened {
        Err(StateError::NoSuchContainer(_)) if args.force => {
            // A delete that was killed may have left its directory.
            context.store.sweep_all()?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(StateError::Damaged { .. }) if args.force => {
            context.store.find(&args.id)?.remove()?;
            return Ok(ExitCode::SUCCESS);
        }
        result => result?,
    };
    match record.status() {
        Status::Running if !args.force => {
            return Err(StateError::WrongStatus {
                command: "delete",
                id: args.id.clone(),
                status: Status::Running,
                wanted: "stopped (--force kills it first)",
            }
            .into());
        }
        _ => destroy(context, entry, record)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn kill_unlocked(context: &Context, id: &str) -> Result<(), StateError> {
    let (_, record) = context.store.read(id)?;
    if let Some(Err(error)) = record.sentry.map(|sentry| sentry.kill(KILL_DEADLINE)) {
        context.log.warn(&error.to_string());
    }
    Ok(())
}

/// Kills what is left of a container, removes its cgroup and state, and runs the poststop hooks.
pub fn destroy(context: &Context, entry: Entry, record: Record) -> Result<(), Error> {
    let kill = |process: HostProcess| {
        process.kill(KILL_DEADLINE).map_err(|source| {
            Error::io(format!("cannot kill the sandbox of container {:?}", record.id), source)
        })
    };
    record.sentry.map_or(Ok(()), kill)?;
    if let Some(gofer) = record.gofer {
        // It ends by itself when it has done what it was told.
        let _ = gofer.await_end(GOFER_DEADLINE);
        kill(gofer)?;
    }
    if let Some(cgroup) = &record.cgroup {
        cgroup.remove();
    }
    entry.remove()?;
    for hook in &record.hooks.poststop {
        // The container is gone: a failing hook is told and hinders nothing (runtime.md).
        if let Err(error) = hooks::run(hook, &record.oci_state()) {
            context.log.warn(&error.to_string());
        }
    }
    Ok(())
}
