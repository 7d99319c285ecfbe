//! The forest against its definition, on small forests of random shape.

use netsage_detector_sdk::{Block, Detector, Error, Inputs, Schema};
use proptest::prelude::*;

use crate::{
    ArtifactError, Forest, InputColumn, LEAF, Model, Planes, Term, TreeShape, expected_path_length, scaled,
};

const COLUMNS: usize = 4;
const SUBSAMPLE: u32 = 64;

/// A tree in which each node that still has rows splits or not by the next of `choices`.
fn tree(choices: &[(bool, u8, f32)]) -> TreeShape {
    let mut shape = TreeShape::default();
    let mut waiting = std::collections::VecDeque::from([SUBSAMPLE]);
    let mut choices = choices.iter();
    while let Some(rows) = waiting.pop_front() {
        match choices.next() {
            Some(&(true, column, threshold)) if rows >= 2 => {
                shape.columns.push(column);
                shape.thresholds.push(threshold);
                waiting.extend([rows / 3 + 1, rows - rows / 3 - 1]);
            }
            _ => {
                shape.columns.push(LEAF);
                shape.sizes.push(rows);
            }
        }
    }
    shape
}

/// Forests of every kind: plain, with ranges, with extended splits.
fn model() -> impl Strategy<Value = Model> {
    let term = (0..COLUMNS as u8, -2.0..2.0f32).prop_map(|(column, weight)| Term { column, weight });
    let terms = prop::collection::vec(term, 3 * 6 * SUBSAMPLE as usize);
    let range = (-4.0..0.0f32, 0.0..4.0f32).prop_map(|(low, high)| [low, high]);
    let ranges = prop::option::of(prop::collection::vec(range, COLUMNS));
    (plain(), ranges, prop::option::of(terms)).prop_map(|(mut model, ranges, terms)| {
        model.ranges = ranges.unwrap_or_default();
        let splits: usize = model.trees.iter().map(|tree| tree.thresholds.len()).sum();
        // Without a split there is nothing to extend.
        model.planes = terms.filter(|_| splits > 0).map(|mut terms| {
            terms.truncate(3 * splits);
            Planes {
                columns_per_split: 3,
                terms,
            }
        });
        model
    })
}

fn plain() -> impl Strategy<Value = Model> {
    let choice = (prop::bool::weighted(0.8), 0..COLUMNS as u8, -4.0..4.0f32);
    prop::collection::vec(prop::collection::vec(choice, 0..40), 1..6).prop_map(|trees| Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: (0..COLUMNS)
            .map(|index| InputColumn {
                name: format!("c{index}"),
                typical: index as f32,
                ranks: (index == 3).then(|| vec![1, 0, 2]),
            })
            .collect(),
        subsample: SUBSAMPLE,
        trees: trees.iter().map(|choices| tree(choices)).collect(),
        ..Model::default()
    })
}

fn rows() -> impl Strategy<Value = Vec<[f32; COLUMNS]>> {
    let row = (-5.0..5.0f32, -5.0..5.0f32, -5.0..5.0f32, 0..5u8);
    prop::collection::vec(row.prop_map(|(a, b, c, code)| [a, b, c, f32::from(code)]), 1..30)
}

/// Values as the trees compare them: ranks for codes.
fn ranked(row: &[f32; COLUMNS]) -> [f32; COLUMNS] {
    let rank = [1.0, 0.0, 2.0].get(row[3] as usize).copied().unwrap_or(2.0);
    [row[0], row[1], row[2], rank]
}

/// The path length of a row in one tree, walked node by node as the paper has it. `terms` are those of its splits.
fn path_length_in(shape: &TreeShape, terms: &[Term], row: &[f32; COLUMNS]) -> f64 {
    let (mut node, mut depth) = (0, 0.0);
    loop {
        let splits_before = shape.columns[..node]
            .iter()
            .filter(|&&column| column != LEAF)
            .count();
        if shape.columns[node] == LEAF {
            return depth + expected_path_length(shape.sizes[node - splits_before]);
        }
        let value = if terms.is_empty() {
            row[usize::from(shape.columns[node])]
        } else {
            let sum = |sum: f32, term: &Term| sum + term.weight * scaled(row[usize::from(term.column)]);
            terms[3 * splits_before..][..3].iter().fold(0.0, sum)
        };
        let right = value >= shape.thresholds[splits_before];
        node = 2 * splits_before + 1 + usize::from(right);
        depth += 1.0;
    }
}

/// The mean path length of a row, shortened for the columns in which it lies beyond training: step by step.
fn path_length(model: &Model, row: &[f32; COLUMNS]) -> f64 {
    let row = ranked(row);
    let mut terms = model.planes.as_ref().map_or(&[][..], |planes| &planes.terms);
    let mut sum = 0.0;
    for shape in &model.trees {
        sum += path_length_in(shape, terms, &row);
        terms = terms.get(3 * shape.thresholds.len()..).unwrap_or_default();
    }
    let apart = |(column, (&value, &[low, high])): (usize, (&f32, &[f32; 2]))| {
        let gap = if value > high {
            (value - high) / high
        } else {
            (low - value) / (-low / 2.0)
        };
        match value < low || value > high {
            false => 0.0,
            true if column == 3 => 1.0,
            true => gap.clamp(0.0, 1.0),
        }
    };
    let apart: f32 = row.iter().zip(&model.ranges).enumerate().map(apart).sum();
    let hazard = f64::from(apart) / COLUMNS as f64;
    let mean = sum / model.trees.len() as f64;
    match hazard {
        0.0 => mean,
        // What is sure to be isolated takes one step; see `maths::shortened` for why it is a little more.
        _ => (1.0 - (1.0 - hazard.min(0.999)).powf(mean)) / hazard.min(0.999),
    }
}

proptest! {
    #[test]
    fn scores_are_those_of_the_paper(model in model(), rows in rows()) {
        let forest = Forest::decode(&model.encode()).unwrap();
        let mut scores = Vec::new();
        forest.score_block(rows.as_flattened(), rows.len(), &mut scores).unwrap();
        prop_assert_eq!(scores.len(), rows.len());
        for (row, score) in rows.iter().zip(scores) {
            let expected = (-path_length(&model, row) / expected_path_length(SUBSAMPLE)).exp2();
            prop_assert!((f64::from(score) - expected).abs() < 1e-5, "{} instead of {}", score, expected);
        }
    }

    #[test]
    fn a_row_scores_the_same_in_every_block(model in model(), rows in rows()) {
        let forest = Forest::new(&model).unwrap();
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        forest.score_block(rows.as_flattened(), rows.len(), &mut together).unwrap();
        for row in &rows {
            forest.score_block(row, 1, &mut alone).unwrap();
        }
        prop_assert!(together.iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_contribution_is_what_the_typical_value_changes(model in model(), rows in rows()) {
        let forest = Forest::new(&model).unwrap();
        for row in rows {
            let own = path_length(&model, &row);
            let grown: Vec<f64> = (0..COLUMNS)
                .map(|column| {
                    let mut changed = row;
                    changed[column] = column as f32;
                    (path_length(&model, &changed) - own).max(0.0)
                })
                .collect();
            let all: f64 = grown.iter().sum();
            let explanation = forest.explain_block(&row, 1, COLUMNS).unwrap();
            for entry in explanation.entries() {
                let expected = grown[entry.column] / all;
                prop_assert!((f64::from(entry.weight) - expected).abs() < 1e-3 || all < 1e-3);
            }
        }
    }

    #[test]
    fn explanations_are_ordered_shares(model in model(), rows in rows(), limit in 0usize..6) {
        let forest = Forest::new(&model).unwrap();
        let explanation = forest.explain_block(rows.as_flattened(), rows.len(), limit).unwrap();
        prop_assert_eq!(explanation.counts().len(), rows.len());
        for entries in explanation.rows() {
            prop_assert!(entries.len() <= limit);
            prop_assert!(entries.is_sorted_by(|a, b| a.weight >= b.weight));
            prop_assert!(entries.iter().map(|entry| entry.weight).sum::<f32>() <= 1.0);
        }
    }

    #[test]
    fn an_artifact_comes_back_whole(model in model()) {
        prop_assert_eq!(Model::decode(&model.encode()).unwrap(), model);
    }

    #[test]
    fn a_damaged_artifact_never_panics(
        model in model(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        rows in rows(),
    ) {
        let whole = model.encode();
        prop_assert!(Forest::decode(&whole[..cut.index(whole.len())]).is_err());
        let mut damaged = whole;
        for (position, byte) in damage {
            let position = position.index(damaged.len());
            damaged[position] = byte;
        }
        if let Ok(forest) = Forest::decode(&damaged) {
            let mut scores = Vec::new();
            let _ = forest.score_block(rows.as_flattened(), rows.len(), &mut scores);
            let _ = forest.explain_block(rows.as_flattened(), rows.len(), 3);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Forest::decode(&bytes).is_err());
        for magic in [b"NSIFOR\0\x01", b"NSIFOR\0\x02"] {
            let _ = Forest::decode(&[&magic[..], &bytes].concat());
        }
    }
}

fn smallest() -> Model {
    Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: vec![InputColumn {
            name: "proto".to_owned(),
            typical: 0.0,
            ranks: Some(vec![0, 1]),
        }],
        subsample: 2,
        trees: vec![TreeShape {
            columns: vec![0, LEAF, LEAF],
            thresholds: vec![0.5],
            sizes: vec![1, 1],
        }],
        ..Model::default()
    }
}

#[test]
fn a_model_that_is_no_forest_is_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Model), expected: &str) {
        let mut model = smallest();
        change(&mut model);
        let error = Forest::new(&model).expect_err("refused");
        assert!(matches!(error, ArtifactError::Content(_)), "{error:?}");
        assert!(
            error.to_string().contains(expected),
            "{:?} does not say {expected:?}",
            error.to_string()
        );
    }
    Forest::new(&smallest()).expect("a forest");
    check(|model| model.columns.clear(), "0 columns");
    check(|model| model.subsample = u32::MAX, "training rows per tree");
    check(|model| model.trees.clear(), "0 trees");
    check(
        |model| model.columns[0].typical = f32::NAN,
        "typical value of proto",
    );
    check(|model| model.trees[0].columns[0] = 1, "column 1 of 1");
    check(
        |model| model.trees[0].thresholds[0] = f32::INFINITY,
        "split at inf",
    );
    check(|model| model.trees[0].columns = vec![LEAF, LEAF, 0], "ancestor");
    check(
        |model| model.trees[0].columns = vec![0, 0, LEAF],
        "more than 1 splits",
    );
    check(|model| model.trees[0].sizes = vec![2, 0], "2 rows instead of 2");
    check(|model| model.trees[0].sizes = vec![1, 2], "3 rows instead of 2");
    check(|model| model.trees[0].sizes.push(1), "do not make a tree");
    check(|model| model.ranges = vec![[1.0, 0.0]], "values from 1 to 0");
    check(|model| model.ranges = vec![[0.0, f32::NAN]], "to NaN");
    check(|model| model.ranges = vec![[0.0, 1.0]; 2], "ranges of 2 columns");
    let planes = |columns_per_split, column, weight| Planes {
        columns_per_split,
        terms: vec![Term { column, weight }; 2],
    };
    check(
        |model| model.planes = Some(planes(1, 0, 1.0)),
        "2 terms do not make 1 splits by 1",
    );
    check(
        |model| model.planes = Some(planes(3, 0, 1.0)),
        "2 terms do not make 1 splits by 3",
    );
    check(|model| model.planes = Some(planes(2, 1, 1.0)), "column 1 of 1");
    check(|model| model.planes = Some(planes(2, 0, f32::NAN)), "with NaN");
    check(
        |model| {
            let splits = 70;
            model.subsample = splits + 1;
            let mut columns = vec![0];
            (1..splits).for_each(|_| columns.extend([LEAF, 0]));
            columns.extend([LEAF, LEAF]);
            let splits = splits as usize;
            model.trees[0] = TreeShape {
                columns,
                thresholds: vec![0.5; splits],
                sizes: vec![1; splits + 1],
            };
        },
        "higher than 64",
    );
}

#[test]
fn the_component_reports_instead_of_trapping() {
    let model = smallest();
    let artifact = model.encode();
    let (id, version) = model.schema.split_once('@').expect("a schema with its version");
    let schema = |version| Schema {
        id: id.to_owned(),
        version,
        columns: Vec::new(),
    };
    let version = version.parse().expect("a number");
    let refused = |artifact: &[u8], version| {
        matches!(
            <Forest as Detector>::open(artifact, &schema(version)),
            Err(Error::BadArtifact(_))
        )
    };
    assert!(refused(b"no forest", version));
    assert!(refused(&artifact, version + 1));

    let mut detector = <Forest as Detector>::open(&artifact, &schema(version)).expect("a forest");
    assert_eq!(detector.inputs(), Inputs::columns(["proto"]));
    let mut scores = Vec::new();
    for (value, expected) in [(0.0, Ok(())), (7.0, Ok(())), (0.5, Err(())), (-1.0, Err(()))] {
        let values = [value];
        let block = Block::new(1, 1, &values).expect("of its shape");
        let outcome = detector.score(&block, &mut scores);
        assert_eq!(outcome.is_ok(), expected.is_ok(), "{value}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(
                matches!(&error, Error::BadInput(text) if text.contains("column proto")),
                "{error}"
            );
        }
    }
}

proptest! {
    /// Reading trees one after the other takes what decoding the whole model takes, and nothing else.
    #[test]
    fn both_ways_to_read_agree(model in model(), place: prop::sample::Index, byte: u8, cut: bool) {
        let mut bytes = model.encode();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        let whole = Model::decode(&bytes).and_then(|model| Forest::new(&model));
        let piecemeal = Forest::decode(&bytes);
        prop_assert_eq!(whole.is_ok(), piecemeal.is_ok());
        if let (Ok(whole), Ok(piecemeal)) = (whole, piecemeal) {
            prop_assert_eq!(format!("{whole:?}"), format!("{piecemeal:?}"));
        }
    }
}
