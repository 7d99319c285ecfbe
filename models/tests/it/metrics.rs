//! Metrics against their definitions, counted pair by pair and threshold by threshold.

use netsage_models::metrics::{MetricsError, auprc, auroc, evaluate, tpr_at_fpr};
use proptest::prelude::*;

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
        let point = tpr_at_fpr(&scores, &attack, limit).unwrap();
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
