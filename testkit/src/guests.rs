//! Detectors of these tests, and blocks of flows for them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use netsage_api_types::DetectorRef;
use netsage_lifecycle::lineup::FlowsToScore;
use netsage_lifecycle::{Generation, Loaded};
use netsage_package::ModelCard;
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::{Contexts, Rows, UNSW_NB15};

use crate::recipe::Recipe;

/// The score of a flow is its `dur`, 0 to 1,000; above this it is alerted.
pub const THRESHOLD: f32 = 990.0;

/// Adds a number to the first column of every row before it is scored.
pub const SHIFTED: &str = "
    (block $shifted (loop $shift
      (br_if $shifted (i32.ge_u (local.get $row) (local.get $rows)))
      (f32.store
        (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8)))
        (f32.add
          (f32.load (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8))))
          (f32.const 500)))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $shift)))
    (local.set $row (i32.const 0))";

/// Traps on the flows whose `dur` begins with 7 of each hundred: 1 % of them.
pub const TRAPS_ON_ONE_PERCENT: &str = "
    (block $fine (loop $look
      (br_if $fine (i32.ge_u (local.get $row) (local.get $rows)))
      (if (i32.eq
            (i32.rem_u
              (i32.trunc_f32_u
                (f32.load (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8)))))
              (i32.const 100))
            (i32.const 7))
        (then unreachable))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $look)))
    (local.set $row (i32.const 0))";

/// Turns 50,000 times in a circle for every row.
pub const SLOW: &str = "
    (local.set $row (i32.mul (local.get $rows) (i32.const 50000)))
    (block $rested (loop $rest
      (br_if $rested (i32.eqz (local.get $row)))
      (local.set $row (i32.sub (local.get $row) (i32.const 1)))
      (br $rest)))";

/// Gives one score that is not a number.
pub const NOT_FINITE: &str = "(f32.store (local.get $values) (f32.const nan))";

/// Traps at once.
pub const TRAPS: &str = "unreachable";

/// Never returns.
pub const HANGS: &str = "(loop $forever (br $forever))";

/// The runtime of this process: small limits, so that what must end ends soon.
pub fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    let start = || {
        Runtime::new(RuntimeConfig {
            workers: 2,
            memory_limit: 16 << 20,
            call_budget: Duration::from_millis(300),
            row_budget: Duration::from_micros(100),
            tick: Duration::from_millis(5),
            ..RuntimeConfig::default()
        })
        .unwrap()
    };
    Arc::clone(RUNTIME.get_or_init(start))
}

/// A card for scores that are spread evenly from 0 to 1,000.
pub fn card() -> ModelCard {
    ModelCard {
        format: ModelCard::FORMAT,
        detector: None,
        training: None,
        name: None,
        schema: "unsw-nb15@1".to_owned(),
        data: "Made for tests.".to_owned(),
        rows: 0,
        columns: vec!["dur".to_owned(), "sbytes".to_owned()],
        seed: 0,
        date: "2026-01-01".to_owned(),
        threshold: Some(THRESHOLD),
        threshold_rule: String::new(),
        calibration: (0..=100_u16).map(|step| f32::from(step) * 10.0).collect(),
        tail: None,
        reference: None,
        figures: BTreeMap::new(),
        notes: Vec::new(),
    }
}

/// The activation `number` of a detector that does `score` first.
pub fn guest(number: u64, name: &str, score: &'static str) -> Arc<Generation> {
    generation(
        number,
        &Recipe {
            name: name.to_owned(),
            score,
            ..Recipe::default()
        },
    )
}

/// The activation `number` of a detector. Packages of different numbers differ in their artifacts.
pub fn generation(number: u64, recipe: &Recipe) -> Arc<Generation> {
    let package = recipe.package_with(&number.to_le_bytes(), None);
    let detector = runtime().load(&package, &UNSW_NB15).unwrap();
    let description = detector.description();
    let reference = DetectorRef {
        name: description.name.clone(),
        version: description.version.clone(),
        digest: package.digest().to_string(),
        generation: 0,
    };
    let loaded = Loaded::with_card(detector, reference, Some(card()));
    Arc::new(Generation::new(number, Arc::new(loaded)))
}

/// A block of flows.
pub struct Flows {
    /// Their values.
    pub rows: Rows,
    /// Their start times and addresses.
    pub contexts: Contexts,
    /// By which a canary chooses among them.
    pub keys: Vec<u64>,
}

impl Flows {
    /// Flows whose `dur` is spread evenly from 0 to 1,000, other ones for every `seed`.
    pub fn spread(count: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut next = move || {
            // Steele, Lea, Flood: SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self::new(
            (0..count)
                .map(|_| (next() % 1_000_000) as f64 / 1000.0)
                .collect::<Vec<_>>(),
            &mut next,
        )
    }

    /// Flows of these durations.
    pub fn of(durations: &[f64]) -> Self {
        let mut number = 0_u64;
        Self::new(durations.to_vec(), &mut || {
            number += 1;
            number << 60
        })
    }

    fn new(durations: Vec<f64>, key: &mut impl FnMut() -> u64) -> Self {
        let mut flows = Self {
            rows: Rows::new(&UNSW_NB15),
            contexts: Contexts::new(),
            keys: Vec::new(),
        };
        for (row, duration) in durations.into_iter().enumerate() {
            let mut values = [1.0; 42];
            values[0] = duration;
            flows.rows.push(&values);
            flows.contexts.push(row as u64 * 1_000_000, 1, 2);
            flows.keys.push(key());
        }
        flows
    }

    /// The block as a scorer takes it.
    pub fn to_score(&self) -> FlowsToScore<'_> {
        FlowsToScore {
            rows: &self.rows,
            contexts: &self.contexts,
            keys: &self.keys,
        }
    }

    /// The `dur` of a flow, which is its score.
    pub fn duration(&self, row: usize) -> f32 {
        self.rows.row(row)[0] as f32
    }
}
