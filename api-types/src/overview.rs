//! What the Overview page shows, health, and the event stream.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::alert::Alert;
use crate::forwarding::ForwardHealth;

/// What went through the pipeline since the program started. Nothing is dropped without being counted here.
///
/// The counters of flows are of one moment: `flows` = `flows_scored` + `flows_failed` + `flows_dropped` +
/// `flows_waiting` in every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineCounters {
    /// Packets read.
    pub packets: u64,
    /// Bytes read, on the wire.
    pub bytes: u64,
    /// Packets that could not be metered (each has a reason in the metrics).
    pub packets_not_metered: u64,
    /// Flows that the meter finished; one that was read before counts again.
    pub flows: u64,
    /// Flows scored by every active detector whose scores are stored.
    pub flows_scored: u64,
    /// Stored flows that at least one detector failed to score.
    pub flows_failed: u64,
    /// Flows that were dropped and are not stored, whatever the reason.
    pub flows_dropped: u64,
    /// The same by reason.
    pub flows_dropped_by: FlowsDropped,
    /// Flows on their way: to be scored, to be put in order, or to be stored.
    pub flows_waiting: u64,
    /// Stored flows above a threshold.
    pub flows_alerted: u64,
    /// Packets lost live because the program did not take them out of the kernel's buffer fast enough.
    pub kernel_drops: u64,
    /// Packets that the interfaces or their drivers lost.
    pub interface_drops: u64,
    /// Times that a TCP connection acknowledged data that was never seen: loss wherever it happened.
    pub tcp_gaps: u64,
    /// Bytes in these gaps.
    pub tcp_gap_bytes: u64,
}

/// Why flows were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FlowsDropped {
    /// Live, more came than could be scored.
    pub scoring: u64,
    /// The store took nothing for so long that the memory for what waits was full, or the program was to end.
    pub store: u64,
    /// They were on their way when the pipeline ended for another reason.
    pub ending: u64,
}

impl FlowsDropped {
    /// Every reason: its name in metrics, and its count.
    pub fn named(self) -> [(&'static str, u64); 3] {
        // Taken apart, so that a new reason cannot be forgotten here.
        let Self {
            scoring,
            store,
            ending,
        } = self;
        [("scoring", scoring), ("store", store), ("ending", ending)]
    }
}

/// What is counted on an interface since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InterfaceHealth {
    /// Its name.
    pub name: String,
    /// Whether packets can arrive now: the interface is captured on, is up, and has a carrier.
    pub up: bool,
    /// Why no packet can arrive, to be read after "the interface"; absent when packets can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub down_because: Option<String>,
    /// Packets that the kernel has received on it since one arrived here last, once that was more than 10 s ago; else 0.
    pub unseen: u64,
    /// Packets that passed the filter, those dropped by the kernel included.
    pub received: u64,
    /// Packets dropped by the kernel.
    pub kernel_drops: u64,
    /// Packets dropped by the interface or its driver.
    pub interface_drops: u64,
    /// Times that it went away.
    pub failures: u64,
}

/// A source of flows, and what was counted of it since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceHealth {
    /// Its name.
    pub name: String,
    /// Packets, rows, lines or messages taken in.
    pub records: u64,
    /// Of these, those that could not be used and are in no flow.
    pub records_rejected: u64,
    /// Records that came behind their turn.
    pub records_late: u64,
    /// Flows handed over.
    pub flows: u64,
    /// The partitions of a broker's topic that this program has; none of other sources.
    pub partitions: Vec<PartitionHealth>,
}

/// A partition of a broker's topic. Offsets count its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionHealth {
    /// Its number.
    pub partition: i32,
    /// `starting`, `rereading`, `reading`, `at-end`, `held` by a batch that cannot be unpacked, or `passing-over` it.
    pub state: String,
    /// The message to be read next; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<i64>,
    /// The message to go on at after a restart; absent before the first commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub committed: Option<i64>,
    /// Where the next message will stand, by the broker's last answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<i64>,
    /// Messages whose flows are not all stored; absent before the first commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lag: Option<u64>,
    /// Records that wait for their turn.
    pub waiting: u64,
    /// Messages passed over by command.
    pub passed_over: u64,
}

/// A batch of messages that cannot be unpacked and is to be passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SkipRequest {
    /// The topic.
    pub topic: String,
    /// The partition that it holds up.
    #[serde(deserialize_with = "integer")]
    pub partition: i32,
    /// Where reading stands, as `problems` of the health says.
    #[serde(deserialize_with = "integer")]
    pub offset: i64,
}

/// Reads an integer as JSON Schema has it, where `7.0` is one.
fn integer<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: FromStr<Err: Display>,
{
    let number = serde_json::Number::deserialize(deserializer)?;
    let digits = match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
        _ => number.to_string(),
    };
    digits
        .parse()
        .map_err(|error| de::Error::custom(format_args!("{number}: {error}")))
}

/// The packets that are kept as evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptPackets {
    /// Memory for them, bytes.
    pub limit: u64,
    /// Memory they take now, bytes.
    pub bytes: u64,
    /// Their number.
    pub packets: u64,
    /// Time of the oldest, ms since the epoch; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<i64>,
}

/// Whether the program is well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, or `degraded` when something needs an operator.
    pub status: String,
    /// What needs an operator now, one sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// What is worth knowing and needs nobody now: what was lost since the start, one sentence each.
    pub notes: Vec<String>,
    /// Version of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime: u64,
    /// What it reads: a file name, an interface, or `none`.
    pub source: String,
    /// Whether the source has ended (a replay that is through).
    pub finished: bool,
    /// Kind of store: `sqlite`, `mongodb`, or `none` where flows are only forwarded.
    pub store: String,
    /// Whether state-changing calls need a token.
    pub token_required: bool,
    /// The sources that it reads.
    pub sources: Vec<SourceHealth>,
    /// The interfaces that packets are captured on; none in a replay.
    pub interfaces: Vec<InterfaceHealth>,
    /// The packets that are kept as evidence; absent when none are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept_packets: Option<KeptPackets>,
    /// How forwarding goes; absent where flows are not forwarded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forward: Option<ForwardHealth>,
    /// The counters.
    pub counters: PipelineCounters,
}

/// One step of the time axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverviewPoint {
    /// Start of the step, ms since the epoch, by the time of the flows.
    pub time: i64,
    /// Flows that ended in the step.
    pub flows: u64,
    /// Flows above a threshold that ended in the step.
    pub alerted: u64,
}

/// A source that alerts speak of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopSource {
    /// Its address.
    pub source: String,
    /// The network that the address belongs to; missing for the network without a name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub network: String,
    /// Alerts.
    pub alerts: u64,
    /// Flows in these alerts.
    pub flows: u64,
    /// Highest score.
    pub score: f32,
}

/// The figures of the Overview page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Length of a step of `points`, ms.
    pub step: i64,
    /// The time axis, oldest first, without gaps.
    pub points: Vec<OverviewPoint>,
    /// Sources with the most alerted flows, at most 10.
    pub top_sources: Vec<TopSource>,
    /// Alerts in state `new`.
    pub alerts_new: u64,
    /// All alerts.
    pub alerts_total: u64,
    /// The counters.
    pub counters: PipelineCounters,
}

/// One server-sent event of the event stream; the event's name is the variant in kebab-case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "event", content = "data")]
pub enum StreamEvent {
    /// An alert is new or has changed.
    Alert(Box<Alert>),
    /// The counters, about once a second.
    Counters(PipelineCounters),
    /// A package was staged, or a step was done with one.
    Detectors,
}

#[cfg(test)]
mod tests {
    use super::SkipRequest;

    #[test]
    fn integers_are_those_of_json_schema() {
        let check = |offset: &str, expected: Option<i64>| {
            let body = format!(r#"{{"topic":"t","partition":1.0,"offset":{offset}}}"#);
            let found = serde_json::from_str::<SkipRequest>(&body).ok();
            assert_eq!(found.map(|request| request.offset), expected, "{offset}");
        };
        check("7", Some(7));
        check("7.0", Some(7));
        check("-7.0", Some(-7));
        check("1e16", Some(10_000_000_000_000_000));
        check("7.5", None);
        check("1e300", None);
        check("\"7\"", None);
    }
}
