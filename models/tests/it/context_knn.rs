//! Training nearest neighbours on made-up rows whose outcome is known.

use netsage_context_knn::{Method, Model, Scorer};
use netsage_models::context_knn::{GroupMethod, GroupOptions, TrainOptions, train};
use netsage_models::{Callbacks, Common, NoCallbacks, TrainError, Trained};
use netsage_schema::{Rows, UNSW_NB15};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn index(column: &str) -> usize {
    UNSW_NB15.index_of(column).unwrap()
}

/// Two kinds of flows: small and quick by udp, large and slow by tcp.
fn ordinary(random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut row = vec![0.0; UNSW_NB15.width()];
    let large = random.random_bool(0.5);
    let scale = if large { 50.0 } else { 1.0 };
    row[index("proto")] = if large { 0.0 } else { 1.0 };
    row[index("sbytes")] = (scale * random.random_range(100.0..300.0f64)).round();
    row[index("smean")] = (random.random_range(60.0..90.0f64) * scale.sqrt()).round();
    row[index("dur")] = scale * random.random_range(0.1..0.5);
    row[index("rate")] = random.random_range(5.0..50.0) / scale;
    row[index("sttl")] = 64.0;
    row[index("stcpb")] = f64::from(random.random::<u32>());
    row
}

fn rows(count: usize) -> Rows {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut rows = Rows::new(&UNSW_NB15);
    for _ in 0..count {
        rows.push(&ordinary(&mut random));
    }
    rows
}

fn scorer(trained: &Trained) -> Scorer {
    Scorer::decode(&trained.artifact).unwrap()
}

fn values(scorer: &Scorer, row: &[f64]) -> Vec<f32> {
    scorer
        .columns()
        .iter()
        .map(|column| row[index(&column.name)] as f32)
        .collect()
}

fn score(scorer: &mut Scorer, row: &[f64]) -> f32 {
    let mut scores = Vec::new();
    let values = values(scorer, row);
    scorer.score_block(&values, 1, &mut scores).unwrap();
    scores[0]
}

fn mixture() -> Vec<GroupOptions> {
    vec![GroupOptions {
        name: "all".to_owned(),
        columns: ["sbytes", "smean", "dur", "rate"].map(str::to_owned).to_vec(),
        method: GroupMethod::Mixture {
            components: 4,
            least_variance: 0.001,
        },
    }]
}

fn both() -> [TrainOptions; 2] {
    let mixture = TrainOptions {
        groups: mixture(),
        stretches: 0,
        ..TrainOptions::default()
    };
    [TrainOptions::default(), mixture]
}

#[test]
fn the_same_training_gives_the_same_artifact() {
    for options in both() {
        let train = |options: &TrainOptions| train(&rows(600), options, &mut NoCallbacks).unwrap();
        let (once, again) = (train(&options), train(&options));
        assert_eq!(once.artifact, again.artifact);
        assert_eq!(once.card, again.card);
        assert_eq!(once.detector, "context-knn");
        let other = Common {
            seed: 2,
            ..Common::default()
        };
        let other = train(&TrainOptions {
            common: other,
            ..options
        });
        assert_ne!(once.artifact, other.artifact);
    }
}

#[test]
fn columns_that_carry_nothing_or_are_excluded_are_not_read() {
    let options = TrainOptions {
        common: Common {
            exclude: vec!["sttl".to_owned()],
            ..Common::default()
        },
        ..TrainOptions::default()
    };
    let trained = train(&rows(600), &options, &mut NoCallbacks).unwrap();
    for name in ["sttl", "stcpb", "dtcpb"] {
        assert!(!trained.card.columns.contains(&name.to_owned()), "{name}");
    }
    assert_eq!(trained.card.columns.len(), 39);
}

#[test]
fn a_mixed_up_flow_is_odd_though_each_value_is_ordinary() {
    for options in both() {
        let trained = train(&rows(3_000), &options, &mut NoCallbacks).unwrap();
        let mut scorer = scorer(&trained);
        let mut random = ChaCha8Rng::seed_from_u64(77);
        let above = (0..300)
            .filter(|_| score(&mut scorer, &ordinary(&mut random)) > trained.card.threshold.unwrap())
            .count();
        assert!(above <= 15, "{above} of 300 ordinary flows are alerted");
        // Large by udp.
        let mut mixed = ordinary(&mut random);
        mixed[index("proto")] = 1.0;
        mixed[index("sbytes")] = 10_000.0;
        mixed[index("smean")] = 500.0;
        mixed[index("dur")] = 15.0;
        mixed[index("rate")] = 0.4;
        assert!(score(&mut scorer, &mixed) > trained.card.threshold.unwrap());
    }
}

#[test]
fn a_planted_column_is_explained_first() {
    let trained = train(&rows(3_000), &TrainOptions::default(), &mut NoCallbacks).unwrap();
    let mut scorer = scorer(&trained);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut first = 0;
    let planted = [
        ("sbytes", 1e9),
        ("dur", 1e6),
        ("rate", 1e8),
        ("sttl", 250.0),
        ("dloss", 40.0),
    ];
    for turn in 0..200 {
        let (column, value) = planted[turn % planted.len()];
        let mut row = ordinary(&mut random);
        let before = row[index(column)];
        row[index(column)] = value;
        let values = values(&scorer, &row);
        let explanation = scorer.explain_block(&values, 1, 3).unwrap();
        let entry = explanation.entries()[0];
        let named = scorer.columns()[entry.column].name == column;
        // What is typical lies nearer to what was there before.
        let nearer = (f64::from(entry.typical) - before).abs() < (value - before).abs() / 2.0;
        first += usize::from(named && nearer);
    }
    assert!(first >= 195, "{first} of 200");
}

#[test]
fn a_rare_context_gets_reference_rows_by_the_exponent() {
    // One row in twenty is by tcp.
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut rows = Rows::new(&UNSW_NB15);
    for number in 0..4_000 {
        let mut row = ordinary(&mut random);
        row[index("proto")] = f64::from(u8::from(number % 20 > 0));
        rows.push(&row);
    }
    let check = |share_exponent: f64, expected: u32| {
        let options = TrainOptions {
            groups: vec![GroupOptions {
                name: "all".to_owned(),
                columns: vec!["sbytes".to_owned(), "dur".to_owned()],
                method: GroupMethod::Neighbours {
                    neighbours: 3,
                    duplicates: true,
                    references: 200,
                },
            }],
            share_exponent,
            ..TrainOptions::default()
        };
        let trained = train(&rows, &options, &mut NoCallbacks).unwrap();
        let model = Model::decode(&trained.artifact).unwrap();
        let Method::Neighbours { points, .. } = &model.groups[0].method else {
            panic!("the group has neighbours");
        };
        // The most frequent context is the first.
        let rare: u32 = points[1].counts.iter().sum();
        assert!(
            rare.abs_diff(expected) <= 3,
            "{rare} with the exponent {share_exponent}"
        );
    };
    check(1.0, 10);
    // The root of 19 to 1.
    check(0.5, 37);
    check(0.0, 100);
}

/// Ends the training at its second step.
struct Impatient(u64);

impl Callbacks for Impatient {
    fn step(&mut self, done: u64, total: u64, _figure: std::fmt::Arguments<'_>) {
        assert!(done <= total);
        self.0 += 1;
    }

    fn interrupted(&self) -> bool {
        self.0 >= 2
    }
}

#[test]
fn mistakes_and_interruption_are_named() {
    let interrupted = train(&rows(200), &TrainOptions::default(), &mut Impatient(0)).unwrap_err();
    assert!(matches!(interrupted, TrainError::Interrupted));
    let check = |change: fn(&mut TrainOptions), expected: &str| {
        let mut options = TrainOptions {
            groups: mixture(),
            ..TrainOptions::default()
        };
        change(&mut options);
        let message = train(&rows(200), &options, &mut NoCallbacks)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    check(|options| options.context_weight = -1.0, "context_weight");
    check(|options| options.resolution = 0.0, "resolution");
    check(|options| options.floor = 0.0, "floor");
    check(|options| options.stretches = 1, "stretches");
    check(|options| options.share_exponent = 1.5, "share_exponent");
    check(|options| options.tail = 0.0, "tail");
    check(|options| options.per_doubling = f32::NAN, "per_doubling");
    check(
        |options| options.groups[0].columns[0] = "unheard".to_owned(),
        "unheard",
    );
    check(
        |options| options.groups[0].columns = vec!["stcpb".to_owned()],
        "groups",
    );
    check(
        |options| {
            options.groups[0].method = GroupMethod::Mixture {
                components: 0,
                least_variance: 0.1,
            }
        },
        "components",
    );
}
