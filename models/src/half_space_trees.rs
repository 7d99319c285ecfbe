//! Training half-space trees on ordinary flows: one pass that counts where they lie.

use netsage_half_space_trees::{Forest, InputColumn, Model, Scale};
use netsage_schema::{Column, Rows};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::preparation::{Common, TrainError, Trained, gather, typical};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Number of trees, 1 to 500.
    pub trees: u16,
    /// Halvings from the root to a leaf, 1 to 16. One more doubles the memory.
    pub height: u8,
    /// Steps to a unit of a column, above 0: smaller differences hardly count.
    pub steps: f32,
    /// A node with a smaller share of the training rows is not divided further.
    pub least_share: f32,
    /// Rows of a window, at least 1; a full window enters the masses.
    pub window: u32,
    /// Weight of a window against all before it, above 0 and at most 1.
    pub adaptation: f32,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            trees: 50,
            height: 12,
            steps: 100.0,
            least_share: 0.000_5,
            window: 10_000,
            adaptation: 0.05,
            common: Common::default(),
        }
    }
}

/// Trains on `rows`, all taken for ordinary.
///
/// # Errors
/// [`TrainError`].
pub fn train(rows: &Rows, options: &TrainOptions) -> Result<Trained, TrainError> {
    let (common, schema) = (&options.common, rows.schema());
    common.check(rows)?;
    let selected = common.columns(schema)?;
    let mut random = ChaCha8Rng::seed_from_u64(common.seed);
    let [held_out, fitted] = common.split(rows, &mut random);
    let table = gather(rows, &fitted, &selected)?;
    let columns: Vec<InputColumn> = selected
        .iter()
        .zip(table.columns())
        .map(|(&index, values)| input_column(&schema.columns[index], options.steps, values.iter().copied()))
        .collect();
    let artifact_error =
        |error: netsage_half_space_trees::ArtifactError| TrainError::Artifact(error.to_string());
    let model = Model {
        schema: schema.to_string(),
        columns,
        seed: common.seed,
        trees: options.trees,
        height: options.height,
        least_rows: options.least_share * fitted.len() as f32,
        window: options.window,
        adaptation: options.adaptation,
        rows: 0,
        masses: Vec::new(),
    };
    let values: Vec<f32> = table.iter().copied().collect();
    let model = model.fit(&values).map_err(artifact_error)?;
    let mut forest = Forest::new(&model).map_err(artifact_error)?;
    let held_out_values: Vec<f32> = gather(rows, &held_out, &selected)?.iter().copied().collect();
    let mut scores = Vec::with_capacity(held_out.len());
    forest
        .score_block(&held_out_values, held_out.len(), &mut scores)
        .map_err(|error| TrainError::Score(error.to_string()))?;
    let names = model.columns.iter().map(|column| column.name.clone()).collect();
    Ok(Trained {
        detector: "half-space-trees",
        card: common.card(schema, names, fitted.len(), scores),
        artifact: model.encode(),
    })
}

fn input_column(column: &Column, steps: f32, values: impl Iterator<Item = f32> + Clone) -> InputColumn {
    let (typical, ranks) = typical(column, values.clone());
    let scale = match ranks {
        Some(ranks) => Scale::Rank(ranks),
        None => {
            let scale = |value: f32| Scale::logarithm(value, steps);
            let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), value| {
                (low.min(scale(value)), high.max(scale(value)))
            });
            Scale::Logarithm {
                steps,
                low,
                // A column that is the same in all of training: any other value lies beyond its end.
                high: if high > low { high } else { low + 1.0 },
            }
        }
    };
    InputColumn {
        name: column.name.to_owned(),
        typical,
        scale,
    }
}
