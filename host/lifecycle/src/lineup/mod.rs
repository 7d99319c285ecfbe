//! Who scores right now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use netsage_api_types::FailurePolicy;

use crate::generation::Generation;

/// A share of the flows goes to this generation in place of the active one, by hash of the flow key.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Who scores them.
    pub generation: Arc<Generation>,
    /// The share, above 0 and at most 1.
    pub share: f64,
}

/// A share of the flows is scored by this one too, for comparison only.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Who scores them; its number is 0, since no alert comes of it.
    pub generation: Arc<Generation>,
    /// The share, above 0 and at most 1.
    pub share: f64,
}

/// The place of one detector name.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The name.
    pub name: String,
    /// Who scores.
    pub active: Option<Arc<Generation>>,
    /// Who scores a share of the flows in place of `active`.
    pub canary: Option<Canary>,
    /// Who scores a share of the flows besides.
    pub shadows: Vec<Shadow>,
    /// What becomes of flows that fail.
    pub on_failure: FailurePolicy,
}

/// The places of all names, in the order of their first activation; never changed once it is published.
#[derive(Debug, Default)]
pub struct Lineup {
    /// The places.
    pub slots: Vec<Slot>,
}

/// Where the line-up of the moment is read and exchanged. Reading never waits for a change.
#[derive(Debug, Default)]
pub struct Roster {
    current: ArcSwap<Lineup>,
}

impl Roster {
    /// The line-up of this moment. It lives for as long as it is held.
    pub fn lineup(&self) -> Arc<Lineup> {
        self.current.load_full()
    }

    /// Makes this the line-up: one atomic exchange. Blocks under way finish with the one they took.
    pub fn publish(&self, lineup: Lineup) {
        self.current.store(Arc::new(lineup));
    }
}
