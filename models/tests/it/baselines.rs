//! The baselines on made-up rows whose outcome is known, and on real ones.

use netsage_models::baselines::{best_column, mahalanobis};
use netsage_models::metrics::{auroc, evaluate};
use netsage_models::{Common, TrainError};
use netsage_schema::unsw_nb15::TTL_TRIO;
use netsage_schema::{Rows, UNSW_NB15};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::unsw_nb15::labelled;

fn index(column: &str) -> usize {
    UNSW_NB15.index_of(column).unwrap()
}

/// Rows in which `sbytes` and `dbytes` rise and fall together, unless they are apart.
fn rows(count: usize, apart: bool, seed: u64) -> Rows {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Rows::new(&UNSW_NB15);
    for _ in 0..count {
        let mut row = vec![0.0; UNSW_NB15.width()];
        let size: f64 = random.random_range(4.0..9.0);
        let other = if apart {
            random.random_range(4.0..9.0)
        } else {
            size
        };
        row[index("sbytes")] = (size + random.random_range(-0.1..0.1)).exp();
        row[index("dbytes")] = (other + random.random_range(-0.1..0.1)).exp();
        row[index("proto")] = f64::from(random.random_range(0..2_u8));
        rows.push(&row);
    }
    rows
}

fn together(ordinary: &Rows, attacks: &Rows) -> (Rows, Vec<bool>) {
    let mut all = Rows::new(&UNSW_NB15);
    ordinary
        .iter()
        .chain(attacks.iter())
        .for_each(|row| all.push(row));
    (
        all,
        (0..ordinary.len() + attacks.len())
            .map(|row| row >= ordinary.len())
            .collect(),
    )
}

#[test]
fn a_distance_sees_what_no_single_column_shows() {
    let training = rows(2_000, false, 1);
    let (test, attack) = together(&rows(500, false, 2), &rows(500, true, 3));
    let common = Common::default();
    let distance = mahalanobis(&training, &common, &test).unwrap();
    let (_, column) = best_column(&training, &common, &test, &attack).unwrap();
    let [distance_area, column_area] =
        [&distance.scores, &column.scores].map(|scores| auroc(scores, &attack).unwrap());
    assert!(distance_area > 0.85, "{distance_area}");
    assert!(column_area < 0.6, "{column_area}");
    let point = evaluate(&distance.scores, &attack, None, distance.thresholds)
        .unwrap()
        .at_p95
        .unwrap();
    assert!(
        (0.02..0.09).contains(&point.fpr),
        "{} at the 95th percentile",
        point.fpr
    );
}

#[test]
fn the_best_column_is_named_with_its_direction() {
    let training = rows(2_000, false, 1);
    let plant = |column: &str, value: f64| {
        let mut attacks = Rows::new(&UNSW_NB15);
        for row in rows(200, false, 4).iter() {
            let mut row = row.to_vec();
            row[index(column)] = value;
            attacks.push(&row);
        }
        let (test, attack) = together(&rows(200, false, 5), &attacks);
        let (column, scores) = best_column(&training, &Common::default(), &test, &attack).unwrap();
        assert!(auroc(&scores.scores, &attack).unwrap() > 0.99);
        column.describe(&UNSW_NB15)
    };
    assert_eq!(plant("sttl", 254.0), "high sttl");
    assert_eq!(plant("sbytes", 1.0), "low sbytes");
    assert_eq!(plant("proto", 40.0), "rare proto");
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let few = rows(10, false, 1);
    assert!(matches!(
        mahalanobis(&few, &Common::default(), &few),
        Err(TrainError::TooFewRows { .. })
    ));
    let mut infinite = rows(300, false, 1);
    for _ in 0..30 {
        let mut row = infinite.row(0).to_vec();
        row[index("sload")] = f64::INFINITY;
        infinite.push(&row);
    }
    let error = mahalanobis(&infinite, &Common::default(), &few)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("sload"), "{error}");
}

#[test]
fn the_dataset_gives_the_baselines_what_others_measured() {
    let Some(((training, _), (test, attack))) = labelled() else {
        return;
    };
    for (exclude, least) in [(Vec::new(), 0.85), (TTL_TRIO.map(str::to_owned).to_vec(), 0.82)] {
        let common = Common {
            exclude,
            ..Common::default()
        };
        let distance = mahalanobis(&training, &common, &test).unwrap();
        let (column, scores) = best_column(&training, &common, &test, &attack).unwrap();
        let area = auroc(&distance.scores, &attack).unwrap();
        println!(
            "without {:?}: Mahalanobis {area:.4}; {} {:.4}",
            common.exclude,
            column.describe(&UNSW_NB15),
            auroc(&scores.scores, &attack).unwrap()
        );
        assert!(area > least, "without {:?}: {area}", common.exclude);
    }
}
