//! What travels through the pipeline.

use netsage_capture::FlowBatch;
use netsage_lifecycle::Verdicts;
use netsage_lifecycle::lineup::{FlowsToScore, Stopped};
use netsage_runtime::ContextValues;
use netsage_schema::Schema;
use netsage_store::AlertHit;

/// A block of flows and what detectors said about it; its memory circulates.
pub(super) struct Block {
    /// Position in the order of the blocks, from 0.
    pub(super) sequence: u64,
    pub(super) flows: FlowBatch,
    /// Where and when each flow was, for detectors that ask.
    pub(super) contexts: ContextValues,
    /// The key of each flow: which version of a detector it meets.
    pub(super) keys: Vec<u64>,
    pub(super) verdicts: Verdicts,
    pub(super) hits: Vec<AlertHit>,
    /// Whether each flow is above a threshold.
    pub(super) above: Vec<bool>,
}

impl Block {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self {
            sequence: 0,
            flows: FlowBatch::new(schema),
            contexts: ContextValues::default(),
            keys: Vec::new(),
            verdicts: Verdicts::new(),
            hits: Vec::new(),
            above: Vec::new(),
        }
    }

    /// The flows as a scorer takes them, and where it puts its verdicts.
    pub(super) fn scoring_parts(&mut self) -> (FlowsToScore<'_>, &mut Verdicts) {
        let flows = FlowsToScore {
            rows: &self.flows.rows,
            contexts: &self.contexts,
            keys: &self.keys,
        };
        (flows, &mut self.verdicts)
    }
}

/// What a worker hands on: a block, or why it gave up.
pub(super) type FromWorker = Result<Block, Stopped>;
