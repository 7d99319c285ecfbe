//! The flows of a capture as CSV, in any schema: what `netsage flows` prints.

use std::io::Read;

use netsage_capture::file::{CaptureReader, FileError};
use netsage_capture::{Meter, MeterConfig};
use netsage_schema::{FlowBatch, Schema, csv};

/// Packets between two looks at what the meter has ready.
const PACKETS_PER_DRAIN: u64 = 256;
/// Records taken at once.
const RECORDS: usize = 4096;

/// Why there are no flows.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// No schema has this name.
    #[error("there is no schema `{0}`; the program lists them with `netsage flows --help`")]
    Schema(String),
    /// The capture is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// The rows could not be written, which memory does not do.
    #[error("cannot write rows: {0}")]
    Write(#[from] std::io::Error),
}

/// Meters a capture and prints its rows.
///
/// # Errors
/// When the schema is not known or the capture is damaged.
pub fn csv(capture: impl Read, schema: &str, flow_memory: usize) -> Result<Vec<u8>, FlowsError> {
    let schema = Schema::by_id(schema).ok_or_else(|| FlowsError::Schema(schema.to_owned()))?;
    let mut reader = CaptureReader::new(capture)?;
    let mut meter = Meter::new(MeterConfig {
        schema,
        flow_memory,
        ..MeterConfig::default()
    });
    let mut writer = csv::Writer::new(Vec::new(), schema)?;
    let mut batch = FlowBatch::new(schema);
    let mut packets: u64 = 0;
    while let Some(packet) = reader.next_packet()? {
        meter.packet(&packet);
        packets += 1;
        if packets.is_multiple_of(PACKETS_PER_DRAIN) {
            print(&mut meter, &mut batch, &mut writer)?;
        }
    }
    meter.finish();
    print(&mut meter, &mut batch, &mut writer)?;
    Ok(writer.into_inner()?)
}

fn print(meter: &mut Meter, batch: &mut FlowBatch, writer: &mut csv::Writer<Vec<u8>>) -> std::io::Result<()> {
    loop {
        let has_more = meter.drain_some(RECORDS, batch);
        for (row, identity) in batch.rows.iter().zip(&batch.identities) {
            writer.write(identity, row)?;
        }
        batch.clear();
        if !has_more {
            return Ok(());
        }
    }
}
