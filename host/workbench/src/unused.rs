//! What of an input was not used, said on standard error at the end of a command.

use std::io::Read;

use anyhow::anyhow;
use netsage_console::Failure;
use netsage_console::output::note;
use netsage_sources::{Source, SourceError, Table};

/// Says how much of a source was not used and why; `damage` is what ended it early.
///
/// # Errors
/// When there were packets or records and no flow came of them.
pub(crate) fn of_source(source: &dyn Source, damage: Option<SourceError>) -> Result<(), Failure> {
    let unused = source.unused();
    if source.counters().flows == 0 {
        return match (damage, unused) {
            (Some(damage), _) => Err(damage.into()),
            (None, Some(unused)) => Err(anyhow!("{unused}; nothing could be used").into()),
            (None, None) => {
                let what = source.meter().map_or("record", |_| "packet");
                note(format_args!("{}: there is no {what} in it", source.name()));
                Ok(())
            }
        };
    }
    if let Some(damage) = damage {
        note(damage);
    }
    if let Some(unused) = unused {
        note(unused);
    }
    Ok(())
}

/// Says what of a table was not taken as it stands, and whether it has no row.
pub(crate) fn of_table<R: Read>(table: &Table<R>) {
    let mut notes = table.notes();
    if table.is_empty() {
        notes.push("there is no row behind the header".to_owned());
    }
    if !notes.is_empty() {
        note(format_args!("{}: {}", table.name(), notes.join("; ")));
    }
}

/// Says what is doubtful about the labels of a table.
pub(crate) fn of_labels<R: Read>(table: &Table<R>) {
    for text in table.doubts() {
        note(format_args!("{}: {text}", table.name()));
    }
}
