//! Networks that were trained elsewhere become packages.

use std::path::{Path, PathBuf};

use netsage_models::onnx::proto::{ModelProto, StringStringEntryProto};
use netsage_models::onnx::{Dim, GraphBuilder};
use prost::Message as _;
use serde_json::Value;

use super::support::{Home, packages_built, stderr, stdout};

/// A network that adds up what it is given, of two columns.
fn sum(home: &Home) -> PathBuf {
    let mut graph = GraphBuilder::new("sum");
    let value = graph.input("in", &[Dim::Symbol("rows"), Dim::Fixed(2)]);
    let weights = graph.floats("w", &[2, 1], &[1.0, 1.0]);
    let sum = graph.matmul(&value, &weights);
    graph.output("out", &sum, &[Dim::Symbol("rows"), Dim::Fixed(1)]);
    home.file("sum.onnx", &graph.encode())
}

fn pack(home: &Home, more: &[&str]) -> std::process::Output {
    let network = sum(home);
    let mut arguments = vec!["detector", "pack", "--onnx", network.to_str().unwrap()];
    arguments.extend(["--score", "--out", "sum.wasm"]);
    arguments.extend(more);
    home.run(&arguments)
}

/// The lines of `netsage score`.
fn scores(home: &Home, file: &Path, package: &str) -> Vec<Value> {
    let output = home.run(&[
        "score",
        file.to_str().unwrap(),
        "--detector",
        package,
        "--format",
        "jsonl",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_network_with_calibration_has_a_card_and_scores() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(2_000);
    let scaler = home.file("scaler.json", br#"{"mean_": [0, 0], "scale_": [1, 2]}"#);
    let capture = capture.to_str().unwrap();
    let output = pack(
        &home,
        &[
            "--columns",
            "spkts,dpkts",
            "--scaler",
            scaler.to_str().unwrap(),
            "--calibrate",
            capture,
            "--name",
            "packets",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));

    let inspected = home.run(&["detector", "inspect", "sum.wasm", "--json"]);
    let card: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    let card = &card["card"];
    assert_eq!(card["name"], "packets", "{card}");
    assert_eq!(card["detector"], "onnx");
    assert!(
        card["threshold"].as_f64().unwrap() > 0.0 && card["baseline"].is_object(),
        "{card}"
    );
    assert!(
        card["notes"][0]
            .as_str()
            .unwrap()
            .contains("sum.onnx was trained elsewhere")
    );

    let flows = home.run(&["flows", capture]);
    let rows = home.file("rows.csv", &flows.stdout);
    let table = stdout(&flows);
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (sent, received) = (place("spkts"), place("dpkts"));
    let mut count = 0;
    for (line, scored) in lines.zip(scores(&home, &rows, "sum.wasm")) {
        let cells: Vec<&str> = line.split(',').collect();
        let value = |place: usize| cells[place].parse::<f64>().unwrap();
        assert_eq!(
            scored["packets"].as_f64().unwrap(),
            value(sent) + value(received) / 2.0,
            "{line}"
        );
        count += 1;
    }
    assert!(count >= 2_000, "{count}");
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let check = |more: &[&str], part: &str| {
        let output = pack(&home, more);
        let said = stderr(&output);
        assert!(said.contains(part), "{said} does not say {part}");
        output.status.success()
    };
    assert!(check(&["--columns", "dur,sbytes"], "no threshold"));
    assert!(check(
        &["--columns", "dur,sbytes"],
        "`--calibrate FILE` measures one"
    ));
    let inspected = home.run(&["detector", "inspect", "sum.wasm", "--json"]);
    let info: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    assert_eq!(info["card"]["schema"], "unsw-nb15@1", "{info}");
    assert!(
        info["card"]["threshold"].is_null() && info["threshold"].is_null(),
        "{info}"
    );
    assert!(!check(&[], "--columns"));
    assert!(!check(&["--columns", "dur"], "reads 2 numbers of a row"));
    assert!(!check(&["--columns", "dur,packets"], "no column packets"));
    let scaler = home.file("scaler.json", b"{}");
    let scaler = scaler.to_str().unwrap();
    assert!(!check(
        &["--columns", "dur,sbytes", "--scaler", scaler],
        "is no scaler"
    ));
    let few = home.file("few.csv", b"dur\n1\n");
    let few = few.to_str().unwrap();
    assert!(!check(
        &["--columns", "dur,sbytes", "--calibrate", few],
        "few.csv"
    ));
}

#[test]
fn what_is_no_network_is_named() {
    let home = Home::new();
    let check = |content: &[u8], parts: &[&str]| {
        let file = home.file("network.onnx", content);
        let output = home.run(&[
            "detector",
            "pack",
            "--onnx",
            file.to_str().unwrap(),
            "--columns",
            "dur,sbytes",
            "--score",
            "--out",
            "none.wasm",
        ]);
        let said = stderr(&output);
        assert!(!output.status.success(), "{said}");
        for part in parts {
            assert!(said.contains(part), "{said} does not say {part}");
        }
    };
    check(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        &["network.onnx", "a Git LFS pointer", "git lfs pull"],
    );
    check(
        b"<!doctype html><title>Not found</title>",
        &["a web page", "download the raw file"],
    );
    check(b"dur,sbytes\n", &["this is no ONNX model"]);
}

#[test]
fn weights_in_a_file_beside_are_packed_along() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let network = |location: &str| {
        let bytes = std::fs::read(sum(&home)).unwrap();
        let mut model = ModelProto::decode(bytes.as_slice()).unwrap();
        let weights = &mut model.graph.as_mut().unwrap().initializer[0];
        weights.data_location = Some(1);
        let entries = [("location", location), ("offset", "4"), ("length", "8")];
        weights.external_data = entries
            .map(|(key, value)| StringStringEntryProto {
                key: Some(key.to_owned()),
                value: Some(value.to_owned()),
            })
            .to_vec();
        home.file(
            "weights.bin",
            &[[0; 4], 1f32.to_le_bytes(), 1f32.to_le_bytes()].concat(),
        );
        weights.raw_data = None;
        home.file("beside.onnx", &model.encode_to_vec())
    };
    let pack_beside = |file: &Path| {
        let network = ["detector", "pack", "--onnx", file.to_str().unwrap()];
        let rest = ["--columns", "spkts,dpkts", "--score", "--out", "beside.wasm"];
        home.run(&[network.as_slice(), &rest].concat())
    };
    let output = pack_beside(&network("weights.bin"));
    assert!(output.status.success(), "{}", stderr(&output));
    let within = pack(&home, &["--columns", "spkts,dpkts"]);
    assert!(within.status.success(), "{}", stderr(&within));
    let flows = home.run(&["flows", home.capture(200).to_str().unwrap()]);
    let rows = home.file("rows.csv", &flows.stdout);
    let [found, expected] = ["beside.wasm", "sum.wasm"].map(|package| scores(&home, &rows, package));
    assert!(found.len() >= 200 && found == expected, "{found:?}");
    for (location, part) in [
        ("weights.gone", "copy that file beside the network"),
        ("../weights.bin", "which is not in the folder of the network"),
        ("/etc/hostname", "which is not in the folder of the network"),
    ] {
        let said = stderr(&pack_beside(&network(location)));
        assert!(said.contains("tensor w") && said.contains(part), "{said}");
    }
}
