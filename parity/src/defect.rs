//! What is left out of the comparison: cells that Argus gets wrong in a way that nobody should repeat.
//! `docs/parity.md` explains each.

use std::fmt;

use crate::record::{Cell, Record};

/// A defect of Argus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A standard deviation is printed as nan: rounding left the square below 0.
    NotANumber,
    /// The window of a record of one segment is what stood in memory before.
    StaleWindow,
    /// A handshake is timed from 1970 instead of from a segment, because there was none.
    SinceTheEpoch,
    /// The other side opens a connection on the same ports, and only the counts change sides, not the addresses.
    SwappedEnds,
    /// A record is turned round, and only the loads keep their old sides.
    LoadsOfTurned,
    /// The group address of an IGMP message stands for its destination; IGMPv3 has none where it is looked for.
    GroupForDestination,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 6] = [
        Self::NotANumber,
        Self::StaleWindow,
        Self::SinceTheEpoch,
        Self::SwappedEnds,
        Self::LoadsOfTurned,
        Self::GroupForDestination,
    ];

    /// The defect that explains why a cell differs, if one does.
    pub fn of(column: &str, argus: &Record, ours: &Record) -> Option<Self> {
        let number = |record: &Record, name: &str| match record.cell(name) {
            Cell::Number(number) => *number,
            Cell::Text(_) => 0.0,
        };
        let (theirs, own) = (number(argus, column), number(ours, column));
        let same = |left: &str, right: &str| argus.cell(left) == ours.cell(right);
        let close = |left: f64, right: f64| (left - right).abs() <= 1e-3 * left.abs().max(right.abs());
        match column {
            _ if theirs.is_nan() => Some(Self::NotANumber),
            "swin" if own == 0.0 && number(argus, "spkts") + number(argus, "dpkts") == 1.0 => {
                Some(Self::StaleWindow)
            }
            // A handshake that takes longer than that has lost its flow long before.
            "synack" | "ackdat" | "tcprtt" if theirs > 120.0 && own < 120.0 => Some(Self::SinceTheEpoch),
            "srcip" | "dstip" | "sport" | "dsport"
                if same("srcip", "dstip")
                    && same("dstip", "srcip")
                    && same("sport", "dsport")
                    && same("dsport", "sport") =>
            {
                Some(Self::SwappedEnds)
            }
            "sload" | "dload"
                if close(number(argus, "sload"), number(ours, "dload"))
                    && close(number(argus, "dload"), number(ours, "sload")) =>
            {
                Some(Self::LoadsOfTurned)
            }
            "dstip" if argus.cell("proto") == &Cell::Text("2".to_owned()) => Some(Self::GroupForDestination),
            _ => None,
        }
    }

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotANumber => "argus prints nan",
            Self::StaleWindow => "stale window of a record of one segment",
            Self::SinceTheEpoch => "handshake timed from 1970",
            Self::SwappedEnds => "addresses left behind when the other side reopens",
            Self::LoadsOfTurned => "loads left behind when a record is turned",
            Self::GroupForDestination => "group address for the destination of igmp",
        })
    }
}
