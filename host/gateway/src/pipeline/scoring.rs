//! The second stage: every active detector scores every flow of a block, once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use netsage_api_types::Contribution;
use netsage_forward::message::Writer;
use netsage_lifecycle::{Roster, Scorer};
use netsage_runtime::{ColumnContribution, Detector, InputColumn, ScoreError};
use netsage_schema::{Contexts, Rows};

use super::block::{Block, FromWorker};
use super::explainer::Explainer;
use super::{BLOCK_ROWS, Counters, PipelineError};

/// Columns in an alert's explanation.
const MOST_CONTRIBUTIONS: u32 = 5;

/// Scores blocks until the reader has ended.
pub(super) fn work(
    roster: &Arc<Roster>,
    from_reader: &Receiver<Block>,
    to_sink: &Sender<FromWorker>,
    counters: &Counters,
    mut explainer: Explainer,
    mut forward: Option<Writer>,
) {
    let mut scorer = Scorer::new(Arc::clone(roster));
    for mut block in from_reader {
        counters.blocks_to_score.fetch_sub(1, Ordering::Relaxed);
        let scored = loop {
            // The line-up is taken once per block: a swap in between touches later blocks only.
            let lineup = roster.lineup();
            let is_again = block.is_again;
            let (flows, verdicts) = block.scoring_parts();
            if is_again {
                // Who remembers is shown them in their order, and nobody else.
                Scorer::begin_again(&lineup, flows, verdicts);
                break Ok(());
            }
            match scorer.score(&lineup, flows, verdicts) {
                // While the flows waited for a detector another one may have come in its place.
                Err(_) if !Arc::ptr_eq(&lineup, &roster.lineup()) => {}
                scored => break scored,
            }
        };
        let stopped = scored.is_err();
        let handed_on = to_sink.send(scored.map_err(PipelineError::from).map(|()| {
            if block.is_again {
                return block;
            }
            // As much of the record as can be is made here, where there may be many threads, and not in the sink.
            block.begin_record();
            block.record_scores(false, &mut explainer);
            if !block.verdicts.lineup().is_some_and(|lineup| lineup.is_in_order()) {
                block.record_fused(&mut explainer);
                if let Some(writer) = &mut forward {
                    block.encode(writer);
                }
            }
            block
        }));
        if stopped || handed_on.is_err() {
            // The sink tells why: this detector, or its own failure.
            return;
        }
    }
}

/// Scores rows with one detector, in blocks. `contexts` says where and when each row was, where that is known.
///
/// # Errors
/// When the detector fails on one of the blocks.
pub fn score_rows(
    detector: &Detector,
    rows: &Rows,
    contexts: Option<&Contexts>,
) -> Result<Vec<f32>, ScoreError> {
    let mut scores = Vec::with_capacity(rows.len());
    for start in (0..rows.len()).step_by(BLOCK_ROWS) {
        let end = rows.len().min(start + BLOCK_ROWS);
        detector.score(rows, contexts, start..end, &mut scores)?;
    }
    Ok(scores)
}

/// What drove the score of a row; empty when the detector does not say. An alert without an explanation is
/// worth more than none, so that a failure here only goes to the log.
pub fn explained(
    detector: &Detector,
    rows: &Rows,
    contexts: Option<&Contexts>,
    row: usize,
) -> Vec<Contribution> {
    let parts = match detector.explain(rows, contexts, row, MOST_CONTRIBUTIONS) {
        Ok(parts) => parts,
        Err(error) => {
            tracing::warn!(detector = %detector.description().name, %error, "detector did not explain a score");
            return Vec::new();
        }
    };
    parts.iter().map(|part| shown(part, contexts, row)).collect()
}

/// A contribution for people. Of the start time it says when the flow began and when it was to be expected, of an address
/// nothing but the name.
fn shown(part: &ColumnContribution, contexts: Option<&Contexts>, row: usize) -> Contribution {
    let column = &part.column;
    let number = |value: f32| match column.vocabulary {
        Some(_) => column.show(value),
        None => format_number(value),
    };
    let start = contexts.and_then(|contexts| contexts.starts().get(row));
    let (unit, value, typical) = match start {
        Some(&start) if *column == InputColumn::START_TIME => {
            let later = (f64::from(part.typical) * 1e6) as i64;
            (
                "",
                format_time(start),
                format_time(start.saturating_add_signed(later)),
            )
        }
        _ if column.index().is_none() => ("", String::new(), String::new()),
        _ => (column.unit, number(part.value), number(part.typical)),
    };
    Contribution {
        column: column.name.to_owned(),
        unit: unit.to_owned(),
        weight: part.weight,
        value,
        typical,
    }
}

/// Microseconds since the epoch as a time of UTC, to the millisecond.
fn format_time(microseconds: u64) -> String {
    let time = i64::try_from(microseconds)
        .ok()
        .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok());
    time.map_or_else(String::new, |time| format!("{time:.3}"))
}

/// A number with at most six digits after the point and no zeros at its end.
fn format_number(value: f32) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{format_number, format_time};

    #[test]
    fn times_are_of_utc() {
        assert_eq!(format_time(1_700_000_000_250_499), "2023-11-14T22:13:20.250Z");
        assert_eq!(format_time(u64::MAX), "");
    }

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
