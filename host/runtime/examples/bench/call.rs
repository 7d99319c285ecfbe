//! What a call and a row cost, beside the native build of the same forest.

use netsage_iforest::Forest;
use netsage_package::{MAX_BLOCK_ROWS, Package};
use netsage_runtime::{Detector, Runtime, RuntimeConfig};
use netsage_schema::{Rows, UNSW_NB15};

use crate::rows::rows;
use crate::{Failure, median, rounded, time};
use netsage_testkit::recipe::Recipe;

/// Turns, each of every measured thing once.
const TURNS: usize = 15;
const ROWS: usize = 16 * MAX_BLOCK_ROWS;

pub(crate) fn measure(package: &Package) -> Result<serde_json::Value, Failure> {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let detector = runtime.load(package, &UNSW_NB15)?;
    let idle = runtime.load(&Recipe::default().package(), &UNSW_NB15)?;
    let forest = Forest::decode(package.artifact())?;
    let rows = rows(ROWS);
    let values = projected(&detector, &rows);
    let mut scores = Scores::default();
    // Nanoseconds per row: native and in the sandbox, alone and in blocks, and a detector that does nothing, alone.
    let mut figures = [const { Vec::new() }; 5];
    for _ in 0..TURNS {
        let turn = [
            scores.native(&forest, &values, 1)?,
            scores.sandboxed(&detector, &rows, 1)?,
            scores.native(&forest, &values, MAX_BLOCK_ROWS)?,
            scores.sandboxed(&detector, &rows, MAX_BLOCK_ROWS)?,
            scores.nothing(&idle, &rows)?,
        ];
        for (figure, nanoseconds) in figures.iter_mut().zip(turn) {
            figure.push(nanoseconds);
        }
    }
    let [native_one, sandboxed_one, native_block, sandboxed_block, nothing] = figures.map(median);
    Ok(serde_json::json!({
        "one_row": {
            "native_us": rounded(native_one / 1e3),
            "sandboxed_us": rounded(sandboxed_one / 1e3),
            "overhead_us": rounded((sandboxed_one - native_one) / 1e3),
            "detector_that_does_nothing_us": rounded(nothing / 1e3),
        },
        "block_of_1024": {
            "native_ns_per_row": rounded(native_block),
            "sandboxed_ns_per_row": rounded(sandboxed_block),
            "ratio": rounded(sandboxed_block / native_block),
        },
    }))
}

/// The rows as the detector gets them.
fn projected(detector: &Detector, rows: &Rows) -> Vec<f32> {
    let position = |name| UNSW_NB15.index_of(name).unwrap_or_default();
    let columns: Vec<usize> = detector
        .columns()
        .iter()
        .map(|column| position(column.name))
        .collect();
    rows.iter()
        .flat_map(|row| columns.iter().map(|&column| row[column] as f32))
        .collect()
}

#[derive(Default)]
struct Scores {
    native: Vec<f32>,
    sandboxed: Vec<f32>,
}

impl Scores {
    /// Nanoseconds per row of the native forest.
    fn native(&mut self, forest: &Forest, values: &[f32], block: usize) -> Result<f64, Failure> {
        let width = forest.columns().len();
        self.native.clear();
        let (took, ()) = time(|| {
            for block in values.chunks(block * width) {
                forest.score_block(block, block.len() / width, &mut self.native)?;
            }
            Ok(())
        })?;
        Ok(took.as_secs_f64() * 1e9 / ROWS as f64)
    }

    /// Nanoseconds per row of the same forest in the sandbox, from rows of the schema on. Scores must be the same bits.
    fn sandboxed(&mut self, detector: &Detector, rows: &Rows, block: usize) -> Result<f64, Failure> {
        self.sandboxed.clear();
        let (took, ()) = time(|| score(detector, rows, block, &mut self.sandboxed))?;
        if self
            .native
            .iter()
            .map(|score| score.to_bits())
            .ne(self.sandboxed.iter().map(|score| score.to_bits()))
        {
            return Err("the native build and the component give other scores".into());
        }
        Ok(took.as_secs_f64() * 1e9 / ROWS as f64)
    }

    fn nothing(&mut self, detector: &Detector, rows: &Rows) -> Result<f64, Failure> {
        self.sandboxed.clear();
        let (took, ()) = time(|| score(detector, rows, 1, &mut self.sandboxed))?;
        Ok(took.as_secs_f64() * 1e9 / ROWS as f64)
    }
}

fn score(detector: &Detector, rows: &Rows, block: usize, scores: &mut Vec<f32>) -> Result<(), Failure> {
    for start in (0..rows.len()).step_by(block) {
        detector.score(rows, None, start..rows.len().min(start + block), scores)?;
    }
    Ok(())
}
