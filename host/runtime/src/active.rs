//! The detectors that score right now.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::detector::Detector;

/// The active detectors as they were at one moment. A block is scored with one snapshot from beginning to
/// end, so that a replacement in between neither loses nor doubles a row.
pub type Snapshot = Arc<Vec<Arc<Detector>>>;

/// The set of active detectors, at most one of each name. Reading it never waits for a change.
#[derive(Debug, Default)]
pub struct ActiveDetectors {
    detectors: ArcSwap<Vec<Arc<Detector>>>,
}

impl ActiveDetectors {
    /// With no detector.
    pub fn new() -> Self {
        Self::default()
    }

    /// The detectors of this moment, in the order of their first activation. They live for as long as the
    /// snapshot does.
    pub fn snapshot(&self) -> Snapshot {
        self.detectors.load_full()
    }

    /// Makes a detector active in place of the one of the same name, which is returned. Snapshots taken
    /// before go on with the old one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "an activated detector is handed over"
    )]
    pub fn activate(&self, detector: Arc<Detector>) -> Option<Arc<Detector>> {
        let name = &detector.description().name;
        let before = self.detectors.rcu(|detectors| {
            let mut detectors = Vec::clone(detectors);
            match position(&detectors, name) {
                Some(position) => detectors[position] = Arc::clone(&detector),
                None => detectors.push(Arc::clone(&detector)),
            }
            detectors
        });
        position(&before, name).map(|position| Arc::clone(&before[position]))
    }

    /// Takes the detector of that name out of the set and returns it.
    pub fn deactivate(&self, name: &str) -> Option<Arc<Detector>> {
        let before = self.detectors.rcu(|detectors| {
            detectors
                .iter()
                .filter(|detector| detector.description().name != name)
                .cloned()
                .collect::<Vec<_>>()
        });
        position(&before, name).map(|position| Arc::clone(&before[position]))
    }
}

fn position(detectors: &[Arc<Detector>], name: &str) -> Option<usize> {
    detectors
        .iter()
        .position(|detector| detector.description().name == name)
}
