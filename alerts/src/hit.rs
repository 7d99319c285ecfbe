//! Flows and hits: what alerts are made of.

use std::net::IpAddr;
use std::sync::Arc;

use netsage_api_types::{Contribution, DetectorRef, FusedScore, Severity};
use netsage_schema::Provenance;

/// The id of a flow or an alert.
pub type Id = [u8; 16];

/// A flow as the pipeline hands it to a store; [`netsage_api_types::Flow`] is a flow as a store gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRecord {
    /// Its id, derived from its identity: the same id always comes with the same end, addresses and ports. Ids that begin
    /// with the time of the end are recorded fastest.
    pub id: Id,
    /// First packet, ms since the epoch.
    pub start: i64,
    /// Last packet, ms since the epoch.
    pub end: i64,
    /// Source address.
    pub source: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination address.
    pub destination: IpAddr,
    /// Destination port.
    pub destination_port: u16,
    /// Protocol, e.g. `tcp`.
    pub protocol: &'static str,
    /// Application, `-` when unknown.
    pub service: &'static str,
    /// Connection state, e.g. `FIN`.
    pub state: &'static str,
    /// Packets, both directions.
    pub packets: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// The hash of the Community ID (version 1).
    pub community_id: [u8; 20],
    /// The fused verdict, if there is one; finite.
    pub fused: Option<FusedScore>,
    /// Where the flow comes from; its network is part of what an alert is.
    pub provenance: Provenance,
    /// What another program has made and said of the flow, as JSON of [`netsage_api_types::Foreign`]; it is kept and shown.
    pub foreign: Option<Arc<str>>,
}

/// A flow that a detector scored above its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertHit {
    /// Position of the flow in its batch.
    pub flow: u32,
    /// The detector that gave the score, by its number in that batch.
    pub detector: u16,
    /// The score; finite.
    pub score: f32,
    /// The threshold in force; finite.
    pub threshold: f32,
    /// How serious the hit is.
    pub severity: Severity,
    /// What drove the score, largest first. An alert shows the contributions of one flow, the flow with the highest
    /// score (among equal scores the smallest id), so the other hits may have none.
    pub contributions: Vec<Contribution>,
}

/// A hit with its flow, detector and schema.
#[derive(Debug, Clone, Copy)]
pub struct HitOfFlow<'a> {
    /// The hit.
    pub hit: &'a AlertHit,
    /// The flow it is of.
    pub flow: &'a FlowRecord,
    /// The detector that gave the score.
    pub detector: &'a DetectorRef,
    /// The schema in which the flow was scored, e.g. `unsw-nb15@1`.
    pub schema: &'a str,
}

/// The rank of a flow as the one that an alert shows: the highest score wins, among equal scores the smallest id, so
/// that the order of the flows makes no difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// Score of the flow; finite.
    pub score: f32,
    /// Id of the flow.
    pub flow: Id,
}

impl Best {
    /// Whether an alert shows this flow rather than the other one.
    pub fn beats(&self, other: &Self) -> bool {
        self.score > other.score || (self.score == other.score && self.flow < other.flow)
    }
}

impl HitOfFlow<'_> {
    /// The claim of this hit to be shown.
    pub fn claim(&self) -> Best {
        Best {
            score: self.hit.score,
            flow: self.flow.id,
        }
    }
}
