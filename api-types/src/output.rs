//! Outputs: where alerts go.

use serde::{Deserialize, Serialize};

/// An output, and how it fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputInfo {
    /// Its name, as the settings have it.
    pub name: String,
    /// What it sends to, e.g. `webhook`.
    pub kind: String,
    /// Where it is set.
    #[serde(default)]
    pub set_in: OutputPlace,
    /// Whether this program delivers. Of several programs on one store one does, and another goes on when that one ends.
    pub is_leading: bool,
    /// Why it is paused: its receiver takes nothing of this sender. It tries again every 15 minutes, and when it is resumed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused: Option<String>,
    /// What has stood in the way since the last message was taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
    /// When its receiver took a message last, ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_taken: Option<i64>,
    /// Alerts that wait for their turn, e.g. for the end of quiet hours.
    pub waiting: u64,
    /// Messages that its receiver has taken since the program began, repeats included.
    pub delivered: u64,
    /// Changes of alerts that its filter has left out since the program began.
    pub filtered: u64,
    /// Attempts after which its receiver had not taken everything.
    pub failures: u64,
    /// Changes of alerts in the store that are not done with; the most that is missing.
    pub lag: u64,
    /// For how long the change that has been due longest is due already, ms; 0 where nothing is. What is held back on purpose
    /// is not due.
    #[serde(default)]
    pub behind_ms: u64,
    /// Messages that are set aside, since the receiver will never take them.
    pub refused: u64,
}

/// Where an output is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutputPlace {
    /// In the settings file, which alone changes it.
    #[default]
    File,
    /// Through the API.
    Api,
}

/// An output as its table in the settings file has it: `type`, what every output has, and what one of its type has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Object))]
pub struct OutputTable(pub serde_json::Map<String, serde_json::Value>);

/// What became of a test of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputAnswer {
    /// Whether it was done.
    pub is_done: bool,
    /// Why it was not, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// A message that a receiver refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedMessage {
    /// The id of the message: that of the alert, where it tells of one.
    pub id: String,
    /// Its revision.
    pub revision: u64,
    /// What the receiver said.
    pub reason: String,
    /// When, ms since the epoch.
    pub at: i64,
}

/// Which messages to send again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RepeatRequest {
    /// Their ids, at most 1,000; all of them where none is named.
    #[cfg_attr(feature = "openapi", schema(max_items = 1_000))]
    pub ids: Vec<String>,
}
