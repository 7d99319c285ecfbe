//! Gateways that forward, as they see themselves and as their receiver sees them.

use serde::{Deserialize, Serialize};

/// How a gateway that forwards gets on with it. Counts over all runs, but for `sent` and `cut_off`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForwardHealth {
    /// Where flows go: scheme and host, or the topic.
    pub target: String,
    /// Flows in the spool that the receiver does not have yet.
    pub waiting: u64,
    /// Bytes that these take on the disk.
    pub waiting_bytes: u64,
    /// How long the oldest of them has waited, ms.
    pub lag_ms: u64,
    /// Flows that the receiver has taken since the start, repeats included.
    pub sent: u64,
    /// Flows that left the spool before they were sent, because it was full or its disk has lost them.
    pub given_up: u64,
    /// Flows that the receiver will never take.
    pub set_aside: u64,
    /// Flows whose writing was cut off by a kill; their source has them still.
    pub cut_off: u64,
    /// What keeps flows from the receiver now; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
}

/// A gateway that forwards flows to this one, by what it says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SenderStatus {
    /// Its sensor; empty without a name.
    pub sensor: String,
    /// Its network; empty without a name.
    pub network: String,
    /// When it was heard last, ms since the epoch.
    pub last_seen: i64,
    /// Flows that waited in its spool then.
    pub waiting: u64,
    /// How long the oldest of them had waited, ms.
    pub lag_ms: u64,
    /// Flows that it had to give up, over all its runs.
    pub given_up: u64,
    /// Flows of it that were refused for good, over all its runs.
    pub set_aside: u64,
}
