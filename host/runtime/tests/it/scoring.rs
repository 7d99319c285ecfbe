//! Detectors that behave.

use std::sync::Arc;

use netsage_runtime::{ActiveDetectors, ContextValues, ScoreError, StateKey};
use netsage_schema::{Rows, Schema, UNSW_NB15};

use crate::recipe::{CARD, Recipe};
use crate::{expected, load, rows};

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
    assert_eq!(detector.card().map(|card| card.threshold), Some(990.0));

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
fn context_columns() {
    let recipe = Recipe {
        columns: vec!["context.source".to_owned()],
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let mut contexts = ContextValues::new();
    contexts.push(0.5, 0xff00_0007, 2);
    let mut scores = Vec::new();
    let missing = |column| Err(ScoreError::NoContext { column });
    assert_eq!(
        detector.score(&rows(2), Some(&contexts), 0..2, &mut scores),
        missing("context.source")
    );
    detector
        .score(&rows(1), Some(&contexts), 0..1, &mut scores)
        .unwrap();
    assert_eq!(scores, [7.0], "24 bits of the hash");
    detector.score(&rows(1), None, 0..1, &mut scores).unwrap();
    assert_eq!(scores, [7.0, -1.0], "nobody knows the addresses of plain rows");

    let recipe = Recipe {
        columns: vec!["context.start-time".to_owned()],
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    assert_eq!(
        detector.score(&rows(1), None, 0..1, &mut scores),
        missing("context.start-time")
    );
}

#[test]
fn replacing_a_detector_while_others_score() {
    let make = |artifact: &[u8]| load(&Recipe::default().package_with(artifact, None)).unwrap();
    let generations: Vec<_> = (0..5_u8).map(|number| make(&[number])).collect();
    let active = ActiveDetectors::new();
    assert!(active.snapshot().is_empty());
    assert!(active.activate(Arc::clone(&generations[0])).is_none());
    let rows = rows(64);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let snapshot = active.snapshot();
                    assert_eq!(snapshot.len(), 1);
                    let mut scores = Vec::new();
                    snapshot[0].score(&rows, None, 0..64, &mut scores).unwrap();
                    assert_eq!(scores, expected(64));
                }
            });
        }
        for pair in generations.windows(2) {
            let replaced = active.activate(Arc::clone(&pair[1])).unwrap();
            assert_eq!(replaced.digest(), pair[0].digest());
        }
    });
    let scored: u64 = generations
        .iter()
        .map(|detector| detector.stats().scored_rows)
        .sum();
    assert_eq!(scored, 4 * 200 * 64, "each row once");
    assert!(active.deactivate("other").is_none());
    assert_eq!(
        active.deactivate("recipe").unwrap().digest(),
        generations[4].digest()
    );
    assert!(active.snapshot().is_empty());
}
