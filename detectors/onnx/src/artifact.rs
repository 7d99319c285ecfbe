//! What is stored: eight bytes of magic and version and a postcard encoding of [`Model`].
//!
//! Whatever the bytes, decoding gives a value or an error; what a model says is checked when a
//! [`Scorer`](crate::Scorer) is made of it.

use netsage_detector_sdk::artifact::{self, Format};
use netsage_onnx_format::OnnxError;
use serde::{Deserialize, Serialize};

use crate::maths::scaled_logarithm;

/// Name and version of the format; another layout gets another last byte.
const FORMAT: Format = Format {
    magic: *b"NSONNX\0\x01",
    name: "ONNX detector model of format 1; make one with `netsage train autoencoder` or `netsage detector pack --onnx`",
};

/// A network and what stands before and behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 256. The encoded columns are the inputs of the network, in this
    /// order.
    pub columns: Vec<InputColumn>,
    /// What becomes of what the network gives.
    pub output: Output,
    /// The network.
    pub network: Network,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// The value that is typical of it: the median in training, for a nominal column the commonest code.
    pub typical: f32,
    /// The smallest and the largest value that training saw; what a reconstruction shows as typical is kept between.
    pub range: [f32; 2],
    /// Weight of its error of reconstruction, at least 0.
    pub weight: f32,
    /// What its values become.
    pub encoding: Encoding,
}

/// What the values of a column become before the network gets them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Encoding {
    /// One number: `(f(value) - offset) / scale`.
    Number {
        /// What happens first.
        function: Function,
        /// What is subtracted, e.g. the mean.
        offset: f32,
        /// By what is divided, e.g. the standard deviation; above 0.
        scale: f32,
        /// The result is kept between minus this and this; above 0.
        limit: f32,
    },
    /// One number for each category.
    OneHot {
        /// The category of each code of the vocabulary; [`UNKNOWN`] for those that have none, and so for codes behind
        /// the last. They have the category `other` if there is one and are 0 everywhere otherwise.
        categories: Vec<u16>,
        /// Number of categories, at least 1.
        count: u16,
        /// The category of codes that have none.
        other: Option<u16>,
        /// What 0 becomes, and what 1 becomes, for each category.
        values: Vec<[f32; 2]>,
    },
    /// One number, by code.
    Ordinal {
        /// The number of each code.
        numbers: Vec<f32>,
        /// The number of codes behind the last.
        unknown: f32,
    },
}

/// What an [`Encoding::OneHot`] keeps for a code without a category.
pub const UNKNOWN: u16 = u16::MAX;

/// A function of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Function {
    /// The number itself.
    Same,
    /// `ln(1 + steps * x)`, of a negative `x` the negative of that of `-x`.
    Logarithm {
        /// Steps to a unit, above 0: differences below one step hardly count.
        steps: f32,
    },
}

impl Function {
    /// Its value, to the same bits on every machine.
    pub fn apply(self, value: f32) -> f32 {
        match self {
            Self::Same => value,
            Self::Logarithm { steps } => scaled_logarithm(value, steps),
        }
    }
}

/// What becomes of what the network gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The network gives back what it was given; the score is the root of the weighted mean of the squared
    /// errors.
    Reconstruction,
    /// The network gives one number for each row; higher is more anomalous, or lower if `negate`.
    Score {
        /// Whether the score is the negative of what the network gives.
        negate: bool,
    },
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// An ONNX model that is a chain of dense layers and activations.
    Dense(Vec<u8>),
    /// Any other ONNX model of the operators that are known.
    Graph {
        /// The model.
        onnx: Vec<u8>,
        /// Which of its outputs is meant; none when it has one.
        output: Option<String>,
    },
}

/// Why an artifact cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArtifactError {
    /// The envelope.
    #[error(transparent)]
    Envelope(#[from] artifact::ArtifactError),
    /// The encoding is whole and what it says cannot be.
    #[error("the model contradicts itself: {0}; make it again")]
    Content(String),
    /// The network cannot be read.
    #[error(transparent)]
    Network(#[from] OnnxError),
    /// The network is not of the kind that it claims to be.
    #[error("the network is no chain of dense layers: {0}; pack it again")]
    NotDense(String),
    /// The graph cannot be run.
    #[error("the network cannot be run: {0}")]
    Graph(String),
}

impl Model {
    /// The artifact of this model.
    pub fn encode(&self) -> Vec<u8> {
        FORMAT.encode(self)
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::Envelope`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ArtifactError> {
        Ok(FORMAT.decode(bytes)?)
    }
}

impl Encoding {
    /// How many numbers it makes of a value.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { .. } | Self::Ordinal { .. } => 1,
            Self::OneHot { count, .. } => usize::from(*count),
        }
    }
}
