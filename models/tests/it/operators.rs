//! Every operator that networks may have computes what onnxruntime computes, and so do models of scikit-learn.

use netsage_models::onnx::Model;
use netsage_onnx::Program;
use serde::Deserialize;

use crate::peers;

#[derive(Deserialize)]
struct Given {
    rows: Vec<f32>,
    width: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    output: Option<String>,
    expected: Vec<Option<f64>>,
}

/// What is said when a case is wrong.
fn check(case: &Case, rows: &[f32], width: usize) -> Result<(), String> {
    let hex = &case.model;
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|place| u8::from_str_radix(&hex[2 * place..][..2], 16).unwrap())
        .collect();
    let model = Model::decode(&bytes).map_err(|error| error.to_string())?;
    let mut program = Program::new(&model, width, case.output.as_deref())?;
    let found = program.run(rows, rows.len() / width)?;
    if found.len() != case.expected.len() {
        return Err(format!(
            "{} values instead of {}",
            found.len(),
            case.expected.len()
        ));
    }
    for (place, (&found, expected)) in found.iter().zip(&case.expected).enumerate() {
        // JSON has no other numbers than finite ones.
        let expected = expected.unwrap_or(f64::NAN);
        let found = f64::from(found);
        let close = (found - expected).abs() <= 1e-5 * expected.abs() + 1e-6;
        if !close && found.is_finite() {
            return Err(format!("value {place} is {found} instead of {expected}"));
        }
    }
    Ok(())
}

#[test]
fn every_operator_agrees_with_onnxruntime() {
    let Some(given) = peers::python(include_str!("operators.py"), &serde_json::Value::Null) else {
        return;
    };
    let given: Given = serde_json::from_value(given).unwrap();
    let wrong: Vec<String> = given
        .cases
        .iter()
        .filter_map(|case| {
            let error = check(case, &given.rows, given.width).err()?;
            Some(format!("{}: {error}", case.name))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        given.cases.len(),
        wrong.join("\n")
    );
    println!("{} graphs agree", given.cases.len());
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
