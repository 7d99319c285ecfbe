//! The artifact: a trained forest as bytes.
//!
//! Eight bytes of magic and version, then the postcard encoding of [`Model`]. Whatever the bytes,
//! decoding gives a model or an error; what the model says is checked when a [`Forest`](crate::Forest) is
//! made of it.

use serde::{Deserialize, Serialize};

/// Name and version of the format; another layout gets another last byte.
const MAGIC: [u8; 8] = *b"NSIFOR\0\x01";

/// Marks a leaf in [`TreeShape::columns`].
pub const LEAF: u8 = u8::MAX;

/// A trained forest as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 255.
    pub columns: Vec<InputColumn>,
    /// Training rows per tree, 2 to 2^20.
    pub subsample: u32,
    /// The trees, at least one.
    pub trees: Vec<TreeShape>,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// The value that is typical of it: the median in training, for a nominal column the commonest code.
    pub typical: f32,
    /// For a nominal column: the rank of each code by how often training saw it, 0 for the commonest. Splits
    /// compare ranks, so that one split sets rare terms apart from common ones. A code beyond the list, or
    /// one that training never saw, has rank [`InputColumn::unseen_rank`].
    pub ranks: Option<Vec<u16>>,
}

impl InputColumn {
    /// The rank of terms that training never saw: beyond all others.
    pub fn unseen_rank(ranks: &[u16]) -> u16 {
        ranks.iter().copied().max().unwrap_or_default()
    }
}

/// A tree in breadth-first order. The children of the `k`-th split are the nodes `2k + 1` and `2k + 2`, so no
/// links are stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeShape {
    /// For each node the index of the column that it splits by, or [`LEAF`].
    pub columns: Vec<u8>,
    /// For each split its threshold: rows with smaller values go to the first child.
    pub thresholds: Vec<f32>,
    /// For each leaf the number of training rows that it holds, at least 1.
    pub sizes: Vec<u32>,
}

/// Why an artifact cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It does not start with the magic bytes.
    #[error("this is no isolation forest of format 1; train one with `netsage train iforest`")]
    Format,
    /// The encoding is damaged.
    #[error("the artifact is damaged or cut off ({0}); train it again or fetch it again")]
    Encoding(String),
    /// The encoding is whole and what it says is not a forest.
    #[error("the artifact contradicts itself: {0}; train it again")]
    Content(String),
}

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, MAGIC.to_vec()).expect("a vector grows and every length is known")
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Format`] and [`ArtifactError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let encoded = bytes.strip_prefix(&MAGIC).ok_or(ArtifactError::Format)?;
        let (model, rest) =
            postcard::take_from_bytes(encoded).map_err(|error| ArtifactError::Encoding(error.to_string()))?;
        if !rest.is_empty() {
            return Err(ArtifactError::Encoding(format!(
                "{} bytes follow its end",
                rest.len()
            )));
        }
        Ok(model)
    }
}
