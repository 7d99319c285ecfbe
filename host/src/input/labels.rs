//! What the flows of a capture really were: the label file that a generator or a person put beside it.

use std::fs::File;
use std::path::{Path, PathBuf};

use netsage_schema::Identity;
use netsage_synth::{FlowLabel, Labels, labels_csv};

use super::InputError;

/// The labels of a capture. Only evaluation reads them.
#[derive(Debug, Default)]
pub struct CaptureLabels(Labels);

impl CaptureLabels {
    /// Where the labels of a capture lie when nothing else is said: `FILE.labels.csv`.
    pub fn beside(capture: &Path) -> PathBuf {
        let mut path = capture.as_os_str().to_owned();
        path.push(".labels.csv");
        PathBuf::from(path)
    }

    /// Reads a label file.
    ///
    /// # Errors
    /// When it cannot be opened or is no label file.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let file = File::open(path).map_err(|source| InputError::Open {
            path: path.to_path_buf(),
            source,
        })?;
        let labels = labels_csv::read(file).map_err(|source| InputError::Labels {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self(Labels::new(labels)))
    }

    /// What a flow was.
    pub fn find(&self, flow: &Identity) -> Option<&FlowLabel> {
        self.0.find(flow)
    }
}
