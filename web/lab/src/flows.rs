//! The flows of a capture as CSV, in any schema: what `netsage flows` prints.

use netsage_capture::MeterConfig;
use netsage_schema::{Schema, csv};
use netsage_sources::{Capture, SourceError, read_all};

/// Why there are no flows.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// No schema has this name.
    #[error("there is no schema `{0}`; the program lists them with `netsage flows --help`")]
    Schema(String),
    /// The capture is damaged.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rows could not be written, which memory does not do.
    #[error("cannot write rows: {0}")]
    Write(#[from] std::io::Error),
}

/// Meters a capture and prints its rows.
///
/// # Errors
/// When the schema is not known or the capture is damaged.
pub fn csv(capture: &[u8], schema: &str, flow_memory: usize) -> Result<Vec<u8>, FlowsError> {
    let schema = Schema::by_id(schema).ok_or_else(|| FlowsError::Schema(schema.to_owned()))?;
    let mut source = Capture::open("the capture", capture)?.metered(&MeterConfig {
        schema,
        flow_memory,
        ..MeterConfig::default()
    });
    let mut writer = csv::Writer::new(Vec::new(), schema)?;
    let damage = read_all(&mut source, |batch| {
        (batch.rows.iter().zip(&batch.identities)).try_for_each(|(row, identity)| writer.write(identity, row))
    })?;
    match damage {
        Some(error) => Err(error.into()),
        None => Ok(writer.into_inner()?),
    }
}
