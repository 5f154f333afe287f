//! `spec`: a template for a bundle's configuration.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::SpecArgs;
use crate::error::Error;
use crate::oci;

/// Writes `config.json` into the bundle directory. Refuses to overwrite one.
pub fn spec(args: &SpecArgs) -> Result<ExitCode, Error> {
    let path = args.bundle.join("config.json");
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let template = oci::template(args.rootless.then_some(ids));
    let what = || format!("cannot write {path:?}");
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|source| Error::io(what(), source))?;
    writeln!(file, "{template:#}").map_err(|source| Error::io(what(), source))?;
    Ok(ExitCode::SUCCESS)
}
