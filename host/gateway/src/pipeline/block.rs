//! What travels through the pipeline.

use std::sync::Arc;

use netsage_forward::message::{Messages, Score, Writer};
use netsage_lifecycle::Verdicts;
use netsage_lifecycle::lineup::FlowsToScore;
use netsage_schema::{Contexts, FlowBatch, Schema};
use netsage_sources::Pace;
use netsage_store::FlowBatchRecord;

use super::{PipelineError, SourceState};

/// A block of flows and what detectors said about it; its memory circulates.
pub(super) struct Block {
    /// Position in the order of the blocks, from 0.
    pub(super) sequence: u64,
    /// The source of the flows, and how many of its flows have passed up to the end of the block.
    pub(super) source: Option<(Arc<SourceState>, u64)>,
    /// Whether the flows are read again, for detectors whose state goes by source alone.
    pub(super) is_again: bool,
    /// What happens when the store has no room for the flows.
    pub(super) pace: Pace,
    pub(super) flows: FlowBatch,
    /// Where and when each flow was, for detectors that ask.
    pub(super) contexts: Contexts,
    /// The key of each flow: which version of a detector it meets.
    pub(super) keys: Vec<u64>,
    pub(super) verdicts: Verdicts,
    /// What the store is told. It is lent to the store for the time of a delivery.
    pub(super) record: Arc<FlowBatchRecord>,
    /// Whether each flow is above a threshold.
    pub(super) above: Vec<bool>,
    /// What is forwarded of each flow, where flows are forwarded.
    pub(super) messages: Messages,
}

impl Block {
    pub(super) fn new(schema: &'static Schema) -> Self {
        Self {
            sequence: 0,
            source: None,
            is_again: false,
            pace: Pace::Waits,
            flows: FlowBatch::new(schema),
            contexts: Contexts::default(),
            keys: Vec::new(),
            verdicts: Verdicts::new(),
            record: Arc::default(),
            above: Vec::new(),
            messages: Messages::default(),
        }
    }

    /// Encodes what is forwarded of the flows, once all detectors have spoken.
    pub(super) fn encode(&mut self, writer: &mut Writer) {
        self.messages.clear();
        for place in 0..self.flows.len() {
            let scores = self.verdicts.of_row(place).map(|scored| {
                let by = &scored.generation.loaded;
                Score {
                    detector: &by.reference.name,
                    version: &by.reference.version,
                    digest: &by.reference.digest,
                    score: scored.score,
                    threshold: by.threshold(),
                }
            });
            writer.push(&mut self.messages, &self.flows, place, scores);
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
pub(super) type FromWorker = Result<Block, PipelineError>;
