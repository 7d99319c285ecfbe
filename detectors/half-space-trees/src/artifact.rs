//! What is stored: the artifact, which is the trained model, and the state, which is what was learned since.
//!
//! Both are eight bytes of magic and version and a postcard encoding. Whatever the bytes, decoding gives a value or an
//! error; what a model says is checked when a [`Forest`](crate::Forest) is made of it.

use netsage_detector_sdk::artifact::{self, Format};
use netsage_detector_sdk::maths::straight_log2;
use serde::{Deserialize, Serialize};

/// Name and version of the formats; another layout gets another last byte.
const MODEL: Format = Format {
    magic: *b"NSHSTM\0\x01",
    name: "model of half-space trees that this version reads; train one with `netsage train half-space-trees`",
};
const STATE: Format = Format {
    magic: *b"NSHSTS\0\x02",
    name: "state of half-space trees that this version reads; begin without a state",
};

/// A trained model as it is stored. The trees themselves follow from `seed`, so only their masses are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 255.
    pub columns: Vec<InputColumn>,
    /// Seed of the trees.
    pub seed: u64,
    /// Number of trees, 1 to 500.
    pub trees: u16,
    /// Halvings from the root to a leaf, 1 to 16.
    pub height: u8,
    /// A node with fewer rows than this is not divided further when scoring, so that chance does not look like shape.
    pub least_rows: f32,
    /// Rows after which what was learned enters the masses, at least 1.
    pub window: u32,
    /// Weight of a window's rows against those before, above 0 and at most 1; 1 forgets all before, as in the paper.
    pub adaptation: f32,
    /// Training rows; 0 for a model that begins without any and takes its first window whole.
    pub rows: u32,
    /// For each tree the rows in its nodes, root first, then the whole smaller half, then the larger; nothing follows
    /// for the halves of an empty node. Empty when there were no training rows.
    pub masses: Vec<Vec<u32>>,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// The value that is typical of it: the median in training, for a nominal column the commonest code.
    pub typical: f32,
    /// How its values become a number from 0 to 1.
    pub scale: Scale,
}

/// How values become a number from 0 to 1, before which negative ones are taken for 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scale {
    /// `straight_log2(1 + steps * value)`, straight between `low` and `high`, which stand for 0 and 1. Values beyond go up to
    /// half a width further.
    Logarithm {
        /// Steps to a unit: differences below one step hardly count. Above 0.
        steps: f32,
        /// The logarithm that becomes 0.
        low: f32,
        /// The logarithm that becomes 1; above `low`.
        high: f32,
    },
    /// The rank of each code by how often training saw it, 0 for the commonest, on the scale of logarithms. A code
    /// that training never saw has the rank behind all others.
    Rank(Vec<u16>),
}

impl Scale {
    /// Where a value lies on the scale of logarithms: `straight_log2(1 + steps * value)`, by the logarithm of this crate.
    pub fn logarithm(value: f32, steps: f32) -> f32 {
        // A product beyond the largest number would have no place on the scale.
        straight_log2(1.0 + (value.max(0.0) * steps).min(f32::MAX))
    }

    /// The rank of a term that training never saw; 0 for a column that is not nominal.
    pub(crate) fn unseen(&self) -> f32 {
        match self {
            Self::Logarithm { .. } => 0.0,
            Self::Rank(ranks) => f32::from(ranks.iter().copied().max().unwrap_or_default()),
        }
    }
}

/// What was learned, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Digest of what a state depends on: seed, trees, height and columns of the model.
    pub fingerprint: u64,
    /// Rows that the masses stand for.
    pub rows: f32,
    /// The masses of all nodes of all trees.
    pub masses: Vec<f32>,
    /// Rows of the window that is not full.
    pub pending_rows: u32,
    /// Their masses.
    pub pending: Vec<u32>,
    /// For each column the least and the largest place on its scale: of the rows that the masses stand for, and of the
    /// window that is not full.
    pub reach: [Vec<[f32; 2]>; 2],
}

/// Why an artifact or a state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The envelope.
    #[error(transparent)]
    Envelope(#[from] artifact::ArtifactError),
    /// The encoding is whole and what it says cannot be.
    #[error("the model contradicts itself: {0}; train it again")]
    Content(String),
    /// The state was learned by another model.
    #[error("the state was learned with another model; begin without a state")]
    OtherModel,
}

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        MODEL.encode(self)
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Envelope`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        Ok(MODEL.decode(bytes)?)
    }
}

impl State {
    /// The state as bytes.
    pub fn encode(&self) -> Vec<u8> {
        STATE.encode(self)
    }

    /// Reads a state.
    ///
    /// # Errors
    /// [`ArtifactError::Envelope`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        Ok(STATE.decode(bytes)?)
    }
}
