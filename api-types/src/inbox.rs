//! What is said of records that a sender posts.

use serde::{Deserialize, Serialize};

/// What a sender says of all records of a body; what a record says itself comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(default, deny_unknown_fields)]
pub struct SenderQuery {
    /// The network that the addresses belong to, 1 to 128 characters.
    pub network: Option<String>,
    /// Where the flows were seen, 1 to 128 characters.
    pub sensor: Option<String>,
    /// The format, instead of what the first line says: `flow-json`, `zeek`, `suricata` or `argus`.
    pub format: Option<String>,
}

/// Records that were taken; they are stored even if the program is killed now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordsTaken {
    /// How many records were taken.
    pub records: u64,
    /// How many items are no flows, by their kind.
    pub passed_over: Vec<PassedOver>,
    /// How many items were refused.
    pub refused: u64,
    /// The first 1,000 that were refused.
    pub refusals: Vec<RefusedRecord>,
}

/// Items that are as they should be and no flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PassedOver {
    /// What they are, in the plural: `dns events`.
    pub what: String,
    /// How many.
    pub count: u64,
}

/// An item that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedRecord {
    /// Where it stands in the body: `line 3`, or `element 3` of a list.
    pub place: String,
    /// Why it was refused.
    pub reason: String,
}
