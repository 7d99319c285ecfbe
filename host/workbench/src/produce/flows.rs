//! The flows that are sent, as records.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use netsage_capture::{LinkType, MeterConfig, Mode, Packet};
use netsage_records::formats::Items;
use netsage_records::{Record, Unrow};
use netsage_schema::{FlowBatch, RECORD_V1};
use netsage_sources::{
    Content, Input, Metered, Packets, Reading, RecordItems, Source, SourceError, open_with,
};
use netsage_synth::{Generator, SynthConfig};

use crate::reading::How;

/// Packets between two looks at who waits.
const PACKETS_PER_LOOK: usize = 256;
/// Flows of one office, at most, before another one is generated.
const FLOWS_OF_OFFICE: u32 = 2_000_000;
/// Seconds of one office.
const SECONDS_OF_OFFICE: std::ops::RangeInclusive<u32> = 60..=1_800;

/// Where the flows come from.
pub(super) enum Flows {
    /// Records as they stand.
    Records(RecordItems<Content<'static>>, Items),
    /// Rows of captures, generated traffic and tables.
    Rows {
        source: Box<dyn Source>,
        unrow: Unrow,
        batch: FlowBatch,
    },
}

impl Flows {
    /// The flows of a file, whatever of the three it is.
    pub(super) fn of_file(path: &Path, how: &How) -> Result<Self, SourceError> {
        Ok(match open_with(path, &how.records)?.0 {
            Input::Records(records) => Self::Records(records.into_items(), Items::default()),
            Input::Capture(capture) => Self::rows(Box::new(capture.metered(&metering(how)))),
            Input::Table(table) => {
                let schema = table.schema();
                Self::rows(Box::new(table.into_source(schema)?))
            }
        })
    }

    /// Generated traffic from now on, that many flows a second.
    pub(super) fn generated(rate: u32, seed: u64, how: &How) -> Self {
        let seconds = (FLOWS_OF_OFFICE / rate).clamp(*SECONDS_OF_OFFICE.start(), *SECONDS_OF_OFFICE.end());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let config = SynthConfig {
            flows: rate * seconds,
            seed,
            start_ns: i64::try_from(now.as_nanos()).unwrap_or(0),
            duration_ns: i64::from(seconds) * 1_000_000_000,
            ..SynthConfig::default()
        };
        let packets = Offices {
            generator: Generator::new(config.clone()),
            config,
            is_stopped: false,
        };
        Self::rows(Box::new(Metered::new(
            "generated traffic".to_owned(),
            packets,
            &metering(how),
        )))
    }

    fn rows(source: Box<dyn Source>) -> Self {
        let schema = source.schema();
        Self::Rows {
            source,
            unrow: Unrow::of(schema),
            batch: FlowBatch::new(schema),
        }
    }

    /// Appends some records, with or without any.
    pub(super) fn read(&mut self, into: &mut Vec<Record>) -> Result<Reading, SourceError> {
        match self {
            Self::Records(records, items) => {
                let read = records.read(items);
                into.append(&mut items.records);
                items.clear();
                read
            }
            Self::Rows { source, unrow, batch } => {
                let read = source.read(batch);
                let rows = batch.rows.iter().zip(&batch.identities);
                into.extend(rows.map(|(row, identity)| unrow.record(row, identity)));
                batch.clear();
                read
            }
        }
    }

    /// How much of what was read is no flow and why, in one line.
    pub(super) fn unused(&self) -> Option<String> {
        match self {
            Self::Records(records, _) => records.unused(),
            Self::Rows { source, .. } => source.unused(),
        }
    }
}

/// Captures become records as any meter's do.
fn metering(how: &How) -> MeterConfig {
    MeterConfig {
        schema: &RECORD_V1,
        ..how.meter.clone()
    }
}

/// The packets of one generated office after the other.
struct Offices {
    generator: Generator,
    config: SynthConfig,
    is_stopped: bool,
}

impl Packets for Offices {
    const MODE: Mode = Mode::Replay;

    fn receive(&mut self, mut each: impl FnMut(&Packet<'_>)) -> Result<Reading, SourceError> {
        if self.is_stopped {
            return Ok(Reading::End);
        }
        let mut is_over = true;
        for packet in self.generator.by_ref().take(PACKETS_PER_LOOK) {
            is_over = false;
            each(&Packet {
                link: LinkType::Ethernet,
                time_ns: packet.time_ns,
                // A frame of the generator is a few kilobytes at most.
                wire_length: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
                bytes: &packet.bytes,
            });
        }
        if is_over {
            self.config.seed = self.config.seed.wrapping_add(1);
            self.config.start_ns += self.config.duration_ns;
            self.generator = Generator::new(self.config.clone());
        }
        Ok(Reading::GoesOn)
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }
}
