//! Training an isolation forest on ordinary flows.

use std::collections::HashSet;

use ndarray::{Array2, ArrayView1};
use netsage_iforest::{Forest, InputColumn, Model, Planes, scaled};
use netsage_schema::Rows;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::callbacks::Callbacks;
use crate::grow;
use crate::preparation::{Common, TrainError, Trained, gather, typical};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Number of trees, 1 to 10,000.
    pub trees: usize,
    /// Training rows per tree, 2 to 2^20; fewer when there are fewer.
    pub subsample: usize,
    /// Greatest height of a tree, 1 to 64; five more than the binary logarithm of the rows per tree when absent, since
    /// ordinary rows crowd and take more splits to tell apart.
    pub height_limit: Option<u32>,
    /// Least share of its tree's rows, 0 to 1, with which a node is split. Splits of smaller nodes tell mostly chance apart;
    /// leaving them out lets a tree of the same size be higher where rows crowd.
    pub least_share: f64,
    /// Columns that a split weighs: 1 for plain splits, more for extended ones (Hariri, Kind and Brunner, 2019).
    pub columns_per_split: usize,
    /// Whether rows that are equal in every column count once. Otherwise a flood of equal rows makes its kind of flow
    /// ordinary.
    pub remove_duplicates: bool,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            trees: 100,
            subsample: 20_000,
            height_limit: None,
            least_share: 0.001_6,
            columns_per_split: 1,
            remove_duplicates: true,
            common: Common::default(),
        }
    }
}

/// Trains a forest on `rows`, all taken for ordinary.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    rows: &Rows,
    options: &TrainOptions,
    callbacks: &mut dyn Callbacks,
) -> Result<Trained, TrainError> {
    check_options(rows, options)?;
    let schema = rows.schema();
    let common = &options.common;
    let selected = common.columns(schema)?;
    let mut random = ChaCha8Rng::seed_from_u64(common.seed);
    let [held_out, fitted] = common.split(rows, &mut random);

    let codes = gather(rows, &fitted, &selected)?;
    let columns: Vec<InputColumn> = selected
        .iter()
        .zip(codes.columns())
        .map(|(&index, values)| {
            let column = &schema.columns[index];
            let (typical, ranks) = typical(column, values.iter().copied());
            InputColumn {
                name: column.name.to_owned(),
                typical,
                ranks,
            }
        })
        .collect();
    let ranked = rank(codes, &columns);
    let table = if options.remove_duplicates {
        distinct_rows(&ranked)
    } else {
        ranked
    };
    if table.nrows() < 2 {
        return Err(TrainError::OneDistinctRow);
    }

    let subsample = options.subsample.min(table.nrows());
    let rules = grow::Rules {
        height_limit: options
            .height_limit
            .unwrap_or_else(|| subsample.next_power_of_two().ilog2() + 5),
        least_rows: ((subsample as f64 * options.least_share).ceil() as usize).max(2),
        columns_per_split: options.columns_per_split.min(columns.len()),
    };
    let ranges = table.columns().into_iter().map(|values| range(&values)).collect();
    let extended = rules.columns_per_split > 1;
    let table = if extended { table.mapv(scaled) } else { table };
    let mut indices: Vec<u32> = (0..table.nrows())
        .map(|index| {
            u32::try_from(index).expect("rows of 100 bytes and more fill the memory before 2^32 of them")
        })
        .collect();
    let mut trees = Vec::with_capacity(options.trees);
    let mut terms = Vec::new();
    for grown in 0..options.trees {
        callbacks.step(grown as u64, options.trees as u64, format_args!("trees"));
        if callbacks.interrupted() {
            return Err(TrainError::Interrupted);
        }
        let (sample, _) = indices.partial_shuffle(&mut random, subsample);
        trees.push(grow::tree(&table, sample, rules, &mut random, &mut terms));
    }
    callbacks.step(options.trees as u64, options.trees as u64, format_args!("trees"));

    let model = Model {
        schema: schema.to_string(),
        columns,
        subsample: u32::try_from(subsample).expect("the options limit it to 2^20"),
        trees,
        ranges,
        planes: extended.then_some(Planes {
            columns_per_split: rules.columns_per_split as u8,
            terms,
        }),
    };
    let forest = Forest::new(&model).map_err(|error| TrainError::Artifact(error.to_string()))?;
    let mut scores = Vec::with_capacity(held_out.len());
    let held_out_rows = gather(rows, &held_out, &selected)?;
    let held_out_values: Vec<f32> = held_out_rows.iter().copied().collect();
    forest
        .score_block(&held_out_values, held_out.len(), &mut scores)
        .map_err(|error| TrainError::Score(error.to_string()))?;
    let names = model.columns.iter().map(|column| column.name.clone()).collect();
    Ok(Trained {
        detector: "iforest",
        card: common.card(schema, names, fitted.len(), scores),
        artifact: model.encode(),
    })
}

fn check_options(rows: &Rows, options: &TrainOptions) -> Result<(), TrainError> {
    if !(1..=10_000).contains(&options.trees) {
        return Err(TrainError::option("trees", "1 to 10,000", options.trees));
    }
    if !(2..=1 << 20).contains(&options.subsample) {
        return Err(TrainError::option(
            "subsample",
            "2 to 1,048,576",
            options.subsample,
        ));
    }
    if let Some(height @ (0 | 65..)) = options.height_limit {
        return Err(TrainError::option("height_limit", "1 to 64", height));
    }
    if !(0.0..=1.0).contains(&options.least_share) {
        return Err(TrainError::option("least_share", "0 to 1", options.least_share));
    }
    if !(1..=255).contains(&options.columns_per_split) {
        let columns = options.columns_per_split;
        return Err(TrainError::option("columns_per_split", "1 to 255", columns));
    }
    options.common.check(rows)
}

/// The least and the largest of some values.
fn range(values: &ArrayView1<'_, f32>) -> [f32; 2] {
    values.iter().fold([f32::MAX, f32::MIN], |[low, high], &value| {
        [low.min(value), high.max(value)]
    })
}

/// Ranks in place of codes, as the forest compares them.
fn rank(mut table: Array2<f32>, columns: &[InputColumn]) -> Array2<f32> {
    for (mut values, column) in table.columns_mut().into_iter().zip(columns) {
        if let Some(ranks) = &column.ranks {
            values.mapv_inplace(|code| {
                let rank = ranks.get(code as usize).copied();
                f32::from(rank.unwrap_or_else(|| InputColumn::unseen_rank(ranks)))
            });
        }
    }
    table
}

fn distinct_rows(table: &Array2<f32>) -> Array2<f32> {
    let mut seen: HashSet<Vec<u32>> = HashSet::with_capacity(table.nrows());
    let mut kept = Vec::new();
    for row in table.rows() {
        // Adding 0 makes -0 and 0 the same row.
        if seen.insert(row.iter().map(|&value| (value + 0.0).to_bits()).collect()) {
            kept.extend(row.iter().copied());
        }
    }
    Array2::from_shape_vec((seen.len(), table.ncols()), kept).expect("whole rows were kept")
}
