//! The configuration of a meter.

use netsage_schema::{Schema, UNSW_NB15};

/// Which clock drives the timeouts, and in which order records leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The times of the packets: the same packets give the same records. Records of `unsw-nb15` and `record-v1`
    /// leave in the order of their last packets, records of `flow-v1` in the order in which they end.
    #[default]
    Replay,
    /// The time given to [`crate::Meter::advance`]. Records leave in the order in which they end; those of `record-v1` in
    /// the order of their last packets, when no other can precede them.
    Live,
}

/// The configuration of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterConfig {
    /// Schema of the rows, one of [`Schema::ALL`].
    pub schema: &'static Schema,
    /// Most bytes for flows, for finished records that have not been drained, and for the trailing windows of
    /// `flow-v1` and `record-v1`; at least 256 KiB. When this memory is full flows end early, half-open ones first.
    pub flow_memory: usize,
    /// Which clock drives the timeouts.
    pub mode: Mode,
    /// Whether counts of bytes include the link header. Off by default, as in the dataset UNSW-NB15; Argus includes the
    /// header on Ethernet.
    pub count_link_bytes: bool,
    /// Whether a packet inside a tunnel is metered in the flow between its own ends; otherwise the tunnel is one flow.
    pub decapsulate: bool,
    /// Secret key of the hash by which flows are found. `None` takes a random key from the standard library. In a browser
    /// the standard library has no random source: give a random key there when strangers send the packets. No row depends
    /// on the key.
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
