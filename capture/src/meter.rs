//! The meter: packets in, finished flow records out.

use crate::batch::FlowBatch;
use crate::packet::Packet;
use crate::stats::MeterStats;

/// What drives the timeouts, and when records leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The time of the packets. Records leave ordered by their last packet, the same for the same packets.
    #[default]
    Replay,
    /// The clock given to [`Meter::advance`]. Records leave in the order in which they end.
    Live,
}

/// How a meter works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterConfig {
    /// Most flows tracked at once, at least 1; beyond it the flow idle for longest is ended early.
    pub max_flows: usize,
    /// What drives the timeouts.
    pub mode: Mode,
    /// Whether `sbytes` and `dbytes` include the link header. Off as in the dataset; Argus on Ethernet has it on.
    pub count_link_bytes: bool,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self { max_flows: 262_144, mode: Mode::Replay, count_link_bytes: false }
    }
}

/// Turns packets into flow records with features.
pub struct Meter {
    config: MeterConfig,
    stats: MeterStats,
}

impl Meter {
    /// A meter without flows.
    pub fn new(config: MeterConfig) -> Self {
        Self { config, stats: MeterStats::default() }
    }

    /// Meters one packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.stats.packets += 1;
        self.stats.bytes += u64::from(packet.wire_length);
    }

    /// Tells the time, in nanoseconds since the Unix epoch, and ends what has been idle for too long.
    /// A replay needs no call: its packets tell the time.
    pub fn advance(&mut self, _now_ns: i64) {}

    /// Ends every flow. The meter can be used on.
    pub fn finish(&mut self) {}

    /// Appends the records that are ready to `batch`.
    pub fn drain(&mut self, _batch: &mut FlowBatch) {}

    /// What was counted so far.
    pub fn stats(&self) -> &MeterStats {
        &self.stats
    }

    /// How the meter works.
    pub fn config(&self) -> &MeterConfig {
        &self.config
    }
}
