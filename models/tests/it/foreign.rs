//! A network of scikit-learn, exported by skl2onnx and packed by the steps of docs/detectors/onnx.md, scores as it does
//! under onnxruntime.

use netsage_models::foreign::{ForeignError, Output, Scaler, calibrate, model};
use netsage_models::onnx::{Dim, GraphBuilder};
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
    check(&["dur"], None, "makes 1 numbers of 2");
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
        text.contains("the operator Scan of the node Scan_0 is not known; known are Abs, Add"),
        "{text}"
    );
    assert!(matches!(error, ForeignError::Model(_)));
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
