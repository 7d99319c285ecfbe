//! Every operator that networks may have computes what onnxruntime computes: in graphs made for it, in random models, and
//! in models of scikit-learn.

use std::path::Path;

use netsage_models::onnx::Model;
use netsage_onnx::Program;
use serde::Deserialize;
use serde_json::json;

use crate::peers;

#[derive(Deserialize)]
struct Given {
    cases: Vec<Case>,
    #[serde(default)]
    operators: Vec<String>,
}

/// A model and what onnxruntime makes of some rows. Bytes are in hexadecimal digits, numbers are `f32`, little-endian: JSON
/// knows no infinities.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    output: Option<String>,
    rows: String,
    width: usize,
    expected: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|place| u8::from_str_radix(&hex[2 * place..][..2], 16).unwrap())
        .collect()
}

fn numbers(hex: &str) -> Vec<f32> {
    let bytes = bytes(hex);
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&number| f32::from_le_bytes(number)).collect()
}

/// What is said when a case is wrong: a value that differs by more than `relative`, or by more than a tenth of that near 0.
fn check(case: &Case, relative: f64) -> Result<(), String> {
    let model = Model::decode(&bytes(&case.model)).map_err(|error| error.to_string())?;
    let mut program = Program::new(&model, case.width, case.output.as_deref())?;
    let rows = numbers(&case.rows);
    let found = program.run(&rows, rows.len() / case.width)?;
    let expected = numbers(&case.expected);
    if found.len() != expected.len() {
        return Err(format!("{} values instead of {}", found.len(), expected.len()));
    }
    for (place, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (f64::from(found) - f64::from(expected)).abs();
        let is_close = difference <= relative * (f64::from(expected.abs()) + 0.1);
        let is_same = found == expected || (found.is_nan() && expected.is_nan());
        if !is_close && !is_same {
            return Err(format!("value {place} is {found} instead of {expected}"));
        }
    }
    Ok(())
}

/// Checks all cases; those that are wrong are written into files, to be looked at with any tool.
fn check_all(cases: &[Case], relative: f64) {
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(error) = check(case, relative) {
            let name = format!("differs-{}.onnx", wrong.len());
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            std::fs::write(&path, bytes(&case.model)).unwrap();
            wrong.push(format!("{}: {error}; the model is {}", case.name, path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    println!("{} graphs agree", cases.len());
}

#[test]
fn every_operator_agrees_with_onnxruntime() {
    let Some(given) = peers::python(include_str!("operators.py"), &serde_json::Value::Null) else {
        return;
    };
    let given: Given = serde_json::from_value(given).unwrap();
    check_all(&given.cases, 1e-5);
    // Every operator is in a graph, so that none is known that was never compared.
    let names: Vec<&str> = given.cases.iter().map(|case| case.name.as_str()).collect();
    let all = names.join(" ");
    let own = netsage_onnx::operators();
    let (own, _) = own.split_once(';').unwrap();
    let never: Vec<&str> = own
        .split(", ")
        .filter(|name| !all.contains(&format!("{name}(")) && !all.contains(&format!("{name}<")))
        .collect();
    assert_eq!(never, [""; 0], "never compared");
}

/// How many models, and from which seed on; `cargo xtask test --long` asks for 10,000 and another seed each time.
fn asked(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

#[test]
fn random_models_agree_with_onnxruntime() {
    let (count, seed) = (asked("NETSAGE_ONNX_MODELS", 300), asked("NETSAGE_ONNX_SEED", 14));
    // To make one again: `NETSAGE_ONNX_FIRST` is its number, `NETSAGE_ONNX_MODELS` is 1.
    let first = asked("NETSAGE_ONNX_FIRST", 0);
    println!("{count} models from seed {seed}, the first is {first}");
    let input = json!({"seed": seed, "first": first, "count": count});
    let Some(given) = peers::python(include_str!("random_models.py"), &input) else {
        return;
    };
    let given: Given = serde_json::from_value(given).unwrap();
    check_all(&given.cases, 1e-4);
    // No operator is claimed that no random model has.
    let known = netsage_onnx::operators();
    let mut known: Vec<&str> = known.split([',', ';', ':']).map(str::trim).collect();
    known.retain(|name| *name != "of ai.onnx.ml");
    known.sort_unstable();
    assert_eq!(known, given.operators);
}
