//! Labelled rows, to measure detectors on: from a CSV with a column `label`, from records that are labelled themselves, or
//! from a capture or records with a label file beside it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use netsage_console::output::BadRows;
use netsage_console::say;
use netsage_console::{Failure, progress};
use netsage_gateway::pipeline::score_rows;
use netsage_lifecycle::Loaded;
use netsage_models::metrics::{self, Distinct, Evaluation, Thresholds};
use netsage_schema::csv::CsvRow;
use netsage_schema::{AddressKey, Contexts, Identity, RECORD_V1, Rows, Schema};
use netsage_sources::{Content, Input, Progress, RecordSource, Source, Table, open_with, read_all_with};

use crate::labels::CaptureLabels;
use crate::reading::How;
use crate::unused;

/// The kind of attacks whose kind a file does not name.
const UNNAMED: &str = "(not named)";

/// Rows with their labels, by position.
pub(super) struct Labelled {
    pub(super) rows: Rows,
    /// Identities of the rows, in files where every row has one.
    pub(super) identities: Vec<Identity>,
    pub(super) attack: Vec<bool>,
    /// Name of the kind of traffic; empty where the file does not tell.
    pub(super) categories: Vec<String>,
    /// Whether the rows are flows of a capture or records.
    pub(super) metered: bool,
}

impl Labelled {
    /// Reads a labelled CSV, or a capture or records with their labels in `labels`, or else in `FILE.labels.csv`, or else,
    /// of records, in themselves.
    pub(super) fn read(
        path: &Path,
        labels: Option<&PathBuf>,
        how: &How,
        bad: &mut BadRows,
    ) -> Result<Self, Failure> {
        let (input, progress) = open_with(path, &how.records)?;
        let default = CaptureLabels::beside(path);
        let beside = labels.unwrap_or(&default);
        let has_file = labels.is_some() || beside.exists();
        match input {
            Input::Table(_) if labels.is_some() => Err(Failure::Usage(format!(
                "{}: --labels is for captures and records; a CSV carries its labels in the column `label`",
                path.display()
            ))),
            Input::Table(table) => Self::table(path, table, &progress, bad),
            Input::Records(records) if !has_file => {
                Self::records(records.with_labels().into_source(&RECORD_V1)?, path, &progress)
            }
            _ if !beside.exists() => Err(anyhow!(
                "{}: a capture is measured against a label file, and there is no {}; name one with --labels",
                path.display(),
                beside.display()
            )
            .into()),
            Input::Capture(capture) => {
                let labels = CaptureLabels::open(beside)?;
                Self::flows(capture.metered(&how.meter), &progress, &labels)
            }
            Input::Records(records) => {
                let labels = CaptureLabels::open(beside)?;
                Self::flows(records.into_source(&RECORD_V1)?, &progress, &labels)
            }
        }
    }

    fn empty(schema: &'static Schema, metered: bool) -> Self {
        Self {
            rows: Rows::new(schema),
            identities: Vec::new(),
            attack: Vec::new(),
            categories: Vec::new(),
            metered,
        }
    }

    /// Flows with the labels of a file beside them.
    fn flows(mut source: impl Source, read: &Progress, labels: &CaptureLabels) -> Result<Self, Failure> {
        Self::take(&mut source, read, |_, identity, _| {
            let label = labels.find(identity)?;
            Some((label.attack, label.behaviour.to_owned()))
        })
    }

    /// Records with labels of their own.
    fn records<R: Read + Send>(
        mut source: RecordSource<R>,
        path: &Path,
        read: &Progress,
    ) -> Result<Self, Failure> {
        let mut labelled = Self::take(&mut source, read, |source, _, id| {
            let label = source.label(id?)?;
            Some((label.attack?, label.kind.clone()))
        })?;
        if !source.has_labels() && source.counters().flows > 0 {
            return Err(anyhow!(
                "{}: the records have no column `label`, and there is no {}; name a label file with --labels",
                path.display(),
                CaptureLabels::beside(path).display()
            )
            .into());
        }
        labelled.name_unnamed();
        Ok(labelled)
    }

    /// Flows, each with what `label_of` says: whether it was an attack, and of which kind.
    fn take<S: Source>(
        source: &mut S,
        read: &Progress,
        label_of: impl Fn(&S, &Identity, Option<&[u8; 16]>) -> Option<(bool, String)>,
    ) -> Result<Self, Failure> {
        let bar = progress::reading(read, "metering");
        let mut labelled = Self::empty(source.schema(), true);
        let mut unknown = 0_u64;
        let damage = read_all_with(source, |source, batch| {
            bar.set_position(read.read());
            for ((row, identity), id) in batch.rows.iter().zip(&batch.identities).zip(&batch.ids) {
                match label_of(source, identity, id.as_ref()) {
                    Some((attack, category)) => {
                        labelled.rows.push(row);
                        labelled.identities.push(*identity);
                        labelled.attack.push(attack);
                        labelled.categories.push(category);
                    }
                    None => unknown += 1,
                }
            }
            Ok::<(), Failure>(())
        })?;
        bar.finish_and_clear();
        if unknown > 0 {
            say!("left out {unknown} flows that have no label");
        }
        unused::of_source(source, damage)?;
        Ok(labelled)
    }

    fn table(
        path: &Path,
        mut table: Table<Content<'static>>,
        read: &Progress,
        bad: &mut BadRows,
    ) -> Result<Self, Failure> {
        if !table.has_label() {
            return Err(anyhow!(
                "{}: there is no column `label`, so nothing can be measured",
                path.display()
            )
            .into());
        }
        let bar = progress::reading(read, "reading");
        let mut labelled = Self::empty(table.schema(), false);
        let mut row = CsvRow::default();
        while let Some(result) = table.read(&mut row) {
            match result {
                // The doubts say how many rows have no label.
                Ok(()) => {
                    let Some(attack) = row.label else { continue };
                    labelled.rows.push(&row.values);
                    labelled.attack.push(attack);
                    labelled.categories.push(row.attack_cat.clone());
                    labelled.identities.extend(row.identity);
                }
                Err(error) => bad.report(&error),
            }
            if labelled.rows.len().is_multiple_of(1024) {
                bar.set_position(read.read());
            }
        }
        bar.finish_and_clear();
        unused::of_table(&table);
        unused::of_labels(&table);
        labelled.name_unnamed();
        Ok(labelled)
    }

    /// Gives a name to the kind of attacks that have none, or that of ordinary traffic.
    fn name_unnamed(&mut self) {
        if self.named_categories().is_none() {
            return;
        }
        for (category, attack) in self.categories.iter_mut().zip(&self.attack) {
            if *attack && matches!(category.as_str(), "" | "Normal") {
                *category = UNNAMED.to_owned();
            }
        }
    }

    /// Whether both attacks and ordinary flows are labelled, without which nothing can be ranked.
    pub(super) fn has_both_classes(&self) -> bool {
        self.attack.contains(&true) && self.attack.contains(&false)
    }

    /// The kind of each row, where the file tells.
    pub(super) fn named_categories(&self) -> Option<&[String]> {
        let named = self.categories.iter().any(|category| !category.is_empty());
        named.then_some(self.categories.as_slice())
    }

    /// Scores the rows with a detector, in the order of the file.
    pub(super) fn score(&self, detector: &Loaded) -> anyhow::Result<Vec<f32>> {
        let known = !self.rows.is_empty() && self.identities.len() == self.rows.len();
        let contexts = known.then(|| Contexts::of(&self.identities, &AddressKey::OF_FILES));
        Ok(score_rows(&detector.detector, &self.rows, contexts.as_ref())?)
    }

    /// Scores the rows with a detector and judges the scores, of all rows and of distinct ones; `thresholds` are those of
    /// its model.
    pub(super) fn evaluate(
        &self,
        detector: &Loaded,
        thresholds: Thresholds,
    ) -> anyhow::Result<[Evaluation; 2]> {
        let scores = self.score(detector)?;
        let all = metrics::evaluate(&scores, &self.attack, self.named_categories(), thresholds)?;
        let distinct = Distinct::of(&self.rows, &self.attack);
        let categories = self.named_categories().map(|names| distinct.select(names));
        let of_distinct = metrics::evaluate(
            &distinct.select(&scores),
            &distinct.select(&self.attack),
            categories.as_deref(),
            thresholds,
        )?;
        Ok([all, of_distinct])
    }
}
