//! Detectors that behave.

use netsage_runtime::{MOST_FAILED_EXPLANATIONS, ScoreError, StateKey};
use netsage_schema::{Contexts, Rows, Schema, UNSW_NB15};

use crate::{expected, load, rows};
use netsage_testkit::recipe::{CARD, Recipe};

#[test]
fn scores_come_in_the_order_of_the_rows() {
    let detector = load(&Recipe::default().package_with(b"model", Some(CARD.as_bytes()))).unwrap();
    let description = detector.description();
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("recipe", "1.2.3")
    );
    assert_eq!(
        (description.explains, description.learns, description.state_key),
        (true, false, StateKey::None)
    );
    assert_eq!(
        detector
            .columns()
            .iter()
            .map(|column| column.name)
            .collect::<Vec<_>>(),
        ["dur", "sbytes"]
    );
    assert_eq!(detector.card().and_then(|card| card.threshold), Some(990.0));

    let rows = rows(5000);
    let mut scores = Vec::new();
    detector.score(&rows, None, 0..5000, &mut scores).unwrap();
    assert_eq!(scores, expected(5000));
    detector.score(&rows, None, 7..7, &mut scores).unwrap();
    detector.score(&rows, None, 1024..1030, &mut scores).unwrap();
    assert_eq!(scores[5000..], [1024.0, 1025.0, 1026.0, 1027.0, 1028.0, 1029.0]);
    let stats = detector.stats();
    assert_eq!(
        (stats.scored_rows, stats.failed_rows, stats.replaced_instances),
        (5006, 0, 0)
    );
    assert!(stats.nanoseconds_per_row().unwrap() > 0.0);
}

#[test]
fn explanations_name_columns_and_values() {
    let recipe = Recipe {
        columns: vec!["proto".to_owned()],
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let mut rows = Rows::new(&UNSW_NB15);
    let mut row = [0.0; 42];
    row[1] = 1.0;
    rows.push(&row);
    let contributions = detector.explain(&rows, None, 0, 5).unwrap();
    let [contribution] = contributions.as_slice() else {
        panic!("{contributions:?}")
    };
    assert_eq!((contribution.column.name, contribution.weight), ("proto", 0.75));
    assert_eq!(contribution.column.show(contribution.value), "udp");
    assert_eq!(contribution.column.show(contribution.typical), "rtp");
    assert_eq!(contribution.column.show(-1.5), "-1.5");
    assert_eq!(detector.explain(&rows, None, 0, 0).unwrap(), []);
}

#[test]
fn input_that_cannot_be_scored() {
    static OTHER: Schema = Schema {
        id: "other",
        version: 1,
        purpose: "Tests.",
        columns: &[netsage_schema::UNSW_NB15.columns[0]],
    };
    let detector = load(&Recipe::default().package()).unwrap();
    let check = |rows: &Rows, range, error: &ScoreError| {
        assert_eq!(
            detector.score(rows, None, range, &mut Vec::new()).as_ref(),
            Err(error)
        );
    };
    check(
        &rows(3),
        1..4,
        &ScoreError::OutOfRange {
            start: 1,
            end: 4,
            rows: 3,
        },
    );
    check(
        &Rows::new(&OTHER),
        0..0,
        &ScoreError::OtherSchema {
            rows: "other",
            detector: "unsw-nb15",
        },
    );
    let mut bad = rows(2);
    let mut row = [0.0; 42];
    row[0] = f64::NAN;
    bad.push(&row);
    check(
        &bad,
        0..3,
        &ScoreError::NotANumber {
            row: 2,
            column: "dur",
        },
    );
    row[0] = 1e300;
    bad.push(&row);
    let mut scores = Vec::new();
    detector.score(&bad, None, 3..4, &mut scores).unwrap();
    assert_eq!(
        scores,
        [f32::MAX],
        "what f32 cannot hold becomes its largest value"
    );
    assert_eq!(
        detector.stats().replaced_instances,
        0,
        "bad input costs no instance"
    );
}

#[test]
fn context_is_given_to_who_asks_where_it_is_known() {
    // The first row gets the number of lists, and the last byte of the first source.
    let recipe = Recipe {
        context: [false, true, false],
        score: "(f32.store (local.get $values) (f32.convert_i32_u (i32.add
            (i32.mul (i32.const 1000) (i32.add (local.get $has_starts)
                (i32.add (local.get $has_sources) (local.get $has_destinations))))
            (if (result i32) (local.get $has_sources)
                (then (i32.load8_u offset=7 (local.get $sources))) (else (i32.const 0))))))",
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let mut contexts = Contexts::new();
    contexts.push(1, 0x2a00_0000_0000_0007, 2);
    let mut scores = Vec::new();
    let told = ScoreError::NoContext { rows: 2, contexts: 1 };
    assert_eq!(
        detector.score(&rows(2), Some(&contexts), 0..2, &mut scores),
        Err(told)
    );
    detector
        .score(&rows(1), Some(&contexts), 0..1, &mut scores)
        .unwrap();
    detector.score(&rows(1), None, 0..1, &mut scores).unwrap();
    assert_eq!(scores, [1042.0, 0.0]);
    let names: Vec<&str> = detector.context().names().collect();
    assert_eq!(names, ["source"]);
}

#[test]
fn the_schema_comes_with_open() {
    // The id begins with `unsw`, the version is 1, and there are 42 columns; otherwise the artifact is bad.
    let recipe = Recipe {
        open: "(if (i32.or (i32.ne (i32.load (local.get $id)) (i32.const 0x77736e75))
                (i32.or (i32.ne (local.get $version) (i32.const 1)) (i32.ne (local.get $count) (i32.const 42))))
            (then (return (call $error (i32.const 0)))))",
        ..Recipe::default()
    };
    load(&recipe.package()).unwrap();
}

#[test]
fn a_failing_explanation_costs_no_score_and_is_lost_in_the_end() {
    let recipe = Recipe {
        explain: "unreachable",
        state_key: 2,
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let (rows, mut scores) = (rows(50), Vec::new());
    for row in 0..50 {
        detector.score(&rows, None, row..row + 1, &mut scores).unwrap();
        let explained = detector.explain(&rows, None, row, 3);
        assert_eq!(
            explained.is_err(),
            (row as u64) < MOST_FAILED_EXPLANATIONS,
            "{row}"
        );
    }
    assert_eq!(scores, expected(50));
    let stats = detector.stats();
    assert_eq!(stats.failed_explanations, MOST_FAILED_EXPLANATIONS);
    assert_eq!((stats.scored_rows, stats.failed_rows), (50, 0));
    assert!(detector.description().explains && !detector.explains());
    // Who does not export `explainer` is never asked.
    let silent = Recipe {
        explains: false,
        ..Recipe::default()
    };
    let silent = load(&silent.package()).unwrap();
    assert!(!silent.description().explains);
    assert_eq!(silent.explain(&rows, None, 0, 3), Ok(Vec::new()));
}
