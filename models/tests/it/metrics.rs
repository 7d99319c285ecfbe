//! Metrics against their definitions, counted pair by pair and threshold by threshold.

use netsage_models::metrics::{
    Bootstrap, Curve, Distinct, MetricsError, Thresholds, auprc, auroc, evaluate, intervals, wilson,
};
use netsage_schema::{Rows, UNSW_NB15};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

fn auroc_by_pairs(scores: &[f32], attack: &[bool]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (a, _) in attack.iter().enumerate().filter(|&(_, &attack)| attack) {
        for (o, _) in attack.iter().enumerate().filter(|&(_, &attack)| !attack) {
            pairs += 1.0;
            wins += if scores[a] > scores[o] {
                1.0
            } else if scores[a] == scores[o] {
                0.5
            } else {
                0.0
            };
        }
    }
    wins / pairs
}

fn rates_at(scores: &[f32], attack: &[bool], threshold: f32) -> (f64, f64, f64) {
    let count = |wanted: bool| attack.iter().filter(|&&attack| attack == wanted).count() as f64;
    let above = |wanted: bool| {
        scores
            .iter()
            .zip(attack)
            .filter(|&(&score, &attack)| attack == wanted && score >= threshold)
            .count() as f64
    };
    let (found, wrong) = (above(true), above(false));
    (found / count(true), wrong / count(false), found / (found + wrong))
}

fn distinct_falling(scores: &[f32]) -> Vec<f32> {
    let mut distinct = scores.to_vec();
    distinct.sort_by(|a, b| b.total_cmp(a));
    distinct.dedup();
    distinct
}

fn auprc_by_thresholds(scores: &[f32], attack: &[bool]) -> f64 {
    let mut before = 0.0;
    distinct_falling(scores)
        .into_iter()
        .map(|threshold| {
            let (recall, _, precision) = rates_at(scores, attack, threshold);
            let gained = recall - before;
            before = recall;
            gained * precision
        })
        .sum()
}

fn tpr_by_thresholds(scores: &[f32], attack: &[bool], limit: f64) -> f64 {
    distinct_falling(scores)
        .into_iter()
        .map(|threshold| rates_at(scores, attack, threshold))
        .filter(|&(_, fpr, _)| fpr <= limit)
        .map(|(tpr, _, _)| tpr)
        .fold(0.0, f64::max)
}

/// Few distinct scores, so that ties are common; both classes occur.
fn scored_rows() -> impl Strategy<Value = (Vec<f32>, Vec<bool>)> {
    proptest::collection::vec((0u8..12, any::<bool>()), 2..60).prop_map(|rows| {
        let scores = rows.iter().map(|&(score, _)| f32::from(score) / 8.0).collect();
        let mut attack: Vec<bool> = rows.iter().map(|&(_, attack)| attack).collect();
        attack[0] = true;
        attack[1] = false;
        (scores, attack)
    })
}

proptest! {
    #[test]
    fn figures_follow_their_definitions((scores, attack) in scored_rows(), limit in 0.0..1.0f64) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        prop_assert!(near(auroc(&scores, &attack).unwrap(), auroc_by_pairs(&scores, &attack)));
        prop_assert!(near(auprc(&scores, &attack).unwrap(), auprc_by_thresholds(&scores, &attack)));
        let point = Curve::new(&scores, &attack).unwrap().point_at_fpr(limit);
        prop_assert!(near(point.tpr, tpr_by_thresholds(&scores, &attack, limit)));
        prop_assert!(point.fpr <= limit);
        // The threshold that is named gives the rates that are named.
        let again = evaluate(&scores, &attack, None, Some(point.threshold)).unwrap().at_threshold.unwrap();
        prop_assert_eq!(point, again);
    }
}

#[test]
fn recall_is_counted_per_category() {
    let categories: Vec<String> = ["Normal", "Normal", "DoS", "DoS", " Fuzzers", "Normal"]
        .map(str::to_owned)
        .to_vec();
    let attack = [false, false, true, true, true, false];
    let scores = [0.1, 0.2, 0.9, 0.15, 0.8, 0.3];
    let evaluation = evaluate(&scores, &attack, Some(&categories), Some(0.12)).unwrap();
    let by_name: Vec<(&str, usize, f64, Option<f64>)> = evaluation
        .categories
        .iter()
        .map(|c| {
            (
                c.category.as_str(),
                c.rows,
                c.recall_at_fpr_1,
                c.recall_at_threshold,
            )
        })
        .collect();
    assert_eq!(
        by_name,
        [("DoS", 2, 0.5, Some(1.0)), ("Fuzzers", 1, 1.0, Some(1.0))]
    );
    let point = evaluation.at_threshold.unwrap();
    assert_eq!((point.tpr, point.precision), (1.0, 0.6));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let check = |scores: &[f32], attack: &[bool], expected: MetricsError| {
        assert_eq!(auroc(scores, attack), Err(expected));
    };
    check(
        &[0.1],
        &[true, false],
        MetricsError::Length { scores: 1, labels: 2 },
    );
    check(
        &[0.1, f32::NAN],
        &[true, false],
        MetricsError::NotANumber { row: 1 },
    );
    check(
        &[0.1, 0.2],
        &[true, true],
        MetricsError::OneClass { attacks: 2, rows: 2 },
    );
    check(&[], &[], MetricsError::OneClass { attacks: 0, rows: 0 });
}

#[test]
fn points_of_the_curve_give_the_figures_back() {
    let scores = [0.9, 0.9, 0.5, 0.4, 0.4, 0.1];
    let attack = [true, false, true, false, true, false];
    let points: Vec<(f64, f64)> = Curve::new(&scores, &attack)
        .unwrap()
        .points()
        .map(|point| (point.fpr, point.tpr))
        .collect();
    let third = 1.0 / 3.0;
    let expected = [
        (0.0, 0.0),
        (third, third),
        (third, 2.0 * third),
        (2.0 * third, 1.0),
        (1.0, 1.0),
    ];
    assert_eq!(points, expected);
    let area: f64 = points
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0)
        .sum();
    assert!((area - auroc(&scores, &attack).unwrap()).abs() < 1e-12);
}

/// Scores of two overlapping classes.
fn overlapping(ordinary: usize, attacks: usize) -> (Vec<f32>, Vec<bool>) {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    (0..ordinary + attacks)
        .map(|row| {
            let attack = row >= ordinary;
            (random.random::<f32>() + if attack { 0.4 } else { 0.0 }, attack)
        })
        .unzip()
}

#[test]
fn intervals_are_as_wide_as_theory_says() {
    let (scores, attack) = overlapping(600, 300);
    let thresholds = Thresholds::from(Some(0.9));
    let bootstrap = Bootstrap {
        samples: 2_000,
        seed: 1,
    };
    let found = intervals(&scores, &attack, &thresholds, bootstrap).unwrap();
    let evaluation = evaluate(&scores, &attack, None, thresholds).unwrap();
    let check = |name: &str, value: f64, deviation: f64| {
        let [low, high] = found[name];
        assert!(low < value && value < high, "{name}: {value} in {low} to {high}");
        let ratio = (high - low) / (2.0 * 1.96 * deviation);
        assert!(
            (0.9..1.1).contains(&ratio),
            "{name}: {low} to {high} is {ratio} of what is expected"
        );
    };
    let point = evaluation.at_threshold.unwrap();
    check(
        "tpr_at_threshold",
        point.tpr,
        (point.tpr * (1.0 - point.tpr) / 300.0).sqrt(),
    );
    check(
        "fpr_at_threshold",
        point.fpr,
        (point.fpr * (1.0 - point.fpr) / 600.0).sqrt(),
    );
    check("auroc", evaluation.auroc, delong(&scores, &attack));
    // Every figure has its interval.
    assert!(
        evaluation
            .named()
            .iter()
            .all(|(name, _)| found.contains_key(name)),
        "{found:?}"
    );
}

/// Standard error of the area under the ROC curve (DeLong, DeLong and Clarke-Pearson, 1988), pair by pair.
fn delong(scores: &[f32], attack: &[bool]) -> f64 {
    let of = |wanted: bool| -> Vec<f32> {
        let rows = scores.iter().zip(attack).filter(|&(_, &attack)| attack == wanted);
        rows.map(|(&score, _)| score).collect()
    };
    let (attacks, ordinary) = (of(true), of(false));
    let wins = |a: f32, o: f32| f64::from(u8::from(a > o)) + f64::from(u8::from(a == o)) / 2.0;
    let variance = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        squares / (values.len() - 1) as f64 / values.len() as f64
    };
    let share = |count: f64, all: usize| count / all as f64;
    let by_attack = attacks
        .iter()
        .map(|&a| share(ordinary.iter().map(|&o| wins(a, o)).sum(), ordinary.len()));
    let by_ordinary = ordinary
        .iter()
        .map(|&o| share(attacks.iter().map(|&a| wins(a, o)).sum(), attacks.len()));
    (variance(by_attack.collect()) + variance(by_ordinary.collect())).sqrt()
}

#[test]
fn the_seed_decides_the_intervals() {
    let (scores, attack) = overlapping(50, 50);
    let draw = |samples, seed| {
        intervals(
            &scores,
            &attack,
            &Thresholds::default(),
            Bootstrap { samples, seed },
        )
        .unwrap()
    };
    assert_eq!(draw(50, 1), draw(50, 1));
    assert_ne!(draw(50, 1), draw(50, 2));
    assert!(draw(0, 1).is_empty());
}

#[test]
fn intervals_of_shares_also_hold_for_few_rows() {
    let check = |share: f64, rows: usize, expected: [f64; 2]| {
        let found = wilson(share, rows);
        let near = found
            .iter()
            .zip(expected)
            .all(|(found, expected)| (found - expected).abs() < 5e-4);
        assert!(near, "{share} of {rows}: {found:?}, not {expected:?}");
    };
    // Brown, Cai and DasGupta (2001), and statsmodels' proportion_confint with method="wilson".
    check(0.0, 10, [0.0, 0.2775]);
    check(0.5, 10, [0.2366, 0.7634]);
    check(1.0, 22, [0.8513, 1.0]);
    check(0.0, 0, [0.0, 1.0]);
}

#[test]
fn repeated_rows_count_once_on_each_side() {
    let mut rows = Rows::new(&UNSW_NB15);
    let mut attack = Vec::new();
    for (duration, is_attack) in [
        (1.0, true),
        (0.0, false),
        (1.0, true),
        (-0.0, false),
        (1.0, false),
        (2.0, true),
    ] {
        let mut row = vec![0.0; UNSW_NB15.width()];
        row[0] = duration;
        rows.push(&row);
        attack.push(is_attack);
    }
    let distinct = Distinct::of(&rows, &attack);
    assert_eq!(
        (distinct.rows.as_slice(), distinct.with_both_labels),
        ([0, 1, 4, 5].as_slice(), 1)
    );
    assert_eq!(distinct.select(&attack), [true, false, false, true]);
    assert!(Distinct::of(&Rows::new(&UNSW_NB15), &[]).rows.is_empty());
}

#[test]
fn thresholds_are_percentiles_of_what_was_held_out() {
    let scores: Vec<f32> = (0..=100).map(|score| score as f32).rev().collect();
    let thresholds = Thresholds::of_held_out(&scores);
    assert_eq!(
        (thresholds.p95, thresholds.p99, thresholds.model),
        (Some(95.0), Some(99.0), None)
    );
    assert_eq!(Thresholds::of_held_out(&[]), Thresholds::default());
}
