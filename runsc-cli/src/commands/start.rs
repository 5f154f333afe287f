//! `start`: lets the first process of a created container run.

use std::process::ExitCode;

use control_protocol::Request;

use super::Context;
use crate::cli::IdArgs;
use crate::control;
use crate::error::Error;
use crate::hooks;
use crate::state::{Entry, Record, Stage, StateError, Status};

pub fn start(context: &Context, args: &IdArgs) -> Result<ExitCode, Error> {
    let (entry, mut record) = context.store.open(&args.id)?;
    let status = record.status();
    if status != Status::Created {
        let id = args.id.clone();
        return Err(
            StateError::WrongStatus { command: "start", id, status, wanted: "created" }.into()
        );
    }
    start_container(context, &entry, &mut record)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a created container and runs its poststart hooks. The caller holds its lock.
pub fn start_container(context: &Context, entry: &Entry, record: &mut Record) -> Result<(), Error> {
    control::connect(entry)?.call(&Request::Start, &[])?;
    record.stage = Stage::Started;
    entry.save(record)?;
    for hook in &record.hooks.poststart {
        // Linux runtimes only warn (runtime.md, step 9 of the life cycle).
        if let Err(error) = hooks::run(hook, &record.oci_state()) {
            context.log.warn(&error.to_string());
        }
    }
    Ok(())
}
