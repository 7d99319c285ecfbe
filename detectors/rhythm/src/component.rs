//! The rhythm of visits as a NetSage detector.

use netsage_detector_sdk::{
    Block, Context, Description, Detector, Error, Explain, Explanation, Inputs, Remember, Schema, StateKey,
};

use crate::Scorer;

impl Detector for Scorer {
    fn describe() -> Description {
        Description {
            name: "rhythm",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Rhythm: flows of a host that visits another one at regular times, as beacons do, or sends it unusually much, score high.",
            licence: env!("CARGO_PKG_LICENSE"),
            state_key: StateKey::Source,
            properties: &[],
        }
    }

    fn open(artifact: &[u8], schema: &Schema) -> Result<Self, Error> {
        let scorer = Self::decode(artifact).map_err(Error::bad_artifact)?;
        schema.check_trained(scorer.schema())?;
        Ok(scorer)
    }

    fn inputs(&self) -> Inputs {
        Inputs {
            context: Context {
                start_time: true,
                source: true,
                destination: true,
            },
            ..Inputs::columns(self.columns().names)
        }
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        self.score_block(block, scores)
    }
}

impl Explain for Scorer {
    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        self.explain_block(block, limit)
    }
}

impl Remember for Scorer {
    fn save(&self) -> Result<Vec<u8>, Error> {
        Ok(self.save())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Error> {
        self.restore(state).map_err(Error::bad_state)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(Scorer: Explain + Remember);
