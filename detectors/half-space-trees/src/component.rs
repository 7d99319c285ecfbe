//! The trees as a NetSage detector.

use netsage_detector_sdk::{
    Block, Description, Detector, Error, Explain, Explanation, Inputs, Learn, Remember, Schema, StateKey,
};

use crate::Forest;

impl Detector for Forest {
    fn describe() -> Description {
        Description {
            name: "half-space-trees",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Half-space trees: flows in places where few ordinary ones were seen score high; it learns as it goes.",
            licence: env!("CARGO_PKG_LICENSE"),
            state_key: StateKey::All,
            properties: &[],
        }
    }

    fn open(artifact: &[u8], schema: &Schema) -> Result<Self, Error> {
        let model = Self::decode(artifact).map_err(Error::bad_artifact)?;
        schema.check_trained(model.schema())?;
        Ok(model)
    }

    fn inputs(&self) -> Inputs {
        Inputs::columns(self.columns().iter().map(|column| &column.name))
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        Ok(self.score_block(block.values(), block.rows(), scores)?)
    }
}

impl Explain for Forest {
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        Ok(self.explain_block(block.values(), block.rows(), limit)?)
    }
}

impl Remember for Forest {
    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(self.save())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Error> {
        self.restore(state).map_err(Error::bad_state)
    }
}

impl Learn for Forest {
    fn learn(&mut self, block: &Block<'_>) -> Result<(), Error> {
        Ok(self.learn_block(block.values(), block.rows())?)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(Forest: Explain + Learn);
