//! The forest as a NetSage detector.

use netsage_detector_sdk::{Block, Description, Detector, Error, Explanation, StateKey};

use crate::Forest;

/// A session: a forest that scores blocks.
#[derive(Debug)]
pub struct IsolationForest {
    forest: Forest,
}

impl Detector for IsolationForest {
    fn describe() -> Description {
        Description {
            name: "iforest",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Isolation forest: flows that few random splits set apart from ordinary ones score high.",
            licence: "MIT OR Apache-2.0",
            explains: true,
            learns: false,
            state_key: StateKey::None,
        }
    }

    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error> {
        Error::refuse_state(state)?;
        let forest = Forest::decode(artifact).map_err(Error::bad_artifact)?;
        Ok(Self { forest })
    }

    fn columns(&self) -> Vec<String> {
        self.forest
            .columns()
            .iter()
            .map(|column| column.name.clone())
            .collect()
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        self.forest
            .score_block(block.values(), block.rows(), scores)
            .map_err(Error::bad_input)
    }

    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        self.forest
            .explain_block(block.values(), block.rows(), limit)
            .map_err(Error::bad_input)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(IsolationForest);
