//! The changes that an output reads: alerts in the order of their revisions, and saved cursors.

use netsage_api_types::Alert;

use crate::StoreError;

/// Most changes that a page holds.
pub const MAX_CHANGES: u32 = 500;

/// Most bytes of a saved position.
pub const MAX_POSITION_BYTES: usize = 64 << 10;

/// Most bytes of the name of a position.
const MAX_NAME_BYTES: usize = 128;

/// An alert after its last change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The number of that change. It rises with each change of any alert, and no two alerts have the same.
    pub revision: u64,
    /// The alert.
    pub alert: Alert,
}

/// A page of changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// By rising revision.
    pub items: Vec<Change>,
    /// The last revision that the store has given; 0 when no alert has changed yet.
    pub newest: u64,
}

/// How many changes a page holds when so many are asked for.
pub(crate) fn page_of_changes(limit: u32) -> usize {
    usize::try_from(limit.clamp(1, MAX_CHANGES)).unwrap_or(1)
}

/// Checks a position that is to be saved.
pub(crate) fn check_position(name: &str, position: &[u8]) -> Result<(), StoreError> {
    let problem = match name.len() {
        0 => "it has no name",
        1..=MAX_NAME_BYTES if position.len() <= MAX_POSITION_BYTES => return Ok(()),
        1..=MAX_NAME_BYTES => "it is longer than 64 KiB",
        _ => "its name is longer than 128 bytes",
    };
    Err(StoreError::InvalidPosition {
        name: name.chars().take(MAX_NAME_BYTES).collect(),
        problem,
    })
}
