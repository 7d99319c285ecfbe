//! The second stage: every active detector scores every flow of a block, once.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use netsage_api_types::Contribution;
use netsage_runtime::{ContextValues, InputColumn, ScoreError, StateKey};
use netsage_schema::Rows;

use super::BLOCK_ROWS;
use super::block::{Block, ScoredBlock, Verdict};
use super::record::alert_hit;
use crate::catalog::{Catalog, Loaded};

/// Columns in an alert's explanation.
const MOST_CONTRIBUTIONS: u32 = 5;

/// Scores blocks until the reader has ended.
pub(super) fn work(catalog: &Catalog, from_reader: &Receiver<Block>, to_sink: &Sender<ScoredBlock>) {
    for block in from_reader {
        // The set of detectors is taken once per block: a swap in between touches later blocks only.
        // A detector with a state must see the blocks in their order, which only the sink knows.
        let (any_order, in_order): (Vec<_>, Vec<_>) = catalog
            .active()
            .into_iter()
            .partition(|loaded| loaded.detector.description().state_key == StateKey::None);
        let above = vec![false; block.flows.len()];
        let mut scored = ScoredBlock {
            block,
            verdicts: Vec::new(),
            hits: Vec::new(),
            above,
            in_order,
        };
        scored.judge(any_order);
        if to_sink.send(scored).is_err() {
            // The sink failed, and says why.
            return;
        }
    }
}

impl ScoredBlock {
    /// Adds what these detectors say about the block.
    fn judge(&mut self, detectors: Vec<Arc<Loaded>>) {
        for loaded in detectors {
            let verdict = judge(loaded, &self.block);
            self.find_hits(&verdict);
            self.verdicts.push(verdict);
        }
    }

    /// Adds what the detectors with a state say; to be called in the order of the blocks.
    pub(super) fn judge_in_order(&mut self) {
        let detectors = std::mem::take(&mut self.in_order);
        self.judge(detectors);
    }

    fn find_hits(&mut self, verdict: &Verdict) {
        let Some(scores) = &verdict.scores else { return };
        let Block { flows, contexts, .. } = &self.block;
        for (row, &score) in scores.iter().enumerate() {
            if score > verdict.by.threshold {
                self.above[row] = true;
                let contributions = explained(&verdict.by, &flows.rows, Some(contexts), row);
                self.hits
                    .push(alert_hit(flows, row, &verdict.by, score, contributions));
            }
        }
    }
}

fn judge(loaded: Arc<Loaded>, block: &Block) -> Verdict {
    let rows = &block.flows.rows;
    match score_rows(&loaded, rows, Some(&block.contexts)) {
        Ok(scores) => {
            loaded.count_scored(rows.len());
            Verdict {
                by: loaded,
                scores: Some(scores),
            }
        }
        Err(error) => {
            loaded.count_failed(rows.len());
            tracing::error!(detector = %loaded.reference.name, flows = rows.len(), %error, "detector failed on a block");
            Verdict {
                by: loaded,
                scores: None,
            }
        }
    }
}

/// Scores rows with one detector, in blocks. `contexts` says where and when each row was, where that is known.
///
/// # Errors
/// When the detector fails on one of the blocks.
pub fn score_rows(
    loaded: &Loaded,
    rows: &Rows,
    contexts: Option<&ContextValues>,
) -> Result<Vec<f32>, ScoreError> {
    let mut scores = Vec::with_capacity(rows.len());
    for start in (0..rows.len()).step_by(BLOCK_ROWS) {
        let end = rows.len().min(start + BLOCK_ROWS);
        loaded.detector.score(rows, contexts, start..end, &mut scores)?;
    }
    Ok(scores)
}

/// What drove the score of a row; empty when the detector does not say. An alert without an explanation is
/// worth more than none, so that a failure here only goes to the log.
pub fn explained(
    loaded: &Loaded,
    rows: &Rows,
    contexts: Option<&ContextValues>,
    row: usize,
) -> Vec<Contribution> {
    if !loaded.detector.description().explains {
        return Vec::new();
    }
    let parts = match loaded.detector.explain(rows, contexts, row, MOST_CONTRIBUTIONS) {
        Ok(parts) => parts,
        Err(error) => {
            tracing::warn!(detector = %loaded.reference.name, %error, "detector did not explain a score");
            return Vec::new();
        }
    };
    let show = |column: &InputColumn, value: f32| match column.vocabulary {
        Some(_) => column.show(value),
        None => format_number(value),
    };
    parts
        .iter()
        .map(|part| Contribution {
            column: part.column.name.to_owned(),
            unit: part.column.unit.to_owned(),
            weight: part.weight,
            value: show(&part.column, part.value),
            typical: show(&part.column, part.typical),
        })
        .collect()
}

/// A number with at most six digits after the point and no zeros at its end.
fn format_number(value: f32) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::format_number;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (62.0, "62"),
            (0.1, "0.1"),
            (1.000_000_1, "1"),
            (1500.25, "1500.25"),
            (100.0, "100"),
        ] {
            assert_eq!(format_number(value), expected);
        }
    }
}
