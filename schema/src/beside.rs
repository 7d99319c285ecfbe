//! What is known of a flow beside its row.

use std::sync::Arc;

/// What is known of a flow beside its row and its identity, for whoever hands the flow on to another program. No detector is
/// shown it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The digest of the meter's own identifier, which is part of the flow's id.
    pub own_id: Option<[u8; 16]>,
    /// One in so many packets was looked at; 0 where that is not known.
    pub sampling: u32,
    /// What another program has made and said of the flow, as JSON: its row of another schema, and scores.
    pub foreign: Option<Arc<str>>,
}

impl Beside {
    /// Nothing.
    pub const NONE: Self = Self {
        own_id: None,
        sampling: 0,
        foreign: None,
    };
}
