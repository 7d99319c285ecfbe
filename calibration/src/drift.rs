//! Drift: how far traffic has moved away from what a model was trained on.
//!
//! The measure is the population stability index of each column, `sum((a - e) * ln(a / e))` over the bins of the
//! reference distributions, with the shares `a` of the flows at hand and `e` of the training rows: a symmetric
//! Kullback-Leibler divergence, in use since scorecards for credit (E. Lewis, "An Introduction to Credit Scoring",
//! 1994; N. Siddiqi, "Credit Risk Scorecards", 2006), with the customary bands 0.1 and 0.25.

use netsage_package::{ColumnDistribution, ReferenceDistributions};
use netsage_schema::{Column, Rows, Schema};

/// Stability index below which a distribution counts as unchanged.
pub const SMALL: f64 = 0.1;
/// Stability index above which a distribution counts as changed.
pub const LARGE: f64 = 0.25;
/// Bins of the calibrated score, of equal share in the reference distributions.
pub const SCORE_BINS: usize = 10;
/// Least share of a bin, since an empty bin means rare and not impossible.
const LEAST_SHARE: f64 = 1e-4;
/// Most bins of a column before the one for everything else.
const MOST_BINS: usize = 10;
/// Terms counted each by itself.
const MOST_TERMS: usize = 9;
/// Codes of a vocabulary that have a bin of their own or none; all beyond are among the others.
const MOST_CODES: usize = 1 << 12;

/// The population stability index of counts against shares. 0 when nothing was counted, or the two do not have the same
/// bins.
pub fn stability_index(expected: &[f32], counts: &[u32]) -> f64 {
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    if total <= 0.0 || expected.len() != counts.len() {
        return 0.0;
    }
    let terms = expected.iter().zip(counts).map(|(expected, count)| {
        let expected = f64::from(*expected).max(LEAST_SHARE);
        let actual = (f64::from(*count) / total).max(LEAST_SHARE);
        (actual - expected) * libm::log(actual / expected)
    });
    terms.sum()
}

/// The distribution of rows in the named columns; names that the schema does not know are left out.
pub fn reference(rows: &Rows, columns: &[String], flows_per_day: Option<f64>) -> ReferenceDistributions {
    let schema = rows.schema();
    let known = columns
        .iter()
        .filter_map(|name| schema.index_of(name))
        .map(|index| of_column(&schema.columns[index], rows.iter().map(|row| row[index] as f32)));
    ReferenceDistributions {
        rows: rows.len() as u64,
        flows_per_day,
        columns: known.collect(),
    }
}

fn of_column(column: &Column, values: impl Iterator<Item = f32>) -> ColumnDistribution {
    let mut values: Vec<f32> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    let (mut edges, mut terms) = (Vec::new(), Vec::new());
    match column.vocabulary() {
        Some(vocabulary) => {
            let mut counts: Vec<(usize, &str)> = values
                .chunk_by(|one, other| one == other)
                .filter_map(|equal| Some((equal.len(), column.term(f64::from(*equal.first()?))?)))
                .collect();
            // Of equally common terms the first in the vocabulary, as the values were sorted by code.
            counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
            counts.truncate(MOST_TERMS.min(vocabulary.terms.len()));
            terms.extend(counts.into_iter().map(|(_, term)| term.to_owned()));
        }
        None => {
            let last = values.len().saturating_sub(1);
            let quantile = |step: usize| values.get(last * step / MOST_BINS).copied();
            edges.extend((1..=MOST_BINS).filter_map(quantile));
            edges.dedup();
        }
    }
    let mut distribution = ColumnDistribution {
        column: column.name.to_owned(),
        edges,
        terms,
        shares: Vec::new(),
    };
    let bins = Bins::of(&distribution, column);
    let mut counts = vec![0_u32; distribution.edges.len().max(distribution.terms.len()) + 1];
    for value in &values {
        counts[bins.bin(*value)] += 1;
    }
    let total = values.len().max(1) as f64;
    let share = |count: u32| ((f64::from(count) / total * 1e4).round() / 1e4) as f32;
    distribution.shares = counts.into_iter().map(share).collect();
    distribution
}

/// Into which bin a value of a column falls.
#[derive(Debug, Clone, PartialEq)]
enum Bins {
    /// By the upper ends of the bins, rising.
    Edges(Vec<f32>),
    /// By the code of a term: its bin, and that of all other codes.
    Codes(Vec<u16>, u16),
}

impl Bins {
    fn of(distribution: &ColumnDistribution, column: &Column) -> Self {
        let Some(vocabulary) = column.vocabulary() else {
            return Self::Edges(distribution.edges.clone());
        };
        let others = u16::try_from(distribution.terms.len()).unwrap_or(u16::MAX);
        let bin_of = |term: &&str| distribution.terms.iter().position(|known| known == term);
        let codes = vocabulary.terms.iter().take(MOST_CODES).map(|term| {
            let bin = bin_of(term).and_then(|bin| u16::try_from(bin).ok());
            bin.unwrap_or(others)
        });
        Self::Codes(codes.collect(), others)
    }

    fn bin(&self, value: f32) -> usize {
        match self {
            // Few ends: counting them is faster than searching, and what is not a number falls into the first bin.
            Self::Edges(edges) => edges.iter().map(|edge| usize::from(value > *edge)).sum(),
            // The conversion saturates.
            Self::Codes(codes, others) => usize::from(codes.get(value as usize).copied().unwrap_or(*others)),
        }
    }
}

/// One column of a [`Window`].
#[derive(Debug, Clone)]
struct Counted {
    /// Position in the rows.
    index: usize,
    bins: Bins,
    expected: Vec<f32>,
    /// Where its counts begin.
    first: usize,
}

/// Counts flows by the bins of reference distributions. It allocates when it is made and never again.
#[derive(Debug, Clone)]
pub struct Window {
    columns: Vec<Counted>,
    /// Of all columns, one after the other.
    counts: Vec<u32>,
    scores: [u32; SCORE_BINS],
    scored: u32,
    rows: u32,
}

impl Window {
    /// A window for reference distributions; columns that the schema does not know, or whose bins make no sense, are
    /// left out.
    pub fn new(reference: &ReferenceDistributions, schema: &Schema) -> Self {
        let (mut columns, mut length) = (Vec::new(), 0);
        for of_column in &reference.columns {
            let ColumnDistribution {
                edges, terms, shares, ..
            } = of_column;
            let Some(index) = schema.index_of(&of_column.column) else {
                continue;
            };
            let column = &schema.columns[index];
            let ends = if column.vocabulary().is_some() {
                terms.len()
            } else {
                edges.len()
            };
            let is_known = columns.iter().any(|known: &Counted| known.index == index);
            let makes_sense = ends > 0 && shares.len() == ends + 1 && ends <= MOST_CODES && !is_known;
            if !makes_sense || !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
                continue;
            }
            columns.push(Counted {
                index,
                bins: Bins::of(of_column, column),
                expected: shares.clone(),
                first: length,
            });
            length += shares.len();
        }
        Self {
            columns,
            counts: vec![0; length],
            scores: [0; SCORE_BINS],
            scored: 0,
            rows: 0,
        }
    }

    /// Counts a row of the schema that the window was made for.
    pub fn count(&mut self, row: &[f64]) {
        self.rows = self.rows.saturating_add(1);
        for column in &self.columns {
            let Some(value) = row.get(column.index) else {
                continue;
            };
            let count = &mut self.counts[column.first + column.bins.bin(*value as f32)];
            *count = count.saturating_add(1);
        }
    }

    /// Counts the percentile of a score, 0 to 1.
    pub fn count_score(&mut self, percentile: f32) {
        // The conversion saturates.
        let bin = ((percentile * SCORE_BINS as f32) as usize).min(SCORE_BINS - 1);
        self.scores[bin] = self.scores[bin].saturating_add(1);
        self.scored = self.scored.saturating_add(1);
    }

    /// Rows counted.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The index of every column, by its position in the rows, in the order of the reference distributions.
    pub fn columns(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.columns.iter().map(|column| {
            let counts = &self.counts[column.first..column.first + column.expected.len()];
            (column.index, stability_index(&column.expected, counts))
        })
    }

    /// The index of the calibrated score; `None` when none was counted.
    pub fn score(&self) -> Option<f64> {
        let expected = [1.0 / SCORE_BINS as f32; SCORE_BINS];
        (self.scored > 0).then(|| stability_index(&expected, &self.scores))
    }

    /// Forgets what was counted.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.scores.fill(0);
        (self.scored, self.rows) = (0, 0);
    }
}
