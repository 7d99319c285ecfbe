//! The flows that a training learns from.

use std::path::PathBuf;

use netsage_capture::MeterConfig;
use netsage_console::output::BadRows;
use netsage_console::{Failure, progress};
use netsage_models::Flows;
use netsage_schema::csv::CsvRow;
use netsage_schema::{Identity, Rows};
use netsage_sources::{Capture, Content, Input, Progress, Table, open, read_all};

use crate::unused;

/// Which rows of a table a training learns from; of a table without labels it takes all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Those with this value of `label`.
    Label(bool),
    /// Those with this value of `attack_cat`.
    Category(String),
}

impl Taken {
    /// Whether it takes a row of a table with labels or without.
    fn takes(&self, row: &CsvRow, has_label: bool) -> bool {
        match self {
            Self::Label(label) if has_label => row.label == Some(*label),
            Self::Label(_) => true,
            Self::Category(category) => row.attack_cat.eq_ignore_ascii_case(category),
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
    /// Reads files of one schema: CSV, also compressed, or captures, which are metered by `config`.
    pub(crate) fn read(
        paths: &[PathBuf],
        config: &MeterConfig,
        taken: &Taken,
        bad: &mut BadRows,
    ) -> Result<Self, Failure> {
        let mut read: Option<Self> = None;
        for path in paths {
            let (input, progress) = open(path)?;
            let schema = match &input {
                Input::Capture(_) => config.schema,
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
                Input::Capture(capture) => flows.meter(capture, &progress, config)?,
                Input::Table(table) => flows.table(table, &progress, taken, bad),
            }
        }
        Ok(read.unwrap_or_else(|| Self {
            rows: Rows::new(config.schema),
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

    fn meter(
        &mut self,
        capture: Capture<Content<'static>>,
        read: &Progress,
        config: &MeterConfig,
    ) -> Result<(), Failure> {
        let bar = progress::reading(read, "reading");
        let mut source = capture.metered(config);
        let Ok(damage) = read_all(&mut source, |batch| {
            bar.set_position(read.read());
            for row in batch.rows.iter() {
                self.rows.push(row);
            }
            self.identities.extend_from_slice(&batch.identities);
            Ok::<(), std::convert::Infallible>(())
        });
        bar.finish_and_clear();
        unused::of_capture(&source, damage)
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
                Ok(()) if taken.takes(&row, has_label) => {
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
