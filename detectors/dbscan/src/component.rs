//! The core points as a NetSage detector.

use netsage_detector_sdk::{
    Block, Description, Detector, Error, Explain, Explanation, Inputs, Schema, StateKey,
};

use crate::Scorer;

impl Detector for Scorer {
    fn describe() -> Description {
        Description {
            name: "dbscan",
            version: env!("CARGO_PKG_VERSION"),
            summary: "DBSCAN: the farther a flow lies from the places where ordinary flows crowd, the higher it scores.",
            licence: env!("CARGO_PKG_LICENSE"),
            state_key: StateKey::None,
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

impl Explain for Scorer {
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        Ok(self.explain_block(block.values(), block.rows(), limit)?)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(Scorer: Explain);
