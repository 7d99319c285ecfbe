//! Context columns: what a detector may ask for besides the features of a schema.

/// A column that describes where and when a flow was, not how it behaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContextColumn {
    /// Seconds since the first flow that the host saw.
    StartTime,
    /// Keyed 24-bit hash of the source address, a whole number that `f32` holds exactly.
    Source,
    /// Keyed 24-bit hash of the destination address.
    Destination,
}

impl ContextColumn {
    /// Every context column.
    pub const ALL: [ContextColumn; 3] = [Self::StartTime, Self::Source, Self::Destination];

    /// Its name in the WIT interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartTime => "context.start-time",
            Self::Source => "context.source",
            Self::Destination => "context.destination",
        }
    }

    /// What stands for it in rows of which nobody knows where they come from, such as those of a table without
    /// addresses: -1 for an address, which is no hash, so that a detector with a memory of sources can take each such
    /// row for a source of its own. A time has no such value.
    pub const fn unknown(self) -> Option<f32> {
        match self {
            Self::StartTime => None,
            Self::Source | Self::Destination => Some(-1.0),
        }
    }

    /// The context column of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// The value of [`ContextColumn::StartTime`]: seconds from the start of the first flow that was seen to that of this one,
/// both in nanoseconds since the epoch. Flows come in the order in which they end, so that one may have started before
/// the first; that is 0.
pub fn start_seconds(first_ns: i64, start_ns: i64) -> f32 {
    (start_ns.saturating_sub(first_ns).max(0) as f64 / 1e9) as f32
}
