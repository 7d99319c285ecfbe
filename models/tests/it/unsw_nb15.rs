//! The promises of the detectors on real flows, where the dataset lies beside the repository.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use netsage_models::metrics::auroc;
use netsage_models::{Common, NoCallbacks, Trained, half_space_trees, iforest};
use netsage_schema::csv::{CsvRow, Reader};
use netsage_schema::unsw_nb15::TTL_TRIO;
use netsage_schema::{Rows, UNSW_NB15};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/unsw")
        .join(name)
}

fn read(name: &str) -> (Rows, Vec<bool>) {
    let input = BufReader::new(GzDecoder::new(File::open(data(name)).unwrap()));
    let mut reader = Reader::new(input, &UNSW_NB15).unwrap();
    let (mut rows, mut attack, mut row) = (Rows::new(&UNSW_NB15), Vec::new(), CsvRow::default());
    while let Some(outcome) = reader.read_row(&mut row) {
        outcome.unwrap();
        rows.push(&row.values);
        attack.push(row.label.unwrap());
    }
    (rows, attack)
}

type Labelled = (Rows, Vec<bool>);

/// Training and test rows; `None`, after saying so, where there is no dataset.
pub(crate) fn labelled() -> Option<(Labelled, Labelled)> {
    if !data("dev.csv.gz").exists() {
        println!("skipped: {} is absent", data("dev.csv.gz").display());
        return None;
    }
    Some((read("train-normal.csv.gz"), read("dev.csv.gz")))
}

/// Trains without some columns, scores the test rows, and compares the area under the ROC curve with the least it
/// must be. `score` gives the columns that the trained model wants, and scores rows of these.
fn check<Model>(
    least: [f64; 2],
    train: impl Fn(&Rows, Common) -> Trained,
    open: impl Fn(&[u8]) -> (Model, Vec<String>),
    score: impl Fn(&mut Model, &[f32], usize, &mut Vec<f32>),
) {
    let Some(((training, _), (test, attack))) = labelled() else {
        return;
    };
    for (exclude, least) in [Vec::new(), TTL_TRIO.map(str::to_owned).to_vec()]
        .into_iter()
        .zip(least)
    {
        let common = Common {
            exclude: exclude.clone(),
            ..Common::default()
        };
        let trained = train(&training, common);
        let (mut model, names) = open(&trained.artifact);
        let columns: Vec<usize> = names
            .iter()
            .map(|name| UNSW_NB15.index_of(name).unwrap())
            .collect();
        let values: Vec<f32> = test
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column] as f32))
            .collect();
        let mut scores = Vec::new();
        score(&mut model, &values, test.len(), &mut scores);
        let area = auroc(&scores, &attack).unwrap();
        println!(
            "without {exclude:?}: AUROC {area:.4}, {} bytes",
            trained.artifact.len()
        );
        assert!(area >= least, "without {exclude:?}: AUROC {area}");
    }
}

#[test]
fn an_isolation_forest_learns_from_ordinary_flows_alone() {
    check(
        [0.865, 0.845],
        |rows, common| {
            let options = iforest::TrainOptions {
                common,
                ..iforest::TrainOptions::default()
            };
            iforest::train(rows, &options, &mut NoCallbacks).unwrap()
        },
        |artifact| {
            let forest = netsage_iforest::Forest::decode(artifact).unwrap();
            let names = forest.columns().iter().map(|column| column.name.clone());
            (forest.clone(), names.collect())
        },
        |forest, values, rows, scores| forest.score_block(values, rows, scores).unwrap(),
    );
}

#[test]
fn half_space_trees_learn_from_ordinary_flows_alone() {
    check(
        [0.855, 0.83],
        |rows, common| {
            let options = half_space_trees::TrainOptions {
                common,
                ..half_space_trees::TrainOptions::default()
            };
            half_space_trees::train(rows, &options).unwrap()
        },
        |artifact| {
            let forest = netsage_half_space_trees::Forest::decode(artifact).unwrap();
            let names = forest.columns().iter().map(|column| column.name.clone());
            (forest.clone(), names.collect())
        },
        |forest, values, rows, scores| forest.score_block(values, rows, scores).unwrap(),
    );
}
