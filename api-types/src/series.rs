//! Time series of the store: what it counts, step by step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertState, Severity};

/// What a store counts over time. Steps are by the time of the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SeriesName {
    /// Flows that ended in a step, those that are counted and not kept included.
    #[serde(rename = "netsage_store_flows")]
    Flows,
    /// Kept flows above a threshold that ended in a step.
    #[serde(rename = "netsage_store_flows_alerted")]
    FlowsAlerted,
    /// Packets of the kept flows that ended in a step.
    #[serde(rename = "netsage_store_flow_packets")]
    FlowPackets,
    /// Bytes of the kept flows that ended in a step.
    #[serde(rename = "netsage_store_flow_bytes")]
    FlowBytes,
    /// Different sources of the kept flows that ended in a step: exact up to 128, beyond that an estimate with a standard
    /// error of 1.6 %.
    #[serde(rename = "netsage_store_flow_sources")]
    FlowSources,
    /// Alerts whose first flow began in a step, without those that are merged.
    #[serde(rename = "netsage_store_alerts_begun")]
    AlertsBegun,
}

/// What tells the series of one name apart. Values are enumerations and names that settings give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SeriesLabel {
    /// The name of the detector.
    Detector,
    /// The network; empty for the one without a name.
    Network,
    /// The severity that the alert has now.
    Severity,
    /// The state that the alert has now.
    State,
}

impl SeriesName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Flows,
        Self::FlowsAlerted,
        Self::FlowPackets,
        Self::FlowBytes,
        Self::FlowSources,
        Self::AlertsBegun,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flows => "netsage_store_flows",
            Self::FlowsAlerted => "netsage_store_flows_alerted",
            Self::FlowPackets => "netsage_store_flow_packets",
            Self::FlowBytes => "netsage_store_flow_bytes",
            Self::FlowSources => "netsage_store_flow_sources",
            Self::AlertsBegun => "netsage_store_alerts_begun",
        }
    }

    /// What is counted, for people.
    pub fn help(self) -> &'static str {
        match self {
            Self::Flows => "Flows that ended in a step",
            Self::FlowsAlerted => "Kept flows above a threshold that ended in a step",
            Self::FlowPackets => "Packets of the kept flows that ended in a step",
            Self::FlowBytes => "Bytes of the kept flows that ended in a step",
            Self::FlowSources => "Different sources of the kept flows that ended in a step",
            Self::AlertsBegun => "Alerts whose first flow began in a step",
        }
    }

    /// The labels of its series.
    pub fn labels(self) -> &'static [SeriesLabel] {
        match self {
            Self::AlertsBegun => &SeriesLabel::ALL,
            _ => &[],
        }
    }
}

impl SeriesLabel {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Detector, Self::Network, Self::Severity, Self::State];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Network => "network",
            Self::Severity => "severity",
            Self::State => "state",
        }
    }
}

/// Which series are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// What is counted.
    pub name: SeriesName,
    /// Start, ms since the epoch, rounded down to a multiple of the step; 60 steps before `until` when not given.
    pub since: Option<i64>,
    /// End, ms since the epoch, rounded up likewise; the end of the current step when not given.
    pub until: Option<i64>,
    /// Length of a step, ms, 1 to 86,400,000; rounded up to 10 s. 60,000 when not given.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 86_400_000))]
    pub step: Option<i64>,
    /// The labels by which series are kept apart, with commas between them: `severity,detector`. Every label when not given,
    /// and one series when empty.
    pub by: Option<String>,
    /// Only the detector of this name.
    pub detector: Option<String>,
    /// Only this network; empty for the one without a name.
    pub network: Option<String>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only this state.
    pub state: Option<AlertState>,
}

/// The series of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimeSeries {
    /// What is counted.
    pub name: SeriesName,
    /// Length of a step, ms.
    pub step: i64,
    /// Start of the first step, ms since the epoch.
    pub since: i64,
    /// The series, by their labels, at most 100. A name without labels has one; of labels those values are there that have
    /// something to count in the steps.
    pub series: Vec<LabelledSeries>,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LabelledSeries {
    /// Labels and their values.
    pub labels: BTreeMap<String, String>,
    /// A count for each step, without gaps.
    pub values: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_messages() {
        for name in SeriesName::ALL {
            assert_eq!(serde_json::to_value(name).ok(), Some(name.name().into()));
        }
        for label in SeriesLabel::ALL {
            assert_eq!(serde_json::to_value(label).ok(), Some(label.name().into()));
        }
        assert!(SeriesLabel::ALL.is_sorted_by_key(|label| label.name()));
    }
}
