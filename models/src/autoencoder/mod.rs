//! Training a dense autoencoder on ordinary flows: a network that reconstructs its input through a layer too narrow for
//! anything but ordinary flows, so that anomalous flows are reconstructed badly (Hawkins, He, Williams and Baxter,
//! 2002).
//!
//! Numbers are taken as logarithms and standardised, terms become one number each; weights are fitted by Adam on
//! mini-batches. A tenth of the fitted rows is set aside, and the network that reconstructs these best is kept. All
//! rows are taken for ordinary; no label is read. Sums have a fixed order and no maths library is called, so the same
//! rows and seed give the same network on every machine.

mod encoding;
mod matrix;
mod network;
#[cfg(test)]
mod tests;

use netsage_onnx::artifact::Network as Stored;
use netsage_onnx::{Encoder, Model, Output, Scorer};
use netsage_schema::Rows;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::network::{Adam, Network, Workspace};
use crate::Callbacks;
use crate::preparation::{Common, TrainError, Trained, gather};

/// One fitted row in this many is set aside to see when to stop.
const ASIDE: usize = 10;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Width of the layers before and behind the narrowest, 1 to 1,024.
    pub hidden: usize,
    /// Width of the narrowest layer, 1 to 1,024.
    pub bottleneck: usize,
    /// Most passes over the rows, 1 to 10,000.
    pub epochs: u32,
    /// Passes without a better loss on the rows set aside after which training ends, at least 1.
    pub patience: u32,
    /// Rows in a step, 1 to 65,536.
    pub batch: usize,
    /// Size of the first steps, above 0 and at most 1; it falls evenly to a hundredth in the course of `epochs`.
    pub learning_rate: f32,
    /// Steps to a unit of a number before its logarithm is taken, above 0: smaller differences hardly count.
    pub steps: f32,
    /// Encoded numbers, in standard deviations, are kept between minus this and this; above 0.
    pub limit: f32,
    /// A term with a smaller share of the rows is one of the others; 0 to 1.
    pub least_share: f32,
    /// What the number of a term is where the term stands, 0 where another does; above 0. Numbers of terms differ less
    /// than standardised ones, so that at 1 the errors of terms would hardly count.
    pub nominal_scale: f32,
    /// What all trainings have.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            hidden: 64,
            bottleneck: 12,
            epochs: 60,
            patience: 8,
            batch: 256,
            learning_rate: 2e-3,
            steps: 1.0,
            limit: 10.0,
            least_share: 0.001,
            nominal_scale: 3.0,
            common: Common::default(),
        }
    }
}

/// A training between two passes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    epochs: u32,
    network: Network,
    adam: Adam,
    best: Network,
    best_loss: f64,
    since_best: u32,
}

/// Trains on `rows`, all taken for ordinary. It can be interrupted, and goes on after the last whole pass.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    rows: &Rows,
    options: &TrainOptions,
    callbacks: &mut dyn Callbacks,
) -> Result<Trained, TrainError> {
    check(options)?;
    let (common, schema) = (&options.common, rows.schema());
    common.check(rows)?;
    let selected = common.columns(schema)?;
    let [held_out, fitted] = common.split(rows, &mut random(options, 0));
    let table = gather(rows, &fitted, &selected)?;
    let columns = encoding::columns(schema, &selected, &table, options);
    let artifact_error = |error: netsage_onnx::ArtifactError| TrainError::Artifact(error.to_string());
    let score_error = |error: netsage_onnx::RowError| TrainError::Score(error.to_string());
    let mut encoder = Encoder::new(&columns).map_err(artifact_error)?;
    let values: Vec<f32> = table.iter().copied().collect();
    let encoded = encoder
        .encode_rows(&values)
        .map_err(|error| score_error(error.into()))?;
    let network = fit(&encoded, encoder.width(), options, callbacks)?;

    let model = Model {
        schema: schema.to_string(),
        columns,
        output: Output::Reconstruction,
        network: Stored::Dense(network.to_onnx()),
    };
    let mut scorer = Scorer::new(&model).map_err(artifact_error)?;
    let held_out_values: Vec<f32> = gather(rows, &held_out, &selected)?.iter().copied().collect();
    let mut scores = Vec::with_capacity(held_out.len());
    scorer
        .score_block(&held_out_values, held_out.len(), &mut scores)
        .map_err(score_error)?;
    let names = model.columns.iter().map(|column| column.name.clone()).collect();
    let mut card = common.card(schema, names, fitted.len(), scores);
    // The component runs other networks as well; this is its name for those who look at scores.
    card.name.get_or_insert_with(|| "autoencoder".to_owned());
    Ok(Trained {
        detector: "onnx",
        artifact: model.encode(),
        card,
    })
}

/// The ONNX model in an artifact that [`train`] made.
///
/// # Errors
/// [`TrainError::Artifact`] when the bytes are another artifact.
pub fn onnx(artifact: &[u8]) -> Result<Vec<u8>, TrainError> {
    let model = Model::decode(artifact).map_err(|error| TrainError::Artifact(error.to_string()))?;
    let (Stored::Dense(onnx) | Stored::Graph { onnx, .. }) = model.network;
    Ok(onnx)
}

fn check(options: &TrainOptions) -> Result<(), TrainError> {
    let check = |holds: bool, name, range, value: &dyn std::fmt::Display| {
        if holds {
            Ok(())
        } else {
            Err(TrainError::option(name, range, value))
        }
    };
    let width = 1..=1_024;
    check(
        width.contains(&options.hidden),
        "hidden",
        "1 to 1,024",
        &options.hidden,
    )?;
    check(
        width.contains(&options.bottleneck),
        "bottleneck",
        "1 to 1,024",
        &options.bottleneck,
    )?;
    check(
        (1..=10_000).contains(&options.epochs),
        "epochs",
        "1 to 10,000",
        &options.epochs,
    )?;
    check(options.patience > 0, "patience", "at least 1", &options.patience)?;
    check(
        (1..=65_536).contains(&options.batch),
        "batch",
        "1 to 65,536",
        &options.batch,
    )?;
    let rate = options.learning_rate;
    check(
        rate > 0.0 && rate <= 1.0,
        "learning_rate",
        "above 0 and at most 1",
        &rate,
    )?;
    let positive = |value: f32| (1e-6..=1e9).contains(&value);
    for (name, value) in [
        ("steps", options.steps),
        ("limit", options.limit),
        ("nominal_scale", options.nominal_scale),
    ] {
        check(positive(value), name, "0.000001 to 1,000,000,000", &value)?;
    }
    check(
        (0.0..=1.0).contains(&options.least_share),
        "least_share",
        "0 to 1",
        &options.least_share,
    )
}

/// The random numbers of a pass; of the split and the first weights for 0. A training that goes on has those that it
/// would have had.
fn random(options: &TrainOptions, pass: u32) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(options.common.seed);
    random.set_stream(u64::from(pass));
    random
}

impl Progress {
    fn begin(widths: &[usize], options: &TrainOptions) -> Self {
        let network = Network::new(widths, &mut random(options, u32::MAX));
        Self {
            epochs: 0,
            adam: Adam::new(&network),
            best: network.clone(),
            network,
            best_loss: f64::MAX,
            since_best: 0,
        }
    }

    /// A state that was kept, unless it is damaged or of another network.
    fn decode(bytes: &[u8], widths: &[usize]) -> Option<Self> {
        let state: Self = postcard::from_bytes(bytes).ok()?;
        let fits = state.network.fits(widths) && state.best.fits(widths) && state.adam.fits(&state.network);
        fits.then_some(state)
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new()).expect("a vector grows and every length is known")
    }
}

fn fit(
    encoded: &[f32],
    width: usize,
    options: &TrainOptions,
    callbacks: &mut dyn Callbacks,
) -> Result<Network, TrainError> {
    let widths = [width, options.hidden, options.bottleneck, options.hidden, width];
    let rows: Vec<&[f32]> = encoded.chunks_exact(width).collect();
    let (aside, rows) = rows.split_at(rows.len().div_ceil(ASIDE));
    let mut progress = callbacks
        .last_checkpoint()
        .and_then(|state| Progress::decode(&state, &widths))
        .unwrap_or_else(|| Progress::begin(&widths, options));
    let mut workspace = Workspace::default();
    let total = u64::from(options.epochs) * rows.len() as u64;
    while progress.epochs < options.epochs && progress.since_best < options.patience {
        // The order of a pass depends on its number only, not on those before.
        let mut order = rows.to_vec();
        order.shuffle(&mut random(options, progress.epochs + 1));
        let share = progress.epochs as f32 / options.epochs as f32;
        let rate = options.learning_rate * (1.0 - 0.99 * share);
        let (mut done, mut loss) = (0, 0.0);
        for batch in order.chunks(options.batch) {
            if callbacks.interrupted() {
                return Err(TrainError::Interrupted);
            }
            progress.network.load(&mut workspace, batch.iter().copied());
            progress.network.forward(&mut workspace);
            loss += Network::loss(&workspace);
            progress.network.step(&mut progress.adam, &mut workspace, rate);
            done += batch.len();
            callbacks.step(
                u64::from(progress.epochs) * rows.len() as u64 + done as u64,
                total,
                format_args!(
                    "rows, pass {}, loss {:.5}, best on rows set aside {:.5}",
                    progress.epochs + 1,
                    loss / (done * width) as f64,
                    progress.best_loss.min(1e9),
                ),
            );
        }
        progress.epochs += 1;
        let mut sum = 0.0;
        for batch in aside.chunks(options.batch) {
            progress.network.load(&mut workspace, batch.iter().copied());
            progress.network.forward(&mut workspace);
            sum += Network::loss(&workspace);
        }
        let loss = sum / (aside.len() * width) as f64;
        if loss < progress.best_loss {
            progress.best_loss = loss;
            progress.best.clone_from(&progress.network);
            progress.since_best = 0;
        } else {
            progress.since_best += 1;
        }
        callbacks.save_checkpoint(&|| progress.encode());
    }
    Ok(progress.best)
}
