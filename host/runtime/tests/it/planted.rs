//! What is odd about a flow is what an explanation names first, whichever detector gives it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use netsage_capture::file::CaptureReader;
use netsage_capture::{Meter, MeterConfig};
use netsage_runtime::{Detector, Runtime, RuntimeConfig};
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{Contexts, FlowBatch, Kind, Rows, Schema};
use netsage_synth::{Generator, SynthConfig, pcap};
use serde_json::Value;

use crate::bundled;

/// Ordinary rows that something is planted in, per package.
const ROWS: usize = 40;
/// Share of the planted anomalies that must come first.
const FOUND: f64 = 0.95;

/// Ordinary rows: some to plant in, and all that say how far values go.
struct Ordinary {
    rows: Rows,
    known: Rows,
}

fn read(input: impl BufRead, schema: &'static Schema) -> Rows {
    let mut reader = Reader::new(input, schema).unwrap();
    let (mut rows, mut row) = (Rows::new(schema), CsvRow::default());
    while let Some(outcome) = reader.read_row(&mut row) {
        outcome.unwrap();
        if row.label != Some(true) {
            rows.push(&row.values);
        }
    }
    rows
}

fn dataset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/unsw")
        .join(name)
}

/// Clean traffic of the generator, metered.
fn generated(schema: &'static Schema, seed: u64) -> Rows {
    let mut generator = Generator::new(SynthConfig {
        flows: 6_000,
        seed,
        attacks: false,
        ..SynthConfig::default()
    });
    let mut capture = Vec::new();
    pcap::write(&mut generator, &mut capture, |_| {}).unwrap();
    let mut meter = Meter::new(MeterConfig {
        schema,
        ..MeterConfig::default()
    });
    let mut batch = FlowBatch::new(schema);
    let mut reader = CaptureReader::new(&*capture).unwrap();
    while let Some(packet) = reader.next_packet().unwrap() {
        meter.packet(&packet);
    }
    meter.finish();
    meter.drain(&mut batch);
    batch.rows
}

impl Ordinary {
    /// Of the kind that the model learned from; `None`, after saying so, where that is the dataset and it is absent.
    fn like_those_of(card: &Value, schema: &'static Schema) -> Option<Self> {
        let data = card["data"].as_str().unwrap_or_default();
        if data.contains("UNSW-NB15") {
            let [known, rows] = ["train-normal.csv.gz", "dev.csv.gz"].map(dataset);
            let Ok(files) = File::open(&known).and_then(|known| Ok([known, File::open(&rows)?])) else {
                eprintln!("skipped: {} is absent", rows.display());
                return None;
            };
            let [known, rows] = files.map(|file| read(BufReader::new(GzDecoder::new(file)), schema));
            return Some(Self { rows, known });
        }
        Some(Self {
            rows: generated(schema, 4_711),
            known: generated(schema, 4_712),
        })
    }

    /// What is planted in a column: a thousand times the largest value that is known, and a thousand more; a term that
    /// no known row has. Nothing in flags, of which both values are ordinary.
    fn odd_value(&self, column: usize) -> Option<f64> {
        let values = || self.known.iter().chain(self.rows.iter()).map(|row| row[column]);
        match self.known.schema().columns[column].kind {
            Kind::Flag => None,
            Kind::Nominal(vocabulary) => (0..vocabulary.terms.len())
                .rev()
                .map(|code| code as f64)
                .find(|&code| !values().any(|value| value == code)),
            Kind::Count | Kind::Continuous => Some(values().fold(0.0, f64::max) * 1_000.0 + 1_000.0),
        }
    }
}

/// Every row has a source of its own, as where nobody knows the sources.
fn contexts(rows: usize) -> Contexts {
    let mut contexts = Contexts::new();
    for number in 0..rows as u64 {
        contexts.push(number * 1_000_000, number, number);
    }
    contexts
}

/// The rows that the detector itself finds ordinary: below the ninetieth percentile of its calibration.
fn found_ordinary(detector: &Detector, card: &Value, rows: &Rows) -> Rows {
    let mut scores = Vec::new();
    let contexts = contexts(rows.len());
    detector
        .score(rows, Some(&contexts), 0..rows.len(), &mut scores)
        .unwrap();
    let limit = card["calibration"][90].as_f64().unwrap();
    let mut kept = Rows::new(rows.schema());
    let ordinary: Vec<&[f64]> = rows
        .iter()
        .zip(scores)
        .filter(|(_, score)| f64::from(*score) < limit)
        .map(|(row, _)| row)
        .collect();
    // Spread over all of them: neighbours in a file are alike.
    let step = (ordinary.len() / ROWS).max(1);
    for row in ordinary.into_iter().step_by(step).take(ROWS) {
        kept.push(row);
    }
    kept
}

/// The columns that an anomaly was planted in, each with the share of rows whose explanation names it first.
fn shares(detector: &Detector, rows: &Rows, ordinary: &Ordinary) -> Vec<(&'static str, f64)> {
    let mut shares = Vec::new();
    for column in detector.columns() {
        let index = rows.schema().index_of(column.name).unwrap();
        let Some(odd) = ordinary.odd_value(index) else {
            continue;
        };
        let mut planted = Rows::new(rows.schema());
        for row in rows.iter() {
            let mut row = row.to_vec();
            row[index] = odd;
            planted.push(&row);
        }
        let contexts = contexts(planted.len());
        let found = (0..planted.len()).filter(|&row| {
            let explanation = detector.explain(&planted, Some(&contexts), row, 3).unwrap();
            explanation
                .first()
                .is_some_and(|first| first.column.name == column.name)
        });
        shares.push((column.name, found.count() as f64 / planted.len() as f64));
    }
    shares
}

/// Plants something in one column of ordinary rows, for every column that a detector reads.
#[test]
fn planted_anomalies_are_named_first() {
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let mut weak = Vec::new();
    for (path, package) in bundled::packages() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let card: Value = serde_json::from_slice(package.card().unwrap()).unwrap();
        let schema = card["schema"].as_str().unwrap().split('@').next().unwrap();
        let schema = Schema::by_id(schema).unwrap();
        let detector = runtime.load(&package, schema).unwrap();
        if detector.context().start_time {
            eprintln!("{name} judges when flows come, not what they are: the tests of its crate plant that");
            continue;
        }
        if !detector.description().explains {
            weak.push(format!("{name} explains nothing"));
            continue;
        }
        let Some(ordinary) = Ordinary::like_those_of(&card, schema) else {
            continue;
        };
        let rows = found_ordinary(&detector, &card, &ordinary.rows);
        assert!(rows.len() >= ROWS / 2, "{name}: {} ordinary rows", rows.len());
        let shares = shares(&detector, &rows, &ordinary);
        assert!(!shares.is_empty(), "{name} reads no column");
        let found = shares.iter().map(|(_, share)| share).sum::<f64>() / shares.len() as f64;
        let missed: Vec<String> = shares
            .iter()
            .filter(|(_, share)| *share < 1.0)
            .map(|(column, share)| format!("{column} {share:.2}"))
            .collect();
        let line = format!("{name}: {found:.4} found first; {}", missed.join(", "));
        eprintln!("{line}");
        if found < FOUND {
            weak.push(line);
        }
    }
    assert!(weak.is_empty(), "{}", weak.join("\n"));
}
