//! Isolation forests beside those of scikit-learn: its very trees in our format, and forests that each has grown.

use std::collections::VecDeque;

use netsage_iforest::{Forest, InputColumn, LEAF, Model, TreeShape};
use netsage_models::iforest::{TrainOptions, train};
use netsage_models::{Common, NoCallbacks};
use netsage_schema::unsw_nb15::SEQUENCE_NUMBERS;
use netsage_schema::{Rows, UNSW_NB15};
use serde_json::{Value, json};

use crate::peers::python;
use crate::unsw_nb15::labelled;

const TREES: usize = 300;
const SUBSAMPLE: usize = 256;

/// Fits a forest on the values as they are and one on our scale, and gives the first with its trees, both with the
/// scores of the test rows.
const SCRIPT: &str = r#"
import json, sys
import numpy as np
from sklearn.ensemble import IsolationForest

given = json.load(sys.stdin)

def fitted(train, test):
    forest = IsolationForest(n_estimators=given["trees"], max_samples=given["subsample"], random_state=1)
    forest.fit(train)
    return forest, (-forest.score_samples(test)).tolist()

train, test = (np.array(given[name], dtype=np.float32) for name in ["train", "test"])
forest, scores = fitted(train, test)
trees = [
    {
        "feature": tree.feature.tolist(),
        "threshold": tree.threshold.tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "rows": tree.n_node_samples.tolist(),
    }
    for tree in (estimator.tree_ for estimator in forest.estimators_)
]
ranked_train, ranked_test = (np.array(given[name]) for name in ["ranked_train", "ranked_test"])
_, on_our_scale = fitted(np.log1p(1000 * ranked_train), np.log1p(1000 * ranked_test))
json.dump({"trees": trees, "scores": scores, "on_our_scale": on_our_scale}, sys.stdout)
"#;

fn numbers<T: serde::de::DeserializeOwned>(tree: &Value, name: &str) -> Vec<T> {
    serde_json::from_value(tree[name].clone()).unwrap()
}

/// A tree of scikit-learn in our order, breadth first. There, rows up to the threshold go left; here, rows below it.
fn shape(tree: &Value) -> TreeShape {
    let (feature, left, right): (Vec<i64>, Vec<i64>, Vec<i64>) = (
        numbers(tree, "feature"),
        numbers(tree, "left"),
        numbers(tree, "right"),
    );
    let (threshold, rows): (Vec<f64>, Vec<u32>) = (numbers(tree, "threshold"), numbers(tree, "rows"));
    let mut shape = TreeShape::default();
    let mut waiting = VecDeque::from([0]);
    while let Some(node) = waiting.pop_front() {
        if left[node] < 0 {
            shape.columns.push(LEAF);
            shape.sizes.push(rows[node]);
            continue;
        }
        shape.columns.push(u8::try_from(feature[node]).unwrap());
        // The least single above the threshold: rows are singles.
        let rounded = threshold[node] as f32;
        let above = if f64::from(rounded) > threshold[node] {
            rounded
        } else {
            rounded.next_up()
        };
        shape.thresholds.push(above);
        waiting.extend([left[node] as usize, right[node] as usize]);
    }
    shape
}

/// Spearman's correlation: that of the ranks, equal scores sharing their mean rank.
fn rank_correlation(a: &[f32], b: &[f32]) -> f64 {
    let ranks = |scores: &[f32]| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let mut ranks = vec![0.0; scores.len()];
        for equal in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let first = order.partition_point(|&row| scores[row] < scores[equal[0]]);
            for &row in equal {
                ranks[row] = first as f64 + (equal.len() - 1) as f64 / 2.0;
            }
        }
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() - 1) as f64 / 2.0;
    let product =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum() };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

fn scores(forest: &Forest, rows: &[Vec<f32>]) -> Vec<f32> {
    let mut scores = Vec::new();
    forest
        .score_block(&rows.concat(), rows.len(), &mut scores)
        .unwrap();
    scores
}

/// `cargo test --release -p netsage-models --test it scikit_forest -- --nocapture` prints the correlations.
#[test]
fn forests_agree_with_those_of_scikit_learn() {
    let Some(((training, _), (test, _))) = labelled() else {
        return;
    };
    let thinned = |rows: &Rows, step| {
        let mut kept = Rows::new(&UNSW_NB15);
        rows.iter().step_by(step).for_each(|row| kept.push(row));
        kept
    };
    let (training, test) = (thinned(&training, 4), thinned(&test, 8));

    // Ours, as in the paper, on all that is not held out, without what the paper does not have.
    let options = TrainOptions {
        trees: TREES,
        subsample: SUBSAMPLE,
        height_limit: Some(8),
        least_share: 0.0,
        remove_duplicates: false,
        common: Common {
            held_out: 0.01,
            ..Common::default()
        },
        ..TrainOptions::default()
    };
    let trained = train(&training, &options, &mut NoCallbacks).unwrap();
    let mut model = Model::decode(&trained.artifact).unwrap();
    model.ranges.clear();
    let ours = Forest::new(&model).unwrap();

    let columns: Vec<usize> = (0..UNSW_NB15.width())
        .filter(|&index| !SEQUENCE_NUMBERS.contains(&UNSW_NB15.columns[index].name))
        .collect();
    let table = |rows: &Rows| -> Vec<Vec<f32>> {
        rows.iter()
            .map(|row| columns.iter().map(|&column| row[column] as f32).collect())
            .collect()
    };
    let ranked = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> {
        let rank = |(&value, column): (&f32, &InputColumn)| match &column.ranks {
            Some(ranks) => f32::from(ranks[value as usize]),
            None => value,
        };
        rows.iter()
            .map(|row| row.iter().zip(ours.columns()).map(rank).collect())
            .collect()
    };
    let (train_rows, test_rows) = (table(&training), table(&test));
    let Some(theirs) = python(
        SCRIPT,
        &json!({
            "trees": TREES,
            "subsample": SUBSAMPLE,
            "ranked_train": ranked(&train_rows),
            "ranked_test": ranked(&test_rows),
            "train": train_rows,
            "test": test_rows,
        }),
    ) else {
        return;
    };

    let same_trees = Forest::new(&Model {
        schema: "unsw-nb15@1".to_owned(),
        columns: columns
            .iter()
            .map(|&index| InputColumn {
                name: UNSW_NB15.columns[index].name.to_owned(),
                typical: 0.0,
                ranks: None,
            })
            .collect(),
        subsample: u32::try_from(SUBSAMPLE).unwrap(),
        trees: theirs["trees"].as_array().unwrap().iter().map(shape).collect(),
        ..Model::default()
    })
    .unwrap();
    let (found, expected) = (scores(&same_trees, &test_rows), numbers::<f32>(&theirs, "scores"));
    let farthest = found
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let same = rank_correlation(&found, &expected);
    println!("the same trees: rank correlation {same:.6}, scores differ by at most {farthest:.6}");
    let own = rank_correlation(
        &scores(&ours, &test_rows),
        &numbers::<f32>(&theirs, "on_our_scale"),
    );
    println!("each has grown its own: rank correlation {own:.4}");
    // scikit-learn approximates the harmonic number in the length expected of a leaf.
    assert!(same >= 0.999 && farthest < 0.01, "{same}, {farthest}");
    assert!(own >= 0.98, "{own}");
}
