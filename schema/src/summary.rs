//! What people ask of a flow first, by the column that answers it in each schema.

use crate::Schema;

/// Positions of the columns that a listing of flows shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The protocol, nominal.
    pub proto: usize,
    /// The service, nominal.
    pub service: usize,
    /// The state, nominal.
    pub state: usize,
    /// Seconds from the first to the last packet.
    pub duration: usize,
    /// Packets from the source, and from the destination.
    pub packets: [usize; 2],
    /// Bytes from the source, and from the destination.
    pub bytes: [usize; 2],
}

impl Summary {
    /// The columns of a schema.
    pub fn of(schema: &Schema) -> Self {
        // The schemas name the same facts differently.
        let position = |names: &[&str]| {
            let known = names.iter().find_map(|name| schema.index_of(name));
            known.unwrap_or_else(|| unreachable!("schema {} has {names:?}", schema.id))
        };
        Self {
            proto: position(&["proto"]),
            service: position(&["service"]),
            state: position(&["state"]),
            duration: position(&["dur", "duration"]),
            packets: [
                position(&["spkts", "src_packets"]),
                position(&["dpkts", "dst_packets"]),
            ],
            bytes: [
                position(&["sbytes", "src_bytes"]),
                position(&["dbytes", "dst_bytes"]),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_a_summary() {
        for schema in Schema::ALL {
            let summary = Summary::of(schema);
            assert_eq!(schema.columns[summary.duration].unit, "s", "{}", schema.id);
        }
    }
}
