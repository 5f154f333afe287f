//! `run`: create and start, and wait unless detached.

use std::process::ExitCode;

use super::create::{self, Made, Mode};
use super::{Context, start};
use crate::cli::RunArgs;
use crate::error::Error;
use crate::foreground::Signals;
use crate::hooks;
use crate::state::{Record, Stage};
use crate::terminal::CallersTerminal;

pub fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, Error> {
    if args.detach {
        let checked = create::check(context, &args.create, Mode::Create)?;
        let made = create::make(context, &args.create, checked, Mode::Create)?;
        let (entry, mut record) = create::commit(made)?;
        return match start::start_container(context, &entry, &mut record) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                super::delete::destroy(context, entry, record)?;
                Err(error)
            }
        };
    }
    let checked = create::check(context, &args.create, Mode::Foreground)?;
    let signals = Signals::take(checked.has_terminal())?;
    let terminal = CallersTerminal::remember();
    let made = create::make(context, &args.create, checked, Mode::Foreground)?;
    let status = foreground(context, made, &signals, args.keep);
    drop(terminal);
    Ok(ExitCode::from(status?))
}

fn foreground(context: &Context, made: Made, signals: &Signals, keep: bool) -> Result<u8, Error> {
    let Made { sandbox, entry, mut record, janitor, is_started } = made;
    let wait = || -> Result<u8, Error> {
        if is_started {
            for hook in &record.hooks.poststart {
                hooks::run(hook, &record.oci_state())?;
            }
        } else {
            sandbox.confirm()?;
            start::start_container(context, &entry, &mut record)?;
        }
        entry.unlock();
        sandbox.wait(signals)
    };
    let status = wait();
    match entry.lock_current()? {
        true if keep && status.is_ok() => {
            entry.save(&Record { stage: Stage::Started, is_attached: false, ..record })?;
        }
        true => super::delete::destroy(context, entry, record)?,
        // Somebody has deleted the container.
        false => {}
    }
    janitor.dismiss();
    status
}
