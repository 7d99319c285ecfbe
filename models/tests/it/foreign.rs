//! A network of scikit-learn, exported by skl2onnx and packed by the steps of docs/detectors/onnx.md, scores as it does
//! under onnxruntime.

use netsage_models::foreign::{ForeignError, Output, Scaler, another_kind, calibrate, model};
use netsage_models::onnx::{Dim, GraphBuilder, Model as OnnxModel};
use netsage_models::{Common, Flows};
use netsage_onnx::Scorer;
use netsage_schema::{FLOW_V1, Rows, UNSW_NB15};

use crate::peers;

const COLUMNS: [&str; 4] = ["dur:log", "sbytes:log", "ct_srv_src", "proto=tcp|udp"];

/// The steps of the page, then the scores by onnxruntime.
const SCRIPT: &str = "
import json, sys, numpy, onnxruntime
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from skl2onnx import to_onnx
rows = numpy.array(json.load(sys.stdin))
tcp, udp = rows[:, 3] == 1, rows[:, 3] == 2
encoded = numpy.column_stack([numpy.log1p(rows[:, 0]), numpy.log1p(rows[:, 1]), rows[:, 2], tcp, udp])
scaler = StandardScaler().fit(encoded)
scaled = scaler.transform(encoded).astype(numpy.float32)
network = MLPRegressor(hidden_layer_sizes=(8, 2, 8), max_iter=30, random_state=1).fit(scaled, scaled)
onnx = to_onnx(network, scaled[:1]).SerializeToString()
session = onnxruntime.InferenceSession(onnx, providers=['CPUExecutionProvider'])
# skl2onnx gives several outputs in one column.
back = session.run(None, {session.get_inputs()[0].name: scaled})[0].reshape(scaled.shape)
errors = (scaled.astype(float) - back.astype(float)) ** 2
# The numbers of a nominal column each have the weight of the column, as in the artifact.
scores = numpy.sqrt(errors.sum(axis=1) / 4)
json.dump({'onnx': onnx.hex(), 'scaler': {'mean': scaler.mean_.tolist(), 'scale': scaler.scale_.tolist()},
           'scores': scores.tolist()}, sys.stdout)
";

#[test]
fn a_network_of_scikit_learn_scores_as_under_onnxruntime() {
    let proto = UNSW_NB15.columns[UNSW_NB15.index_of("proto").unwrap()]
        .vocabulary()
        .unwrap();
    let code = |kind: usize| f32::from(proto.code_of(["icmp", "tcp", "udp"][kind]).unwrap());
    let row = |index: usize| {
        let noise = |factor: usize| (index * factor % 101) as f32;
        [
            noise(7) / 8.0,
            noise(31) * noise(17),
            noise(3),
            (index % 3) as f32,
        ]
    };
    let rows: Vec<[f32; 4]> = (0..500).map(row).collect();
    let Some(made) = peers::python(SCRIPT, &serde_json::json!(rows)) else {
        return;
    };
    let hex = made["onnx"].as_str().unwrap();
    let bytes = (0..hex.len() / 2).map(|place| u8::from_str_radix(&hex[2 * place..][..2], 16).unwrap());
    let scaler: Scaler = serde_json::from_value(made["scaler"].clone()).unwrap();
    let columns = COLUMNS.map(str::to_owned);
    let model = model(
        bytes.collect(),
        &UNSW_NB15,
        &columns,
        Some(&scaler),
        Output::Reconstruction,
        None,
    )
    .unwrap();
    let mut scorer = Scorer::decode(&model.encode()).unwrap();
    let values: Vec<f32> = rows
        .iter()
        .flat_map(|&[dur, bytes, count, kind]| [dur, bytes, count, code(kind as usize)])
        .collect();
    let mut scores = Vec::new();
    scorer.score_block(&values, rows.len(), &mut scores).unwrap();
    let expected: Vec<f64> = serde_json::from_value(made["scores"].clone()).unwrap();
    for (found, expected) in scores.iter().zip(expected) {
        let difference = (f64::from(*found) - expected).abs() / expected;
        assert!(
            difference <= 1e-5,
            "{found} and {expected} differ by {difference:e}"
        );
    }
}

#[track_caller]
fn check(columns: &[&str], scaler: Option<&str>, part: &str) {
    let mut graph = GraphBuilder::new("sum");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(2)]);
    let weights = graph.floats("w", &[2, 1], &[1.0, 2.0]);
    let sum = graph.matmul(&value, &weights);
    graph.output("out", &sum, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let scaler: Option<Scaler> = scaler.map(|text| serde_json::from_str(text).unwrap());
    let output = Output::Score { negate: false };
    match model(
        graph.encode(),
        &UNSW_NB15,
        &columns,
        scaler.as_ref(),
        output,
        None,
    ) {
        Ok(_) => assert_eq!(part, ""),
        Err(error) => assert!(error.to_string().contains(part), "{error} does not say {part}"),
    }
}

#[test]
fn what_does_not_fit_is_named() {
    check(&["dur", "sbytes:log"], None, "");
    check(&["proto=tcp|udp"], Some(r#"{"min": [0, 0], "max": [1, 1]}"#), "");
    check(
        &["dur", "service"],
        Some(r#"{"mean_": [1, 2], "scale_": [2, 3]}"#),
        "",
    );
    check(
        &["dur"],
        None,
        "reads 2 numbers of a row, and the columns become 1",
    );
    check(&["dur", "nothing"], None, "no column nothing");
    check(&["dur", "proto=carrier-pigeon"], None, "no term carrier-pigeon");
    check(&["dur=tcp", "sbytes"], None, "dur has no terms");
    check(
        &["dur", "sbytes"],
        Some(r#"{"mean": [1], "scale": [1]}"#),
        "1 numbers of mean",
    );
    check(
        &["dur", "sbytes"],
        Some(r#"{"mean": [1, 1], "scale": [1, 0]}"#),
        "sbytes cannot be encoded",
    );
}

#[test]
fn an_operator_that_is_not_known_is_named() {
    let mut graph = GraphBuilder::new("scan");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(2)]);
    let made = graph.node("Scan", &[value.name()], Vec::new());
    graph.output("out", &made, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let columns = ["dur", "sbytes"].map(str::to_owned);
    let output = Output::Score { negate: false };
    let error = model(graph.encode(), &UNSW_NB15, &columns, None, output, None).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with(
            "the operator Scan of the node Scan_0 is not known; export the model without control flow"
        ),
        "{text}"
    );
    assert!(matches!(error, ForeignError::Model(_)));
}

#[test]
fn a_network_of_whole_numbers_gets_no_fractions() {
    let mut graph = GraphBuilder::new("whole");
    let value = graph.integer_input("in", &[Dim::Symbol("rows"), Dim::Fixed(2)]);
    let three = graph.integers("three", &[], &[3]);
    let rest = graph.node("Mod", &[value.name(), three.name()], Vec::new());
    let like = graph.floats("like", &[], &[0.0]);
    let numbers = graph.node("CastLike", &[rest.name(), like.name()], Vec::new());
    let sum = graph.reduce_sum(&numbers, &[1], true);
    graph.output("out", &sum, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let bytes = graph.encode();
    let packed = |columns: &[&str], scaler: Option<&Scaler>| {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let output = Output::Score { negate: false };
        model(bytes.clone(), &UNSW_NB15, &columns, scaler, output, None).map_err(|error| error.to_string())
    };
    let mut scorer = Scorer::new(&packed(&["sbytes", "proto"], None).unwrap()).unwrap();
    let mut scores = Vec::new();
    scorer.score_block(&[5.0, 1.0, 6.0, 2.0], 2, &mut scores).unwrap();
    assert_eq!(scores, [3.0, 2.0]);
    let fractions = scorer.score_block(&[5.5, 1.0], 1, &mut scores).unwrap_err();
    assert!(
        fractions.to_string().contains("5.5 for an input of the type int"),
        "{fractions}"
    );
    let halves = Scaler::Standard {
        mean: vec![0.0, 0.5],
        scale: vec![1.0, 1.0],
    };
    for (columns, scaler, column) in [
        (["dur", "sbytes"], None, "dur"),
        (["sbytes:log", "proto"], None, "sbytes"),
        (["sbytes", "proto"], Some(&halves), "proto"),
    ] {
        let said = packed(&columns, scaler).unwrap_err();
        let part = format!(
            "the input in of the network is int32, and the column {column} becomes fractions; export"
        );
        assert!(said.contains(&part), "{said}");
    }
}

#[test]
fn what_is_taken_for_a_network_is_named() {
    for (bytes, part) in [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00".as_slice(),
            "a Git LFS pointer",
        ),
        (b"\n\n<!DOCTYPE html>\n<html lang=\"en\">", "a web page"),
        (b"\xef\xbb\xbf<HTML>", "a web page"),
        (b"PK\x03\x04network.pt", "a zip archive"),
        (b"\x80\x04\x95", "a pickle"),
        (b"\x89HDF\r\n", "Keras"),
        (b"\x1c\0\0\0ORTM", "onnxruntime"),
    ] {
        let said = another_kind(bytes).unwrap_or_default();
        assert!(said.contains(part), "{said} does not say {part}");
    }
    assert_eq!(another_kind(&GraphBuilder::new("a network").encode()), None);
    assert_eq!(another_kind(b""), None);
}

/// The handed cases are no part of the project; where they are, each is what it is.
#[test]
fn handed_networks_are_refused_or_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cases/onnx");
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let columns = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
    let score = Output::Score { negate: false };
    let Some(pointer) = read("d_Makayacine_xgb_lfs_pointer.onnx") else {
        println!("skipped: there is no {}", folder.display());
        return;
    };
    assert!(another_kind(&pointer).unwrap().contains("a Git LFS pointer"));
    for (name, part) in [
        (
            "d05_dropout_in_training.onnx",
            Some("it is in training mode; export the model in evaluation mode"),
        ),
        (
            "d02_int64_input.onnx",
            Some("becomes fractions; export the network with an input of float32"),
        ),
        ("d06_float16_weights.onnx", None),
    ] {
        let bytes = read(name).unwrap();
        let width = OnnxModel::decode(&bytes).unwrap().graph.inputs[0]
            .shape
            .clone()
            .unwrap()[1]
            .unwrap();
        let names = [
            "dur", "sbytes", "dbytes", "spkts", "dpkts", "sload", "dload", "smean",
        ];
        let made = [score, Output::Reconstruction].map(|output| {
            let made = model(
                bytes.clone(),
                &UNSW_NB15,
                &columns(&names[..width]),
                None,
                output,
                None,
            );
            made.map_err(|error| error.to_string())
        });
        match part {
            Some(part) => made.iter().for_each(|made| {
                let said = made.as_ref().unwrap_err();
                assert!(said.contains(part), "{name}: {said}");
            }),
            None => assert!(made.iter().any(Result::is_ok), "{name}: {made:?}"),
        }
    }
}

/// A network of one number: `dur + 2 * sbytes`.
fn sum(schema: &'static netsage_schema::Schema) -> netsage_onnx::Model {
    let mut graph = GraphBuilder::new("sum");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(2)]);
    let weights = graph.floats("w", &[2, 1], &[1.0, 2.0]);
    let sum = graph.matmul(&value, &weights);
    graph.output("out", &sum, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    let columns = [schema.columns[0].name, schema.columns[1].name].map(str::to_owned);
    model(
        graph.encode(),
        schema,
        &columns,
        None,
        Output::Score { negate: false },
        None,
    )
    .unwrap()
}

fn flows(count: usize) -> Rows {
    let mut rows = Rows::new(&UNSW_NB15);
    for index in 0..count {
        let mut row = vec![0.0; UNSW_NB15.width()];
        (row[0], row[1]) = (index as f64, (index % 2) as f64);
        rows.push(&row);
    }
    rows
}

#[test]
fn ordinary_flows_make_the_card() {
    let rows = flows(201);
    let given = Flows {
        rows: &rows,
        identities: &[],
    };
    let common = Common {
        threshold_quantile: 0.9,
        name: Some("sum".to_owned()),
        ..Common::default()
    };
    let made = calibrate(sum(&UNSW_NB15), given, &common).unwrap();
    let (card, model) = (&made.card, netsage_onnx::Model::decode(&made.artifact).unwrap());
    // The scores are 0, 3, 2, 5, 4, ...: all whole numbers to 201 but 1.
    assert_eq!(card.threshold, Some(181.0));
    assert!(
        card.threshold_rule.contains("201 ordinary rows"),
        "{}",
        card.threshold_rule
    );
    assert_eq!(
        (card.calibration[0], card.calibration[50], card.calibration[100]),
        (0.0, 101.0, 201.0)
    );
    assert_eq!((card.rows, card.detector.as_deref()), (201, Some("onnx")));
    assert_eq!(card.name.as_deref(), Some("sum"));
    assert!(card.reference.is_some() && card.figures.is_empty());
    assert_eq!(model.columns[0].typical, 100.0);
    assert_eq!(model.columns[1].range, [0.0, 1.0]);
}

#[test]
fn flows_that_make_no_card_are_named() {
    let check = |model, rows: &Rows, part: &str| {
        let given = Flows {
            rows,
            identities: &[],
        };
        let error = calibrate(model, given, &Common::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error} does not say {part}");
    };
    check(sum(&UNSW_NB15), &flows(99), "99 rows are too few");
    check(sum(&FLOW_V1), &flows(200), "the network reads flow-v1@");
}
