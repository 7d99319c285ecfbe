//! The SDK of NetSage detectors.
//!
//! A detector is a type that implements [`Detector`], and [`Explain`], [`Remember`] or [`Learn`] if it supports them.
//! [`export_detector!`](crate::export_detector) exports the type with these traits. The crate is compiled for
//! `wasm32-unknown-unknown`, and `wasm-tools component new` turns the module into a component. Each block is checked
//! before the detector sees it: rows have the shape that the detector asked for, and finite values.
//!
//! This crate must never import anything into the component (no clock, no file, no random numbers) and
//! must never let a defect of its input become a trap. On other targets than wasm32 the macro expands to
//! nothing, and a detector is an ordinary library that tests and training call.
//!
//! Start with [`Detector`]; [`Block`] is what it is given.

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[doc(hidden)]
pub mod allocator;
#[cfg(feature = "artifact")]
pub mod artifact;
mod block;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
pub mod maths;
mod row_error;
mod schema;

pub use block::{Block, Contexts, Contribution, Explanation, MAX_ROWS};
pub use row_error::RowError;
pub use schema::{Column, Kind, Schema, Term};

/// Which flows must reach the same instance, in the order in which they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKey {
    /// Every row is scored on its own.
    None,
    /// A score depends on earlier rows of the same source address only.
    Source,
    /// A score may depend on all earlier rows.
    All,
}

/// What a detector says about itself. Lengths and characters are those of the WIT record `description`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Short name, e.g. `iforest`.
    pub name: &'static str,
    /// Semantic version of the code, e.g. `1.0.0`.
    pub version: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// SPDX licence expression.
    pub licence: &'static str,
    /// Which flows must reach the same instance.
    pub state_key: StateKey,
    /// Further properties, by name.
    pub properties: &'static [(&'static str, &'static str)],
}

/// The inputs of a detector for each row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Columns of the schema by name, in the order of the detector's own; 1 to 256.
    pub columns: Vec<String>,
    /// The context that the detector needs beside the columns.
    pub context: Context,
}

impl Inputs {
    /// These columns and no context.
    pub fn columns(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            columns: names.into_iter().map(Into::into).collect(),
            context: Context::default(),
        }
    }
}

/// Which context a detector needs; see [`Contexts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// When each flow began.
    pub start_time: bool,
    /// The address that sent the first packet of the flow.
    pub source: bool,
    /// The address of the other side.
    pub destination: bool,
}

/// Why a call failed; the variants of the WIT type `error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The artifact cannot be read, or does not fit the schema.
    #[error("the artifact cannot be read: {0}")]
    BadArtifact(String),
    /// The saved state cannot be read.
    #[error("the saved state cannot be read: {0}")]
    BadState(String),
    /// The rows do not have the shape, the values or the context that the detector needs.
    #[error("the rows cannot be scored: {0}")]
    BadInput(String),
    /// Anything else.
    #[error("the detector failed: {0}")]
    Internal(String),
}

impl Error {
    /// An artifact that cannot be read, for this reason.
    pub fn bad_artifact(reason: impl std::fmt::Display) -> Self {
        Self::BadArtifact(reason.to_string())
    }

    /// A saved state that cannot be read, for this reason.
    pub fn bad_state(reason: impl std::fmt::Display) -> Self {
        Self::BadState(reason.to_string())
    }

    /// Rows that cannot be scored, for this reason.
    pub fn bad_input(reason: impl std::fmt::Display) -> Self {
        Self::BadInput(reason.to_string())
    }
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::bad_input(error)
    }
}

/// An anomaly detector with its trained model loaded.
///
/// A pure function of what it is given: the same calls in the same order give the same results, to the
/// last bit, on every machine. That rules out relaxed SIMD and sums whose order depends on anything else.
pub trait Detector: Sized + 'static {
    /// Describes the detector. The same at every call.
    fn describe() -> Description;

    /// Opens a session on an artifact, for rows of `schema`. The session begins without memory.
    ///
    /// # Errors
    /// [`Error::BadArtifact`] when the artifact cannot be read or is for another schema.
    fn open(artifact: &[u8], schema: &Schema) -> Result<Self, Error>;

    /// The inputs of the session for each row. The same at every call.
    fn inputs(&self) -> Inputs;

    /// Appends one score per row to `scores`. Higher means more anomalous; all are finite.
    ///
    /// # Errors
    /// [`Error::BadInput`] when a value is not one of its column, or when needed context is absent.
    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error>;
}

/// A detector that can say why a row has its score.
pub trait Explain: Detector {
    /// What contributed most to the score of each row, at most `limit` entries a row. Later scores must not depend on
    /// this call.
    ///
    /// # Errors
    /// [`Error::BadInput`] as in [`Detector::score`].
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error>;
}

/// A detector with memory: of what it learned, or of the flows that it scored.
pub trait Remember: Detector {
    /// Encodes the memory of the session for [`Remember::restore`]. At most 16 MiB.
    ///
    /// # Errors
    /// [`Error::Internal`] when the memory cannot be encoded.
    fn save(&self) -> Result<Vec<u8>, Error>;

    /// Takes over the memory of the session that saved `state`. That session may have run an earlier version of the
    /// detector or another artifact. After an error the host drops this session.
    ///
    /// # Errors
    /// [`Error::BadState`] when the state cannot be used.
    fn restore(&mut self, state: &[u8]) -> Result<(), Error>;
}

/// A detector that learns from traffic. What was learned is part of its memory.
pub trait Learn: Remember {
    /// Learns from a block of rows that the host takes for ordinary.
    ///
    /// # Errors
    /// [`Error::BadInput`] as in [`Detector::score`].
    fn learn(&mut self, block: &Block<'_>) -> Result<(), Error>;
}

/// What `export_detector!` makes the global allocator of a component; other programs that link this crate keep theirs.
#[cfg(feature = "allocator")]
#[doc(hidden)]
#[macro_export]
macro_rules! __allocator {
    () => {
        #[global_allocator]
        static ALLOCATOR: $crate::allocator::FreeLists = $crate::allocator::FreeLists::new();
    };
}
#[cfg(not(feature = "allocator"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __allocator {
    () => {};
}

/// Exports a type as the component's detector, with the traits that it implements beside [`Detector`]:
/// `export_detector!(Plain)`, `export_detector!(Forest: Explain)`. [`Learn`] brings [`Remember`] with it.
///
/// Once per crate; expands to nothing outside wasm32.
///
/// ```
/// use netsage_detector_sdk::{Block, Description, Detector, Error, Inputs, Schema, StateKey, export_detector};
///
/// struct Largest;
///
/// impl Detector for Largest {
///     fn describe() -> Description {
///         Description {
///             name: "largest",
///             version: "0.1.0",
///             summary: "Scores a flow by its bytes.",
///             licence: "MIT",
///             state_key: StateKey::None,
///             properties: &[],
///         }
///     }
///
///     fn open(_artifact: &[u8], _schema: &Schema) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn inputs(&self) -> Inputs {
///         Inputs::columns(["sbytes"])
///     }
///
///     fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
///         scores.extend(block.iter().map(|row| row[0]));
///         Ok(())
///     }
/// }
///
/// export_detector!(Largest);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_detector {
    (@world $detector:ty, $name:literal) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            reason = "the component's exports are generated; they move values over the boundary"
        )]
        const _: () = {
            // The world of this detector gives its type and the list of exports; the functions are those of the SDK.
            #[allow(
                dead_code,
                unused,
                missing_docs,
                unreachable_pub,
                clippy::all,
                reason = "generated code"
            )]
            mod world {
                $crate::__world!($name);
            }
            type Exported = $crate::guest::Exported<$detector>;
            world::export!(Exported with_types_in $crate::guest::bindings);
            $crate::__allocator!();
        };
    };
    ($detector:ty) => {
        $crate::export_detector!(@world $detector, "netsage-detector");
    };
    ($detector:ty: Explain) => {
        $crate::export_detector!(@world $detector, "explaining-detector");
    };
    ($detector:ty: Remember) => {
        $crate::export_detector!(@world $detector, "remembering-detector");
    };
    ($detector:ty: Explain + Remember) => {
        $crate::export_detector!(@world $detector, "explaining-remembering-detector");
    };
    ($detector:ty: Learn) => {
        $crate::export_detector!(@world $detector, "learning-detector");
    };
    ($detector:ty: Explain + Learn) => {
        $crate::export_detector!(@world $detector, "explaining-learning-detector");
    };
}
