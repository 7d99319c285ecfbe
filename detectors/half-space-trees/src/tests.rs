//! What must hold of the trees.

use proptest::prelude::*;

use crate::artifact::{ArtifactError, InputColumn, Model, Scale};
use crate::{Forest, RowError};

fn model(rows: &[[f32; 3]]) -> Model {
    let number = |name: &str| InputColumn {
        name: name.to_owned(),
        typical: 1.0,
        scale: Scale::Logarithm {
            steps: 100.0,
            low: 0.0,
            high: 20.0,
        },
    };
    let blank = Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: vec![
            number("sbytes"),
            number("dur"),
            InputColumn {
                name: "proto".to_owned(),
                typical: 0.0,
                scale: Scale::Rank(vec![0, 1, 2, 3]),
            },
        ],
        seed: 7,
        trees: 25,
        height: 8,
        least_rows: 2.0,
        window: 500,
        adaptation: 0.5,
        rows: 0,
        masses: Vec::new(),
    };
    let values: Vec<f32> = rows.iter().flatten().copied().collect();
    if rows.is_empty() {
        blank
    } else {
        blank.fit(&values).unwrap()
    }
}

/// Ordinary rows: some hundred bytes, around a second, mostly the first protocol.
fn ordinary(count: usize) -> Vec<[f32; 3]> {
    (0..count)
        .map(|row| {
            let turn = row as f32;
            [
                300.0 + (turn * 7.3) % 200.0,
                0.5 + (turn * 0.37) % 1.0,
                f32::from(row % 10 == 0),
            ]
        })
        .collect()
}

fn scores(forest: &mut Forest, rows: &[[f32; 3]]) -> Vec<f32> {
    let values: Vec<f32> = rows.iter().flatten().copied().collect();
    let mut scores = Vec::new();
    forest.score_block(&values, rows.len(), &mut scores).unwrap();
    scores
}

const STRANGE: [f32; 3] = [9e6, 0.0, 3.0];

#[test]
fn strange_rows_score_above_ordinary_ones() {
    let mut forest = Forest::new(&model(&ordinary(2_000))).unwrap();
    let highest = scores(&mut forest, &ordinary(500))
        .into_iter()
        .fold(f32::MIN, f32::max);
    let strange = scores(&mut forest, &[STRANGE])[0];
    assert!(strange > highest + 1.0, "{strange} against {highest}");
}

#[test]
fn artifact_and_state_come_back_as_they_were() {
    let model = model(&ordinary(800));
    let artifact = model.encode();
    assert_eq!(Model::decode(&artifact).unwrap(), model);
    let mut learned = Forest::decode(&artifact).unwrap();
    let flat: Vec<f32> = ordinary(700)
        .into_iter()
        .flatten()
        .map(|value| value * 3.0)
        .collect();
    // Ranks are whole numbers, and three times one is one.
    learned.learn_block(&flat, 700).unwrap();
    let mut restored = Forest::decode(&artifact).unwrap();
    restored.restore(&learned.save()).unwrap();
    let rows = ordinary(50);
    assert_eq!(scores(&mut learned, &rows), scores(&mut restored, &rows));
    assert_ne!(
        scores(&mut learned, &rows),
        scores(&mut Forest::decode(&artifact).unwrap(), &rows)
    );
    let mut other = model;
    other.seed += 1;
    let other = Model {
        masses: Vec::new(),
        rows: 0,
        ..other
    };
    assert_eq!(
        Forest::decode(&other.encode()).unwrap().restore(&learned.save()),
        Err(ArtifactError::OtherModel)
    );
}

#[test]
fn what_becomes_common_stops_being_strange() {
    let mut forest = Forest::new(&model(&ordinary(2_000))).unwrap();
    let before = scores(&mut forest, &[STRANGE])[0];
    let window: Vec<f32> = std::iter::repeat_n(STRANGE, 500).flatten().collect();
    for _ in 0..4 {
        forest.learn_block(&window, 500).unwrap();
    }
    let after = scores(&mut forest, &[STRANGE])[0];
    assert!(after < before - 3.0, "{before} became {after}");
    assert!(
        (forest.rows() - 2_000.0).abs() < 1.0,
        "the scale is kept: {}",
        forest.rows()
    );
}

#[test]
fn without_training_it_begins_with_its_first_window() {
    let mut forest = Forest::new(&model(&[])).unwrap();
    assert_eq!(scores(&mut forest, &[STRANGE, ordinary(1)[0]]), [0.0, 0.0]);
    let flat: Vec<f32> = ordinary(500).into_iter().flatten().collect();
    forest.learn_block(&flat[..3 * 499], 499).unwrap();
    assert_eq!(scores(&mut forest, &[STRANGE]), [0.0]);
    forest.learn_block(&flat[3 * 499..], 1).unwrap();
    let found = scores(&mut forest, &[STRANGE, ordinary(1)[0]]);
    assert!(found[0] > found[1] + 1.0, "{found:?}");
}

/// Only the last column of the row says that it is odd; it goes on doing so until such rows are ordinary.
#[test]
fn what_lies_beyond_is_odd_until_it_is_learned() {
    let mut forest = Forest::new(&model(&ordinary(2_000))).unwrap();
    let inside = ordinary(1)[0];
    for (column, beyond) in [(0, 5e8), (1, 9e5), (2, 3.0)] {
        let mut row = inside;
        row[column] = beyond;
        let found = scores(&mut forest, &[inside, row]);
        assert!(found[1] > found[0] + 0.5, "column {column}: {found:?}");
    }
    let mut row = inside;
    row[0] = 5e8;
    let before = scores(&mut forest, &[row])[0];
    forest.learn_block(&row.repeat(500), 500).unwrap();
    let mut restored = Forest::new(&model(&ordinary(2_000))).unwrap();
    restored.restore(&forest.save()).unwrap();
    let after = scores(&mut forest, &[row])[0];
    assert!(after < before - 1.0, "{before} became {after}");
    assert_eq!(scores(&mut restored, &[row]), [after]);
}

#[test]
fn a_planted_column_is_named_first() {
    let mut forest = Forest::new(&model(&ordinary(2_000))).unwrap();
    for (column, value) in [(0, 8e6), (1, 50_000.0), (2, 3.0)] {
        let mut row = ordinary(1)[0];
        row[column] = value;
        let explanation = forest.explain_block(&row, 1, 3).unwrap();
        assert_eq!(explanation.entries()[0].column, column);
        assert!(
            explanation
                .entries()
                .iter()
                .map(|entry| entry.weight)
                .sum::<f32>()
                <= 1.0
        );
    }
}

#[test]
fn mistakes_are_named() {
    let mut forest = Forest::new(&model(&ordinary(100))).unwrap();
    let mut out = Vec::new();
    assert!(matches!(
        forest.score_block(&[0.0; 4], 1, &mut out),
        Err(RowError::Shape { .. })
    ));
    assert!(matches!(
        forest.score_block(&[0.0, 0.0, 0.5], 1, &mut out),
        Err(RowError::Code { row: 0, .. })
    ));
    let check = |change: fn(&mut Model), expected: &str| {
        let mut changed = model(&ordinary(100));
        change(&mut changed);
        let message = Forest::new(&changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|model| model.trees = 0, "0 trees");
    check(|model| model.height = 17, "height 17");
    check(|model| (model.trees, model.height) = (500, 16), "nodes");
    check(|model| model.columns.clear(), "0 columns");
    check(|model| model.adaptation = f32::NAN, "weight NaN");
    check(|model| model.window = 0, "a window of 0");
    check(|model| model.rows = 99, "rows of 99");
    check(|model| model.masses[0].clear(), "fewer masses");
    check(|model| model.masses[3].push(1), "more masses");
    check(|model| model.masses[3][1] += 1, "halves of");
    check(
        |model| {
            model.columns[0].scale = Scale::Logarithm {
                steps: 0.0,
                low: 0.0,
                high: 1.0,
            }
        },
        "sbytes",
    );
}

proptest! {
    #[test]
    fn any_bytes_and_any_rows_end_in_an_answer(
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        row in proptest::array::uniform2(any::<f32>()),
        code in 0u16..9,
    ) {
        let whole = Forest::new(&model(&ordinary(60))).unwrap();
        let (mut artifact, mut state) = (model(&ordinary(60)).encode(), whole.save());
        for (position, byte) in damage {
            let place = position % artifact.len();
            artifact[place] = byte;
            let place = position % state.len();
            state[place] = byte;
        }
        let values = [row[0], row[1], f32::from(code)].map(|value| if value.is_finite() { value } else { 0.0 });
        for state in [None, Some(&state[..])] {
            let Ok(mut forest) = Forest::decode(&artifact) else { continue };
            if state.is_some_and(|state| forest.restore(state).is_err()) {
                continue;
            }
            let width = forest.columns().len();
            let mut scores = Vec::new();
            if width == values.len() && forest.score_block(&values, 1, &mut scores).is_ok() {
                prop_assert!(scores.iter().all(|score| score.is_finite()), "{scores:?}");
                let _ = forest.learn_block(&values, 1);
            }
        }
    }
}
