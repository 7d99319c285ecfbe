//! What the pipeline hands to a store. Batches are cleared and reused with the blocks of flows, so that only alerts
//! allocate.

use std::sync::Arc;

use netsage_alerts::text::to_hex;
use netsage_alerts::{AlertHit, FlowRecord, HitOfFlow};
use netsage_api_types::{AlertState, DetectorRef, Severity, StateChange};

use crate::StoreError;

/// Flows that were scored together, and the hits among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlowBatchRecord {
    /// The schema they were scored in, e.g. `unsw-nb15@1`.
    pub schema: Arc<str>,
    /// The flows.
    pub flows: Vec<FlowRecord>,
    /// The scores of the detectors; as many rows as there are flows.
    pub scores: ScoreMatrix,
    /// The hits among the flows.
    pub hits: Vec<AlertHit>,
}

impl FlowBatchRecord {
    /// Clears flows, scores and hits, and keeps the memory.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.scores.reset(0, 0);
        self.hits.clear();
    }
}

/// Marks a cell without a score.
const UNSCORED: u16 = u16::MAX;

/// Detectors remembered from batch to batch.
const MOST_KNOWN: usize = 256;

/// One score, and the generation that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    score: f32,
    detector: u16,
}

/// The scores of a batch: a row per flow and a column per detector name. The active generation of a name and its canary
/// share a column, so each cell names the generation that gave the score.
#[derive(Debug, Clone, Default)]
pub struct ScoreMatrix {
    detectors: Vec<DetectorRef>,
    columns: usize,
    cells: Vec<Cell>,
}

impl ScoreMatrix {
    /// Makes it a matrix of that size without scores. Detectors keep their numbers, except when very many were seen.
    pub fn reset(&mut self, rows: usize, columns: usize) {
        if self.detectors.len() > MOST_KNOWN {
            self.detectors.clear();
        }
        self.columns = columns;
        self.cells.clear();
        self.cells.resize(
            rows.saturating_mul(columns),
            Cell {
                score: 0.0,
                detector: UNSCORED,
            },
        );
    }

    /// The number that stands for a detector in this matrix until the next reset. Allocates when it is new.
    ///
    /// # Panics
    /// With 65,535 detectors in one batch, which has one per column and one per canary.
    pub fn detector(&mut self, detector: &DetectorRef) -> u16 {
        let known = self.detectors.iter().position(|known| {
            // The generation differs most often, the texts are long.
            known.generation == detector.generation && known == detector
        });
        let number = known.unwrap_or_else(|| {
            self.detectors.push(detector.clone());
            self.detectors.len() - 1
        });
        let number = u16::try_from(number).ok().filter(|number| *number != UNSCORED);
        number.expect("a batch is scored by fewer than 65,535 detectors")
    }

    /// Notes a score.
    ///
    /// # Panics
    /// When row or column lie outside of the matrix, or the number is of no detector: a defect of the caller.
    pub fn set(&mut self, row: usize, column: usize, detector: u16, score: f32) {
        assert!(
            column < self.columns && usize::from(detector) < self.detectors.len(),
            "a score belongs into a column and to a detector"
        );
        self.cells[row * self.columns + column] = Cell { score, detector };
    }

    /// The detectors by their numbers.
    pub fn detectors(&self) -> &[DetectorRef] {
        &self.detectors
    }

    /// The scores of one flow: number of the detector and score, in the order of the columns.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u16, f32)> + '_ {
        let cells = self.cells.get(row * self.columns..(row + 1) * self.columns);
        cells
            .unwrap_or_default()
            .iter()
            .filter(|cell| cell.detector != UNSCORED)
            .map(|cell| (cell.detector, cell.score))
    }

    /// The highest score of a flow, `None` when no detector scored it.
    pub fn highest(&self, row: usize) -> Option<f32> {
        self.row(row).map(|(_, score)| score).reduce(f32::max)
    }
}

/// Equal when the same detectors gave the same scores; detectors remembered from earlier batches do not count.
impl PartialEq for ScoreMatrix {
    fn eq(&self, other: &Self) -> bool {
        let by_name = |matrix: &Self, cell: &Cell| {
            let detector = matrix.detectors.get(usize::from(cell.detector)).cloned();
            (detector, cell.score)
        };
        self.columns == other.columns
            && self.cells.len() == other.cells.len()
            && self
                .cells
                .iter()
                .zip(&other.cells)
                .all(|(one, two)| match (one.detector, two.detector) {
                    (UNSCORED, UNSCORED) => true,
                    _ => by_name(self, one) == by_name(other, two),
                })
    }
}

/// The hits of a batch that [`check_batch`] found sound.
pub(crate) fn hits(batch: &FlowBatchRecord) -> impl Iterator<Item = HitOfFlow<'_>> {
    batch.hits.iter().filter_map(|hit| {
        Some(HitOfFlow {
            hit,
            flow: batch.flows.get(hit.flow as usize)?,
            detector: batch.scores.detectors.get(usize::from(hit.detector))?,
            schema: &batch.schema,
        })
    })
}

/// The rank of a severity, as stored: a number can be compared.
pub(crate) fn severity_rank(severity: Severity) -> i32 {
    match severity {
        Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
        Severity::Critical => 3,
    }
}

/// Counts and sizes, held at the largest integer the databases know.
pub(crate) fn to_signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The counterpart of [`to_signed`].
pub(crate) fn to_unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Checks a whole batch before any of it is written.
pub(crate) fn check_batch(batch: &FlowBatchRecord) -> Result<(), StoreError> {
    let refuse = |row: usize, problem| {
        let flow = batch.flows.get(row).map(|flow| to_hex(&flow.id));
        Err(StoreError::InvalidRecord {
            flow: flow.unwrap_or_else(|| format!("at {row}")),
            problem,
        })
    };
    let columns = batch.scores.columns;
    if columns > 0 && batch.scores.cells.len() != batch.flows.len() * columns {
        return refuse(0, "its batch has scores for another number of flows");
    }
    for (row, flow) in batch.flows.iter().enumerate() {
        if !batch.scores.row(row).all(|(_, score)| score.is_finite()) {
            return refuse(row, "a score is not a finite number");
        }
        if flow
            .fused
            .is_some_and(|fused| !(fused.mean.is_finite() && fused.max.is_finite()))
        {
            return refuse(row, "its fused score is not a finite number");
        }
    }
    for hit in &batch.hits {
        let row = hit.flow as usize;
        if row >= batch.flows.len() {
            return refuse(row, "a hit is of a flow that is not in its batch");
        }
        if usize::from(hit.detector) >= batch.scores.detectors.len() {
            return refuse(row, "its hit is of a detector that is not in its batch");
        }
        if !hit.score.is_finite() || !hit.threshold.is_finite() {
            return refuse(row, "score or threshold of its hit is not a finite number");
        }
        let mut contributions = hit.contributions.iter();
        if !contributions.all(|contribution| contribution.weight.is_finite()) {
            return refuse(row, "the weight of a contribution is not a finite number");
        }
    }
    Ok(())
}

/// Checks a change of state.
pub(crate) fn check_change(change: &StateChange) -> Result<(), StoreError> {
    if change.state == AlertState::Merged {
        return Err(StoreError::InvalidChange {
            problem: "only the store merges alerts",
        });
    }
    match change.by.chars().take(129).count() {
        0 => Err(StoreError::InvalidChange {
            problem: "it does not say who asks",
        }),
        129 => Err(StoreError::InvalidChange {
            problem: "the name of who asks is longer than 128 characters",
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_alerts::Provenance;

    use super::*;

    fn detector(generation: u64) -> DetectorRef {
        DetectorRef {
            name: "d".into(),
            version: "1.0.0".into(),
            digest: "0".repeat(64),
            generation,
        }
    }

    #[test]
    fn a_matrix_says_who_gave_each_score() {
        let mut matrix = ScoreMatrix::default();
        matrix.reset(3, 2);
        let (active, canary) = (matrix.detector(&detector(1)), matrix.detector(&detector(2)));
        assert_eq!(matrix.detector(&detector(1)), active);
        matrix.set(0, 0, active, 0.5);
        matrix.set(0, 1, active, 0.25);
        matrix.set(2, 1, canary, 0.75);
        let row = |matrix: &ScoreMatrix, row| matrix.row(row).collect::<Vec<_>>();
        assert_eq!(row(&matrix, 0), [(active, 0.5), (active, 0.25)]);
        assert_eq!(row(&matrix, 1), []);
        assert_eq!(row(&matrix, 2), [(canary, 0.75)]);
        assert_eq!(row(&matrix, 3), [], "there is no such row");
        assert_eq!((matrix.highest(0), matrix.highest(1)), (Some(0.5), None));
        matrix.reset(1, 1);
        assert_eq!(row(&matrix, 0), []);
        assert_eq!(matrix.detector(&detector(2)), canary, "numbers last");
    }

    #[test]
    fn a_record_that_is_used_again_keeps_its_memory() {
        let mut batch = FlowBatchRecord::default();
        let mut places = Vec::new();
        for round in 0..3 {
            batch.clear();
            assert!(batch.scores.row(0).next().is_none(), "round {round}");
            batch.scores.reset(100, 3);
            let number = batch.scores.detector(&detector(7));
            for row in 0..100 {
                batch.flows.push(FlowRecord {
                    id: [0; 16],
                    start: 0,
                    end: 0,
                    source: IpAddr::from([10, 0, 0, 1]),
                    source_port: 1,
                    destination: IpAddr::from([10, 0, 0, 2]),
                    destination_port: 2,
                    protocol: "tcp",
                    service: "-",
                    state: "FIN",
                    packets: 1,
                    bytes: 1,
                    community_id: [0; 20],
                    fused: None,
                    provenance: Provenance::NONE,
                    foreign: None,
                });
                batch.scores.set(row, 2, number, 0.5);
            }
            places.push((batch.flows.as_ptr(), batch.scores.cells.as_ptr()));
        }
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
