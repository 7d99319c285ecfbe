//! The autoencoder as a NetSage detector.

use netsage_detector_sdk::{
    Block, Context, Description, Detector, Error, Explain, Explanation, Inputs, Schema, StateKey,
};

use crate::Autoencoder;

impl Detector for Autoencoder {
    fn describe() -> Description {
        Description {
            name: "lstm-autoencoder",
            version: env!("CARGO_PKG_VERSION"),
            summary: "LSTM autoencoder: flows that a network cannot reconstruct after the last flows of their source score high.",
            licence: env!("CARGO_PKG_LICENSE"),
            state_key: StateKey::Source,
            properties: &[],
        }
    }

    fn open(artifact: &[u8], schema: &Schema) -> Result<Self, Error> {
        let model = Self::decode(artifact).map_err(Error::bad_artifact)?;
        schema.check_trained(model.schema())?;
        Ok(model)
    }

    fn inputs(&self) -> Inputs {
        Inputs {
            context: Context {
                source: true,
                ..Context::default()
            },
            ..Inputs::columns(self.columns().iter().map(|column| &column.name))
        }
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        Ok(self.score_block(block.values(), block.rows(), block.contexts().source, scores)?)
    }
}

impl Explain for Autoencoder {
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        Ok(self.explain_block(block.values(), block.rows(), block.contexts().source, limit)?)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(Autoencoder: Explain);
