//! What is stored: an ONNX model, whose weights this crate reads and whose graph it computes.
//!
//! The artifact is the ONNX file itself, so that any other program can run it: from raw windows of flows to scores,
//! preparation included. Properties of the model say what its columns are. [`Model`] holds what is in it; `graph`
//! writes it and `reader` reads it.

use netsage_detector_sdk::maths::ln;

/// Version of the format, as it stands in the property `netsage.format`; another layout gets another number.
pub const FORMAT: &str = "lstm-autoencoder/2";

/// Most flows of a window: the flow that is scored, and flows of the same source before it.
pub const WINDOW: usize = 8;

/// Widest layer.
pub(crate) const MOST_UNITS: usize = 256;
/// Most numbers that a row may become.
pub(crate) const MOST_FEATURES: usize = 1024;
/// Most input columns; the source is one more.
pub(crate) const MOST_COLUMNS: usize = 255;
/// Most codes of a nominal column.
pub(crate) const MOST_CODES: usize = 4096;

/// A scaled number is cut off at this on either side: beyond, more says nothing new.
pub const SCALED_LIMIT: f32 = 10.0;
/// The score of a row without any error. About half of all ordinary rows are reconstructed better than by this: how much
/// better says nothing of them, and to tell it would take more digits than an `f32` has, so that no two ways of adding
/// would agree.
pub const SCORE_FLOOR: f32 = 0.25;
/// Values are cut off at this before their logarithm is taken, so that no product overflows.
pub const VALUE_LIMIT: f32 = 1e15;

/// A trained model.
///
/// A row becomes numbers: the scaled logarithms of its numeric columns, in order, then for each nominal column one
/// number for each term. All weights are row-major, `[inputs, outputs]`; gates of memories are in the order of ONNX:
/// input, output, forget, cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// The columns that rows have, in order; 1 to 255.
    pub columns: Vec<InputColumn>,
    /// From a row's numbers to what the encoder reads, followed by the hyperbolic tangent.
    pub embedding: Layer,
    /// Reads the embedded rows of a window.
    pub encoder: Memory,
    /// From the encoder's state to the code of a row: the bottleneck.
    pub code: Layer,
    /// Reads the codes of a window.
    pub decoder: Memory,
    /// From the decoder's state to the reconstruction of the row's numbers.
    pub output: Layer,
    /// Weight of each number's squared error in the score; at least 0.
    pub score_weights: Vec<f32>,
}

/// One input column.
#[derive(Debug, Clone, PartialEq)]
pub struct InputColumn {
    /// Its name in the schema.
    pub name: String,
    /// How its values become numbers.
    pub encoding: Encoding,
}

/// How the values of a column become numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    /// `(ln(1 + steps * value) - mean) * factor`, negative values taken for 0, cut off at [`SCALED_LIMIT`].
    Logarithm {
        /// Steps to a unit: differences below one step hardly count. Above 0.
        steps: f32,
        /// Mean of the logarithms in training.
        mean: f32,
        /// One over their standard deviation. Above 0.
        factor: f32,
    },
    /// For each code the place of its 1 among zeros. The last stands for all codes beyond. The number of places is the
    /// largest place and one.
    Terms(Vec<u16>),
}

impl Encoding {
    /// Writes the numbers of a value, [`Encoding::width`] of them. A value that is the code of no term has none: all
    /// are 0.
    pub fn write(&self, value: f32, numbers: &mut [f32]) {
        match self {
            Self::Logarithm { steps, mean, factor } => {
                let logarithm = ln(value.clamp(0.0, VALUE_LIMIT) * steps + 1.0);
                numbers[0] = ((logarithm - mean) * factor).clamp(-SCALED_LIMIT, SCALED_LIMIT);
            }
            Self::Terms(places) => {
                numbers.fill(0.0);
                if let Some(place) = place_of(places, value) {
                    numbers[place] = 1.0;
                }
            }
        }
    }

    /// How many numbers a value becomes.
    pub fn width(&self) -> usize {
        match self {
            Self::Logarithm { .. } => 1,
            Self::Terms(places) => places.iter().max().map_or(1, |&place| usize::from(place) + 1),
        }
    }
}

/// Where the 1 of a code stands; nowhere when the value is no whole number.
pub(crate) fn place_of(places: &[u16], value: f32) -> Option<usize> {
    if !(value >= 0.0 && value.fract() == 0.0) {
        return None;
    }
    let place = places.get(value as usize).or(places.last());
    place.map(|&place| usize::from(place))
}

/// Weights and bias of a dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Width of its input.
    pub inputs: usize,
    /// Width of its output.
    pub outputs: usize,
    /// `[inputs, outputs]`.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// Weights of a long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Width of its state.
    pub hidden: usize,
    /// From its input to the gates, `[inputs, 4 * hidden]`.
    pub input: Layer,
    /// From its state to the gates, `[hidden, 4 * hidden]`.
    pub recurrent: Vec<f32>,
}

/// Why an artifact cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It is no ONNX model.
    #[error(transparent)]
    Onnx(#[from] netsage_onnx_format::OnnxError),
    /// It is an ONNX model of something else.
    #[error(
        "the ONNX model is none of `lstm-autoencoder` (its property netsage.format is {0:?} instead of {FORMAT:?}); \
         train one with `netsage train lstm-autoencoder`, or pack it for the detector `onnx`"
    )]
    Format(String),
    /// What it says cannot be.
    #[error("the model contradicts itself: {0}; train it again")]
    Content(String),
}

impl Model {
    /// How many numbers a row becomes.
    pub fn features(&self) -> usize {
        self.columns.iter().map(|column| column.encoding.width()).sum()
    }
}
