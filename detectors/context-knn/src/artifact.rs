//! What is stored: the trained model, with its reference points on a grid.
//!
//! Eight bytes of magic and version and a postcard encoding. Whatever the bytes, decoding gives a value or an error;
//! what a model says is checked when a [`Scorer`](crate::Scorer) is made of it.

pub use netsage_detector_sdk::artifact::ArtifactError;
use netsage_detector_sdk::artifact::Format;
use serde::{Deserialize, Serialize};

use crate::Surprise;
use crate::maths::log2;

/// Name and version of the format; another layout gets another last byte.
const FORMAT: Format = Format {
    magic: *b"NSCKNN\0\x01",
    name: "model of context-knn of format 1; train one with `netsage train context-knn`",
};

/// A trained model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 255, at most 4 of them nominal.
    pub columns: Vec<InputColumn>,
    /// Grid steps to a standard deviation, 1 to 4,096. Reference points lie on the grid, and rows are moved onto it.
    pub resolution: f32,
    /// The contexts that reference points have: the codes of the nominal columns, in their order; at most 1,024.
    pub contexts: Vec<Vec<u16>>,
    /// The groups whose surprises are summed; 1 to 64.
    pub groups: Vec<Group>,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// How its values become comparable.
    pub scale: Scale,
}

/// How the values of a column become comparable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scale {
    /// A code without order, part of the context.
    Nominal,
    /// `(log2(1 + steps * value) - centre) / deviation`; negative values are taken for 0.
    Number {
        /// Steps to a unit: differences below one step hardly count. Above 0.
        steps: f32,
        /// Mean of the logarithms in training.
        centre: f32,
        /// Their standard deviation, above 0.
        deviation: f32,
    },
    /// A number that names something, part of the context: only whether two are equal counts. Its whole part, 0 to
    /// 65,535; what lies outside counts as the nearest of these.
    Name,
}

impl Scale {
    /// Whether the column is part of the context.
    pub fn is_nominal(self) -> bool {
        matches!(self, Self::Nominal | Self::Name)
    }

    /// Where a value lies on the scale of logarithms: `log2(1 + steps * value)`.
    #[inline(always)]
    pub fn logarithm(value: f32, steps: f32) -> f32 {
        let positive = if value > 0.0 { value } else { 0.0 };
        let product = positive * steps;
        log2(1.0 + if product < f32::MAX { product } else { f32::MAX })
    }
}

/// Columns that are looked at together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What the columns have in common, for people.
    pub name: String,
    /// Positions of the columns in the model, numbers only; a mixture may have none.
    pub columns: Vec<u16>,
    /// How the distance of a row is found.
    pub method: Method,
    /// What the distance means.
    pub surprise: Surprise,
}

/// How the distance of a row is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// The mean distance of the nearest reference points.
    Neighbours {
        /// How many, 1 to 256.
        neighbours: u16,
        /// For each nominal column the distance in grid steps that another code stands for, at least 0.
        penalties: Vec<f32>,
        /// The reference points of each context, in the order of the contexts.
        points: Vec<Points>,
    },
    /// `sqrt(2 (E - floor))`, where `E` is minus the logarithm of the density: for one component the Mahalanobis
    /// distance.
    Mixture {
        /// 1 to 256 components.
        components: Vec<Component>,
        /// The `E` that is distance 0.
        floor: f32,
    },
}

/// Reference points of one context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Places on the grid, point by point, one number per column of the group, in the order of
    /// [`arrange`](crate::index::arrange).
    pub values: Vec<i16>,
    /// How often each point counts, at least 1.
    pub counts: Vec<u32>,
}

/// One component of a mixture: a Gaussian over numbers, and independent of it a distribution of each nominal column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Logarithm of its weight and of the Gaussian's factor.
    pub constant: f32,
    /// Its mean, in standard deviations of the columns.
    pub mean: Vec<f32>,
    /// The inverse of the lower Cholesky factor of its covariance, row by row up to the diagonal.
    pub whitening: Vec<f32>,
    /// For each nominal column the logarithm of the probability of each code, the last entry for all further codes.
    pub nominals: Vec<Vec<f32>>,
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
