//! The beginning and the end of every training: columns, held-out rows, quantiles and the card.

use std::collections::BTreeMap;

use ndarray::Array2;

use netsage_package::ModelCard;
use netsage_schema::unsw_nb15::SEQUENCE_NUMBERS;
use netsage_schema::{Column, Identity, Rows, Schema, Vocabulary, narrow};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Fewest rows that can be trained on: with fewer, a quantile of the held-out fifth means nothing.
pub(crate) const FEWEST_ROWS: usize = 100;

/// Options of every training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Name under which the package scores, in place of that of its detector.
    pub name: Option<String>,
    /// Columns not to read, besides those that never are (initial sequence numbers).
    pub exclude: Vec<String>,
    /// Share of the rows, drawn at random, that is held out: threshold and calibration come from these rows alone.
    pub held_out: f64,
    /// Quantile of the held-out rows' scores that becomes the threshold.
    pub threshold_quantile: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// What the rows are, in words, with the licence of the data.
    #[serde(skip)]
    pub data: String,
    /// Day of the training, `YYYY-MM-DD`.
    #[serde(skip)]
    pub date: String,
    /// What to know before trusting the figures.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            name: None,
            exclude: Vec::new(),
            held_out: 0.2,
            threshold_quantile: 0.99,
            seed: 1,
            data: String::new(),
            date: String::new(),
            notes: Vec::new(),
        }
    }
}

/// The result of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The detector component that reads the artifact, e.g. `iforest`.
    pub detector: &'static str,
    /// The model, as its detector reads it.
    pub artifact: Vec<u8>,
    /// The model card. Its only figure is the share of held-out ordinary rows above the threshold; an evaluation on
    /// labelled rows adds the others.
    pub card: ModelCard,
}

/// Why training is not possible.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Too few rows.
    #[error("{rows} rows are too few to train on; give at least {FEWEST_ROWS} ordinary flows")]
    TooFewRows {
        /// Rows given.
        rows: usize,
    },
    /// All rows are equal.
    #[error("all training rows are equal in the columns used, so nothing can be told apart; give other rows")]
    OneDistinctRow,
    /// An option is out of its range.
    #[error("the option {name} must be {range}, and is {value}")]
    Option {
        /// Name of the option.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
    /// A column to exclude is unknown.
    #[error("the schema {schema} has no column {column} to exclude")]
    UnknownColumn {
        /// The schema.
        schema: &'static str,
        /// The name given.
        column: String,
    },
    /// A value is not finite.
    #[error("row {row}, column {column}: {value} is not a number that a detector can take")]
    Value {
        /// Position of the row, from 0.
        row: usize,
        /// Name of the column.
        column: &'static str,
        /// What it is.
        value: f64,
    },
    /// The rows have no identities.
    #[error(
        "these rows do not say who talked to whom and when, which this method needs; train on captures, or on what `netsage flows` prints of them"
    )]
    NoIdentities,
    /// The caller asked it to end.
    #[error("the training was interrupted; the same command goes on where it stopped, or begins again")]
    Interrupted,
    /// The trained model does not pass the checks of the detector.
    #[error("the trained model does not pass the detector's own checks: {0}")]
    Artifact(String),
    /// The detector does not score the held-out rows.
    #[error("the trained model does not score the held-out rows: {0}")]
    Score(String),
}

impl Trained {
    /// Adds the reference distributions of the training rows to the card: their distribution in each column that the
    /// model reads, and the flows a day of their traffic. `identities` are those of the rows, or empty.
    pub fn describe(&mut self, rows: &Rows, identities: &[Identity]) {
        let flows_per_day = crate::traffic::flows_per_day(identities);
        self.card.reference = Some(netsage_calibration::drift::reference(
            rows,
            &self.card.columns,
            flows_per_day,
        ));
    }
}

impl TrainError {
    pub(crate) fn option(name: &'static str, range: &'static str, value: impl std::fmt::Display) -> Self {
        Self::Option {
            name,
            range,
            value: value.to_string(),
        }
    }

    /// That error, unless `holds`.
    #[cfg(feature = "workbench")]
    pub(crate) fn unless(
        holds: bool,
        name: &'static str,
        range: &'static str,
        value: &dyn std::fmt::Display,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self::option(name, range, value))
        }
    }
}

impl Common {
    /// Checks what all trainings need.
    pub(crate) fn check(&self, rows: &Rows) -> Result<(), TrainError> {
        self.check_options(rows.schema())?;
        if rows.len() < FEWEST_ROWS {
            return Err(TrainError::TooFewRows { rows: rows.len() });
        }
        Ok(())
    }

    /// The part of it that needs no rows.
    pub(crate) fn check_options(&self, schema: &Schema) -> Result<(), TrainError> {
        if !(0.01..=0.9).contains(&self.held_out) {
            return Err(TrainError::option("held_out", "0.01 to 0.9", self.held_out));
        }
        if !(0.5..=1.0).contains(&self.threshold_quantile) {
            let quantile = self.threshold_quantile;
            return Err(TrainError::option("threshold_quantile", "0.5 to 1", quantile));
        }
        if let Some(column) = self.exclude.iter().find(|name| schema.index_of(name).is_none()) {
            return Err(TrainError::UnknownColumn {
                schema: schema.id,
                column: column.clone(),
            });
        }
        Ok(())
    }

    /// Positions of the columns to read.
    pub(crate) fn columns(&self, schema: &Schema) -> Result<Vec<usize>, TrainError> {
        let reads = |name: &str| {
            !SEQUENCE_NUMBERS.contains(&name) && !self.exclude.iter().any(|excluded| excluded == name)
        };
        let selected: Vec<usize> = (0..schema.width())
            .filter(|&index| reads(schema.columns[index].name))
            .collect();
        if selected.is_empty() {
            return Err(TrainError::option("exclude", "a part of the columns", "all"));
        }
        Ok(selected)
    }

    /// The numbers of the rows that a training with these options holds out for the calibration.
    pub fn held_out_rows(&self, rows: &Rows) -> Vec<usize> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let [held_out, _] = self.split(rows, &mut random);
        held_out
    }

    /// The numbers of the held-out rows and of the others. Rows of a dataset lie in the order of collection, so they
    /// are drawn at random.
    pub(crate) fn split(&self, rows: &Rows, random: &mut ChaCha8Rng) -> [Vec<usize>; 2] {
        let mut held_out: Vec<usize> = (0..rows.len()).collect();
        held_out.shuffle(random);
        let count = (rows.len() as f64 * self.held_out).round() as usize;
        let fitted = held_out.split_off(count);
        [held_out, fitted]
    }

    /// The card of a model that gives the held-out rows these scores.
    pub(crate) fn card(
        &self,
        schema: &Schema,
        columns: Vec<String>,
        rows: usize,
        mut scores: Vec<f32>,
    ) -> ModelCard {
        scores.sort_by(f32::total_cmp);
        let threshold = quantile(&scores, self.threshold_quantile);
        let above = scores.iter().filter(|&&score| score > threshold).count();
        ModelCard {
            rows: rows as u64,
            threshold: Some(threshold),
            threshold_rule: format!(
                "the {} quantile of the scores of {} held-out ordinary rows, drawn at random",
                self.threshold_quantile,
                scores.len()
            ),
            calibration: (0..=100)
                .map(|step| quantile(&scores, f64::from(step) / 100.0))
                .collect(),
            tail: netsage_calibration::fit_tail(&scores),
            // The one figure that ordinary rows alone can give.
            figures: BTreeMap::from([("fpr_held_out".to_owned(), above as f64 / scores.len() as f64)]),
            ..self.unmeasured_card(schema, columns)
        }
    }

    /// A card that describes the model, without measured figures.
    pub(crate) fn unmeasured_card(&self, schema: &Schema, columns: Vec<String>) -> ModelCard {
        ModelCard {
            format: ModelCard::FORMAT,
            name: self.name.clone(),
            detector: None,
            training: None,
            schema: schema.to_string(),
            data: self.data.clone(),
            rows: 0,
            columns,
            seed: self.seed,
            date: self.date.clone(),
            threshold: None,
            threshold_rule: "nobody measured what ordinary rows score".to_owned(),
            calibration: Vec::new(),
            tail: None,
            reference: None,
            figures: BTreeMap::new(),
            notes: self.notes.clone(),
        }
    }
}

/// The named rows and columns, as detectors get them.
pub(crate) fn gather(rows: &Rows, indices: &[usize], selected: &[usize]) -> Result<Array2<f32>, TrainError> {
    let mut table = Array2::zeros((indices.len(), selected.len()));
    for (mut copy, &row) in table.rows_mut().into_iter().zip(indices) {
        let values = rows.row(row);
        for (copy, &column) in copy.iter_mut().zip(selected) {
            *copy = narrow(values[column]).ok_or_else(|| TrainError::Value {
                row,
                column: rows.schema().columns[column].name,
                value: values[column],
            })?;
        }
    }
    Ok(table)
}

/// The value that is typical of a column: its median, of a nominal column the commonest code. With it, for a nominal
/// column, the rank of each code by how often it occurs, 0 for the commonest; codes that do not occur have the rank
/// behind all others.
pub(crate) fn typical(column: &Column, values: impl Iterator<Item = f32>) -> (f32, Option<Vec<u16>>) {
    match column.vocabulary() {
        Some(vocabulary) => {
            let ranks = ranks(vocabulary, values);
            let commonest = ranks.iter().position(|&rank| rank == 0).unwrap_or_default();
            (commonest as f32, Some(ranks))
        }
        None => {
            let mut sorted: Vec<f32> = values.collect();
            sorted.sort_by(f32::total_cmp);
            (quantile(&sorted, 0.5), None)
        }
    }
}

fn ranks(vocabulary: &Vocabulary, values: impl Iterator<Item = f32>) -> Vec<u16> {
    let mut counts = vec![0usize; vocabulary.terms.len()];
    for code in values {
        // Rows hold codes of the vocabulary; another value would only lack a rank here.
        if let Some(count) = counts.get_mut(code as usize) {
            *count += 1;
        }
    }
    let mut by_frequency: Vec<usize> = (0..counts.len()).filter(|&code| counts[code] > 0).collect();
    by_frequency.sort_by_key(|&code| (std::cmp::Reverse(counts[code]), code));
    let to_rank = |rank: usize| u16::try_from(rank).expect("codes are 16 bits wide");
    let mut ranks = vec![to_rank(by_frequency.len()); counts.len()];
    for (rank, &code) in by_frequency.iter().enumerate() {
        ranks[code] = to_rank(rank);
    }
    ranks
}

/// The value at the quantile `share`, 0 to 1, of rising values; 0 when there is none.
pub(crate) fn quantile(sorted: &[f32], share: f64) -> f32 {
    let position = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(position).copied().unwrap_or_default()
}
