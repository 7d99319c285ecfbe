//! Training an isolation forest on ordinary flows.

use std::collections::{BTreeMap, HashSet};

use ndarray::Array2;
use netsage_api_types::ModelCard;
use netsage_iforest::{ArtifactError, Forest, InputColumn, Model, RowError};
use netsage_schema::unsw_nb15::SEQUENCE_NUMBERS;
use netsage_schema::{Column, Rows};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::grow;

/// Fewest rows that can be trained on: with fewer, a quantile of the held-out fifth means nothing.
const FEWEST_ROWS: usize = 100;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Number of trees, 1 to 10,000.
    pub trees: usize,
    /// Training rows per tree, 2 to 2^20; fewer when there are fewer.
    pub subsample: usize,
    /// Greatest height of a tree; the binary logarithm of the rows per tree, rounded up, when absent. Higher
    /// trees tell rare ordinary flows apart better, and cost size and time.
    pub height_limit: Option<u32>,
    /// Whether rows that are equal in every column count once. Flood-like repetitions otherwise make their own
    /// kind of flow ordinary.
    pub remove_duplicates: bool,
    /// Columns not to read, besides those that never are (initial sequence numbers).
    pub exclude: Vec<String>,
    /// Share of the rows, drawn at random, that no tree sees; threshold and calibration come from them.
    pub held_out: f64,
    /// Quantile of the held-out rows' scores that becomes the threshold.
    pub threshold_quantile: f64,
    /// Seed of every random choice.
    pub seed: u64,
    /// What the rows are, in words, with the licence of the data.
    pub data: String,
    /// Day of the training, `YYYY-MM-DD`.
    pub date: String,
    /// What to know before trusting the figures.
    pub notes: Vec<String>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            trees: 100,
            subsample: 20_000,
            height_limit: None,
            remove_duplicates: true,
            exclude: Vec::new(),
            held_out: 0.2,
            threshold_quantile: 0.99,
            seed: 1,
            data: String::new(),
            date: String::new(),
            notes: Vec::new(),
        }
    }
}

/// What training gives.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model, as the detector `iforest` reads it.
    pub artifact: Vec<u8>,
    /// How it was made. Its one figure is the share of held-out ordinary rows above the threshold; an evaluation on
    /// labelled rows adds the others.
    pub card: ModelCard,
}

/// Why training is not possible.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Too few rows.
    #[error("{rows} rows are too few to train on; give at least {FEWEST_ROWS} ordinary flows")]
    TooFewRows {
        /// Rows given.
        rows: usize,
    },
    /// All rows are equal.
    #[error("all training rows are equal in the columns used, so nothing can be told apart; give other rows")]
    OneDistinctRow,
    /// An option is out of its range.
    #[error("the option {name} must be {range}, and is {value}")]
    Option {
        /// Name of the option.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: String,
    },
    /// A column to exclude is unknown.
    #[error("the schema {schema} has no column {column} to exclude")]
    UnknownColumn {
        /// The schema.
        schema: &'static str,
        /// The name given.
        column: String,
    },
    /// A value is not finite.
    #[error("row {row}, column {column}: {value} is not a number that a detector can take")]
    Value {
        /// Position of the row, from 0.
        row: usize,
        /// Name of the column.
        column: &'static str,
        /// What it is.
        value: f64,
    },
    /// The grown forest does not pass the checks of the detector.
    #[error("the trained forest does not pass the detector's own checks: {0}")]
    Artifact(#[from] ArtifactError),
    /// The detector does not score the held-out rows.
    #[error("the trained forest does not score the held-out rows: {0}")]
    Score(#[from] RowError),
}

/// Trains a forest on `rows`, all taken for ordinary. `progress` is called with the number of trees grown and the
/// number of all.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    rows: &Rows,
    options: &TrainOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<Trained, TrainError> {
    check_options(rows, options)?;
    let schema = rows.schema();
    let selected: Vec<usize> = (0..schema.width())
        .filter(|&index| {
            let name = schema.columns[index].name;
            !SEQUENCE_NUMBERS.contains(&name) && !options.exclude.iter().any(|excluded| excluded == name)
        })
        .collect();
    if selected.is_empty() {
        return Err(TrainError::Option {
            name: "exclude",
            range: "a part of the columns",
            value: "all".into(),
        });
    }

    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    // Rows of a dataset lie in the order of collection, so the held-out ones must be drawn at random.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut random);
    let held_out_count = (rows.len() as f64 * options.held_out).round() as usize;
    let (held_out, fitted) = order.split_at(held_out_count);

    let codes = gather(rows, fitted, &selected)?;
    let columns: Vec<InputColumn> = selected
        .iter()
        .zip(codes.columns())
        .map(|(&index, values)| input_column(&schema.columns[index], values.iter().copied()))
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
    let height_limit = options
        .height_limit
        .unwrap_or_else(|| subsample.next_power_of_two().ilog2());
    let mut indices: Vec<u32> = (0..table.nrows())
        .map(|index| {
            u32::try_from(index).expect("rows of 100 bytes and more fill the memory before 2^32 of them")
        })
        .collect();
    let mut trees = Vec::with_capacity(options.trees);
    for grown in 0..options.trees {
        progress(grown, options.trees);
        let (sample, _) = indices.partial_shuffle(&mut random, subsample);
        trees.push(grow::tree(&table, sample, height_limit, &mut random));
    }
    progress(options.trees, options.trees);

    let model = Model {
        schema: format!("{}@{}", schema.id, schema.version),
        columns,
        subsample: u32::try_from(subsample).expect("the options limit it to 2^20"),
        trees,
    };
    let forest = Forest::new(&model)?;
    let mut scores = Vec::with_capacity(held_out.len());
    let held_out_rows = gather(rows, held_out, &selected)?;
    let held_out_values: Vec<f32> = held_out_rows.iter().copied().collect();
    forest.score_block(&held_out_values, held_out.len(), &mut scores)?;
    scores.sort_by(f32::total_cmp);
    let threshold = quantile(&scores, options.threshold_quantile);
    let above = scores.iter().filter(|&&score| score > threshold).count();

    let card = ModelCard {
        schema: model.schema.clone(),
        data: options.data.clone(),
        rows: fitted.len() as u64,
        columns: model.columns.iter().map(|column| column.name.clone()).collect(),
        seed: options.seed,
        date: options.date.clone(),
        threshold,
        threshold_rule: format!(
            "the {} quantile of the scores of {} held-out ordinary rows, drawn at random",
            options.threshold_quantile,
            scores.len()
        ),
        calibration: (0..=100)
            .map(|step| quantile(&scores, f64::from(step) / 100.0))
            .collect(),
        // The one figure that ordinary rows alone can give.
        figures: BTreeMap::from([("fpr_held_out".to_owned(), above as f64 / scores.len() as f64)]),
        notes: options.notes.clone(),
    };
    Ok(Trained {
        artifact: model.encode(),
        card,
    })
}

fn check_options(rows: &Rows, options: &TrainOptions) -> Result<(), TrainError> {
    let option = |name, range, value: &dyn std::fmt::Display| {
        Err(TrainError::Option {
            name,
            range,
            value: value.to_string(),
        })
    };
    if !(1..=10_000).contains(&options.trees) {
        return option("trees", "1 to 10,000", &options.trees);
    }
    if !(2..=1 << 20).contains(&options.subsample) {
        return option("subsample", "2 to 1,048,576", &options.subsample);
    }
    if let Some(height @ (0 | 65..)) = options.height_limit {
        return option("height_limit", "1 to 64", &height);
    }
    if !(0.01..=0.9).contains(&options.held_out) {
        return option("held_out", "0.01 to 0.9", &options.held_out);
    }
    if !(0.5..=1.0).contains(&options.threshold_quantile) {
        return option("threshold_quantile", "0.5 to 1", &options.threshold_quantile);
    }
    let schema = rows.schema();
    if let Some(column) = options
        .exclude
        .iter()
        .find(|name| schema.index_of(name).is_none())
    {
        return Err(TrainError::UnknownColumn {
            schema: schema.id,
            column: column.clone(),
        });
    }
    if rows.len() < FEWEST_ROWS {
        return Err(TrainError::TooFewRows { rows: rows.len() });
    }
    Ok(())
}

/// The named rows and columns, as detectors get them.
fn gather(rows: &Rows, indices: &[usize], selected: &[usize]) -> Result<Array2<f32>, TrainError> {
    let mut table = Array2::zeros((indices.len(), selected.len()));
    for (mut copy, &row) in table.rows_mut().into_iter().zip(indices) {
        let values = rows.row(row);
        for (copy, &column) in copy.iter_mut().zip(selected) {
            *copy = values[column] as f32;
            if !copy.is_finite() {
                let name = rows.schema().columns[column].name;
                return Err(TrainError::Value {
                    row,
                    column: name,
                    value: values[column],
                });
            }
        }
    }
    Ok(table)
}

fn input_column(column: &Column, values: impl Iterator<Item = f32>) -> InputColumn {
    let Some(vocabulary) = column.vocabulary() else {
        let mut sorted: Vec<f32> = values.collect();
        sorted.sort_by(f32::total_cmp);
        return InputColumn {
            name: column.name.to_owned(),
            typical: quantile(&sorted, 0.5),
            ranks: None,
        };
    };
    let mut counts = vec![0usize; vocabulary.terms.len()];
    for code in values {
        // Rows hold codes of the vocabulary; another value would only lack a rank here.
        if let Some(count) = counts.get_mut(code as usize) {
            *count += 1;
        }
    }
    let mut by_frequency: Vec<usize> = (0..counts.len()).filter(|&code| counts[code] > 0).collect();
    by_frequency.sort_by_key(|&code| (std::cmp::Reverse(counts[code]), code));
    let to_rank = |rank: usize| u16::try_from(rank).expect("codes are 16 bits wide");
    let mut ranks = vec![to_rank(by_frequency.len()); counts.len()];
    for (rank, &code) in by_frequency.iter().enumerate() {
        ranks[code] = to_rank(rank);
    }
    let typical = by_frequency.first().copied().unwrap_or_default() as f32;
    InputColumn {
        name: column.name.to_owned(),
        typical,
        ranks: Some(ranks),
    }
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

/// The value at the quantile `share`, 0 to 1, of rising values; 0 when there is none.
fn quantile(sorted: &[f32], share: f64) -> f32 {
    let position = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(position).copied().unwrap_or_default()
}
