//! The artifact: the condensed core points and the scale of their distances.

pub use netsage_detector_sdk::artifact::ArtifactError;
use netsage_detector_sdk::artifact::Format;
use serde::{Deserialize, Serialize};

/// Name and version of the format; another layout gets another last byte.
const FORMAT: Format = Format {
    magic: *b"NSDBSC\0\x01",
    name: "model of dbscan of format 1; train one with `netsage train dbscan`",
};

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

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Format`] and [`ArtifactError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        FORMAT.decode(bytes)
    }
}
