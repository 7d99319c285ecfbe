//! The trees as a NetSage detector.

use netsage_detector_sdk::{Block, Description, Detector, Error, Explanation, StateKey};

use crate::Forest;

/// A session: trees that score and learn.
#[derive(Debug)]
pub struct HalfSpaceTrees {
    forest: Forest,
}

impl Detector for HalfSpaceTrees {
    fn describe() -> Description {
        Description {
            name: "half-space-trees",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Half-space trees: flows in places where few ordinary ones were seen score high; it learns as it goes.",
            licence: "MIT OR Apache-2.0",
            explains: true,
            learns: true,
            state_key: StateKey::All,
        }
    }

    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error> {
        let forest = Forest::decode(artifact, state).map_err(Error::bad_artifact)?;
        Ok(Self { forest })
    }

    fn columns(&self) -> Vec<String> {
        let columns = self.forest.columns().iter();
        columns.map(|column| column.name.clone()).collect()
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

    fn learn(&mut self, block: &Block<'_>) -> Result<(), Error> {
        self.forest
            .learn_block(block.values(), block.rows())
            .map_err(Error::bad_input)
    }

    fn save(&mut self) -> Result<Vec<u8>, Error> {
        Ok(self.forest.save())
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(HalfSpaceTrees);
