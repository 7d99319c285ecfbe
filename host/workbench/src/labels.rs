//! The label file of a capture: which flows were attacks, as its generator or a person wrote it down.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use netsage_schema::Identity;
use netsage_synth::{FlowLabel, Labels, labels_csv};

/// The labels of a capture. Only evaluation reads them.
#[derive(Debug, Default)]
pub(crate) struct CaptureLabels(Labels);

impl CaptureLabels {
    /// Where the labels of a capture lie when nothing else is said: `FILE.labels.csv`.
    pub(crate) fn beside(capture: &Path) -> PathBuf {
        let mut path = capture.as_os_str().to_owned();
        path.push(".labels.csv");
        PathBuf::from(path)
    }

    /// Reads a label file.
    ///
    /// # Errors
    /// When it cannot be opened or is no label file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::open(path).map_err(|error| anyhow!("{}: cannot open the file: {error}", path.display()))?;
        let labels = labels_csv::read(file).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(Self(Labels::new(labels)))
    }

    /// The label of a flow; `None` when the file has none for it.
    pub(crate) fn find(&self, flow: &Identity) -> Option<&FlowLabel> {
        self.0.find(flow)
    }
}
