//! The autoencoder as a NetSage detector.

use netsage_detector_sdk::{Block, Description, Detector, Error, Explanation, StateKey};

use crate::{Autoencoder, SOURCE_COLUMN};

/// A session: a network and what it remembers of the sources. That is never saved; a session begins without it.
#[derive(Debug)]
pub struct LstmAutoencoder {
    autoencoder: Autoencoder,
}

impl Detector for LstmAutoencoder {
    fn describe() -> Description {
        Description {
            name: "lstm-autoencoder",
            version: env!("CARGO_PKG_VERSION"),
            summary: "LSTM autoencoder: flows that a network cannot reconstruct after the last flows of their source score high.",
            licence: "MIT OR Apache-2.0",
            explains: true,
            learns: false,
            state_key: StateKey::Source,
        }
    }

    fn open(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, Error> {
        Error::refuse_state(state)?;
        let autoencoder = Autoencoder::decode(artifact).map_err(Error::bad_artifact)?;
        Ok(Self { autoencoder })
    }

    fn columns(&self) -> Vec<String> {
        let columns = self.autoencoder.columns().iter();
        let names = columns.map(|column| column.name.clone());
        names.chain([SOURCE_COLUMN.to_owned()]).collect()
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        self.autoencoder
            .score_block(block.values(), block.rows(), scores)
            .map_err(Error::bad_input)
    }

    fn explain(&mut self, block: &Block<'_>, limit: usize) -> Result<Explanation, Error> {
        self.autoencoder
            .explain_block(block.values(), block.rows(), limit)
            .map_err(Error::bad_input)
    }
}

#[cfg(feature = "component")]
netsage_detector_sdk::export_detector!(LstmAutoencoder);
