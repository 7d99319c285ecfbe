//! What to generate.

/// What to generate. The same configuration gives the same packets.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthConfig {
    /// Least number of flows (bidirectional conversations), attacks included. At least 100.
    pub flows: u32,
    /// Decides everything that is drawn: hosts, sizes, times, the order of attacks.
    pub seed: u64,
    /// Time of the first packet at the earliest, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// Length of the capture in nanoseconds. At least one minute; no packet comes after it.
    pub duration_ns: i64,
    /// Whether the six attacks are in it.
    pub attacks: bool,
    /// Share of the flows that belong to attacks, 0.01 to 0.9; has no effect without attacks.
    pub attack_share: f64,
    /// Share of the capture's time, from its start, without attacks, 0 to 0.9.
    pub clean_share: f64,
    /// Whether another office takes over after that share: other hosts, other distances, other sizes, other rates. A
    /// detector trained on the clean share then has to work on traffic that it has not learned.
    pub changes: bool,
}

impl Default for SynthConfig {
    /// Half an hour from 2026-01-05T09:00:00Z with 24,000 flows, a fifth of them attacks.
    fn default() -> Self {
        Self {
            flows: 24_000,
            seed: 1,
            start_ns: 1_767_603_600 * 1_000_000_000,
            duration_ns: 30 * 60 * 1_000_000_000,
            attacks: true,
            attack_share: 0.2,
            clean_share: 0.0,
            changes: false,
        }
    }
}

impl SynthConfig {
    /// The configuration with every value inside the limits that its field states.
    pub(crate) fn within_limits(mut self) -> Self {
        const YEAR_2200_NS: i64 = 7_258_118_400 * 1_000_000_000;
        const DAY_NS: i64 = 86_400 * 1_000_000_000;
        self.flows = self.flows.max(100);
        self.start_ns = self.start_ns.clamp(0, YEAR_2200_NS);
        self.duration_ns = self.duration_ns.clamp(60 * 1_000_000_000, 30 * DAY_NS);
        self.attack_share = if self.attack_share.is_finite() {
            self.attack_share.clamp(0.01, 0.9)
        } else {
            0.2
        };
        self.clean_share = if self.clean_share.is_finite() {
            self.clean_share.clamp(0.0, 0.9)
        } else {
            0.0
        };
        self
    }

    /// When attacks may begin, and when the office changes.
    pub(crate) fn clean_until_ns(&self) -> i64 {
        self.start_ns + (self.duration_ns as f64 * self.clean_share) as i64
    }

    pub(crate) fn end_ns(&self) -> i64 {
        self.start_ns + self.duration_ns
    }
}
