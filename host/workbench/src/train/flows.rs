//! The flows that a training learns from.

use std::io::Read;
use std::path::PathBuf;

use netsage_console::output::BadRows;
use netsage_console::{Failure, progress};
use netsage_models::Flows;
use netsage_schema::csv::CsvRow;
use netsage_schema::{Identity, RECORD_V1, Rows};
use netsage_sources::{
    Content, Input, Progress, RecordSource, Source, Table, open_with, read_all, read_all_with,
};

use crate::reading::How;
use crate::unused;

/// Which rows of a table or records a training learns from; without labels it takes all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Those with this value of `label`.
    Label(bool),
    /// Those with this value of `attack_cat`.
    Category(String),
}

impl Taken {
    /// Whether it takes a flow of that label and kind, where flows have labels or not.
    fn takes(&self, attack: Option<bool>, kind: &str, has_label: bool) -> bool {
        match self {
            Self::Label(label) if has_label => attack == Some(*label),
            Self::Label(_) => true,
            Self::Category(category) => kind.eq_ignore_ascii_case(category),
        }
    }
}

/// Ordinary flows, as they come from files.
pub(crate) struct Ordinary {
    pub(crate) rows: Rows,
    identities: Vec<Identity>,
    /// Rows left out for their label.
    pub(crate) left_out: u64,
}

impl Ordinary {
    /// Reads files of one schema: CSV, captures or records, also compressed.
    pub(crate) fn read(
        paths: &[PathBuf],
        how: &How,
        taken: &Taken,
        bad: &mut BadRows,
    ) -> Result<Self, Failure> {
        let mut read: Option<Self> = None;
        for path in paths {
            let (input, progress) = open_with(path, &how.records)?;
            let schema = match &input {
                Input::Capture(_) => how.meter.schema,
                Input::Records(_) => &RECORD_V1,
                Input::Table(table) => table.schema(),
            };
            let flows = read.get_or_insert_with(|| Self {
                rows: Rows::new(schema),
                identities: Vec::new(),
                left_out: 0,
            });
            if flows.rows.schema() != schema {
                return Err(Failure::Usage(format!(
                    "{}: gives rows of schema {}, the files before it gave {}; train on one schema",
                    path.display(),
                    schema.id,
                    flows.rows.schema().id
                )));
            }
            match input {
                Input::Capture(capture) => flows.take(&mut capture.metered(&how.meter), &progress)?,
                Input::Records(records) => {
                    flows.records(records.with_labels().into_source(schema)?, &progress, taken)?;
                }
                Input::Table(table) => flows.table(table, &progress, taken, bad),
            }
        }
        Ok(read.unwrap_or_else(|| Self {
            rows: Rows::new(how.meter.schema),
            identities: Vec::new(),
            left_out: 0,
        }))
    }

    /// What a training takes.
    pub(crate) fn flows(&self) -> Flows<'_> {
        let known = self.identities.len() == self.rows.len();
        Flows {
            rows: &self.rows,
            identities: if known { &self.identities } else { &[] },
        }
    }

    fn take(&mut self, source: &mut dyn Source, read: &Progress) -> Result<(), Failure> {
        let bar = progress::reading(read, "reading");
        let Ok(damage) = read_all(source, |batch| {
            bar.set_position(read.read());
            for row in batch.rows.iter() {
                self.rows.push(row);
            }
            self.identities.extend_from_slice(&batch.identities);
            Ok::<(), std::convert::Infallible>(())
        });
        bar.finish_and_clear();
        unused::of_source(source, damage)
    }

    /// Takes records by the labels that they may have.
    fn records<R: Read + Send>(
        &mut self,
        mut source: RecordSource<R>,
        read: &Progress,
        taken: &Taken,
    ) -> Result<(), Failure> {
        let bar = progress::reading(read, "reading");
        let Ok(damage) = read_all_with(&mut source, |source, batch| {
            bar.set_position(read.read());
            for ((row, identity), id) in batch.rows.iter().zip(&batch.identities).zip(&batch.ids) {
                let label = id.as_ref().and_then(|id| source.label(id));
                let attack = label.and_then(|label| label.attack);
                let kind = label.map_or("", |label| label.kind.as_str());
                if taken.takes(attack, kind, source.has_labels()) {
                    self.rows.push(row);
                    self.identities.push(*identity);
                } else {
                    self.left_out += 1;
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        bar.finish_and_clear();
        unused::of_source(&source, damage)
    }

    fn table(
        &mut self,
        mut table: Table<Content<'static>>,
        read: &Progress,
        taken: &Taken,
        bad: &mut BadRows,
    ) {
        let bar = progress::reading(read, "reading");
        let has_label = table.has_label();
        let mut row = CsvRow::default();
        while let Some(result) = table.read(&mut row) {
            match result {
                Ok(()) if taken.takes(row.label, &row.attack_cat, has_label) => {
                    self.rows.push(&row.values);
                    self.identities.extend(row.identity);
                }
                Ok(()) => self.left_out += 1,
                Err(error) => bad.report(&error),
            }
            if self.rows.len().is_multiple_of(1024) {
                bar.set_position(read.read());
            }
        }
        bar.finish_and_clear();
        unused::of_table(&table);
        unused::of_labels(&table);
    }
}
