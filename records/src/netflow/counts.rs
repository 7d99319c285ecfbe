//! What the collector counts.

use super::reasons::{PassedOver, Refusal};
use crate::formats::Tally;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that came.
    pub datagrams: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records of flows that were read.
    pub records: u64,
    /// Flows that two records of one direction each became.
    pub pairs: u64,
    /// Records about exporters.
    pub options: u64,
    /// Definitions of templates.
    pub templates: u64,
    /// Datagrams that were shorter than they said; their whole records were read.
    pub cut: u64,
    /// Datagrams that came behind their turn, or twice.
    pub behind: u64,
    /// Records that left alone before their time, for want of room.
    pub hurried: u64,
    /// What is missing by the sequence numbers of v5 and IPFIX, in records.
    pub lost_records: u64,
    /// What is missing by the sequence numbers of v9, in datagrams.
    pub lost_datagrams: u64,
    /// What is as it should be and no flow.
    pub passed_over: Tally<PassedOver>,
    /// What could not be read.
    pub refused: Tally<Refusal>,
}

impl Counts {
    /// All that could not be used.
    pub fn unused(&self) -> u64 {
        self.passed_over.total() + self.refused.total()
    }
}

/// As one sentence without a full stop.
impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} records in {} datagrams",
            self.records, self.datagrams
        )?;
        for (count, what) in [
            (self.lost_records, "records lost"),
            (self.lost_datagrams, "datagrams lost"),
            (self.cut, "datagrams cut"),
            (self.behind, "datagrams behind their turn"),
        ] {
            if count > 0 {
                write!(formatter, "; {count} {what}")?;
            }
        }
        for (place, (reason, times)) in self.passed_over.iter().enumerate() {
            let before = if place == 0 { "; passed over: " } else { ", " };
            write!(formatter, "{before}{times} {reason}")?;
        }
        for (place, (refusal, times)) in self.refused.iter().enumerate() {
            let before = if place == 0 { "; refused: " } else { ", " };
            write!(formatter, "{before}{times} ({refusal})")?;
        }
        Ok(())
    }
}
