//! How a meter works.

use netsage_schema::{Schema, UNSW_NB15};

/// What drives the timeouts, and when records leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The time of the packets. Records leave ordered by their last packet, the same for the same packets.
    #[default]
    Replay,
    /// The clock given to [`crate::Meter::advance`]. Records leave in the order in which they end.
    Live,
}

/// How a meter works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterConfig {
    /// The columns of the rows, one of [`Schema::ALL`].
    pub schema: &'static Schema,
    /// Bytes for flows, for records that wait to leave, and for trailing windows; 256 KiB at least. Beyond it flows
    /// end early, half-open ones first.
    pub flow_memory: usize,
    /// What drives the timeouts.
    pub mode: Mode,
    /// Whether `sbytes` and `dbytes` include the link header. Off as in the dataset; Argus on Ethernet has it on.
    pub count_link_bytes: bool,
    /// Whether packets inside tunnels are metered by the flow inside instead of the outer one.
    pub decapsulate: bool,
    /// Key of the hash by which flows are found, from a random source. `None` takes one from the standard library,
    /// which has none in a browser; there give one when the packets come from strangers. No row depends on it.
    pub hash_key: Option<[u64; 2]>,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            schema: &UNSW_NB15,
            flow_memory: 64 << 20,
            mode: Mode::Replay,
            count_link_bytes: false,
            decapsulate: false,
            hash_key: None,
        }
    }
}
