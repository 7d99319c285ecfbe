//! Which detector is which natively: one line for each.

use netsage_detector_sdk::{Block, Detector};

use crate::Failure;

/// Scores a block of rows and appends their scores.
pub(crate) type Native = Box<dyn FnMut(&[f32], &mut Vec<f32>) -> Result<(), Failure>>;

/// The network in an artifact as ONNX, if it holds one.
pub(crate) type Network = fn(&[u8]) -> Option<Vec<u8>>;

/// A detector that is measured.
pub(crate) struct Registered {
    /// Its name, as model cards have it.
    pub(crate) name: &'static str,
    /// Opens the native build of the same code on an artifact.
    pub(crate) open: fn(&[u8]) -> Result<Native, Failure>,
    /// Rows per second that it should reach in the sandbox on one core.
    pub(crate) wanted: f64,
    /// How to get at the network, for a detector that runs one.
    pub(crate) onnx: Option<Network>,
}

/// All that are bundled.
pub(crate) const REGISTERED: &[Registered] = &[
    plain(
        "iforest",
        open::<netsage_iforest::component::IsolationForest>,
        200e3,
    ),
    plain(
        "half-space-trees",
        open::<netsage_half_space_trees::component::HalfSpaceTrees>,
        200e3,
    ),
    plain("dbscan", open::<netsage_dbscan::component::Dbscan>, 200e3),
    plain(
        "context-knn",
        open::<netsage_context_knn::component::ContextKnn>,
        100e3,
    ),
    plain("rhythm", open::<netsage_rhythm::component::Rhythm>, 200e3),
    network("onnx", open::<netsage_onnx::component::Onnx>, 400e3, inner),
    network(
        "lstm-autoencoder",
        open::<netsage_lstm_autoencoder::component::LstmAutoencoder>,
        25e3,
        whole,
    ),
];

const fn plain(name: &'static str, open: fn(&[u8]) -> Result<Native, Failure>, wanted: f64) -> Registered {
    Registered {
        name,
        open,
        wanted,
        onnx: None,
    }
}

const fn network(
    name: &'static str,
    open: fn(&[u8]) -> Result<Native, Failure>,
    wanted: f64,
    onnx: Network,
) -> Registered {
    Registered {
        name,
        open,
        wanted,
        onnx: Some(onnx),
    }
}

/// An artifact that is an ONNX file itself.
#[expect(
    clippy::unnecessary_wraps,
    reason = "others hold none, or hold it within something else"
)]
fn whole(artifact: &[u8]) -> Option<Vec<u8>> {
    Some(artifact.to_vec())
}

/// The network of the detector `onnx`, which reads encoded columns.
fn inner(artifact: &[u8]) -> Option<Vec<u8>> {
    match netsage_onnx::Model::decode(artifact).ok()?.network {
        netsage_onnx::Network::Dense(onnx) | netsage_onnx::Network::Graph { onnx, .. } => Some(onnx),
    }
}

fn open<D: Detector>(artifact: &[u8]) -> Result<Native, Failure> {
    let mut detector = D::open(artifact, None)?;
    let columns = detector.columns().len();
    Ok(Box::new(move |values, scores| {
        let block = Block::new(values.len() / columns, columns, values)?;
        Ok(detector.score(&block, scores)?)
    }))
}
