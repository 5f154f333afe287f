//! `list`: all containers of the state root.

use std::process::ExitCode;

use super::Context;
use crate::cli::{ListArgs, OutputFormat};
use crate::error::Error;
use crate::state::Record;

pub fn list(context: &Context, args: &ListArgs) -> Result<ExitCode, Error> {
    let records = context.store.list()?;
    if args.quiet {
        records.iter().for_each(|record| println!("{}", record.id));
    } else if args.format == OutputFormat::Json {
        let states: Vec<_> = records.iter().map(Record::oci_state).collect();
        println!("{}", serde_json::Value::from(states));
    } else {
        print_table(&records);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_table(records: &[Record]) {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let rows = records.iter().map(|record| {
        [
            record.id.clone(),
            record.pid().to_string(),
            record.status().to_string(),
            record.bundle.display().to_string(),
            record.created.clone(),
            record.owner.to_string(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
