//! Packages whose card is not for this program, or that have no card and do not name a schema of this program either, at
//! every door: `pack`, `inspect`, staging by API, command line and watched folder, and `run`.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::support::{Home, Server, stderr};
use netsage_testkit::recipe::{CARD, Recipe};

/// A kind of package that is refused, and what the refusal says.
struct Refused {
    kind: &'static str,
    /// The schema that the detector names by its property.
    schema: Option<&'static str>,
    card: Option<String>,
    /// By `pack` and `inspect`, which know every schema.
    alone: &'static str,
    /// By what runs with `unsw-nb15`.
    running: &'static str,
}

const NAMELESS: &str = "it has no model card, and its detector does not have the property `netsage.schema`; pack it with a model card";
const UNKNOWN: &str = "by its property `netsage.schema` that it is for the schema";

fn kinds() -> Vec<Refused> {
    let card: Value = serde_json::from_str(CARD).unwrap();
    let with = |kind, field: &str, value: Value, alone, running| {
        let mut card = card.clone();
        match value {
            Value::Null => drop(card.as_object_mut().unwrap().remove(field)),
            value => card[field] = value,
        }
        Refused {
            kind,
            schema: None,
            card: Some(card.to_string()),
            alone,
            running,
        }
    };
    let both = |kind, field: &str, value, expected| with(kind, field, value, expected, expected);
    let cardless = |kind, schema, alone, running| Refused {
        kind,
        schema,
        card: None,
        alone,
        running,
    };
    let mut falling: Vec<f64> = (0..=100).map(f64::from).collect();
    falling[50] = 0.0;
    let known =
        "and this program knows unsw-nb15@1, flow-v1@1, record-v1@1; train the model for one of these";
    let elsewhere = "\"flow-v1@1\", and unsw-nb15@1 runs here; run with the schema of the model";
    vec![
        both("unknown-schema", "schema", json!("nope@9"), known),
        both("other-version", "schema", json!("unsw-nb15@2"), known),
        with(
            "other-schema",
            "schema",
            json!("flow-v1@1"),
            "`columns` names \"dur\", which the schema flow-v1@1 does not have",
            elsewhere,
        ),
        both(
            "falling",
            "calibration",
            json!(falling),
            "`calibration` falls from quantile 49 to 50",
        ),
        both(
            "short",
            "calibration",
            json!([1.0, 2.0]),
            "has 2 quantiles instead of 101",
        ),
        both(
            "date",
            "date",
            json!("2026-02-30"),
            "`date` is \"2026-02-30\", which is no day",
        ),
        both("negative", "rows", json!(-1), "invalid value: integer `-1`"),
        both("absent", "rows", Value::Null, "missing field `rows`"),
        both(
            "column",
            "columns",
            json!(["dur", "colour"]),
            "names \"colour\", which the schema unsw-nb15@1",
        ),
        both("twice", "columns", json!(["dur", "dur"]), "names \"dur\" twice"),
        both(
            "threshold",
            "threshold",
            json!(1e300),
            "`threshold` is not a finite number",
        ),
        both("unknown-field", "colour", json!("red"), "unknown field `colour`"),
        both(
            "format",
            "format",
            json!(2),
            "is of format 2, and this program reads format 1",
        ),
        Refused {
            kind: "nonsense",
            schema: None,
            card: Some("{\"format\":1,".to_owned()),
            alone: "the model card cannot be read",
            running: "the model card cannot be read",
        },
        Refused {
            kind: "not-a-number",
            schema: None,
            card: Some(CARD.replace("990", "NaN")),
            alone: "the model card cannot be read",
            running: "the model card cannot be read",
        },
        cardless("nameless", None, NAMELESS, NAMELESS),
        cardless("names-unknown", Some("nope@9"), UNKNOWN, UNKNOWN),
        cardless("names-version", Some("unsw-nb15@2"), UNKNOWN, UNKNOWN),
        cardless(
            "names-other",
            Some("flow-v1@1"),
            "the detector wants the column \"dur\", which schema flow-v1@1 does not have",
            "is for the schema \"flow-v1@1\", and unsw-nb15@1 runs here; run with the schema of the detector",
        ),
    ]
}

/// A detector of the kind.
fn recipe(refused: &Refused) -> Recipe {
    Recipe {
        schema: refused.schema,
        ..Recipe::default()
    }
}

/// Writes a package of the kind.
fn package(home: &Home, refused: &Refused) -> PathBuf {
    let card = refused.card.as_ref().map(String::as_bytes);
    let package = recipe(refused).package_with(b"model", card);
    home.file(&format!("{}.wasm", refused.kind), package.bytes())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The command failed with one sentence that names the place.
#[track_caller]
fn check(refused: &Refused, output: &Output, place: &str, expected: &str) {
    let told = stderr(output);
    assert!(!output.status.success(), "{}: {told}", refused.kind);
    let mut errors = told.lines().filter(|line| line.starts_with("netsage: "));
    let error = errors
        .next()
        .unwrap_or_else(|| panic!("{}: no error in {told}", refused.kind));
    assert!(
        error.contains(expected) && error.contains(place),
        "{}: {error:?} does not say {expected:?} of {place:?}",
        refused.kind
    );
    assert_eq!(errors.next(), None, "{told}");
}

#[test]
fn pack_and_inspect_refuse_packages_that_no_schema_takes() {
    let home = Home::new();
    let artifact = home.file("my.artifact", b"model");
    for refused in kinds() {
        let component = home.file("component.wasm", &recipe(&refused).component());
        let card = home.path().join("my.card.json");
        match &refused.card {
            Some(text) => drop(home.file("my.card.json", text.as_bytes())),
            None => drop(std::fs::remove_file(&card)),
        }
        let packed = home.run(&[
            "detector",
            "pack",
            "--component",
            text(&component),
            "--artifact",
            text(&artifact),
            "--out",
            "my.wasm",
        ]);
        let place = if refused.card.is_some() { &card } else { &component };
        check(&refused, &packed, text(place), refused.alone);
        assert!(!home.path().join("my.wasm").exists(), "{}", refused.kind);
        let package = package(&home, &refused);
        let inspected = home.run(&["detector", "inspect", text(&package)]);
        check(&refused, &inspected, text(&package), refused.alone);
    }
}

#[test]
fn stage_and_run_refuse_packages_that_are_not_for_the_schema_that_runs() {
    let home = Home::new();
    let folder = home.path().join("incoming");
    std::fs::create_dir(&folder).unwrap();
    let server = Server::start(&home, &["--detectors-dir", text(&folder)]);
    for refused in kinds() {
        let path = package(&home, &refused);
        let bytes = std::fs::read(&path).unwrap();
        let (status, problem) = server.bring("/api/v1/detectors", &bytes);
        assert_eq!(
            (status, &problem["type"]),
            (
                422,
                &json!(match refused.card {
                    Some(_) => "urn:netsage:problem:bad-package",
                    // The detector has to be asked.
                    None => "urn:netsage:problem:refused-package",
                })
            )
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(refused.running), "{}: {detail:?}", refused.kind);

        let staged = home.run(&["detector", "stage", text(&path), "--url", &server.base]);
        check(&refused, &staged, "", refused.running);

        let run = home.run(&[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--detector",
            text(&path),
            "--data-dir",
            refused.kind,
        ]);
        check(&refused, &run, text(&path), refused.running);

        if refused.card.is_none() {
            // It is quarantined, and not looked at again.
            continue;
        }
        std::fs::copy(&path, folder.join(format!("{}.wasm", refused.kind))).unwrap();
        server.wait_for_log(&format!("{}.wasm", refused.kind));
        let log = server.log.lock().unwrap().clone();
        assert!(log.contains(refused.running), "{}: {log}", refused.kind);
    }
    let (_, kept) = server.get("/api/v1/detectors");
    let names = kept
        .as_array()
        .unwrap()
        .iter()
        .map(|package| &package["detector"]["name"]);
    assert!(
        names.clone().all(|name| name != "recipe"),
        "kept: {:?}",
        names.collect::<Vec<_>>()
    );
}

/// A detector of columns that are all known but one, with and without a card that says the same.
#[test]
fn a_column_that_no_schema_has_is_named_with_the_nearest_one() {
    const EXPECTED: [&str; 2] = ["\"Sload\"", "did you mean \"sload\"?"];
    const COLUMNS: [&str; 4] = ["dur", "sbytes", "Sload", "no_such_column"];
    let home = Home::new();
    let artifact = home.file("my.artifact", b"model");
    let card_of = |columns: &[&str]| {
        let mut card: Value = serde_json::from_str(CARD).unwrap();
        card["columns"] = json!(columns);
        card.to_string()
    };
    let server = Server::start(&home, &[]);
    for (number, (schema, card)) in [
        (Some("unsw-nb15@1"), None),
        (Some("unsw-nb15@1"), Some(card_of(&COLUMNS))),
        (None, Some(card_of(&COLUMNS))),
        (None, Some(card_of(&COLUMNS[..2]))),
    ]
    .into_iter()
    .enumerate()
    {
        let recipe = Recipe {
            schema,
            columns: COLUMNS.map(str::to_owned).to_vec(),
            ..Recipe::default()
        };
        let folder = home.path().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        let component = home.file(&format!("{number}/component.wasm"), &recipe.component());
        if let Some(card) = &card {
            home.file(&format!("{number}/my.card.json"), card.as_bytes());
        }
        let artifact_here = folder.join("my.artifact");
        std::fs::copy(&artifact, &artifact_here).unwrap();
        let package = recipe.package_with(b"model", card.as_deref().map(str::as_bytes));
        let package = home.file(&format!("{number}/package.wasm"), package.bytes());
        let (package, data) = (text(&package), format!("data-{number}"));
        let commands: [&[&str]; 4] = [
            &[
                "detector",
                "pack",
                "--component",
                text(&component),
                "--artifact",
                text(&artifact_here),
                "--out",
                "my.wasm",
            ],
            &["detector", "inspect", package],
            &["detector", "stage", package, "--url", &server.base],
            &[
                "run",
                "--listen",
                "127.0.0.1:0",
                "--detector",
                package,
                "--data-dir",
                &data,
            ],
        ];
        for command in commands {
            let output = home.run(command);
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?}: {told}");
            let errors: Vec<&str> = told
                .lines()
                .filter(|line| line.starts_with("netsage: "))
                .collect();
            assert_eq!(errors.len(), 1, "{command:?}: {told}");
            let names_it = EXPECTED.iter().all(|expected| errors[0].contains(expected));
            assert!(
                names_it && !errors[0].contains("flow-v1"),
                "{number} {command:?}: {told}"
            );
        }
        let (status, problem) = server.bring("/api/v1/detectors", &std::fs::read(package).unwrap());
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, 422, "{problem}");
        assert!(
            EXPECTED.iter().all(|expected| detail.contains(expected)),
            "{detail}"
        );
    }
}
