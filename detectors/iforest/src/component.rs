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
        if state.is_some() {
            return Err(Error::BadArtifact(
                "an isolation forest keeps no state; open it without one".to_owned(),
            ));
        }
        let forest = Forest::decode(artifact).map_err(|error| Error::BadArtifact(error.to_string()))?;
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
            .map_err(|error| Error::BadInput(error.to_string()))
    }

    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        self.forest
            .explain_block(block.values(), block.rows(), limit)
            .map_err(|error| Error::BadInput(error.to_string()))
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(IsolationForest);
