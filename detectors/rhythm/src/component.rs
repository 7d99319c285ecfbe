//! The rhythm of visits as a NetSage detector.

use netsage_detector_sdk::{Block, Description, Detector, Error, Explanation, StateKey};

use crate::{COLUMNS, Scorer};

/// A session: what was learned, and what it remembers of the visits. That is never saved; a session begins without it.
#[derive(Debug)]
pub struct Rhythm {
    scorer: Scorer,
}

impl Detector for Rhythm {
    fn describe() -> Description {
        Description {
            name: "rhythm",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Rhythm: flows of a host that visits another one at regular times, as beacons do, or sends it unusually much, score high.",
            licence: "MIT OR Apache-2.0",
            explains: true,
            learns: false,
            state_key: StateKey::Source,
        }
    }

    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error> {
        Error::refuse_state(state)?;
        let scorer = Scorer::decode(artifact).map_err(Error::bad_artifact)?;
        Ok(Self { scorer })
    }

    fn columns(&self) -> Vec<String> {
        COLUMNS.map(str::to_owned).to_vec()
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        self.scorer
            .score_block(block.values(), block.rows(), scores)
            .map_err(Error::bad_input)
    }

    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        self.scorer
            .explain_block(block.values(), block.rows(), limit)
            .map_err(Error::bad_input)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(Rhythm);
