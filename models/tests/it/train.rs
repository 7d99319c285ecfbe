//! Training on made-up rows whose outcome is known.

use netsage_iforest::Forest;
use netsage_models::iforest::{TrainOptions, train};
use netsage_models::{Callbacks, Common, NoCallbacks, TrainError, Trained};
use netsage_package::ModelCard;
use netsage_schema::{Rows, UNSW_NB15};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn index(column: &str) -> usize {
    UNSW_NB15.index_of(column).unwrap()
}

/// Flows of tcp and udp whose sizes and times spread over orders of magnitude, the largest of them rare.
fn ordinary_rows(count: usize) -> Rows {
    let mut random = ChaCha8Rng::seed_from_u64(99);
    let mut rows = Rows::new(&UNSW_NB15);
    let mut spread = |smallest: f64| {
        let rare = random.random_bool(0.01);
        let exponent: f64 = if rare {
            random.random_range(1.0..3.0)
        } else {
            random.random_range(0.0..1.0)
        };
        (smallest * 10f64.powf(exponent), random.random::<u32>())
    };
    for _ in 0..count {
        let mut row = vec![0.0; UNSW_NB15.width()];
        (row[index("dur")], _) = spread(0.1);
        (row[index("sbytes")], _) = spread(200.0);
        (row[index("dbytes")], _) = spread(500.0);
        let (_, sequence_number) = spread(1.0);
        row[index("proto")] = f64::from(sequence_number % 2);
        row[index("sttl")] = 64.0;
        row[index("stcpb")] = f64::from(sequence_number);
        rows.push(&row);
    }
    rows
}

/// What a training reported.
#[derive(Default)]
struct Steps(Vec<(u64, u64)>);

impl Callbacks for Steps {
    fn step(&mut self, done: u64, total: u64, _figure: std::fmt::Arguments<'_>) {
        self.0.push((done, total));
    }
}

fn options() -> TrainOptions {
    TrainOptions {
        trees: 40,
        subsample: 512,
        common: Common {
            seed: 5,
            ..Common::default()
        },
        ..TrainOptions::default()
    }
}

fn with(change: impl FnOnce(&mut Common)) -> TrainOptions {
    let mut options = options();
    change(&mut options.common);
    options
}

fn scores(trained: &Trained, rows: &[Vec<f64>]) -> Vec<f32> {
    let forest = Forest::decode(&trained.artifact).unwrap();
    let mut scores = Vec::new();
    forest
        .score_block(&values(&forest, rows), rows.len(), &mut scores)
        .unwrap();
    scores
}

fn values(forest: &Forest, rows: &[Vec<f64>]) -> Vec<f32> {
    let columns: Vec<usize> = forest
        .columns()
        .iter()
        .map(|column| index(&column.name))
        .collect();
    rows.iter()
        .flat_map(|row| columns.iter().map(|&column| row[column] as f32))
        .collect()
}

#[test]
fn the_seed_decides_every_byte() {
    let rows = ordinary_rows(2_000);
    let train_with = |seed| train(&rows, &with(|common| common.seed = seed), &mut NoCallbacks).unwrap();
    let (first, again, other) = (train_with(5), train_with(5), train_with(6));
    assert!(first.artifact == again.artifact && first.card == again.card);
    assert!(first.artifact != other.artifact);
}

#[test]
fn extended_splits_show_better_what_no_single_column_shows() {
    // Bytes rise with packets; the odd row has many packets and few bytes, each of which is ordinary.
    let mut rows = Rows::new(&UNSW_NB15);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let row = |packets: f64, bytes: f64| {
        let mut row = vec![0.0; UNSW_NB15.width()];
        (row[index("spkts")], row[index("sbytes")]) = (packets, bytes);
        row
    };
    for _ in 0..3_000 {
        let packets = 10f64.powf(random.random_range(0.0..4.0)).round();
        rows.push(&row(packets, packets * random.random_range(90.0..110.0)));
    }
    let tested = [row(30.0, 3_000.0), row(1_000.0, 100_000.0), row(1_000.0, 3_000.0)];
    let [plain, extended] = [1, 2].map(|columns_per_split| {
        let options = TrainOptions {
            columns_per_split,
            ..options()
        };
        let trained = train(&rows, &options, &mut NoCallbacks).unwrap();
        let found = scores(&trained, &tested);
        let again = train(&rows, &options, &mut NoCallbacks).unwrap();
        assert!(trained.artifact == again.artifact);
        found[2] - found[0].max(found[1])
    });
    assert!(plain > 0.05 && extended > plain + 0.02, "{plain}, {extended}");
}

#[test]
fn a_planted_anomaly_scores_high_and_is_explained() {
    let rows = ordinary_rows(3_000);
    let trained = train(&rows, &options(), &mut NoCallbacks).unwrap();
    let forest = Forest::decode(&trained.artifact).unwrap();
    let ordinary = rows.row(17).to_vec();
    let mut all_odd = ordinary.clone();
    for (column, odd) in [("dbytes", 400_000.0), ("dur", 90.0), ("sbytes", 150_000.0)] {
        let mut row = ordinary.clone();
        row[index(column)] = odd;
        all_odd[index(column)] = odd;
        let found = scores(&trained, &[ordinary.clone(), row.clone()]);
        assert!(found[1] > found[0], "{column}: {found:?}");
        let explanation = forest.explain_block(&values(&forest, &[row]), 1, 3).unwrap();
        let first = explanation.entries()[0];
        assert_eq!(forest.columns()[first.column].name, column);
        assert!(
            f64::from(first.typical) < odd / 10.0,
            "{column}: {} is typical",
            first.typical
        );
        let sum: f32 = explanation.entries().iter().map(|entry| entry.weight).sum();
        assert!(sum <= 1.0 && explanation.entries().len() <= 3);
    }
    let score = scores(&trained, &[all_odd])[0];
    assert!(
        score > trained.card.threshold.unwrap(),
        "{score} is not above {}",
        trained.card.threshold.unwrap()
    );
}

#[test]
fn the_card_says_how_the_model_was_made() {
    let rows = ordinary_rows(2_000);
    let exclude = vec!["sttl".to_owned()];
    let mut steps = Steps::default();
    let mut trained = train(&rows, &with(|common| common.exclude = exclude), &mut steps).unwrap();
    trained.describe(&rows, &[]);
    let card = trained.card;
    let reference = card.reference.as_ref().expect("it was described");
    let described: Vec<&str> = reference
        .columns
        .iter()
        .map(|column| column.column.as_str())
        .collect();
    assert_eq!(described, card.columns);
    assert_eq!(reference.flows_per_day, None, "nobody knows when they were");
    assert_eq!(
        (card.rows, card.seed, card.schema.as_str()),
        (1_600, 5, "unsw-nb15@1")
    );
    assert!(
        !card
            .columns
            .iter()
            .any(|name| ["sttl", "stcpb", "dtcpb"].contains(&name.as_str()))
    );
    assert_eq!(card.calibration.len(), 101);
    assert!(card.calibration.is_sorted());
    assert_eq!(Some(card.calibration[99]), card.threshold);
    let tail = card.tail.as_ref().expect("400 rows were held out");
    assert_eq!(
        (tail.rows, tail.points.len()),
        (400, 0),
        "0.005 of 400 rows are 2"
    );
    let above = card.figures["fpr_held_out"];
    assert!(
        (0.0..=0.01).contains(&above),
        "{above} lie above the 0.99 quantile"
    );
    assert_eq!(
        (steps.0.first(), steps.0.last()),
        (Some(&(0, 40)), Some(&(40, 40)))
    );

    let json = card.to_json().unwrap();
    assert_eq!(ModelCard::from_json(json.as_bytes()).unwrap(), card);
    let list = json
        .lines()
        .find(|line| line.contains("\"calibration\""))
        .expect("a calibration");
    assert!(list.ends_with("],"), "a list of numbers is on one line: {list}");
    let markdown = card.to_markdown("a model");
    assert!(markdown.contains("| Training rows | 1600 |"), "{markdown}");
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    #[track_caller]
    fn check(rows: &Rows, options: &TrainOptions, expected: &str) {
        let error: TrainError = train(rows, options, &mut NoCallbacks).expect_err("refused");
        let text = error.to_string();
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    }
    let rows = ordinary_rows(200);
    check(&ordinary_rows(20), &options(), "20 rows are too few");
    check(
        &rows,
        &TrainOptions {
            trees: 0,
            ..options()
        },
        "trees must be 1 to 10,000, and is 0",
    );
    check(&rows, &with(|common| common.held_out = 1.0), "held_out");
    check(
        &rows,
        &with(|common| common.exclude = vec!["ttl".into()]),
        "no column ttl",
    );
    let mut equal = Rows::new(&UNSW_NB15);
    for _ in 0..200 {
        equal.push(&vec![1.0; UNSW_NB15.width()]);
    }
    check(&equal, &options(), "all training rows are equal");
    let mut infinite = ordinary_rows(200);
    let mut row = infinite.row(0).to_vec();
    row[index("sload")] = f64::INFINITY;
    infinite.push(&row);
    check(&infinite, &options(), "row 200, column sload");
}
