//! What a detector says about itself.

use netsage_package::{is_detector_name, is_semantic_version};

use crate::bindings::exports::netsage::detector::detector::{
    Description as Described, StateKey as WitStateKey,
};
use crate::error::GuestFailure;
use crate::exports::Code;

/// Most properties.
const MAX_PROPERTIES: usize = 64;

/// Which flows must reach the same instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKey {
    /// Rows are scored independently; any number of instances.
    None,
    /// Earlier rows of the same source address count; exactly one instance, see `wit/README.md`.
    Source,
    /// All earlier rows may count; exactly one instance.
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

/// The description of a detector, checked against the limits of the contract, and its exports.
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
    /// Which flows must reach the same instance.
    pub state_key: StateKey,
    /// Further properties, by name.
    pub properties: Vec<(String, String)>,
    /// Whether the detector exports `explainer`: it explains scores.
    pub explains: bool,
    /// Whether the detector exports `memory`: its state can be saved.
    pub remembers: bool,
    /// Whether the detector exports `learner`: it learns while it scores.
    pub learns: bool,
}

impl Description {
    /// The value of a property; `None` when the detector does not have the property.
    pub fn property(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether one instance must see all rows, in the order of the calls.
    pub fn keeps_order(&self) -> bool {
        self.remembers || self.state_key != StateKey::None
    }
}

pub(crate) fn check_description(described: Described, code: &Code) -> Result<Description, GuestFailure> {
    let printable = |text: &str, limit: usize| text.len() <= limit && !text.chars().any(char::is_control);
    let wrong = if !is_detector_name(&described.name) {
        "its name is not 1 to 64 of a-z, 0-9 and -"
    } else if !is_semantic_version(&described.version) {
        "its version is not a semantic version of at most 64 bytes"
    } else if !printable(&described.summary, 1024) {
        "its summary has more than 1,024 bytes or control characters"
    } else if !printable(&described.licence, 256) {
        "its licence has more than 256 bytes or control characters"
    } else if described.properties.len() > MAX_PROPERTIES {
        "it has more than 64 properties"
    } else if !described
        .properties
        .iter()
        .all(|(name, value)| is_property(name) && printable(value, 1024))
    {
        "the name of a property is not 1 to 64 of letters, digits, - and ., or its value has more than 1,024 bytes or \
         control characters"
    } else if has_twice(&described.properties) {
        "it has a property twice"
    } else {
        return Ok(Description {
            name: described.name,
            version: described.version,
            summary: described.summary,
            licence: described.licence,
            state_key: StateKey::from(described.state_key),
            properties: described.properties,
            explains: code.explains(),
            remembers: code.remembers(),
            learns: code.learns(),
        });
    };
    Err(GuestFailure::BadReturn {
        call: "describe",
        what: wrong.to_owned(),
    })
}

fn is_property(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn has_twice(properties: &[(String, String)]) -> bool {
    (1..properties.len()).any(|place| {
        properties[..place]
            .iter()
            .any(|(name, _)| *name == properties[place].0)
    })
}
