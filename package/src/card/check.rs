//! What a model card must hold before anything relies on it.
//!
//! A card comes from a file that anybody can write. Thresholds, percentiles, severities and drift are computed from it,
//! so a card that contradicts itself, or belongs to another schema, would raise false alerts or none.

use std::collections::BTreeSet;

use netsage_schema::{Column, Schema};

use super::{CalibrationTail, ColumnDistribution, ModelCard, ReferenceDistributions};
use crate::MAX_COLUMNS;
use crate::name::is_detector_name;

/// Quantiles of a calibration.
const QUANTILES: usize = 101;
/// Years in which a model can have been trained. The clock is not asked: a gateway without a battery starts in 1970, and
/// a package that was taken yesterday must be taken today.
const YEARS: std::ops::RangeInclusive<u32> = 2000..=2099;
/// Bounds of the shape of a tail, as [`CalibrationTail::shape`] states them.
const SHAPE: std::ops::RangeInclusive<f32> = 0.05..=0.9;
/// Tolerance of the sum of shares, per share, since each share is rounded to 0.0001.
const ROUNDING: f64 = 1e-4;

/// Why a model card is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not the JSON of a card.
    #[error(
        "the model card cannot be read: {0}; pack the package again with the card that its training wrote"
    )]
    Unreadable(String),
    /// Of a later format.
    #[error(
        "the model card is of format {found}, and this program reads format {}; take a later version of netsage, or \
         train the model with this one",
        ModelCard::FORMAT
    )]
    Format {
        /// The format of the card.
        found: u32,
    },
    /// Trained for a schema that this program does not have, or not in this version.
    #[error(
        "the model card says that the model was trained for the schema {found:?}, and this program knows {}; train the \
         model for one of these",
        known_schemas()
    )]
    UnknownSchema {
        /// The schema of the card.
        found: String,
    },
    /// Trained for a schema that is not the one that runs.
    #[error(
        "the model card says that the model was trained for the schema {found:?}, and {running} runs here; run with the \
         schema of the model, or train it for {running}"
    )]
    OtherSchema {
        /// The schema of the card.
        found: String,
        /// The schema that runs.
        running: String,
    },
    /// A field contradicts the format or another field.
    #[error(
        "the model card is damaged: {field} {what}; pack the package again with the card that its training wrote"
    )]
    Damaged {
        /// The field, or the field and the entry in it, as the JSON names them.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// The detector reads other columns.
    #[error(
        "the model card is of another model: {0}; pack the package again with the card that its training wrote"
    )]
    OtherModel(String),
}

/// The schemas that this program knows, for messages.
pub(crate) fn known_schemas() -> String {
    Schema::ALL.map(|schema| schema.to_string()).join(", ")
}

/// The schema of this name and version, e.g. `flow-v1@1`.
pub(crate) fn known_schema(named: &str) -> Option<&'static Schema> {
    Schema::ALL.into_iter().find(|schema| schema.to_string() == named)
}

/// The outcome of the check of one field.
type Checked = Result<(), CardError>;

fn damaged(field: impl Into<String>, what: impl Into<String>) -> CardError {
    CardError::Damaged {
        field: field.into(),
        what: what.into(),
    }
}

/// An error about a field unless the condition holds.
fn ensure(holds: bool, field: &str, what: &str) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(damaged(format!("`{field}`"), what))
    }
}

impl ModelCard {
    /// The schema that the model was trained for, of those that this program knows.
    ///
    /// # Errors
    /// [`CardError::UnknownSchema`] when there is none of this name and version.
    pub fn known_schema(&self) -> Result<&'static Schema, CardError> {
        known_schema(&self.schema).ok_or_else(|| CardError::UnknownSchema {
            found: self.schema.chars().take(64).collect(),
        })
    }

    /// Checks that the card is for rows of `schema`, and consistent in itself.
    ///
    /// # Errors
    /// See [`CardError`].
    pub fn check(&self, schema: &Schema) -> Result<(), CardError> {
        if self.known_schema()? != schema {
            return Err(CardError::OtherSchema {
                found: self.schema.clone(),
                running: schema.to_string(),
            });
        }
        self.check_texts()?;
        ensure(
            is_day(&self.date),
            "date",
            &format!(
                "is {:?}, which is no day of the years 2000 to 2099 as YYYY-MM-DD",
                self.date
            ),
        )?;
        check_columns(&self.columns, schema)?;
        self.check_scores()?;
        match &self.reference {
            Some(reference) => self.check_reference(reference, schema),
            None => Ok(()),
        }
    }

    /// Checks that the card is of a model that reads these columns, in this order, with this component.
    ///
    /// # Errors
    /// [`CardError::OtherModel`] when it is not.
    pub fn check_detector(&self, component: &str, columns: &[&str]) -> Result<(), CardError> {
        if let Some(detector) = self.detector.as_deref().filter(|name| *name != component) {
            return Err(CardError::OtherModel(format!(
                "`detector` is {detector:?}, and the component of the package is {component:?}"
            )));
        }
        let mut read = columns.iter();
        for (place, named) in self.columns.iter().enumerate() {
            match read.next() {
                Some(column) if column == named => {}
                Some(column) => {
                    return Err(CardError::OtherModel(format!(
                        "`columns` has {named:?} in place {}, where the detector reads {column:?}",
                        place + 1
                    )));
                }
                None => {
                    return Err(CardError::OtherModel(format!(
                        "`columns` has {named:?}, which the detector does not read"
                    )));
                }
            }
        }
        match read.next() {
            Some(column) => Err(CardError::OtherModel(format!(
                "`columns` lacks {column:?}, which the detector reads"
            ))),
            None => Ok(()),
        }
    }

    /// Texts are shown on terminals and become names of detectors.
    fn check_texts(&self) -> Checked {
        for (field, name) in [("name", &self.name), ("detector", &self.detector)] {
            let is_name = name.as_deref().is_none_or(is_detector_name);
            ensure(is_name, field, "is not 1 to 64 of a-z, 0-9 and -")?;
        }
        let texts = [("data", &self.data), ("threshold_rule", &self.threshold_rule)];
        let notes = self.notes.iter().map(|note| ("notes", note));
        let figures = self.figures.keys().map(|name| ("figures", name));
        for (field, text) in texts.into_iter().chain(notes).chain(figures) {
            ensure(
                !text.chars().any(char::is_control),
                field,
                "holds control characters",
            )?;
        }
        Ok(())
    }

    fn check_scores(&self) -> Checked {
        let is_finite = self.threshold.is_none_or(f32::is_finite);
        ensure(is_finite, "threshold", "is not a finite number")?;
        // Without a calibration scores have no percentiles, and alerts no severity but the lowest.
        if self.calibration.is_empty() {
            return ensure(
                self.tail.is_none(),
                "tail",
                "goes on from a calibration that is not there",
            );
        }
        ensure(
            self.calibration.len() == QUANTILES,
            "calibration",
            &format!("has {} quantiles instead of {QUANTILES}", self.calibration.len()),
        )?;
        let finite = self.calibration.iter().all(|score| score.is_finite());
        ensure(
            finite,
            "calibration",
            "holds a quantile that is not a finite number",
        )?;
        if let Some(step) = self.calibration.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(damaged(
                "`calibration`",
                format!("falls from quantile {step} to {}, and quantiles rise", step + 1),
            ));
        }
        match &self.tail {
            Some(tail) => tail.check(self.calibration[QUANTILES - 2], 0.01),
            None => Ok(()),
        }
    }

    fn check_reference(&self, reference: &ReferenceDistributions, schema: &Schema) -> Checked {
        let per_day = reference.flows_per_day.unwrap_or(1.0);
        ensure(
            per_day.is_finite() && per_day > 0.0,
            "baseline.flows_per_day",
            "is not a number above 0",
        )?;
        let mut seen = BTreeSet::new();
        for column in &reference.columns {
            let named = self.columns.contains(&column.column) && seen.insert(&column.column);
            let known = schema.columns.iter().find(|known| known.name == column.column);
            match known.filter(|_| named) {
                Some(known) => column.check(known)?,
                None => {
                    let what = format!(
                        "has {:?}, which `columns` does not have or `baseline` has twice",
                        column.column
                    );
                    return Err(damaged("`baseline`", what));
                }
            }
        }
        Ok(())
    }
}

/// A day of the calendar, `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let mut parts = text.splitn(3, '-').map(|part| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| digits)
    });
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    text.len() == "YYYY-MM-DD".len()
        && YEARS.contains(&year)
        && (1..=12).contains(&month)
        && (1..=days).contains(&day)
}

fn check_columns(columns: &[String], schema: &Schema) -> Checked {
    let count = format!("names {} columns instead of 1 to {MAX_COLUMNS}", columns.len());
    ensure((1..=MAX_COLUMNS).contains(&columns.len()), "columns", &count)?;
    let mut seen = BTreeSet::new();
    for name in columns {
        let shown = || name.chars().take(64).collect::<String>();
        if schema.index_of(name).is_none() {
            let hint = schema
                .nearest(name)
                .map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
            let problem = format!(
                "names {:?}, which the schema {schema} does not have{hint}",
                shown()
            );
            return ensure(false, "columns", &problem);
        }
        if !seen.insert(name) {
            return ensure(false, "columns", &format!("names {:?} twice", shown()));
        }
    }
    Ok(())
}

impl CalibrationTail {
    /// Checks that the tail continues a quantile with this score and this share of rows above it, and falls.
    ///
    /// # Errors
    /// [`CardError::Damaged`] when it does not.
    pub fn check(&self, mut score: f32, mut share: f64) -> Result<(), CardError> {
        for point in &self.points {
            let falls = point.share > 0.0 && point.share < share;
            ensure(
                falls,
                "tail.points",
                "holds a share that is not above 0 and below the one before",
            )?;
            let rises = point.score.is_finite() && point.score >= score;
            ensure(
                rises,
                "tail.points",
                "holds a score below the one before, or one that is not a finite number",
            )?;
            (score, share) = (point.score, point.share);
        }
        let is_scale = self.scale.is_finite() && self.scale > 0.0;
        ensure(is_scale, "tail.scale", "is not a number above 0")?;
        ensure(SHAPE.contains(&self.shape), "tail.shape", "is not 0.05 to 0.9")
    }
}

impl ColumnDistribution {
    /// Whether bins and shares belong together and to the column.
    fn check(&self, column: &Column) -> Checked {
        let field = format!("baseline.columns, {}", column.name);
        let bins = match column.vocabulary() {
            Some(vocabulary) => {
                ensure(
                    self.edges.is_empty(),
                    &field,
                    "has edges, and a nominal column has terms",
                )?;
                let distinct: BTreeSet<&String> = self.terms.iter().collect();
                let known = self.terms.iter().all(|term| vocabulary.code_of(term).is_some());
                let what = "has a term twice, or one that the vocabulary of the column does not have";
                ensure(known && distinct.len() == self.terms.len(), &field, what)?;
                self.terms.len()
            }
            None => {
                ensure(
                    self.terms.is_empty(),
                    &field,
                    "has terms, and a numeric column has edges",
                )?;
                let finite = self.edges.iter().all(|edge| edge.is_finite());
                let rises = self.edges.windows(2).all(|pair| pair[0] < pair[1]);
                ensure(
                    finite && rises,
                    &field,
                    "has edges that do not rise or are not finite numbers",
                )?;
                self.edges.len()
            }
        };
        let count = format!("has {} shares for {} bins", self.shares.len(), bins + 1);
        ensure(self.shares.len() == bins + 1, &field, &count)?;
        let shares = self.shares.iter().all(|share| (0.0..=1.0).contains(share));
        let sum: f64 = self.shares.iter().map(|share| f64::from(*share)).sum();
        let whole = (sum - 1.0).abs() <= ROUNDING * (bins + 1) as f64;
        ensure(
            shares && whole,
            &field,
            "has shares that are not 0 to 1 or do not sum to 1",
        )
    }
}
