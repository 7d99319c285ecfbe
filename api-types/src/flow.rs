//! Flows as the API shows them.

use serde::{Deserialize, Serialize};

use crate::detector::DetectorRef;

/// The score that one detector gave to one flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FlowScore {
    /// The detector.
    pub detector: DetectorRef,
    /// Raw score; higher is more anomalous.
    pub score: f32,
}

/// What all active detectors together say about a flow. Raw scores have no common scale, so each is first calibrated:
/// 0 to 1, its percentile among the scores of held-out ordinary traffic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FusedScore {
    /// Mean of the calibrated scores.
    pub mean: f32,
    /// The highest of them.
    pub max: f32,
}

/// The row that another program has made of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForeignRow {
    /// Name and version of its schema, e.g. `flow-v1@1`.
    pub schema: String,
    /// Its values, in the order of the schema's columns.
    pub values: Vec<f64>,
}

/// The score that a detector of another program gave to a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForeignScore {
    /// Name of the detector.
    pub detector: String,
    /// Its version, where the program said it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// The digest of its package, where the program said it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// The score.
    pub score: f64,
    /// The score above which that program raised an alert; absent where it had none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub threshold: Option<f64>,
}

/// What the program that forwarded a flow has made and said of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Foreign {
    /// Its row, where that is of another schema than `record-v1`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub row: Option<ForeignRow>,
    /// The scores of its detectors.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scores: Vec<ForeignScore>,
}

/// One flow, without its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Flow {
    /// 32 hexadecimal digits derived from 5-tuple, start, end and network, so that the same packets give the same flow.
    pub id: String,
    /// First packet, ms since the epoch.
    pub start: i64,
    /// Last packet, ms since the epoch.
    pub end: i64,
    /// Source address.
    pub source: String,
    /// Source port.
    pub source_port: u16,
    /// Destination address.
    pub destination: String,
    /// Destination port.
    pub destination_port: u16,
    /// Protocol, e.g. `tcp`.
    pub protocol: String,
    /// Application, `-` when unknown.
    pub service: String,
    /// Connection state, e.g. `FIN`.
    pub state: String,
    /// Packets, both directions.
    pub packets: u64,
    /// Bytes, both directions.
    pub bytes: u64,
    /// Community ID (version 1).
    pub community_id: String,
    /// The network that the addresses belong to; missing for the network without a name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub network: String,
    /// The sensor that saw the flow; missing where it has no name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub sensor: String,
    /// Whether the record of the flow came behind its turn: flows that ended later were counted without it. Missing when it
    /// did not.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub late: bool,
    /// One score per active detector.
    pub scores: Vec<FlowScore>,
    /// The fused verdict; absent where no detector with a calibration scored the flow.
    #[serde(default)]
    pub fused: Option<FusedScore>,
    /// What the program that forwarded the flow said of it; absent where it said nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub foreign: Option<Foreign>,
}

/// Which flows to list, newest (by `end`) first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(default, deny_unknown_fields)]
pub struct FlowQuery {
    /// Only this source address.
    pub source: Option<String>,
    /// Only this network; empty for the one without a name.
    pub network: Option<String>,
    /// Only flows that this sensor saw; empty for sensors without a name.
    pub sensor: Option<String>,
    /// Only flows with a score of at least this.
    pub min_score: Option<f32>,
    /// Only flows that ended at or after, ms since the epoch.
    pub since: Option<i64>,
    /// Only flows that ended before, ms since the epoch.
    pub until: Option<i64>,
    /// How many, 1 to 500; 50 when not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64))]
    pub limit: Option<u32>,
    /// Where the previous page ended.
    #[cfg_attr(feature = "openapi", param(pattern = "^02[0-9A-Fa-f]{48}$"))]
    pub cursor: Option<String>,
}
