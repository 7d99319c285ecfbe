//! Rows to score: real ones where the dataset is, otherwise generated.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;

use flate2::read::GzDecoder;
use netsage_runtime::Detector;
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{Contexts, Kind, Rows, Schema, UNSW_NB15};

use crate::Failure;

/// Rows with their contexts, and what they are.
pub(crate) struct Input {
    pub(crate) rows: Rows,
    pub(crate) contexts: Contexts,
    pub(crate) what: String,
}

impl Input {
    /// The first `count` rows of the dataset for its schema, when it is there; generated ones otherwise.
    pub(crate) fn of(schema: &'static Schema, count: usize, data: Option<&Path>) -> Result<Self, Failure> {
        let real = data
            .map(|data| data.join("unsw/dev.csv.gz"))
            .filter(|file| schema.id == UNSW_NB15.id && file.is_file());
        let (rows, what) = match real {
            Some(file) => (read(&file, schema, count)?, "real: the first of unsw/dev.csv.gz"),
            None => (
                generated(schema, count),
                "generated: values spread over what columns can hold",
            ),
        };
        let mut contexts = Contexts::new();
        // In the dataset nobody knows the sources, so every row has its own; so do generated rows.
        for (number, _) in (0..).zip(rows.iter()) {
            contexts.push(number * 10_000, number, number);
        }
        Ok(Self {
            rows,
            contexts,
            what: what.to_owned(),
        })
    }

    /// The rows as the detector gets them.
    pub(crate) fn projected(&self, detector: &Detector) -> Vec<f32> {
        let places: Vec<usize> = detector
            .columns()
            .iter()
            .filter_map(|column| column.index())
            .collect();
        let row = |row: &[f64]| -> Vec<f32> { places.iter().map(|&place| row[place] as f32).collect() };
        self.rows.iter().flat_map(row).collect()
    }

    /// Where and when some of the rows were, as the native build gets it.
    pub(crate) fn known(&self, rows: Range<usize>) -> netsage_detector_sdk::Contexts<'_> {
        netsage_detector_sdk::Contexts {
            start_time: Some(&self.contexts.starts()[rows.clone()]),
            source: Some(&self.contexts.sources()[rows.clone()]),
            destination: Some(&self.contexts.destinations()[rows]),
        }
    }
}

fn read(file: &Path, schema: &'static Schema, count: usize) -> Result<Rows, Failure> {
    let mut reader = Reader::new(BufReader::new(GzDecoder::new(File::open(file)?)), schema)?;
    let (mut rows, mut parsed) = (Rows::with_capacity(schema, count), CsvRow::default());
    while rows.len() < count
        && let Some(outcome) = reader.read_row(&mut parsed)
    {
        outcome?;
        rows.push(&parsed.values);
    }
    Ok(rows)
}

/// The same rows every time.
fn generated(schema: &'static Schema, count: usize) -> Rows {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Rows::with_capacity(schema, count);
    for _ in 0..count {
        let row: Vec<f64> = schema
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Nominal(vocabulary) => (random() * vocabulary.terms.len() as f64).floor(),
                Kind::Flag => random().round(),
                Kind::Count => 10_f64.powf(random() * 5.0).floor() - 1.0,
                Kind::Continuous => 10_f64.powf(random() * 8.0 - 4.0),
            })
            .collect();
        rows.push(&row);
    }
    rows
}
