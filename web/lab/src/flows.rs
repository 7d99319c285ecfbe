//! The flows of a capture in any schema, or of records, as CSV: what `netsage flows` prints.

use netsage_capture::MeterConfig;
use netsage_schema::{Schema, csv};
use netsage_sources::{Input, Source, SourceError, read_all};

/// Why there are no flows.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// No schema has this name.
    #[error("there is no schema `{0}`; the program lists them with `netsage flows --help`")]
    Schema(String),
    /// The file is damaged, of another schema, or has no flows.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rows could not be written, which memory does not do.
    #[error("cannot write rows: {0}")]
    Write(#[from] std::io::Error),
}

/// Meters a capture or reads records, and prints the rows.
///
/// # Errors
/// When the schema is not known, the file is damaged or neither of them, or records are asked for another schema than theirs.
pub fn csv(file: &[u8], schema: &str, flow_memory: usize) -> Result<Vec<u8>, FlowsError> {
    let schema = Schema::by_id(schema).ok_or_else(|| FlowsError::Schema(schema.to_owned()))?;
    let name = "the file";
    let mut source: Box<dyn Source> = match Input::open(name, file)? {
        Input::Capture(capture) => Box::new(capture.metered(&MeterConfig {
            schema,
            flow_memory,
            ..MeterConfig::default()
        })),
        Input::Records(records) => Box::new(records.into_source(schema)?),
        Input::Table(_) => {
            return Err(SourceError::NotACapture {
                name: name.to_owned(),
            }
            .into());
        }
    };
    let mut writer = csv::Writer::new(Vec::new(), schema)?;
    let damage = read_all(&mut *source, |batch| {
        (batch.rows.iter().zip(&batch.identities)).try_for_each(|(row, identity)| writer.write(identity, row))
    })?;
    match damage {
        Some(error) => Err(error.into()),
        None => Ok(writer.into_inner()?),
    }
}
