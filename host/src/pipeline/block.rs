//! What travels through the pipeline.

use std::sync::Arc;

use netsage_capture::FlowBatch;
use netsage_runtime::ContextValues;
use netsage_schema::Schema;
use netsage_store::AlertHit;

use crate::catalog::Loaded;

/// A block of flows; its memory circulates.
pub(super) struct Block {
    /// Position in the order of the blocks, from 0.
    pub(super) sequence: u64,
    pub(super) flows: FlowBatch,
    /// Where and when each flow was, for detectors that ask.
    pub(super) contexts: ContextValues,
}

impl Block {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self {
            sequence: 0,
            flows: FlowBatch::new(schema),
            contexts: ContextValues::default(),
        }
    }
}

/// A block with everything that detectors said about it.
pub(super) struct ScoredBlock {
    pub(super) block: Block,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) hits: Vec<AlertHit>,
    /// Whether each flow is above a threshold.
    pub(super) above: Vec<bool>,
    /// Detectors that must see the blocks in their order.
    pub(super) in_order: Vec<Arc<Loaded>>,
}

/// What one detector said about a block.
pub(super) struct Verdict {
    pub(super) by: Arc<Loaded>,
    /// One score per flow; `None` when the detector failed.
    pub(super) scores: Option<Vec<f32>>,
}
