//! What must hold of scores and explanations.

use netsage_context_knn::{Group, InputColumn, Method, Points, RowError, Scale, Surprise};
use proptest::prelude::*;

use crate::{ArtifactError, Model, Scorer};

/// Core points at 0 and at 2 standard deviations of two columns, of one protocol.
fn model() -> Model {
    let number = |name: &str| InputColumn {
        name: name.to_owned(),
        scale: Scale::Number {
            steps: 1.0,
            centre: 10.0,
            deviation: 2.0,
        },
    };
    Model {
        eps: 8.0,
        min_samples: 10,
        clusters: 2,
        core_points: 40,
        cores: netsage_context_knn::Model {
            schema: "unsw-nb15@1".to_owned(),
            columns: vec![
                number("sbytes"),
                InputColumn {
                    name: "proto".to_owned(),
                    scale: Scale::Nominal,
                },
                number("dbytes"),
            ],
            resolution: 16.0,
            contexts: vec![vec![0]],
            groups: vec![Group {
                name: "core points".to_owned(),
                columns: vec![0, 2],
                method: Method::Neighbours {
                    neighbours: 1,
                    penalties: vec![64.0],
                    points: vec![Points {
                        values: vec![0, 0, 32, 32],
                        counts: vec![1, 1],
                    }],
                },
                surprise: Surprise {
                    knots: vec![(0.0, 0.0), (8.0, 1.0)],
                    per_doubling: 1.0,
                },
            }],
        },
    }
}

/// The value that lies so many standard deviations from the mean.
fn at(deviations: f32) -> f32 {
    (10.0 + 2.0 * deviations).exp2() - 1.0
}

fn score(row: [f32; 3]) -> f32 {
    let mut scores = Vec::new();
    let mut scorer = Scorer::new(&model()).unwrap();
    scorer.score_block(&row, 1, &mut scores).unwrap();
    scores[0]
}

#[test]
fn a_score_is_the_distance_in_units_of_eps() {
    for (row, expected) in [
        ([at(0.0), 0.0, at(0.0)], 0.0),
        ([at(2.0), 0.0, at(2.0)], 0.0),
        ([at(0.5), 0.0, at(0.0)], 1.0),
        ([at(5.0), 0.0, at(6.0)], 10.0),
        ([at(0.0), 3.0, at(0.0)], 8.0),
    ] {
        assert!(
            (score(row) - expected).abs() < 1e-3,
            "{row:?}: {} instead of {expected}",
            score(row)
        );
    }
}

#[test]
fn the_column_that_is_far_is_named_first_with_the_core_point_s_value() {
    let mut scorer = Scorer::new(&model()).unwrap();
    for (row, column, typical) in [
        ([at(5.0), 0.0, at(2.2)], 0, at(2.0)),
        ([at(0.1), 0.0, at(-4.0)], 2, at(0.0)),
        ([at(0.1), 1.0, at(0.0)], 1, 0.0),
    ] {
        let explanation = scorer.explain_block(&row, 1, 3).unwrap();
        let entry = explanation.entries()[0];
        assert_eq!(entry.column, column);
        assert!((entry.typical - typical).abs() <= typical * 0.01, "{entry:?}");
    }
}

#[test]
fn mistakes_are_named() {
    assert!(matches!(
        Model::decode(b"something"),
        Err(ArtifactError::Format(_))
    ));
    assert_eq!(Model::decode(&model().encode()).unwrap(), model());
    let mut scorer = Scorer::new(&model()).unwrap();
    let shape = scorer.score_block(&[0.0; 4], 1, &mut Vec::new());
    assert!(matches!(shape, Err(RowError::Shape { .. })));
    let check = |change: fn(&mut Model), expected: &str| {
        let mut changed = model();
        change(&mut changed);
        let message = Scorer::new(&changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|model| model.eps = 0.0, "eps of 0");
    check(|model| model.eps = f32::NAN, "eps of NaN");
    check(|model| model.cores.groups.clear(), "not one group");
    check(|model| model.cores.contexts.clear(), "each context");
    check(
        |model| {
            if let Method::Neighbours { neighbours, .. } = &mut model.cores.groups[0].method {
                *neighbours = 2;
            }
        },
        "none of core points",
    );
}

proptest! {
    #[test]
    fn any_bytes_and_any_rows_end_in_an_answer(
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        row in proptest::array::uniform2(any::<f32>()),
        code in 0u16..9,
    ) {
        let mut artifact = model().encode();
        for (position, byte) in damage {
            let place = position % artifact.len();
            artifact[place] = byte;
        }
        let values = [row[0], f32::from(code), row[1]].map(|value| if value.is_finite() { value } else { 0.0 });
        if let Ok(mut scorer) = Scorer::decode(&artifact) {
            let mut scores = Vec::new();
            if scorer.columns().len() == 3 && scorer.score_block(&values, 1, &mut scores).is_ok() {
                prop_assert!(scores.iter().all(|score| score.is_finite()), "{scores:?}");
                prop_assert!(scorer.explain_block(&values, 1, 3).is_ok());
            }
        }
    }
}
