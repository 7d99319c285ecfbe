//! The worker behind the Lab page: a file becomes a data set of feature rows, in the browser.
//!
//! What the host does natively happens here in wasm with the same crates: captures go through the flow
//! meter, CSV files through the schema's reader, and a detector gets each row as the host would give it,
//! so that its scores are the same to the last bit. `worker.js` beside this crate holds the component and
//! moves blocks between the two.
//!
//! Which schema the rows have is the choice of the detector, whose card names it. This crate must never touch the
//! network or the page, and no file makes it panic. Start with [`dataset::Dataset::read`].
#![allow(
    clippy::needless_pass_by_value,
    reason = "what comes from JavaScript is handed over by value"
)]

use netsage_package::Package;
use netsage_schema::{Schema, WantedContext};
use wasm_bindgen::prelude::wasm_bindgen;

pub mod columns;
pub mod dataset;
pub mod describe;
pub mod flows;
pub mod package;
pub mod sample;

/// Prints a panic, which would be a defect, where a developer can read it.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// The trained model inside a detector package.
///
/// # Errors
/// A sentence when the bytes are no package.
#[wasm_bindgen]
pub fn artifact(package: Vec<u8>) -> Result<Vec<u8>, String> {
    let package = Package::from_bytes(package).map_err(|error| error.to_string())?;
    Ok(package.artifact().to_vec())
}

/// The schema of the rows that a package scores, for a detector's `open`: JSON of a [`columns::SchemaView`]. `properties`
/// are those of the detector: name, value, name, value, ...
///
/// # Errors
/// A sentence when the bytes are no package, the package does not say its schema, or this release has no such schema.
#[wasm_bindgen]
pub fn schema(package: Vec<u8>, properties: Vec<String>) -> Result<String, String> {
    package::schema(package, &properties).map(|schema| json(&columns::SchemaView::of(schema)))
}

/// The flows of a capture (pcap or pcapng) or of records, also compressed, as CSV, byte by byte what `netsage flows`
/// prints. `flow_memory` in bytes.
///
/// # Errors
/// A sentence when the schema is not known or not that of the records, or the file is damaged.
#[wasm_bindgen]
pub fn flows_csv(file: &[u8], schema: &str, flow_memory: u32) -> Result<Vec<u8>, String> {
    flows::csv(file, schema, flow_memory as usize).map_err(|error| error.to_string())
}

/// A data set together with the columns that one detector wants.
#[wasm_bindgen]
pub struct Lab {
    data: dataset::Dataset,
    columns: columns::Chosen,
}

#[wasm_bindgen]
impl Lab {
    /// Reads a file as rows of a schema: a CSV, a pcap, a pcapng or records, each plain or compressed.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub fn read(name: &str, bytes: &[u8], schema: &str) -> Result<Lab, String> {
        Self::of(by_id(schema).and_then(|schema| dataset::Dataset::read(name, bytes, schema)))
    }

    /// Generates about `flows` flows of labelled traffic and meters them as rows of a schema.
    ///
    /// # Errors
    /// A sentence when there is no such schema, or there are too many flows.
    pub fn sample(flows: u32, seed: u32, schema: &str) -> Result<Lab, String> {
        Self::of(by_id(schema).and_then(|schema| sample::generate(flows, u64::from(seed), schema)))
    }

    fn of(data: Result<dataset::Dataset, dataset::DataError>) -> Result<Lab, String> {
        Ok(Self {
            data: data.map_err(|error| error.to_string())?,
            columns: columns::Chosen::default(),
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.rows.len()
    }

    /// What was read, as JSON of [`dataset::Summary`].
    pub fn summary(&self) -> String {
        json(&self.data.summary())
    }

    /// Chooses the columns of a detector, by name, and its context.
    ///
    /// # Errors
    /// A sentence when it wants a column that the schema does not have.
    pub fn choose(
        &mut self,
        columns: Vec<String>,
        start_time: bool,
        source: bool,
        destination: bool,
    ) -> Result<(), String> {
        let wanted = WantedContext {
            start_time,
            source,
            destination,
        };
        let chosen = columns::Chosen::of(&self.data, &columns, wanted);
        self.columns = chosen.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The chosen columns of the rows from `start` on, at most `count`, row-major.
    pub fn block(&self, start: usize, count: usize) -> Vec<f32> {
        self.columns.project(&self.data, start, count)
    }

    /// When the flows from `start` on began, at most `count` of them, microseconds since the epoch; nothing when that was
    /// not chosen or the file does not say.
    pub fn starts(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.columns.starts(start, count)
    }

    /// Hashes of their sources, likewise.
    pub fn sources(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.columns.sources(start, count)
    }

    /// Hashes of their destinations, likewise.
    pub fn destinations(&self, start: usize, count: usize) -> Option<Vec<u64>> {
        self.columns.destinations(start, count)
    }

    /// 0 ordinary, 1 attack, 255 unknown; empty when no row has a label.
    pub fn labels(&self) -> Vec<u8> {
        self.data.labels.clone()
    }

    /// When each flow ended, ms since the epoch; empty when the file does not say.
    pub fn times(&self) -> Vec<f64> {
        self.data.times()
    }

    /// Rows for people, as JSON of a list of [`describe::RowView`]. Rows that do not exist are left out.
    pub fn describe(&self, rows: &[u32]) -> String {
        json(&describe::rows(&self.data, rows))
    }

    /// One row's explanation as JSON of a list of contributions. `columns` are positions among the chosen
    /// ones, as a detector gives them; entries that do not exist are left out.
    pub fn explain(&self, row: usize, columns: &[u32], weights: &[f32], typical: &[f32]) -> String {
        json(&describe::contributions(
            &self.data,
            &self.columns,
            row,
            columns,
            weights,
            typical,
        ))
    }
}

fn by_id(schema: &str) -> Result<&'static Schema, dataset::DataError> {
    Schema::by_id(schema).ok_or_else(|| dataset::DataError::UnknownSchema(schema.to_owned()))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with string keys always serialise")
}
