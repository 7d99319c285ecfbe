//! What a detector says about itself.

use netsage_package::{is_detector_name, is_semantic_version};

use crate::bindings::exports::netsage::detector::detector::{
    Description as Described, StateKey as WitStateKey,
};
use crate::error::GuestFailure;

/// Which flows must reach the same instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKey {
    /// Every row stands alone; any number of instances.
    None,
    /// Rows of one source address. For now the host uses exactly one instance, which fulfils it.
    Source,
    /// All rows; exactly one instance.
    All,
}

impl From<WitStateKey> for StateKey {
    fn from(key: WitStateKey) -> Self {
        match key {
            WitStateKey::None => Self::None,
            WitStateKey::Source => Self::Source,
            WitStateKey::All => Self::All,
        }
    }
}

/// What a detector says about itself, checked against the limits of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Short name, e.g. `iforest`.
    pub name: String,
    /// Semantic version of its code.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// SPDX licence expression.
    pub licence: String,
    /// Whether it says which columns drove a score.
    pub explains: bool,
    /// Whether it learns as it goes.
    pub learns: bool,
    /// Which flows must reach the same instance.
    pub state_key: StateKey,
}

impl Description {
    /// Whether one instance must see all rows, in the order of the calls.
    pub fn keeps_order(&self) -> bool {
        self.learns || self.state_key != StateKey::None
    }
}

pub(crate) fn check_description(described: Described) -> Result<Description, GuestFailure> {
    let printable = |text: &str, limit: usize| text.len() <= limit && !text.chars().any(char::is_control);
    let wrong = if !is_detector_name(&described.name) {
        "its name is not 1 to 64 of a-z, 0-9 and -"
    } else if !is_semantic_version(&described.version) {
        "its version is not a semantic version of at most 64 bytes"
    } else if !printable(&described.summary, 1024) {
        "its summary has more than 1,024 bytes or control characters"
    } else if !printable(&described.licence, 256) {
        "its licence has more than 256 bytes or control characters"
    } else {
        return Ok(Description {
            name: described.name,
            version: described.version,
            summary: described.summary,
            licence: described.licence,
            explains: described.explains,
            learns: described.learns,
            state_key: StateKey::from(described.state_key),
        });
    };
    Err(GuestFailure::BadReturn {
        call: "describe",
        what: wrong.to_owned(),
    })
}
