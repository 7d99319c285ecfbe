//! The neighbours as a NetSage detector.

use netsage_detector_sdk::{Block, Description, Detector, Error, Explanation, StateKey};

use crate::Scorer;

/// A session: a model that scores.
#[derive(Debug)]
pub struct ContextKnn {
    scorer: Scorer,
}

impl Detector for ContextKnn {
    fn describe() -> Description {
        Description {
            name: "context-knn",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Nearest neighbours per group of columns: flows unlike any ordinary flow of their protocol, service and state score high.",
            licence: "MIT OR Apache-2.0",
            explains: true,
            learns: false,
            state_key: StateKey::None,
        }
    }

    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error> {
        Error::refuse_state(state)?;
        let scorer = Scorer::decode(artifact).map_err(Error::bad_artifact)?;
        Ok(Self { scorer })
    }

    fn columns(&self) -> Vec<String> {
        let columns = self.scorer.columns().iter();
        columns.map(|column| column.name.clone()).collect()
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
netsage_detector_sdk::export_detector!(ContextKnn);
