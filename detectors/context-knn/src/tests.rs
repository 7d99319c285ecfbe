//! What must hold of scores and explanations.

use proptest::prelude::*;

use crate::index::{Cloud, Nearest, arrange};
use crate::{
    ArtifactError, Component, Group, InputColumn, Method, Model, Points, RowError, Scale, Scorer, Surprise,
};

/// Points in order, with how often each counts.
fn arranged(width: usize, rows: &[Vec<i16>], counts: &[u32]) -> Points {
    let values: Vec<f32> = rows.iter().flatten().map(|&value| f32::from(value)).collect();
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    arrange(width, &values, &mut order);
    Points {
        values: order.iter().flat_map(|&row| rows[row as usize].clone()).collect(),
        counts: order.iter().map(|&row| counts[row as usize]).collect(),
    }
}

fn surprise() -> Surprise {
    Surprise {
        knots: vec![(0.0, 0.0), (10.0, 2.0), (100.0, 5.0)],
        per_doubling: 1.0,
    }
}

/// Bytes around 1,000 and durations around a second in one group of neighbours, both protocols as contexts, and a
/// mixture on durations.
fn model() -> Model {
    let column = |name: &str, scale| InputColumn {
        name: name.to_owned(),
        scale,
    };
    let number = |centre: f32| Scale::Number {
        steps: 1.0,
        centre,
        deviation: 1.0,
    };
    let places: Vec<Vec<i16>> = (0..200)
        .map(|point: i16| vec![point * 7 % 65 - 32, point * 11 % 65 - 32])
        .collect();
    let counts: Vec<u32> = (0..200).map(|point| 1 + point % 3).collect();
    Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: vec![
            column("dur", number(1.0)),
            column("proto", Scale::Nominal),
            column("sbytes", number(10.0)),
        ],
        resolution: 32.0,
        contexts: vec![vec![0], vec![1]],
        groups: vec![
            Group {
                name: "sizes".to_owned(),
                columns: vec![2, 0],
                method: Method::Neighbours {
                    neighbours: 5,
                    penalties: vec![136.0],
                    points: vec![
                        arranged(2, &places, &counts),
                        arranged(2, &places[..20], &counts[..20]),
                    ],
                },
                surprise: surprise(),
            },
            Group {
                name: "times".to_owned(),
                columns: vec![0],
                method: Method::Mixture {
                    components: vec![
                        Component {
                            constant: -1.0,
                            mean: vec![0.0],
                            whitening: vec![1.0],
                            nominals: vec![vec![-0.1, -3.0, -9.0]],
                        },
                        Component {
                            constant: -2.0,
                            mean: vec![0.5],
                            whitening: vec![2.0],
                            nominals: vec![vec![-3.0, -0.1, -9.0]],
                        },
                    ],
                    floor: 1.0,
                },
                surprise: surprise(),
            },
        ],
    }
}

const ORDINARY: [f32; 3] = [1.0, 0.0, 1_000.0];

fn score(model: &Model, rows: &[[f32; 3]]) -> Vec<f32> {
    let mut scores = Vec::new();
    Scorer::new(model)
        .unwrap()
        .score_block(rows.as_flattened(), rows.len(), &mut scores)
        .unwrap();
    scores
}

#[test]
fn of_a_name_only_equality_counts() {
    let mut model = model();
    model.columns[1].scale = Scale::Name;
    let names = [0.0, 2.0, 3.0, 60_000.0, 1e9, -1.0, f32::NAN];
    let scores = score(&model, &names.map(|name| [1.0, name, 1_000.0]));
    // The last two count as 0, which is known.
    assert_eq!(scores[5..], [scores[0]; 2]);
    assert!(scores[0] < scores[1], "{scores:?}");
    assert_eq!(scores[1..5], [scores[1]; 4]);
}

#[test]
fn the_farther_the_higher_without_an_end() {
    let rows: Vec<[f32; 3]> = (0..30)
        .map(|step| [1.0, 0.0, 1_000.0 * 2f32.powi(step)])
        .collect();
    let scores = score(&model(), &rows);
    assert!(
        scores.windows(2).skip(1).all(|pair| pair[0] < pair[1]),
        "{scores:?}"
    );
    let context = score(&model(), &[ORDINARY, [1.0, 1.0, 1_000.0], [1.0, 7.0, 1_000.0]]);
    assert!(context[0] <= context[1] && context[1] < context[2], "{context:?}");
}

#[test]
fn a_planted_column_is_named_first_with_what_is_typical() {
    let check = |column: usize, value: f32, typical: std::ops::Range<f32>| {
        let mut row = ORDINARY;
        row[column] = value;
        let mut scorer = Scorer::new(&model()).unwrap();
        let explanation = scorer.explain_block(&row, 1, 3).unwrap();
        let entries = explanation.entries();
        assert_eq!(entries[0].column, column, "{entries:?}");
        assert!(typical.contains(&entries[0].typical), "{entries:?}");
        assert!(entries.iter().map(|entry| entry.weight).sum::<f32>() <= 1.0);
    };
    check(0, 40_000.0, 0.0..8.0);
    check(1, 9.0, 0.0..1.5);
    check(2, 9e8, 500.0..4_000.0);
}

#[test]
fn the_index_finds_what_a_scan_finds() {
    let mut state = 7u32;
    let mut next = |limit: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 12) % limit
    };
    for (width, points) in [(1, 40), (2, 1), (3, 500), (5, 16), (6, 900), (9, 333)] {
        let rows: Vec<Vec<i16>> = (0..points)
            .map(|_| (0..width).map(|_| next(60) as i16 - 30).collect())
            .collect();
        let counts: Vec<u32> = (0..points).map(|_| 1 + next(4)).collect();
        let arranged = arranged(width, &rows, &counts);
        let values: Vec<f32> = arranged.values.iter().map(|&value| f32::from(value)).collect();
        let cloud = Cloud::new(width, &values, &arranged.counts, 0);
        let mut nearest = Nearest::new(8);
        for _ in 0..100 {
            let mut query: Vec<f32> = (0..width).map(|_| next(80) as f32 - 40.0).collect();
            let mut all: Vec<(f32, u32)> = values
                .chunks_exact(width)
                .zip(&arranged.counts)
                .map(|(row, &count)| {
                    let square = row.iter().zip(&query).map(|(a, b)| (a - b) * (a - b)).sum();
                    (square, count)
                })
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let expanded: Vec<f32> = all
                .iter()
                .flat_map(|&(square, count)| std::iter::repeat_n(square.sqrt(), count as usize))
                .take(8)
                .collect();
            query.resize(width.next_multiple_of(4), 0.0);
            nearest.clear(f32::INFINITY);
            cloud.search(&query, 0.0, -1.0, &mut nearest);
            let expected = expanded.iter().sum::<f32>() / expanded.len() as f32;
            assert!(
                (nearest.mean_distance() - expected).abs() < 1e-3,
                "{width} columns"
            );
        }
    }
}

#[test]
fn surprise_is_straight_between_knots_and_rises_beyond() {
    for (distance, expected) in [
        (0.0, 0.0),
        (5.0, 1.0),
        (10.0, 2.0),
        (55.0, 3.5),
        (100.0, 5.0),
        (400.0, 7.0),
    ] {
        assert!((surprise().at(distance) - expected).abs() < 1e-5, "{distance}");
    }
}

#[test]
fn a_model_comes_back_as_it_was() {
    let model = model();
    assert_eq!(Model::decode(&model.encode()).unwrap(), model);
    assert!(matches!(
        Model::decode(b"something else"),
        Err(ArtifactError::Format(_))
    ));
    let mut longer = model.encode();
    longer.push(0);
    assert!(matches!(Model::decode(&longer), Err(ArtifactError::Encoding(_))));
}

#[test]
fn mistakes_are_named() {
    let mut scorer = Scorer::new(&model()).unwrap();
    let mut out = Vec::new();
    let shape = scorer.score_block(&[0.0; 4], 1, &mut out);
    assert!(matches!(shape, Err(RowError::Shape { .. })));
    let code = scorer.score_block(&[0.0, 0.5, 1.0], 1, &mut out);
    assert!(matches!(code, Err(RowError::Code { row: 0, .. })));
    let check = |change: fn(&mut Model), expected: &str| {
        let mut changed = model();
        change(&mut changed);
        let message = Scorer::new(&changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|model| model.columns.clear(), "0 columns");
    check(|model| model.resolution = f32::NAN, "resolution");
    check(|model| model.groups.clear(), "0 groups");
    check(|model| model.contexts[0].clear(), "context");
    check(|model| model.groups[0].columns[0] = 1, "nominal");
    check(|model| model.groups[1].columns[0] = 9, "unknown");
    check(|model| model.groups[0].surprise.knots.clear(), "no end");
    check(|model| model.groups[0].surprise.knots[1].0 = 0.0, "does not rise");
    check(|model| model.groups[0].surprise.per_doubling = -1.0, "no end");
    let neighbours = |change: fn(&mut u16, &mut Vec<f32>, &mut Vec<Points>), expected: &str| {
        let mut changed = model();
        if let Method::Neighbours {
            neighbours,
            penalties,
            points,
        } = &mut changed.groups[0].method
        {
            change(neighbours, penalties, points);
        }
        let message = Scorer::new(&changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    neighbours(|neighbours, _, _| *neighbours = 0, "0 neighbours");
    neighbours(|_, penalties, _| penalties.clear(), "penalty");
    neighbours(|_, _, points| points.clear(), "each context");
    neighbours(|_, _, points| points[0].counts[0] = 0, "counts");
    neighbours(|_, _, points| points[1].values.clear(), "counts");
    let mixture = |change: fn(&mut Vec<Component>), expected: &str| {
        let mut changed = model();
        if let Method::Mixture { components, .. } = &mut changed.groups[1].method {
            change(components);
        }
        let message = Scorer::new(&changed).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    mixture(Vec::clear, "0 components");
    mixture(|components| components[0].mean.clear(), "does not fit");
    mixture(|components| components[0].nominals[0].clear(), "does not fit");
    mixture(
        |components| components[1].constant = f32::INFINITY,
        "does not fit",
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
                let explanation = scorer.explain_block(&values, 1, 3).unwrap();
                prop_assert!(explanation.entries().iter().all(|entry| entry.weight >= 0.0 && entry.weight <= 1.0 && entry.typical.is_finite()));
            }
        }
    }
}
