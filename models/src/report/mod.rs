//! What an evaluation found, and how it is shown: [`Report::table`] for a terminal, [`Report::html`] for readers,
//! [`Report::markdown`] for documents, and JSON by serde for programs. All four show the same numbers.
//!
//! Nothing here measures time or reads files; whoever evaluates fills in a [`Report`].

use std::collections::BTreeMap;

use netsage_api_types::DetectorRef;
use netsage_schema::Schema;
use serde::Serialize;

use crate::metrics::{
    Bootstrap, Curve, Distinct, Evaluation, Intervals, MetricsError, OperatingPoint, Thresholds, evaluate,
    intervals,
};

mod histogram;
mod html;
mod markdown;
mod numbers;
mod pictures;
mod result_tables;
mod svg;
mod table;

pub use histogram::Histogram;
pub use numbers::{shown, shown_count, shown_score};

/// What was found on the rows of one file.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Program and version, e.g. `netsage 0.1.0`.
    pub made_by: String,
    /// Day, `YYYY-MM-DD`.
    pub date: String,
    /// The command that makes this report again.
    pub command: String,
    /// The rows.
    pub data: DataSummary,
    /// Names of the files with ordinary training rows, where some were given.
    pub training: Vec<String>,
    /// How the intervals were drawn; no intervals with 0 samples.
    pub bootstrap: Bootstrap,
    /// Ordinary flows a day for which false alerts are stated.
    pub flows_per_day: f64,
    /// What to know about the data before quoting a figure.
    pub artefacts: Vec<String>,
    /// Detectors, their fused verdict, and baselines.
    pub results: Vec<Outcome>,
}

/// The rows of a report.
#[derive(Debug, Clone, Serialize)]
pub struct DataSummary {
    /// Name of the file.
    pub file: String,
    /// Its schema.
    pub schema: String,
    /// Rows.
    pub rows: usize,
    /// Rows labelled as attack.
    pub attacks: usize,
    /// Rows that are left when repeated ones are counted once.
    pub distinct_rows: usize,
    /// Attacks among them.
    pub distinct_attacks: usize,
    /// Vectors that occur with both labels.
    pub with_both_labels: usize,
    /// Rows of each kind of attack.
    pub categories: Vec<CategoryRows>,
}

/// How often a kind of attack occurs.
#[derive(Debug, Clone, Serialize)]
pub struct CategoryRows {
    /// Its name.
    pub category: String,
    /// Rows.
    pub rows: usize,
    /// Distinct rows.
    pub distinct: usize,
}

/// Origin of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A detector.
    Detector,
    /// The verdict of several detectors.
    Fused,
    /// A simple method that a detector has to beat.
    Baseline,
}

/// What was found of one detector, verdict or baseline.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Name, different from those of the others.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The package, of a detector.
    pub detector: Option<DetectorRef>,
    /// What it does, in a sentence.
    pub about: String,
    /// What labelled rows steered, where the card declares it.
    pub steered: Option<String>,
    /// Further notes of its card.
    pub notes: Vec<String>,
    /// With all columns; then without some, where that was asked for.
    pub conditions: Vec<Condition>,
    /// Why there is no condition without the columns that give the label away, where there is none.
    pub not_without_ttl: Option<String>,
}

/// The columns that a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// All columns that the model reads.
    All,
    /// Those without `sttl`, `dttl` and `ct_state_ttl`.
    WithoutTtl,
}

impl Columns {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::All => "all columns",
            Self::WithoutTtl => "without TTL",
        }
    }
}

/// Figures of a model that reads certain columns.
#[derive(Debug, Clone, Serialize)]
pub struct Condition {
    /// Which columns.
    pub columns: Columns,
    /// How many.
    pub reads: usize,
    /// Rows scored per second, in the run that made the report.
    pub rows_per_second: Option<f64>,
    /// On all rows.
    pub all: Figures,
    /// On distinct rows.
    pub distinct: Figures,
    /// What the pictures are drawn from.
    #[serde(skip)]
    pub curves: Curves,
}

/// Figures on some rows.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The figures.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// The 95 % intervals of the figures, by name; empty without samples.
    pub intervals: Intervals,
    /// Ordinary flows taken for attacks a day, at the rate of the report, by operating point.
    pub false_alerts_per_day: BTreeMap<&'static str, f64>,
}

/// Points of curves, on all rows.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// By rising false-positive rate.
    pub points: Vec<OperatingPoint>,
    /// How the scores of both classes spread.
    pub histogram: Histogram,
}

/// Labels of rows, and how to judge scores by them.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Whether each row is an attack.
    pub attack: &'a [bool],
    /// The kind of each row, where it is known.
    pub categories: Option<&'a [String]>,
    /// The rows that are left when repeated ones are counted once.
    pub distinct: &'a Distinct,
    /// How to draw intervals.
    pub bootstrap: Bootstrap,
    /// Ordinary flows a day for which false alerts are stated.
    pub flows_per_day: f64,
}

impl Judge<'_> {
    /// The figures of scores, one for each row.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn condition(
        &self,
        columns: Columns,
        reads: usize,
        scores: &[f32],
        thresholds: Thresholds,
    ) -> Result<Condition, MetricsError> {
        let all = self.figures(scores, self.attack, self.categories, thresholds)?;
        let categories = self.categories.map(|categories| self.distinct.select(categories));
        let distinct = self.figures(
            &self.distinct.select(scores),
            &self.distinct.select(self.attack),
            categories.as_deref(),
            thresholds,
        )?;
        Ok(Condition {
            columns,
            reads,
            rows_per_second: None,
            all,
            distinct,
            curves: Curves {
                points: Curve::new(scores, self.attack)?.points().collect(),
                histogram: Histogram::of(scores, self.attack),
            },
        })
    }

    fn figures(
        &self,
        scores: &[f32],
        attack: &[bool],
        categories: Option<&[String]>,
        thresholds: Thresholds,
    ) -> Result<Figures, MetricsError> {
        let evaluation = evaluate(scores, attack, categories, thresholds)?;
        let by_rate = [
            ("fpr_0_1", evaluation.at_fpr_0_1),
            ("fpr_1", evaluation.at_fpr_1),
            ("fpr_5", evaluation.at_fpr_5),
        ];
        let false_alerts_per_day = by_rate
            .into_iter()
            .chain(evaluation.at_fixed())
            .map(|(name, point)| (name, point.fpr * self.flows_per_day))
            .collect();
        Ok(Figures {
            intervals: intervals(scores, attack, &thresholds, self.bootstrap)?,
            evaluation,
            false_alerts_per_day,
        })
    }

    /// Rows of each kind of attack.
    pub fn category_rows(&self) -> Vec<CategoryRows> {
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        let categories = self.categories.unwrap_or_default();
        let attacks = |&row: &usize| self.attack[row];
        for row in (0..categories.len()).filter(attacks) {
            counts.entry(categories[row].trim()).or_default()[0] += 1;
        }
        for &row in self.distinct.rows.iter().filter(|row| attacks(row)) {
            if let Some(category) = categories.get(row) {
                counts.entry(category.trim()).or_default()[1] += 1;
            }
        }
        let rows = |(category, [rows, distinct]): (&str, [usize; 2])| CategoryRows {
            category: category.to_owned(),
            rows,
            distinct,
        };
        counts.into_iter().map(rows).collect()
    }
}

/// Known artefacts of data of a schema, to be named wherever a figure is quoted.
pub fn known_artefacts(schema: &Schema) -> Vec<String> {
    let notes: &[&str] = match schema.id {
        "unsw-nb15" => &[
            "Almost every packet was captured twice, at two interfaces of a router: packet counts are even in 98.6 % of \
             the rows. A model that reads packet counts does not carry over to traffic that is captured once.",
            "The time-to-live gives the label away: sttl 31 is never an attack, and ordinary rows with sttl of 254 or \
             more are 20 % of training and 41 % of testing. Figures without sttl, dttl and ct_state_ttl are the ones \
             to believe.",
            "Rows repeat: 42 % of the official training rows are copies, 10.4 % of the testing rows also occur in \
             training, and 414 vectors carry both labels. Figures on distinct rows stand beside those on all rows.",
            "Rows lie in the order of collection, without times and addresses: what depends on the order of flows sees \
             an artificial sequence here.",
            "The ordinary flows of the testing partition come from other hosts than those of training, so a threshold \
             that 5 % of held-out training rows exceed is exceeded by 9 to 12 % of them.",
            "Many files of this name are synthetic. In real rows tcprtt = synack + ackdat and rate = (spkts + dpkts - \
             1) / dur.",
        ],
        _ => &[
            "Figures hold for this traffic. On generated traffic they say how a detector does on what the generator \
             makes, whose ordinary side is simpler than that of any real network.",
        ],
    };
    notes.iter().map(|&note| note.to_owned()).collect()
}
