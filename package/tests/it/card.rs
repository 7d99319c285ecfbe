//! What a model card must hold.

use netsage_package::{CardError, ModelCard};
use netsage_schema::{FLOW_V1, Schema, UNSW_NB15};
use serde_json::{Value, json};

/// A card with everything in it.
fn card() -> Value {
    json!({
        "format": 1,
        "name": "forest-dmz",
        "detector": "iforest",
        "schema": "unsw-nb15@1",
        "data": "Made for tests.",
        "rows": 1000,
        "columns": ["dur", "proto", "sbytes"],
        "training": {"method": "iforest"},
        "seed": 1,
        "date": "2024-02-29",
        "threshold": 99.5,
        "threshold_rule": "the 0.995 quantile",
        "calibration": (0..=100).collect::<Vec<u8>>(),
        "tail": {"rows": 1000, "points": [{"share": 0.005, "score": 99.5}], "scale": 0.5, "shape": 0.1},
        "baseline": {
            "rows": 1000,
            "flows_per_day": 24000.0,
            "columns": [
                {"column": "dur", "edges": [0.5, 1.0], "shares": [0.5, 0.5, 0.0]},
                {"column": "proto", "terms": ["tcp", "udp"], "shares": [0.75, 0.25, 0.0]},
            ],
        },
        "figures": {"auroc": 0.9},
        "notes": ["Trust nothing."],
    })
}

fn read(card: &Value) -> Result<ModelCard, CardError> {
    ModelCard::from_json(card.to_string().as_bytes())
}

/// What becomes of the card when the value at a place of it is another; `Null` takes the field away.
fn changed(place: &str, value: &Value) -> Result<ModelCard, CardError> {
    let mut card = card();
    let (parent, field) = place.rsplit_once('/').unwrap();
    match card.pointer_mut(parent).unwrap() {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
        parent => match parent.get_mut(field) {
            Some(found) => *found = value.clone(),
            None => match (parent, field.parse::<usize>()) {
                (Value::Array(entries), Ok(index)) => entries[index] = value.clone(),
                (parent, _) => parent[field] = value.clone(),
            },
        },
    }
    let card = read(&card)?;
    card.check(&UNSW_NB15)?;
    Ok(card)
}

#[track_caller]
fn refused(place: &str, value: &Value, expected: &str) {
    let message = changed(place, value).expect_err(place).to_string();
    assert!(
        message.contains(expected),
        "{place} = {value}: {message:?} does not say {expected:?}"
    );
    assert!(
        message.starts_with("the model card") && message.contains("; "),
        "{message}"
    );
}

#[track_caller]
fn taken(place: &str, value: &Value) {
    if let Err(error) = changed(place, value) {
        panic!("{place} = {value}: {error}");
    }
}

#[test]
fn what_is_written_is_read() {
    let read = read(&card()).unwrap();
    assert_eq!(
        ModelCard::from_json(read.to_json().unwrap().as_bytes()),
        Ok(read.clone())
    );
    assert_eq!(read.check(&UNSW_NB15), Ok(()));
}

#[test]
fn what_is_no_card_of_this_format() {
    let check = |text: &str, expected: &str| {
        let message = ModelCard::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(
            message.contains(expected),
            "{message:?} does not say {expected:?}"
        );
    };
    check("", "cannot be read: EOF");
    check("nonsense", "cannot be read");
    check("[]", "cannot be read");
    check("{}", "missing field `format`");
    check(r#"{"format":1}"#, "missing field `schema`");
    check(
        r#"{"format":2,"colour":"red"}"#,
        "is of format 2, and this program reads format 1",
    );
    check(&card().to_string().replace("99.5", "NaN"), "cannot be read");
    check(
        &card()
            .to_string()
            .replacen("\"rows\":1000", "\"rows\":1000,\"rows\":1000", 1),
        "duplicate field `rows`",
    );
}

#[test]
fn fields_that_are_absent_unknown_or_of_another_kind() {
    refused("/rows", &json!(-1), "invalid value: integer `-1`");
    refused("/rows", &json!(1.5), "invalid type");
    refused("/seed", &json!(-1), "invalid value");
    refused("/tail/rows", &json!(-1), "invalid value");
    refused("/baseline/rows", &Value::Null, "missing field `rows`");
    refused("/figures/auroc", &json!("high"), "invalid type");
    refused("/colour", &json!("red"), "unknown field `colour`");
    refused("/tail/colour", &json!("red"), "unknown field `colour`");
    refused(
        "/baseline/columns/0/colour",
        &json!("red"),
        "unknown field `colour`",
    );
    for field in [
        "schema",
        "data",
        "rows",
        "columns",
        "seed",
        "date",
        "calibration",
        "figures",
        "notes",
    ] {
        refused(
            &format!("/{field}"),
            &Value::Null,
            &format!("missing field `{field}`"),
        );
    }
    for field in ["name", "detector", "training", "threshold", "tail", "baseline"] {
        taken(&format!("/{field}"), &Value::Null);
    }
}

#[test]
fn schemas() {
    for unknown in [
        "",
        "nope@9",
        "unsw-nb15",
        "unsw-nb15@",
        "unsw-nb15@2",
        "unsw-nb15@01",
        "UNSW-NB15@1",
        "unsw-nb15@1 ",
    ] {
        refused(
            "/schema",
            &json!(unknown),
            &format!("{unknown:?}, and this program knows unsw-nb15@1, flow-v1@1, record-v1@1"),
        );
    }
    refused(
        "/schema",
        &json!("flow-v1@1"),
        "\"flow-v1@1\", and unsw-nb15@1 runs here",
    );
    let card = read(&card()).unwrap();
    assert_eq!(card.known_schema(), Ok(&UNSW_NB15));
    assert!(matches!(card.check(&FLOW_V1), Err(CardError::OtherSchema { .. })));
}

#[test]
fn names_and_texts() {
    for bad in ["", "../etc", "Forest", "a b", &"x".repeat(65)] {
        refused("/name", &json!(bad), "`name` is not 1 to 64 of a-z, 0-9 and -");
        refused("/detector", &json!(bad), "`detector` is not");
    }
    refused("/data", &json!("\u{1b}[2J"), "`data` holds control characters");
    refused("/threshold_rule", &json!("a\nb"), "`threshold_rule` holds");
    refused("/notes/0", &json!("\r"), "`notes` holds");
    refused("/figures/\u{7}", &json!(1.0), "`figures` holds");
    taken("/data", &json!("Ünïcode, 日本"));
}

#[test]
fn days() {
    for bad in [
        "",
        "2026",
        "2026-02-30",
        "2023-02-29",
        "2100-01-01",
        "1999-12-31",
        "2026-13-01",
        "2026-00-10",
        "2026-01-00",
    ] {
        refused("/date", &json!(bad), "`date` is");
    }
    for bad in [
        "2026-1-1",
        "26-01-01",
        "+026-01-01",
        "2026-01-011",
        "2026/01/01",
        " 2026-01-1",
        "2026-01-01T00:00:00Z",
    ] {
        refused("/date", &json!(bad), "which is no day");
    }
    for good in ["2000-02-29", "2024-02-29", "2026-12-31", "2099-01-01"] {
        taken("/date", &json!(good));
    }
}

#[test]
fn columns() {
    refused("/columns", &json!([]), "names 0 columns instead of 1 to 256");
    refused("/columns", &json!(vec!["dur"; 257]), "names 257 columns");
    refused(
        "/columns",
        &json!(["dur", "colour"]),
        "names \"colour\", which the schema unsw-nb15@1 does not have",
    );
    refused("/columns", &json!(["dur", "proto", "dur"]), "names \"dur\" twice");
    refused(
        "/columns",
        &json!(["dur", "sbytes"]),
        "`baseline` has \"proto\", which `columns` does not have",
    );

    let card = read(&card()).unwrap();
    let check = |component: &str, columns: &[&str], expected: Option<&str>| {
        let outcome = card
            .check_detector(component, columns)
            .map_err(|error| error.to_string());
        match (outcome, expected) {
            (Err(message), Some(expected)) => assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            ),
            (outcome, expected) => {
                assert!(outcome.is_ok() && expected.is_none(), "{outcome:?}, {expected:?}");
            }
        }
    };
    check("iforest", &["dur", "proto", "sbytes"], None);
    check(
        "iforest",
        &["proto", "dur", "sbytes"],
        Some("\"dur\" in place 1, where the detector reads \"proto\""),
    );
    check(
        "iforest",
        &["dur", "proto"],
        Some("\"sbytes\", which the detector does not read"),
    );
    check(
        "iforest",
        &["dur", "proto", "sbytes", "dbytes"],
        Some("lacks \"dbytes\""),
    );
    check(
        "onnx",
        &["dur", "proto", "sbytes"],
        Some("`detector` is \"iforest\", and the component of the package is \"onnx\""),
    );
}

#[test]
fn scores() {
    // JSON has larger numbers than a score.
    refused("/threshold", &json!(1e300), "`threshold` is not a finite number");
    refused(
        "/calibration",
        &json!([1.0, 2.0]),
        "has 2 quantiles instead of 101",
    );
    refused("/calibration/50", &json!(1e300), "not a finite number");
    refused("/calibration/50", &json!(51.5), "falls from quantile 50 to 51");
    refused("/calibration/100", &json!(-1.0), "falls from quantile 99 to 100");
    refused(
        "/calibration",
        &json!([]),
        "`tail` goes on from a calibration that is not there",
    );
    taken("/calibration/50", &json!(49));
    taken("/threshold", &json!(1e6));
    refused(
        "/tail/points/0/share",
        &json!(0.01),
        "`tail.points` holds a share",
    );
    refused("/tail/points/0/share", &json!(0.0), "`tail.points` holds a share");
    refused(
        "/tail/points/0/score",
        &json!(98.5),
        "`tail.points` holds a score",
    );
    refused(
        "/tail/points/0/score",
        &json!(1e300),
        "`tail.points` holds a score",
    );
    refused("/tail/scale", &json!(0.0), "`tail.scale` is not a number above 0");
    refused("/tail/shape", &json!(0.91), "`tail.shape` is not 0.05 to 0.9");
    taken("/tail/points", &json!([]));
    taken("/tail/shape", &json!(0.9));
}

#[test]
fn reference_distributions() {
    let columns = "/baseline/columns";
    refused(
        "/baseline/flows_per_day",
        &json!(0.0),
        "`baseline.flows_per_day` is not a number above 0",
    );
    refused(
        &format!("{columns}/0/column"),
        &json!("proto"),
        "baseline.columns, proto` has edges",
    );
    refused(
        &format!("{columns}/0/column"),
        &json!("dbytes"),
        "\"dbytes\", which `columns` does not have",
    );
    refused(
        &format!("{columns}/0/edges"),
        &json!([1.0, 1.0]),
        "edges that do not rise",
    );
    refused(&format!("{columns}/0/edges"), &json!([0.5, 1e300]), "not finite");
    refused(
        &format!("{columns}/0/edges"),
        &json!([0.5]),
        "3 shares for 2 bins",
    );
    refused(
        &format!("{columns}/0/terms"),
        &json!(["tcp"]),
        "has terms, and a numeric column has edges",
    );
    refused(
        &format!("{columns}/0/shares"),
        &json!([0.5, 0.6, 0.0]),
        "do not sum to 1",
    );
    refused(
        &format!("{columns}/0/shares"),
        &json!([1.5, -0.5, 0.0]),
        "not 0 to 1",
    );
    refused(
        &format!("{columns}/1/terms"),
        &json!(["tcp", "tcp"]),
        "a term twice",
    );
    refused(
        &format!("{columns}/1/terms"),
        &json!(["tcp", "colour"]),
        "vocabulary",
    );
    refused(
        &format!("{columns}/1/edges"),
        &json!([0.5, 1.0]),
        "has edges, and a nominal column has terms",
    );
    let twice = json!({"column": "dur", "edges": [0.5], "shares": [0.5, 0.5]});
    refused(columns, &json!([twice, twice]), "`baseline` has \"dur\"");
    taken(&format!("{columns}/0/shares"), &json!([0.3333, 0.3333, 0.3333]));
    taken(columns, &json!([]));
}

/// The cards of the bundled models, as they are trained.
#[test]
fn cards_of_the_bundled_models_are_taken() {
    let artifacts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/artifacts");
    let mut cards = 0;
    for entry in std::fs::read_dir(artifacts).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".card.json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let card = ModelCard::from_json(text.as_bytes()).unwrap();
            let schema: &Schema = card.known_schema().unwrap();
            assert_eq!(card.check(schema), Ok(()), "{}", path.display());
            cards += 1;
        }
    }
    assert!(cards > 0, "there are bundled models");
}
