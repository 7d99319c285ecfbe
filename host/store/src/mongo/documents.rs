//! The documents, and how they and the types of the API become each other.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document};
use netsage_api_types::{
    Alert, AlertSources, AlertState, Contribution, DetectorRef, Flow, FlowScore, FusedScore, Severity,
};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::record::{ScoreMatrix, severity_rank, to_signed, to_unsigned};
use netsage_alerts::text::{community_id, parse_id, to_hex};
use netsage_alerts::{AlertRecord, FlowRecord, Id, Part, Sketch, Summary};

/// A flow. Integers are signed, as the database has no others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FlowDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) source: String,
    pub(super) source_port: i32,
    pub(super) destination: String,
    pub(super) destination_port: i32,
    pub(super) protocol: String,
    pub(super) service: String,
    pub(super) state: String,
    pub(super) packets: i64,
    pub(super) bytes: i64,
    pub(super) community_id: String,
    pub(super) scores: Vec<FlowScore>,
    pub(super) highest_score: Option<f32>,
    pub(super) fused: Option<FusedScore>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) network: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) sensor: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) late: bool,
    /// What the program that forwarded the flow said of it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) foreign: Option<String>,
    pub(super) alerted: bool,
    /// When the flow was first recorded, by the clock; what the TTL counts from.
    pub(super) recorded: DateTime,
}

fn port(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

impl FlowDocument {
    pub(super) fn new(
        flow: &FlowRecord,
        scores: &ScoreMatrix,
        row: usize,
        alerted: bool,
        recorded: DateTime,
    ) -> Self {
        let score = |(detector, score)| FlowScore {
            detector: scores.detectors()[usize::from(detector)].clone(),
            score,
        };
        Self {
            id: to_hex(&flow.id),
            start: flow.start,
            end: flow.end,
            source: flow.source.to_string(),
            source_port: flow.source_port.into(),
            destination: flow.destination.to_string(),
            destination_port: flow.destination_port.into(),
            protocol: flow.protocol.to_owned(),
            service: flow.service.to_owned(),
            state: flow.state.to_owned(),
            packets: to_signed(flow.packets),
            bytes: to_signed(flow.bytes),
            community_id: community_id(&flow.community_id),
            scores: scores.row(row).map(score).collect(),
            highest_score: scores.highest(row),
            fused: flow.fused,
            network: flow.provenance.network().to_owned(),
            sensor: flow.provenance.sensor().to_owned(),
            late: flow.provenance.is_late(),
            foreign: flow.foreign.as_deref().map(str::to_owned),
            alerted,
            recorded,
        }
    }

    pub(super) fn into_flow(self) -> Flow {
        Flow {
            id: self.id,
            start: self.start,
            end: self.end,
            source: self.source,
            source_port: port(self.source_port),
            destination: self.destination,
            destination_port: port(self.destination_port),
            protocol: self.protocol,
            service: self.service,
            state: self.state,
            packets: to_unsigned(self.packets),
            bytes: to_unsigned(self.bytes),
            community_id: self.community_id,
            scores: self.scores,
            network: self.network,
            sensor: self.sensor,
            late: self.late,
            // What cannot be read was never written.
            foreign: self.foreign.and_then(|text| serde_json::from_str(&text).ok()),
            fused: self.fused,
        }
    }
}

/// An alert.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AlertDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// The id of its cell.
    pub(super) cell: String,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) count: i64,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) source_port: i32,
    pub(super) destination: String,
    pub(super) destination_port: i32,
    pub(super) protocol: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) network: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) sensor: String,
    pub(super) community_id: String,
    pub(super) score: f32,
    pub(super) threshold: f32,
    pub(super) severity: Severity,
    /// The severity as a number, which can be compared.
    pub(super) severity_rank: i32,
    pub(super) detector: DetectorRef,
    pub(super) schema: String,
    pub(super) contributions: Vec<Contribution>,
    pub(super) state: AlertState,
    /// The state before the alert was merged.
    pub(super) state_before: AlertState,
    pub(super) changed_by: Option<String>,
    pub(super) changed_at: Option<i64>,
    pub(super) sources: Option<AlertSources>,
    pub(super) merged_into: Option<String>,
    pub(super) best_flow: String,
    /// When it last counted a flow or changed its state, by the clock; what the TTL counts from.
    pub(super) touched: DateTime,
    /// Rises with every change; a replacement holds only at the version that was read.
    pub(super) version: i64,
    /// The number of its last change among those of all alerts; 0 before it has one.
    pub(super) revision: i64,
    /// Whether it has changed since it got its revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) pending: bool,
}

/// The name of a state, as stored.
pub(super) fn state_name(state: AlertState) -> &'static str {
    match state {
        AlertState::New => "new",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Closed => "closed",
        AlertState::Merged => "merged",
    }
}

/// The states of alerts that are shown.
pub(super) const SHOWN: [&str; 3] = ["new", "acknowledged", "closed"];

/// What a changed alert is written over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) version: i64,
    revision: i64,
    state_before: AlertState,
}

impl Default for Before {
    /// A new alert.
    fn default() -> Self {
        Self {
            // An alert that was deleted and comes again must not come to a version that it had.
            version: DateTime::now().timestamp_millis(),
            revision: 0,
            state_before: AlertState::New,
        }
    }
}

impl AlertDocument {
    /// What an alert that is written over this one goes on from.
    pub(super) fn before(&self) -> Before {
        Before {
            version: self.version,
            revision: self.revision,
            state_before: match self.state {
                AlertState::Merged => self.state_before,
                state => state,
            },
        }
    }

    /// The state that the alert has when it is shown.
    pub(super) fn state_shown(&self) -> AlertState {
        self.before().state_before
    }

    /// A changed alert of a cell.
    pub(super) fn new(record: AlertRecord, cell: String, before: Before) -> Self {
        let AlertRecord { alert, best_flow } = record;
        Self {
            id: alert.id,
            cell,
            first_seen: alert.first_seen,
            last_seen: alert.last_seen,
            count: to_signed(alert.count),
            kind: alert.kind,
            source: alert.source,
            source_port: alert.source_port.into(),
            destination: alert.destination,
            destination_port: alert.destination_port.into(),
            protocol: alert.protocol,
            network: alert.network,
            sensor: alert.sensor,
            community_id: alert.community_id,
            score: alert.score,
            threshold: alert.threshold,
            severity: alert.severity,
            severity_rank: severity_rank(alert.severity),
            detector: alert.detector,
            schema: alert.schema,
            contributions: alert.contributions,
            state: alert.state,
            state_before: before.state_before,
            changed_by: alert.changed_by,
            changed_at: alert.changed_at,
            sources: alert.sources,
            merged_into: alert.merged_into,
            best_flow: to_hex(&best_flow),
            touched: DateTime::now(),
            version: before.version + 1,
            revision: before.revision,
            pending: true,
        }
    }

    pub(super) fn into_record(self) -> AlertRecord {
        let alert = Alert {
            id: self.id,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            count: to_unsigned(self.count),
            kind: self.kind,
            source: self.source,
            source_port: port(self.source_port),
            destination: self.destination,
            destination_port: port(self.destination_port),
            protocol: self.protocol,
            network: self.network,
            sensor: self.sensor,
            community_id: self.community_id,
            score: self.score,
            threshold: self.threshold,
            severity: self.severity,
            detector: self.detector,
            schema: self.schema,
            contributions: self.contributions,
            state: self.state,
            changed_by: self.changed_by,
            changed_at: self.changed_at,
            sources: self.sources,
            merged_into: self.merged_into,
        };
        AlertRecord {
            alert,
            best_flow: flow_id(&self.best_flow),
        }
    }
}

/// A text that is no id was never written; the largest id lets any other flow of that score take its place.
fn flow_id(text: &str) -> Id {
    parse_id(text).unwrap_or(Id::from([u8::MAX; 16]))
}

pub(super) fn binary(bytes: Vec<u8>) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

/// Flows of a step of the time axis that are counted and not kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StepDocument {
    /// Its start.
    #[serde(rename = "_id")]
    pub(super) step: i64,
    pub(super) flows: i64,
    /// Of their ids.
    pub(super) sketch: Binary,
    /// When the first of them was recorded, by the clock; what the TTL counts from.
    pub(super) recorded: DateTime,
    /// Rises with every change; a replacement holds only at the version that was read.
    pub(super) version: i64,
}

/// Of the alert of a source, what goes to one target; see [`Part`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartDocument {
    /// The id of the alert and the target.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) alert: String,
    pub(super) cell: String,
    pub(super) target: String,
    first_seen: i64,
    last_seen: i64,
    count: i64,
    score: f32,
    best_flow: String,
    /// The part as an alert; what stands above is for the server to add up.
    record: Alert,
    flows: Binary,
    touched: DateTime,
    /// Rises with every change; a replacement holds only at the version that was read.
    pub(super) version: i64,
    /// Flows that `count` has in it already and `alert_flows` may not have yet.
    pub(super) counted_last: Vec<String>,
}

impl PartDocument {
    /// A changed part, to be written over the one of a version, if there is one.
    pub(super) fn new(
        id: String,
        cell: String,
        target: String,
        part: Part,
        version: Option<i64>,
        counted_last: Vec<String>,
    ) -> Self {
        let AlertRecord { alert, best_flow } = part.record;
        Self {
            id,
            alert: alert.id.clone(),
            cell,
            target,
            first_seen: alert.first_seen,
            last_seen: alert.last_seen,
            count: to_signed(alert.count),
            score: alert.score,
            best_flow: to_hex(&best_flow),
            record: alert,
            flows: binary(part.flows.to_bytes()),
            touched: DateTime::now(),
            // A part that was deleted and comes again must not come to a version that it had.
            version: version.unwrap_or_else(|| DateTime::now().timestamp_millis()) + 1,
            counted_last,
        }
    }

    /// The part.
    pub(super) fn into_part(self) -> Part {
        Part {
            record: AlertRecord {
                alert: self.record,
                best_flow: flow_id(&self.best_flow),
            },
            // Bytes that are no sketch were never written.
            flows: Sketch::from_bytes(&self.flows.bytes).unwrap_or_default(),
        }
    }
}

/// The alert of a target that many sources hit, or, in `cells`, all hits of a cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SummaryDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// The cell of a target; of a cell itself.
    pub(super) cell: String,
    summary: Binary,
    touched: DateTime,
    /// Rises with every change; a replacement holds only at the version that was read.
    pub(super) version: i64,
}

impl SummaryDocument {
    /// A changed summary, to be written over the one of a version, if there is one.
    pub(super) fn new(id: String, cell: String, summary: &Summary, version: Option<i64>) -> Self {
        Self {
            id,
            cell,
            summary: binary(summary.to_bytes()),
            touched: DateTime::now(),
            version: version.unwrap_or_else(|| DateTime::now().timestamp_millis()) + 1,
        }
    }

    /// The summary.
    pub(super) fn summary(&self) -> Result<Summary, StoreError> {
        Summary::from_bytes(&self.summary.bytes).ok_or_else(|| StoreError::Damaged {
            detail: "the summary of an alert is cut short".to_owned(),
        })
    }
}

/// An integer of a document, whichever width the server chose for it.
pub(super) fn integer(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        _ => None,
    }
}
