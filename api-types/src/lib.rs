//! The messages of the HTTP API, shared by the host that sends them and the dashboard that reads them.
//!
//! Plain data: this crate must never hold logic beyond names and order, do I/O, or use types of a server or a store.
//! With the feature `openapi` the types describe themselves for `openapi.json`.
//!
//! Start with [`Alert`]. Times are milliseconds since the Unix epoch unless a name says otherwise.

use serde::{Deserialize, Serialize};

mod alert;
mod detector;
mod flow;
mod forwarding;
mod inbox;
mod judgement;
mod output;
mod overview;
mod score;
mod series;

pub use alert::{
    Alert, AlertQuery, AlertSources, AlertState, Contribution, Severity, SourceScore, StateChange,
};
pub use detector::{
    Comparison, DetectorInfo, DetectorRef, FailurePolicy, HistoryEntry, HistoryQuery, Stage, Step,
    StepRequest,
};
pub use flow::{Flow, FlowQuery, FlowScore, Foreign, ForeignRow, ForeignScore, FusedScore};
pub use forwarding::{ForwardHealth, SenderStatus};
pub use inbox::{PassedOver, RecordsTaken, RefusedRecord, SenderQuery};
pub use judgement::{ColumnDrift, Drift, ThresholdInfo, ThresholdRequest, Yesterday};
pub use output::{OutputAnswer, OutputInfo, OutputPlace, OutputTable, RefusedMessage, RepeatRequest};
pub use overview::{
    FlowsDropped, Health, InterfaceHealth, KeptPackets, Overview, OverviewPoint, PartitionHealth,
    PipelineCounters, SkipRequest, SourceHealth, StreamEvent, TopSource,
};
pub use score::{ScoreRequest, ScoreResponse, SingleScoreRequest, Value};
pub use series::{LabelledSeries, SeriesLabel, SeriesName, SeriesQuery, TimeSeries};

/// A page of a listing, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries of this page.
    pub items: Vec<T>,
    /// Give this as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A stable name of the kind of problem, e.g. `urn:netsage:problem:bad-cursor`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here and what to do about it.
    pub detail: String,
    /// The id of the request, as in the header `x-request-id` and in the log of the server.
    #[serde(default)]
    pub request_id: String,
}
