//! What a NetSage detector is built with.
//!
//! A detector implements [`Detector`], names itself in [`export_detector!`](crate::export_detector), and
//! is compiled for `wasm32-unknown-unknown`; `xtask-wasm component` then makes a component of the world
//! `netsage:detector/netsage-detector`. Blocks are checked here, before the detector sees them, so that a
//! detector only ever gets rows of the shape it asked for with finite values.
//!
//! This crate must never import anything into the component (no clock, no file, no random numbers) and
//! must never let a defect of its input become a trap. On other targets than wasm32 the macro expands to
//! nothing, and a detector is an ordinary library that tests and training call.
//!
//! Start with [`Detector`]; [`Block`] is what it is given.

mod block;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod row_error;

pub use block::{Block, Contribution, Explanation, MAX_ROWS};
pub use row_error::RowError;

/// Which flows must reach the same instance, in the order in which they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKey {
    /// Every row is scored on its own.
    None,
    /// Rows of one source address must reach the same instance.
    Source,
    /// All rows must reach the same instance.
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
    /// Whether [`Detector::explain`] is supported.
    pub explains: bool,
    /// Whether [`Detector::learn`] and [`Detector::save`] are supported.
    pub learns: bool,
    /// Which flows must reach the same instance.
    pub state_key: StateKey,
}

/// Why a call failed; the variants of the WIT type `error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The artifact or the saved state cannot be read.
    #[error("the artifact cannot be read: {0}")]
    BadArtifact(String),
    /// The rows do not have the shape or the values that the detector asked for.
    #[error("the rows cannot be scored: {0}")]
    BadInput(String),
    /// The detector does not offer this function; its description says so.
    #[error("the detector does not offer this")]
    Unsupported,
    /// Anything else.
    #[error("the detector failed: {0}")]
    Internal(String),
}

impl Error {
    /// An artifact that cannot be read, for this reason.
    pub fn bad_artifact(reason: impl std::fmt::Display) -> Self {
        Self::BadArtifact(reason.to_string())
    }

    /// Rows that cannot be scored, for this reason.
    pub fn bad_input(reason: impl std::fmt::Display) -> Self {
        Self::BadInput(reason.to_string())
    }

    /// For a detector that saves nothing: refuses a state that it is opened with.
    ///
    /// # Errors
    /// [`Error::BadArtifact`] when there is one.
    pub fn refuse_state(state: Option<&[u8]>) -> Result<(), Self> {
        state.map_or(Ok(()), |_| {
            Err(Self::bad_artifact(
                "this detector keeps no state; open it without one",
            ))
        })
    }
}

/// An anomaly detector with its trained model loaded.
///
/// A pure function of what it is given: the same calls in the same order give the same results, to the
/// last bit, on every machine. That rules out relaxed SIMD and sums whose order depends on anything else.
pub trait Detector: Sized + 'static {
    /// Describes the detector. The same at every call.
    fn describe() -> Description;

    /// Opens a session on an artifact and, if an earlier session saved one, its state.
    ///
    /// # Errors
    /// [`Error::BadArtifact`] when either cannot be read.
    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error>;

    /// Names of the columns the session wants, in the order in which it wants them; 1 to 256.
    fn columns(&self) -> Vec<String>;

    /// Appends one score per row to `scores`. Higher means more anomalous; all are finite.
    ///
    /// # Errors
    /// [`Error::BadInput`] when a value is none that the column can have.
    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error>;

    /// The columns that contributed most to the score of each row, at most `limit` a row.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless implemented; [`Error::BadInput`] as in [`Detector::score`].
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        let _ = (block, limit);
        Err(Error::Unsupported)
    }

    /// Learns from rows that the host takes for ordinary.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless implemented; [`Error::BadInput`] as in [`Detector::score`].
    fn learn(&mut self, block: &Block<'_>) -> Result<(), Error> {
        let _ = block;
        Err(Error::Unsupported)
    }

    /// The learned state, at most 16 MiB.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless implemented.
    fn save(&mut self) -> Result<Vec<u8>, Error> {
        Err(Error::Unsupported)
    }
}

/// Exports a type that implements [`Detector`] as the component's detector.
///
/// Once per crate; expands to nothing outside wasm32.
///
/// ```
/// use netsage_detector_sdk::{Block, Description, Detector, Error, StateKey, export_detector};
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
///             explains: false,
///             learns: false,
///             state_key: StateKey::None,
///         }
///     }
///
///     fn open(_artifact: &[u8], _state: Option<&[u8]>) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn columns(&self) -> Vec<String> {
///         vec!["sbytes".to_owned()]
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
    ($detector:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            reason = "the component's exports are generated; they move values over the boundary"
        )]
        const _: () = {
            type Exported = $crate::guest::Exported<$detector>;
    $crate::guest::bindings::export!(Exported with_types_in $crate::guest::bindings);
        };
    };
}
