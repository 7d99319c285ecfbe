//! The inputs and outputs of the window.

/// What the window needs to know of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening<H, S> {
    /// When the flow enters the window, or a record is counted, in nanoseconds.
    pub time_ns: i64,
    /// The source.
    pub source: H,
    /// The destination.
    pub destination: H,
    /// The service.
    pub service: S,
}

/// How the destination has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A SYN by a reset, and nothing else so far.
    Refused,
    /// In any other way.
    Given,
}

/// The counts of one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Flows from the same source.
    pub source: Host,
    /// Flows to the same destination.
    pub destination: Host,
    /// Flows to the same service, whatever the hosts.
    pub service: Service,
    /// Flows from the same source to the same destination.
    pub pair: Pair,
    /// Whether the flow itself is among those counted; it is then not among the failed.
    pub includes_itself: bool,
}

/// Flows of a source or a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Host {
    /// All of them.
    pub flows: u32,
    /// Distinct hosts at their other ends.
    pub peers: u32,
    /// Distinct services.
    pub ports: u32,
    /// Failed ones.
    pub failed: u32,
}

/// Flows of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Service {
    /// All of them.
    pub flows: u32,
    /// Distinct sources.
    pub sources: u32,
    /// Distinct destinations.
    pub destinations: u32,
    /// Failed ones.
    pub failed: u32,
}

/// Flows from one source to one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    /// All of them.
    pub flows: u32,
    /// Distinct services.
    pub ports: u32,
    /// Failed ones.
    pub failed: u32,
}

impl Counts {
    /// The share of the failed among `flows` flows, this one left out of both numbers; 0 when there is no other.
    pub fn failed_share(&self, failed: u32, flows: u32) -> f64 {
        match flows - u32::from(self.includes_itself) {
            0 => 0.0,
            others => f64::from(failed) / f64::from(others),
        }
    }
}
