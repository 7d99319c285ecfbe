//! What is stored: the condensed core points and what they are measured by.

use serde::{Deserialize, Serialize};

/// Name and version of the format; another layout gets another last byte.
const MAGIC: [u8; 8] = *b"NSDBSC\0\x01";

/// A trained model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The radius of a neighbourhood, in grid steps; above 0.
    pub eps: f32,
    /// Rows within `eps` that make a core point of a row, itself included.
    pub min_samples: u32,
    /// Clusters that were found.
    pub clusters: u32,
    /// Core points before they were condensed.
    pub core_points: u32,
    /// The core points: one group of neighbours, of which the nearest one counts.
    pub cores: netsage_context_knn::Model,
}

/// Why an artifact cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It does not start with the magic bytes.
    #[error("this is no model of dbscan of format 1; train one with `netsage train dbscan`")]
    Format,
    /// The encoding is damaged.
    #[error("the model is damaged or cut off ({0}); make it again or fetch it again")]
    Encoding(String),
    /// The encoding is whole and what it says cannot be.
    #[error("the model contradicts itself: {0}; train it again")]
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
            let reason = format!("{} bytes follow its end", rest.len());
            return Err(ArtifactError::Encoding(reason));
        }
        Ok(model)
    }
}
