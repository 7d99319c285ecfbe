//! Which detector is which natively: one line for each.

use netsage_detector_sdk::{Block, Contexts, Detector, Schema};

use crate::Failure;

/// Scores a block of rows and appends their scores.
pub(crate) type Native = Box<dyn FnMut(&[f32], Contexts<'_>, &mut Vec<f32>) -> Result<(), Failure>>;

/// Opens the native build of a detector on an artifact.
pub(crate) type Open = fn(&[u8], &netsage_schema::Schema) -> Result<Native, Failure>;

/// The network in an artifact as ONNX, if it holds one.
pub(crate) type Network = fn(&[u8]) -> Option<Vec<u8>>;

/// A detector that is measured.
pub(crate) struct Registered {
    /// Its name, as model cards have it.
    pub(crate) name: &'static str,
    /// Opens the native build of the same code on an artifact.
    pub(crate) open: Open,
    /// Rows per second that it should reach in the sandbox on one core.
    pub(crate) wanted: f64,
    /// How to get at the network, for a detector that runs one.
    pub(crate) onnx: Option<Network>,
}

/// All that are bundled.
pub(crate) const REGISTERED: &[Registered] = &[
    plain("iforest", open::<netsage_iforest::Forest>, 200e3),
    plain(
        "half-space-trees",
        open::<netsage_half_space_trees::Forest>,
        200e3,
    ),
    plain("dbscan", open::<netsage_dbscan::Scorer>, 200e3),
    plain("context-knn", open::<netsage_context_knn::Scorer>, 100e3),
    plain("rhythm", open::<netsage_rhythm::Scorer>, 200e3),
    network("onnx", open::<netsage_onnx::Scorer>, 400e3, inner),
    network(
        "lstm-autoencoder",
        open::<netsage_lstm_autoencoder::Autoencoder>,
        25e3,
        whole,
    ),
];

const fn plain(name: &'static str, open: Open, wanted: f64) -> Registered {
    Registered {
        name,
        open,
        wanted,
        onnx: None,
    }
}

const fn network(name: &'static str, open: Open, wanted: f64, onnx: Network) -> Registered {
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

fn open<D: Detector>(artifact: &[u8], schema: &netsage_schema::Schema) -> Result<Native, Failure> {
    let mut detector = D::open(artifact, &given(schema))?;
    let columns = detector.inputs().columns.len();
    Ok(Box::new(move |values, contexts, scores| {
        let block = Block::new(values.len() / columns, columns, values)?.with_contexts(contexts)?;
        Ok(detector.score(&block, scores)?)
    }))
}

/// A schema as a detector is given it; without terms, since the bundled detectors have their codes from training.
fn given(schema: &netsage_schema::Schema) -> Schema {
    Schema {
        id: schema.id.to_owned(),
        version: schema.version,
        columns: Vec::new(),
    }
}
