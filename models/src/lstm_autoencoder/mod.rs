//! Training an LSTM autoencoder on ordinary flows, alone and after the flows that their sources had before.

mod adam;
mod columns;
mod network;
mod windows;

use std::collections::HashSet;

use ndarray::Array2;
use netsage_lstm_autoencoder::{Autoencoder, Model};
use serde::{Deserialize, Serialize};

use self::adam::Adam;
use self::network::Shape;
use self::windows::{Plan, Windows, random_of_pass, sources};
use crate::preparation::{Common, TrainError, Trained, gather};
use crate::{Callbacks, Flows};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Units of the dense layer before the encoder, 1 to 256.
    pub embedding: usize,
    /// Units of the encoder, 1 to 256.
    pub encoder: usize,
    /// Width of the bottleneck, 1 to 256: a wider one reconstructs anomalous flows too.
    pub code: usize,
    /// Units of the decoder, 1 to 256.
    pub decoder: usize,
    /// Most passes over the rows, 1 to 10,000; the rate of learning falls over them.
    pub passes: u32,
    /// Passes without a better loss on the rows kept aside after which training ends, at least 1.
    pub patience: u32,
    /// Rows that are learned from at once, 16 to 65,536.
    pub batch: usize,
    /// Rate of learning at the beginning, above 0 and at most 1.
    pub rate: f32,
    /// Whether rows that are equal in every column count once, where nobody knows their sources.
    pub remove_duplicates: bool,
    /// Added to the usual squared error of a number, above 0; the sum divides the squared errors of that number. A small
    /// value makes small errors count where the network is usually right.
    pub least_error: f32,
    /// Steps to a unit of a continuous column, above 0: smaller differences hardly count.
    pub steps: f32,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            embedding: 64,
            encoder: 32,
            code: 12,
            decoder: 64,
            passes: 60,
            patience: 10,
            batch: 256,
            rate: 2e-3,
            remove_duplicates: false,
            least_error: 0.01,
            steps: 100.0,
            common: Common::default(),
        }
    }
}

/// Share of the fitted rows that is kept aside to see when learning stops helping.
const KEPT_ASIDE: f64 = 0.06;

/// A training between two passes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    shape: Shape,
    /// Passes done.
    passes: u32,
    weights: Vec<f32>,
    adam: Adam,
    best: Vec<f32>,
    best_loss: f64,
    since_best: u32,
}

/// Trains on `flows`, all taken for ordinary.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    flows: Flows<'_>,
    options: &TrainOptions,
    callbacks: &mut dyn Callbacks,
) -> Result<Trained, TrainError> {
    let rows = flows.rows;
    check(options)?;
    options.common.check(rows)?;
    let schema = rows.schema();
    let selected = options.common.columns(schema)?;
    let mut random = random_of_pass(options.common.seed, u32::MAX);
    let [held_out, mut fitted] = options.common.split(rows, &mut random);
    let mut aside = fitted.split_off(fitted.len() - (fitted.len() as f64 * KEPT_ASIDE).ceil() as usize);
    fitted.sort_unstable();
    aside.sort_unstable();
    let sources = sources(flows.identities);

    let columns = columns::fit(
        schema,
        &selected,
        &gather(rows, &fitted, &selected)?,
        options.steps,
    );
    let all: Vec<usize> = (0..rows.len()).collect();
    let table = columns::encode(&columns, &gather(rows, &all, &selected)?);
    let is_known = !flows.identities.is_empty();
    if options.remove_duplicates && !is_known {
        keep_distinct(&mut fitted, &table);
    }
    if fitted.iter().all(|&row| table.row(row) == table.row(fitted[0])) {
        return Err(TrainError::OneDistinctRow);
    }
    // Where sources are known, histories have no gaps: rows that are not learned from stand before those that are.
    let [counted, counted_aside] = [&fitted, &aside].map(|chosen| {
        let mut counted = vec![false; rows.len()];
        chosen.iter().for_each(|&row| counted[row] = true);
        counted
    });
    let [drawn_from, aside_from] = [&fitted, &aside].map(|chosen| if is_known { &all } else { chosen });
    let mut aside_random = random_of_pass(options.common.seed, u32::MAX - 1);
    let aside_windows = Windows::draw(aside_from, sources.as_deref(), &counted_aside, &mut aside_random);
    let aside_plans = aside_windows.batches(4 * options.batch, &mut random);

    let shape = Shape {
        features: table.ncols(),
        embedding: options.embedding,
        encoder: options.encoder,
        code: options.code,
        decoder: options.decoder,
    };
    let mut progress = callbacks
        .last_checkpoint()
        .and_then(|state| Progress::decode(&state, shape))
        .unwrap_or_else(|| Progress::begin(shape, options));
    let total = u64::from(options.passes) * fitted.len() as u64;
    let mut by_number = vec![0.0; shape.features];
    while progress.passes < options.passes && progress.since_best < options.patience {
        let mut random = random_of_pass(options.common.seed, progress.passes);
        let drawn = Windows::draw(drawn_from, sources.as_deref(), &counted, &mut random);
        let plans = drawn.batches(options.batch, &mut random);
        let (mut done, mut loss) = (0, 0.0);
        for plan in plans {
            if callbacks.interrupted() {
                return Err(TrainError::Interrupted);
            }
            let share =
                (f64::from(progress.passes) + done as f64 / fitted.len() as f64) / f64::from(options.passes);
            let rate = options.rate * (0.02 + 0.49 * (1.0 + (std::f64::consts::PI * share).cos())) as f32;
            loss += progress.learn(plan, &table, &counted, rate);
            done += plan.rows(&counted);
            callbacks.step(
                u64::from(progress.passes) * fitted.len() as u64 + done as u64,
                total,
                format_args!(
                    "rows, pass {}, loss {:.4}, best on rows kept aside {:.4}",
                    progress.passes + 1,
                    loss / (done * shape.features) as f64,
                    progress.best_loss
                ),
            );
        }
        progress.passes += 1;
        by_number.fill(0.0);
        let sum: f64 = aside_plans
            .iter()
            .map(|plan| progress.loss(*plan, &table, &counted_aside, &mut by_number))
            .sum();
        let loss = sum / (aside.len() * shape.features) as f64;
        if loss < progress.best_loss {
            progress.best_loss = loss;
            progress.best.clone_from(&progress.weights);
            progress.since_best = 0;
        } else {
            progress.since_best += 1;
        }
        callbacks.save_checkpoint(&|| progress.encode());
    }
    by_number.fill(0.0);
    for plan in &aside_plans {
        if let Some(batch) = plan.batch(&table, &counted_aside) {
            shape.loss(&progress.best, &batch, &mut by_number);
        }
    }
    let score_weights = by_number.iter().map(|&sum| {
        let usual = sum / aside.len() as f64;
        ((usual + f64::from(options.least_error)) * shape.features as f64).recip() as f32
    });
    let (embedding, encoder, code, decoder, output) = shape.layers(&progress.best);
    let model = Model {
        schema: schema.to_string(),
        score_weights: score_weights.collect(),
        columns,
        embedding,
        encoder,
        code,
        decoder,
        output,
    };
    let artifact = model.encode();
    let mut autoencoder =
        Autoencoder::decode(&artifact).map_err(|error| TrainError::Artifact(error.to_string()))?;
    let scores = score(&mut autoencoder, flows, &selected, sources.as_deref())?;
    let held_out_scores = held_out.iter().map(|&row| scores[row]).collect();
    let names = model.columns.iter().map(|column| column.name.clone()).collect();
    Ok(Trained {
        detector: "lstm-autoencoder",
        card: options
            .common
            .card(schema, names, fitted.len() + aside.len(), held_out_scores),
        artifact,
    })
}

/// The scores of all rows in their order, so that those of known sources have their windows.
fn score(
    autoencoder: &mut Autoencoder,
    flows: Flows<'_>,
    selected: &[usize],
    sources: Option<&[u64]>,
) -> Result<Vec<f32>, TrainError> {
    let all: Vec<usize> = (0..flows.rows.len()).collect();
    let mut scores = Vec::with_capacity(all.len());
    for part in all.chunks(1024) {
        let table = gather(flows.rows, part, selected)?;
        let values: Vec<f32> = table.iter().copied().collect();
        let sources = sources.map(|sources| &sources[part[0]..][..part.len()]);
        autoencoder
            .score_block(&values, part.len(), sources, &mut scores)
            .map_err(|error| TrainError::Score(error.to_string()))?;
    }
    Ok(scores)
}

/// Keeps the first of each kind of equal rows.
fn keep_distinct(rows: &mut Vec<usize>, table: &Array2<f32>) {
    let mut seen: HashSet<Vec<u32>> = HashSet::with_capacity(rows.len());
    // Adding 0 makes -0 and 0 the same row.
    let bits = |row: usize| {
        table
            .row(row)
            .iter()
            .map(|value| (value + 0.0).to_bits())
            .collect()
    };
    rows.retain(|&row| seen.insert(bits(row)));
}

fn check(options: &TrainOptions) -> Result<(), TrainError> {
    for (name, units) in [
        ("embedding", options.embedding),
        ("encoder", options.encoder),
        ("code", options.code),
        ("decoder", options.decoder),
    ] {
        if !(1..=256).contains(&units) {
            return Err(TrainError::option(name, "1 to 256", units));
        }
    }
    if !(1..=10_000).contains(&options.passes) {
        return Err(TrainError::option("passes", "1 to 10,000", options.passes));
    }
    if options.patience == 0 {
        return Err(TrainError::option("patience", "at least 1", options.patience));
    }
    if !(16..=65_536).contains(&options.batch) {
        return Err(TrainError::option("batch", "16 to 65,536", options.batch));
    }
    for (name, value) in [("least_error", options.least_error), ("steps", options.steps)] {
        if !(1e-6..=1e6).contains(&value) {
            return Err(TrainError::option(name, "0.000001 to 1,000,000", value));
        }
    }
    if !(options.rate > 0.0 && options.rate <= 1.0) {
        return Err(TrainError::option("rate", "above 0 and at most 1", options.rate));
    }
    Ok(())
}

impl Progress {
    fn begin(shape: Shape, options: &TrainOptions) -> Self {
        let weights = shape.begin(&mut random_of_pass(options.common.seed, u32::MAX - 2));
        Self {
            shape,
            passes: 0,
            adam: Adam::new(weights.len()),
            best: weights.clone(),
            weights,
            best_loss: f64::INFINITY,
            since_best: 0,
        }
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a vector grows and every length is known")
    }

    /// A state that belongs to a network of this shape.
    fn decode(bytes: &[u8], shape: Shape) -> Option<Self> {
        let progress: Self = postcard::from_bytes(bytes).ok()?;
        let count = shape.weights();
        let fits = progress.shape == shape
            && progress.adam.fits(count)
            && progress.weights.len() == count
            && progress.best.len() == count;
        fits.then_some(progress)
    }

    /// Learns from a batch, each half on a thread of its own; gives the sum of the squared errors.
    fn learn(&mut self, plan: Plan<'_>, table: &Array2<f32>, counted: &[bool], rate: f32) -> f64 {
        let (shape, weights) = (self.shape, &self.weights);
        let work = |plan: Plan<'_>| {
            let mut gradient = vec![0.0; weights.len()];
            let batch = plan.batch(table, counted);
            let sum = batch.map_or(0.0, |batch| shape.learn(weights, &batch, &mut gradient));
            (gradient, sum)
        };
        let [first, second] = plan.halves();
        let ((mut gradient, sum), (other, other_sum)) = std::thread::scope(|scope| {
            let other = scope.spawn(|| work(second));
            (work(first), other.join().expect("sums and products do not panic"))
        });
        let share = 1.0 / plan.rows(counted).max(1) as f32;
        for (gradient, other) in gradient.iter_mut().zip(other) {
            *gradient = (*gradient + other) * share;
        }
        self.adam.step(&mut self.weights, &gradient, rate);
        sum + other_sum
    }

    fn loss(&self, plan: Plan<'_>, table: &Array2<f32>, counted: &[bool], by_number: &mut [f64]) -> f64 {
        plan.batch(table, counted)
            .map_or(0.0, |batch| self.shape.loss(&self.weights, &batch, by_number))
    }
}
