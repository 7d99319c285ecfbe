//! Alerts.

use serde::{Deserialize, Serialize};

use crate::detector::DetectorRef;

/// How far a score lies beyond what is ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// At the threshold.
    Low,
    /// Clearly above the threshold.
    Medium,
    /// Beyond nearly every ordinary flow.
    High,
    /// Beyond anything seen in training.
    Critical,
}

/// What a person has done about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// Nobody has looked at it.
    New,
    /// Somebody has taken it.
    Acknowledged,
    /// It is done with.
    Closed,
    /// Another alert has taken it in: the one of its target, or the one that says what its kind holds back. Only the store
    /// gives this state, and takes it back when the alert has flows again that no other alert counts.
    Merged,
}

/// One column that drove the score of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contribution {
    /// Name of the column.
    pub column: String,
    /// Unit of the values, `""` when there is none.
    pub unit: String,
    /// Share of the score, 0 to 1.
    pub weight: f32,
    /// The value seen; a term for nominal columns.
    pub value: String,
    /// The value that would have been typical.
    pub typical: String,
}

/// A source, and the highest score that a flow of it had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceScore {
    /// Source address.
    pub source: String,
    /// The highest score of its flows.
    pub score: f32,
}

/// The sources of an alert of many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSources {
    /// How many there are: exact up to 128, beyond that an estimate with a standard error of 1.6 %.
    pub count: u64,
    /// At most ten of them, those with the highest scores.
    pub top: Vec<SourceScore>,
    /// Missing in the alert of a target that many sources hit. Otherwise this is the alert of a kind that made more alerts in
    /// its window than its limit: so many of these are held back, and the alert counts all flows of the kind and window.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held_back: Option<u64>,
}

/// Flows of one kind that a detector scored above its threshold, within one window of time: of one source, or, with
/// `sources`, of many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// 32 hexadecimal digits; derived from detector, network, kind, window and the source, or the target of many, so that
    /// a repeated delivery finds the same alert.
    pub id: String,
    /// Start of the first flow, ms since the epoch.
    pub first_seen: i64,
    /// End of the last flow, ms since the epoch.
    pub last_seen: i64,
    /// Number of flows in this alert, each counted once; with `sources` exact up to 128, beyond that an estimate with a
    /// standard error of 1.6 %.
    pub count: u64,
    /// What the flows have in common: protocol and application, e.g. `tcp/ssh`.
    pub kind: String,
    /// Source address; with `sources` that of the flow with the highest score.
    pub source: String,
    /// Source port of the flow with the highest score.
    pub source_port: u16,
    /// Destination address of that flow.
    pub destination: String,
    /// Destination port of that flow.
    pub destination_port: u16,
    /// Protocol of that flow, e.g. `tcp`.
    pub protocol: String,
    /// The network that the addresses of all its flows belong to; missing for the network without a name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub network: String,
    /// The sensor that saw the flow with the highest score; missing where it has no name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub sensor: String,
    /// Community ID (version 1) of that flow.
    pub community_id: String,
    /// The highest score.
    pub score: f32,
    /// The threshold that was in force for that flow.
    pub threshold: f32,
    /// Severity of the highest score.
    pub severity: Severity,
    /// The detector that scored that flow.
    pub detector: DetectorRef,
    /// The feature schema it was scored in, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// What drove that score, largest first.
    pub contributions: Vec<Contribution>,
    /// What has been done about it.
    pub state: AlertState,
    /// Who changed the state last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_by: Option<String>,
    /// When, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_at: Option<i64>,
    /// The sources of an alert of many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sources: Option<AlertSources>,
    /// Of a merged alert, the id of the alert that has taken it in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merged_into: Option<String>,
}

/// Which alerts to list, newest (by `last_seen`) first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(default, deny_unknown_fields)]
pub struct AlertQuery {
    /// Only this state; when not given, every state but `merged`.
    pub state: Option<AlertState>,
    /// Only this severity and above.
    pub min_severity: Option<Severity>,
    /// Only this source address.
    pub source: Option<String>,
    /// Only this kind, e.g. `tcp/ssh`.
    pub kind: Option<String>,
    /// Only the detector of this name.
    pub detector: Option<String>,
    /// Only this network; empty for the one without a name.
    pub network: Option<String>,
    /// Only alerts whose flow with the highest score this sensor saw; empty for sensors without a name.
    pub sensor: Option<String>,
    /// Only alerts last seen at or after, ms since the epoch.
    pub since: Option<i64>,
    /// Only alerts last seen before, ms since the epoch.
    pub until: Option<i64>,
    /// How many, 1 to 500; 50 when not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64))]
    pub limit: Option<u32>,
    /// Where the previous page ended.
    #[cfg_attr(feature = "openapi", param(pattern = "^01[0-9A-Fa-f]{48}$"))]
    pub cursor: Option<String>,
}

/// The states that a person can give, as the description of the API shows them.
#[cfg(feature = "openapi")]
fn states_for_people() -> utoipa::openapi::schema::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .description(Some("The state it shall have."))
        .enum_values(Some(["new", "acknowledged", "closed"]))
        .build()
}

/// A change of state asked for by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StateChange {
    /// The state it shall have; `merged` is refused.
    #[cfg_attr(feature = "openapi", schema(schema_with = states_for_people))]
    pub state: AlertState,
    /// Who asks; at most 128 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    pub by: String,
}
