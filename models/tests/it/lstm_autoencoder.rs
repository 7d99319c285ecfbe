//! Training the LSTM autoencoder, and its scores beside those of onnxruntime.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use netsage_lstm_autoencoder::{Autoencoder, Model, WINDOW};
use netsage_models::lstm_autoencoder::{TrainOptions, train};
use netsage_models::{Callbacks, Common, Flows, NoCallbacks, TrainError, Trained};
use netsage_schema::{Identity, Rows, UNSW_NB15};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::peers::python;

/// What onnxruntime says of windows, after `onnx.checker` accepted the model.
const RUN: &str = r#"
import json, sys
import numpy, onnx, onnxruntime
given = json.load(sys.stdin)
model = bytes.fromhex(given["model"])
onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
lengths = numpy.array(given["lengths"], dtype=numpy.int32)
windows = numpy.array(given["windows"], dtype=numpy.float32).reshape(len(lengths), given["steps"], -1)
scores = []
for start in range(0, len(lengths), 500):
    part = slice(start, start + 500)
    found = session.run(["score"], {"window": windows[part], "lengths": lengths[part]})
    scores += [float(score) for score in found[0]]
json.dump(scores, sys.stdout)
"#;

fn index(column: &str) -> usize {
    UNSW_NB15.index_of(column).unwrap()
}

/// Flows of a host: small questions and large answers in turn, of sizes that spread.
fn turns(count: usize, hosts: usize, seed: u64) -> (Rows, Vec<Identity>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut rows, mut identities) = (Rows::new(&UNSW_NB15), Vec::new());
    let mut turn = vec![0; hosts];
    for flow in 0..i64::try_from(count).unwrap() {
        let host = random.random_range(0..hosts);
        turn[host] += 1;
        let size = if turn[host] % 2 == 0 { 100.0 } else { 100_000.0 };
        let mut row = vec![0.0; UNSW_NB15.width()];
        row[index("sbytes")] = (size * 10f64.powf(random.random_range(0.0..0.3))).round();
        row[index("dur")] = random.random_range(0.1..0.4);
        row[index("proto")] = f64::from(random.random_range(0..2u8));
        row[index("sttl")] = 64.0;
        rows.push(&row);
        let ns = 1_000_000_000 * flow;
        identities.push(Identity {
            start_ns: ns,
            end_ns: ns,
            source: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host as u32)),
            source_port: 1,
            destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
            destination_port: 2,
            protocol: 6,
        });
    }
    (rows, identities)
}

fn options() -> TrainOptions {
    TrainOptions {
        embedding: 12,
        encoder: 12,
        code: 2,
        decoder: 12,
        passes: 30,
        batch: 64,
        rate: 0.01,
        common: Common {
            seed: 5,
            ..Common::default()
        },
        ..TrainOptions::default()
    }
}

fn fit(rows: &Rows, identities: &[Identity], options: &TrainOptions) -> Trained {
    train(Flows { rows, identities }, options, &mut NoCallbacks).unwrap()
}

/// The values that a detector asks for.
fn values(model: &Autoencoder, rows: &Rows) -> Vec<f32> {
    let columns: Vec<usize> = model.columns().iter().map(|column| index(&column.name)).collect();
    let row = |row: &[f64]| -> Vec<f32> { columns.iter().map(|&column| row[column] as f32).collect() };
    rows.iter().flat_map(row).collect()
}

fn scores(model: &mut Autoencoder, rows: &Rows, sources: Option<&[u64]>) -> Vec<f32> {
    let mut scores = Vec::new();
    let values = values(model, rows);
    model
        .score_block(&values, rows.len(), sources, &mut scores)
        .unwrap();
    scores
}

#[test]
fn the_seed_decides_every_byte() {
    let (rows, _) = turns(600, 1, 1);
    let options = TrainOptions {
        passes: 3,
        ..options()
    };
    let (first, again) = (fit(&rows, &[], &options), fit(&rows, &[], &options));
    assert!(first.artifact == again.artifact && first.card == again.card);
    let mut other = options;
    other.common.seed += 1;
    assert!(fit(&rows, &[], &other).artifact != first.artifact);
}

/// Interrupts a training after so many steps, and keeps its last state.
struct Interruption {
    steps: usize,
    state: Option<Vec<u8>>,
}

impl Callbacks for Interruption {
    fn step(&mut self, done: u64, total: u64, figure: std::fmt::Arguments<'_>) {
        assert!(done <= total && figure.to_string().contains("loss"), "{figure}");
        self.steps = self.steps.saturating_sub(1);
    }

    fn interrupted(&self) -> bool {
        self.steps == 0
    }

    fn save_checkpoint(&mut self, state: &dyn Fn() -> Vec<u8>) {
        self.state = Some(state());
    }

    fn last_checkpoint(&mut self) -> Option<Vec<u8>> {
        self.state.clone()
    }
}

#[test]
fn an_interrupted_training_goes_on_to_the_same_model() {
    let (rows, identities) = turns(600, 3, 2);
    let flows = Flows {
        rows: &rows,
        identities: &identities,
    };
    let options = TrainOptions {
        passes: 6,
        ..options()
    };
    let whole = fit(&rows, &identities, &options);
    let mut callbacks = Interruption {
        steps: 30,
        state: None,
    };
    assert!(matches!(
        train(flows, &options, &mut callbacks),
        Err(TrainError::Interrupted)
    ));
    assert!(callbacks.state.is_some(), "some passes were done");
    callbacks.steps = usize::MAX;
    let resumed = train(flows, &options, &mut callbacks).unwrap();
    assert!(resumed.artifact == whole.artifact);
    // A state of another network, or none at all, is not taken.
    for state in [vec![1, 2, 3], callbacks.state.unwrap().split_off(9)] {
        let mut callbacks = Interruption {
            steps: usize::MAX,
            state: Some(state),
        };
        assert!(train(flows, &options, &mut callbacks).unwrap().artifact == whole.artifact);
    }
}

#[test]
fn what_came_before_counts_where_sources_are_known() {
    let (rows, identities) = turns(4_000, 5, 3);
    let options = TrainOptions {
        code: 1,
        passes: 40,
        ..options()
    };
    let mut model = Autoencoder::decode(&fit(&rows, &identities, &options).artifact).unwrap();
    let (test, _) = turns(400, 1, 4);
    let in_turn = scores(&mut model, &test, Some(&vec![7; test.len()]));
    // The same flows, but each question twice and then each answer twice: every second one comes out of turn.
    let mut doubled = Rows::new(&UNSW_NB15);
    for pair in 0..test.len() / 2 {
        for row in [2 * pair, 2 * pair + 1] {
            doubled.push(test.row(row));
            doubled.push(test.row(row));
        }
    }
    let out_of_turn = scores(&mut model, &doubled, Some(&vec![8; doubled.len()]));
    let mean = |scores: &[f32]| scores.iter().sum::<f32>() / scores.len() as f32;
    let (ordinary, odd) = (mean(&in_turn[8..]), mean(&out_of_turn[8..]));
    assert!(odd > 1.2 * ordinary, "{odd} out of turn, {ordinary} in turn");
    // Alone, each is a flow like any other.
    let alone = scores(&mut model, &test, None);
    assert!(mean(&alone) < odd, "{} alone, {odd} out of turn", mean(&alone));
}

#[test]
fn a_planted_anomaly_scores_high_and_is_explained() {
    let (rows, _) = turns(3_000, 1, 5);
    let trained = fit(&rows, &[], &options());
    let mut model = Autoencoder::decode(&trained.artifact).unwrap();
    for (column, odd) in [
        ("sbytes", 9e8),
        ("dur", 900.0),
        ("sttl", 3.0),
        ("dbytes", 4_000.0),
    ] {
        let mut row = rows.row(17).to_vec();
        row[index(column)] = odd;
        let mut planted = Rows::new(&UNSW_NB15);
        planted.push(&row);
        let score = scores(&mut model, &planted, None)[0];
        assert!(score > trained.card.threshold.unwrap(), "{column}: {score}");
        let explanation = model
            .explain_block(&values(&model, &planted), 1, None, 3)
            .unwrap();
        let first = explanation.entries()[0];
        assert_eq!(model.columns()[first.column].name, column);
    }
    assert_eq!(trained.card.rows, 2_400);
    assert_eq!(trained.detector, "lstm-autoencoder");
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let check = |change: fn(&mut TrainOptions), expected: &str| {
        let (rows, _) = turns(200, 1, 6);
        let mut options = options();
        change(&mut options);
        let flows = Flows {
            rows: &rows,
            identities: &[],
        };
        let message = train(flows, &options, &mut NoCallbacks).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|options| options.code = 0, "code must be 1 to 256");
    check(|options| options.decoder = 300, "decoder");
    check(|options| options.passes = 0, "passes");
    check(|options| options.patience = 0, "patience");
    check(|options| options.batch = 1, "batch");
    check(|options| options.rate = f32::NAN, "rate");
    check(|options| options.steps = 0.0, "steps");
    check(
        |options| options.common.exclude = vec!["ttl".to_owned()],
        "no column ttl",
    );
}

/// Compares scores of windows with those of onnxruntime; says the largest relative difference.
#[track_caller]
fn agrees(artifact: &[u8], rows: &Rows, sources: Option<&[u64]>) {
    let mut model = Autoencoder::decode(artifact).unwrap();
    let found = scores(&mut model, rows, sources);
    let width = model.columns().len();
    let values = values(&model, rows);
    let mut histories: HashMap<u64, Vec<&[f32]>> = HashMap::new();
    let (mut windows, mut lengths) = (Vec::new(), Vec::new());
    for (number, row) in (0..).zip(values.chunks_exact(width)) {
        // A row of nobody is a source of its own.
        let source = sources.map_or(number, |sources| sources[number as usize]);
        let history = histories.entry(source).or_default();
        history.push(row);
        let window = &history[history.len().saturating_sub(WINDOW)..];
        windows.extend(window.iter().copied().flatten());
        windows.resize(windows.len() + (WINDOW - window.len()) * width, &0.0);
        lengths.push(window.len());
    }
    let model: String = artifact.iter().map(|byte| format!("{byte:02x}")).collect();
    let given = json!({ "model": model, "windows": windows, "lengths": lengths, "steps": WINDOW });
    let Some(expected) = python(RUN, &given) else {
        return;
    };
    let expected: Vec<f64> = serde_json::from_value(expected).unwrap();
    assert_eq!(expected.len(), found.len());
    let differences = expected.iter().zip(&found);
    let relative = differences.map(|(expected, found)| (f64::from(*found) - expected).abs() / expected);
    let largest = relative.fold(0.0, f64::max);
    println!("{} rows, largest relative difference {largest:.2e}", found.len());
    assert!(largest <= 1e-5, "{largest:e}");
}

#[test]
fn scores_agree_with_onnxruntime() {
    let (rows, identities) = turns(2_000, 4, 7);
    let trained = fit(
        &rows,
        &identities,
        &TrainOptions {
            passes: 4,
            ..options()
        },
    );
    let (test, _) = turns(1_000, 4, 8);
    let sources: Vec<u64> = (0..test.len() as u64).map(|row| row % 23).collect();
    agrees(&trained.artifact, &test, Some(&sources));
    agrees(&trained.artifact, &test, None);
}

#[test]
fn the_bundled_model_agrees_with_onnxruntime_on_real_flows() {
    let Some((_, (test, _))) = crate::unsw_nb15::labelled() else {
        return;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/lstm-autoencoder-unsw-nb15.artifact");
    let artifact = std::fs::read(path).unwrap();
    assert!(
        Model::decode(&artifact).unwrap().encode() == artifact,
        "it is as training writes it"
    );
    let mut rows = Rows::new(&UNSW_NB15);
    (0..5_000).for_each(|row| rows.push(test.row(8 * row)));
    // Windows of every length, and rows of nobody.
    let sources: Vec<u64> = (0..rows.len() as u64).map(|row| row % 301).collect();
    agrees(&artifact, &rows, Some(&sources));
    agrees(&artifact, &rows, None);
}
