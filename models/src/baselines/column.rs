//! One column as a detector.

use netsage_schema::{Rows, Schema};

/// Which values of a column count as anomalous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// High ones.
    High,
    /// Low ones.
    Low,
    /// Terms that are rare among the training rows; how often each code occurs there.
    Rare(Vec<u32>),
}

/// One column and a way to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleColumn {
    /// Position in the schema.
    pub column: usize,
    /// How it is read.
    pub direction: Direction,
}

impl SingleColumn {
    /// The ways to read a column: high or low numbers, or rare terms.
    pub(super) fn candidates(training: &Rows, fitted: &[usize], column: usize) -> Vec<Self> {
        let directions = match training.schema().columns[column].vocabulary() {
            Some(vocabulary) => {
                let mut counts = vec![0_u32; vocabulary.terms.len()];
                for &row in fitted {
                    if let Some(count) = counts.get_mut(training.row(row)[column] as usize) {
                        *count += 1;
                    }
                }
                vec![Direction::Rare(counts)]
            }
            None => vec![Direction::High, Direction::Low],
        };
        directions
            .into_iter()
            .map(|direction| Self { column, direction })
            .collect()
    }

    /// The score of a row.
    pub fn score(&self, row: &[f64]) -> f32 {
        let value = row[self.column];
        let score = match &self.direction {
            Direction::High => value as f32,
            // Not -0 for 0.
            Direction::Low => (0.0 - value) as f32,
            Direction::Rare(counts) => -(counts.get(value as usize).copied().unwrap_or(0) as f32),
        };
        // A score is a number, whatever the row holds.
        if score.is_nan() { f32::MAX } else { score }
    }

    /// In words, e.g. `high sttl`.
    pub fn describe(&self, schema: &Schema) -> String {
        let way = match self.direction {
            Direction::High => "high",
            Direction::Low => "low",
            Direction::Rare(_) => "rare",
        };
        format!("{way} {}", schema.columns[self.column].name)
    }
}
