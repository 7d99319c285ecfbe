//! Training DBSCAN, and its labels against scikit-learn's.

use std::fs::File;
use std::io::BufReader;

use flate2::read::GzDecoder;
use netsage_dbscan::{Model, Scorer};
use netsage_models::dbscan::{Clustering, TrainOptions, cluster, train};
use netsage_models::{Common, NoCallbacks};
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::{Rows, UNSW_NB15};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::peers::python;

const SCRIPT: &str = r#"
import json, sys
import numpy as np
from sklearn.cluster import DBSCAN

found = []
for case in json.load(sys.stdin):
    # A tree sums the squares in the order of the columns; the default for many columns does not.
    peer = DBSCAN(eps=case["eps"], min_samples=case["min_samples"], algorithm="kd_tree")
    peer.fit(np.array(case["rows"]))
    core = np.zeros(len(case["rows"]), dtype=bool)
    core[peer.core_sample_indices_] = True
    found.append({"labels": peer.labels_.tolist(), "core": core.tolist()})
json.dump(found, sys.stdout)
"#;

/// Numbers of the rows of a file: logarithms of some columns.
fn logarithms(path: &str, most: usize) -> Option<Vec<Vec<f64>>> {
    let Ok(file) = File::open(path) else {
        println!("skipped: there is no {path}");
        return None;
    };
    let columns = [
        "dur",
        "sbytes",
        "dbytes",
        "rate",
        "smean",
        "dmean",
        "ct_srv_src",
        "ct_dst_ltm",
    ];
    let columns = columns.map(|name| UNSW_NB15.index_of(name).unwrap());
    let mut reader = Reader::new(BufReader::new(GzDecoder::new(file)), &UNSW_NB15).unwrap();
    let (mut rows, mut row) = (Vec::new(), CsvRow::default());
    while let Some(outcome) = reader.read_row(&mut row) {
        outcome.unwrap();
        rows.push(columns.map(|column| row.values[column].ln_1p()).to_vec());
    }
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(8));
    rows.truncate(most);
    Some(rows)
}

fn check_labels(found: &Clustering, labels: &[i64], core: &[bool]) {
    assert_eq!(found.core, core);
    // Both number clusters by their first core point and give a border point to the first that reaches it.
    let own = found.labels.iter().map(|label| label.map_or(-1, i64::from));
    assert!(own.eq(labels.iter().copied()));
}

#[test]
fn labels_are_those_of_scikit_learn() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut cases: Vec<(Vec<Vec<f64>>, f64, u64)> = Vec::new();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/data/unsw/train-normal.csv.gz"
    );
    if let Some(mut rows) = logarithms(path, 4_500) {
        rows.extend((0..500).map(|_| (0..8).map(|_| random.random_range(0.0..12.0)).collect()));
        rows.shuffle(&mut random);
        assert_eq!(rows.len(), 5_000);
        cases.push((rows.clone(), 0.5, 10));
        cases.push((rows, 1.5, 5));
    }
    let clumps = |random: &mut ChaCha8Rng| -> Vec<Vec<f64>> {
        (0..800)
            .map(|row| {
                vec![
                    random.random::<f64>() + f64::from(row % 5) * 1.2,
                    random.random::<f64>() * 2.0,
                ]
            })
            .collect()
    };
    for eps in [0.15, 0.2, 0.3] {
        cases.push((clumps(&mut random), eps, 6));
    }
    let input: Vec<_> = cases
        .iter()
        .map(|(rows, eps, min_samples)| json!({ "rows": rows, "eps": eps, "min_samples": min_samples }))
        .collect();
    let Some(expected) = python(SCRIPT, &json!(input)) else {
        return;
    };
    let mut noise = 0;
    for ((rows, eps, min_samples), expected) in cases.iter().zip(expected.as_array().unwrap()) {
        let found = cluster(
            &rows.concat(),
            rows[0].len(),
            &vec![1; rows.len()],
            *eps,
            *min_samples,
        );
        let labels: Vec<i64> = serde_json::from_value(expected["labels"].clone()).unwrap();
        let core: Vec<bool> = serde_json::from_value(expected["core"].clone()).unwrap();
        assert!(core.contains(&true), "eps {eps}");
        noise += labels.iter().filter(|&&label| label == -1).count();
        check_labels(&found, &labels, &core);
    }
    assert!(noise > 0, "some rows are noise");
}

fn index(column: &str) -> usize {
    UNSW_NB15.index_of(column).unwrap()
}

/// Flows around one size and duration, by two protocols.
fn ordinary(random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut row = vec![0.0; UNSW_NB15.width()];
    row[index("proto")] = f64::from(random.random_range(0..2u8));
    row[index("sbytes")] = random.random_range(500.0..2_000.0f64).round();
    // Says what sbytes says.
    row[index("smean")] = row[index("sbytes")] / 4.0;
    row[index("dur")] = random.random_range(1.0..9.0);
    row
}

fn rows() -> Rows {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut rows = Rows::new(&UNSW_NB15);
    for _ in 0..2_000 {
        rows.push(&ordinary(&mut random));
    }
    rows
}

#[test]
fn a_model_finds_what_lies_apart() {
    let options = TrainOptions::default();
    let trained = train(&rows(), &options, &mut NoCallbacks).unwrap();
    assert_eq!(
        trained.artifact,
        train(&rows(), &options, &mut NoCallbacks).unwrap().artifact
    );
    assert!(
        !trained.card.columns.contains(&"smean".to_owned()),
        "it repeats sbytes"
    );
    let model = Model::decode(&trained.artifact).unwrap();
    assert!(
        model.clusters >= 2 && model.core_points > 100,
        "{} and {}",
        model.clusters,
        model.core_points
    );
    let mut scorer = Scorer::new(&model).unwrap();
    let names: Vec<usize> = scorer
        .columns()
        .iter()
        .map(|column| index(&column.name))
        .collect();
    let mut score = |row: &[f64]| {
        let values: Vec<f32> = names.iter().map(|&column| row[column] as f32).collect();
        let mut scores = Vec::new();
        scorer.score_block(&values, 1, &mut scores).unwrap();
        scores[0]
    };
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let far = (0..300)
        .filter(|_| score(&ordinary(&mut random)) > trained.card.threshold.unwrap())
        .count();
    assert!(far <= 15, "{far} of 300 ordinary flows");
    for (column, value) in [("sbytes", 4e6), ("dur", 900.0), ("proto", 17.0), ("dloss", 9.0)] {
        let mut row = ordinary(&mut random);
        row[index(column)] = value;
        assert!(score(&row) > trained.card.threshold.unwrap(), "{column}");
    }
}

#[test]
fn mistakes_are_named() {
    let check = |change: fn(&mut TrainOptions), expected: &str| {
        let mut options = TrainOptions::default();
        change(&mut options);
        let message = train(&rows(), &options, &mut NoCallbacks)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|options| options.min_samples = 1, "min_samples");
    check(|options| options.eps = Some(0.0), "eps");
    check(|options| options.most_correlation = 0.0, "most_correlation");
    check(|options| options.condense = -1.0, "condense");
    check(
        |options| {
            options.common = Common {
                exclude: vec!["nothing".to_owned()],
                ..Common::default()
            }
        },
        "nothing",
    );
}
