//! The promise of the isolation forest on real flows, where the dataset lies beside the repository.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use netsage_iforest::Forest;
use netsage_models::iforest::{TrainOptions, train};
use netsage_models::metrics::auroc;
use netsage_schema::csv::{Reader, Record};
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
    let (mut rows, mut attack, mut record) = (Rows::new(&UNSW_NB15), Vec::new(), Record::default());
    while let Some(outcome) = reader.read_record(&mut record) {
        outcome.unwrap();
        rows.push(&record.values);
        attack.push(record.label.unwrap());
    }
    (rows, attack)
}

#[test]
fn ordinary_flows_alone_give_an_auroc_of_at_least_080() {
    if !data("dev.csv.gz").exists() {
        println!("skipped: {} is absent", data("dev.csv.gz").display());
        return;
    }
    let (training, _) = read("train-normal.csv.gz");
    let (test, attack) = read("dev.csv.gz");
    for exclude in [Vec::new(), TTL_TRIO.map(str::to_owned).to_vec()] {
        let options = TrainOptions {
            exclude,
            ..TrainOptions::default()
        };
        let trained = train(&training, &options, |_, _| {}).unwrap();
        let forest = Forest::decode(&trained.artifact).unwrap();
        let columns: Vec<usize> = forest
            .columns()
            .iter()
            .map(|column| UNSW_NB15.index_of(&column.name).unwrap())
            .collect();
        let values: Vec<f32> = test
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column] as f32))
            .collect();
        let mut scores = Vec::new();
        forest.score_block(&values, test.len(), &mut scores).unwrap();
        let area = auroc(&scores, &attack).unwrap();
        println!(
            "without {:?}: AUROC {area:.4}, {} bytes",
            options.exclude,
            trained.artifact.len()
        );
        assert!(area >= 0.80, "without {:?}: AUROC {area}", options.exclude);
    }
}
