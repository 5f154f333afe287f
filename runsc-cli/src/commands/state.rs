//! `state`: the OCI state object.

use std::process::ExitCode;

use super::{Context, print_json};
use crate::cli::IdArgs;
use crate::error::Error;

pub fn state(context: &Context, args: &IdArgs) -> Result<ExitCode, Error> {
    let (_, record) = context.store.read(&args.id)?;
    print_json(&record.oci_state());
    Ok(ExitCode::SUCCESS)
}
