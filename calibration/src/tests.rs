//! What holds for every card, and what some say.

use netsage_api_types::Severity;
use netsage_package::{CalibrationTail, TailPoint};
use netsage_schema::{FLOW_V1, Rows, UNSW_NB15};
use proptest::prelude::*;

use crate::drift::{self, Window};
use crate::{Rule, Scale, fit_tail, fused, severity};

/// As the training makes a calibration of sorted scores.
fn scale_of(scores: &[f32]) -> Scale {
    let quantile = |step: usize| scores[(step * (scores.len() - 1) + 50) / 100];
    let calibration: Vec<f32> = (0..=100).map(quantile).collect();
    let tail = fit_tail(scores);
    assert!(tail.is_some());
    Scale::new(&calibration, tail.as_ref()).unwrap()
}

/// Quantiles of an exponential distribution with mean 1: the scores of `rows` rows without chance.
fn exponential(rows: u32) -> Vec<f32> {
    let share_below = |row: u32| (f64::from(row) + 0.5) / f64::from(rows);
    (0..rows)
        .map(|row| -libm::log1p(-share_below(row)) as f32)
        .collect()
}

#[test]
fn a_known_distribution_is_found_again_beyond_what_was_seen() {
    let scale = scale_of(&exponential(11_200));
    // Within the quantiles, at the last one, and far beyond the largest score, 10.
    for (share, most_off) in [
        (0.5, 0.05),
        (0.05, 0.05),
        (0.003, 0.15),
        (0.000_5, 0.2),
        (1e-5, 1.0),
        (1e-6, 2.0),
    ] {
        let score = -libm::log(share) as f32;
        let found = scale.exceedance(score);
        let off = (libm::log(found / share)).abs();
        assert!(off < most_off, "{score} is exceeded by {found}, not {share}");
        let back = scale.score_exceeded_by(found);
        assert!((back - score).abs() < 1e-3 * score, "{back} is not {score}");
    }
}

#[test]
fn a_tail_has_as_many_points_as_the_rows_support() {
    let points = |rows| fit_tail(&exponential(rows)).map(|tail| tail.points.len());
    assert_eq!(points(10), None);
    assert_eq!(points(100), Some(0));
    assert_eq!(points(1_000), Some(1));
    assert_eq!(
        points(11_200),
        Some(4),
        "0.005, 0.002, 0.001 and 0.0005, which 5 of 11,200 exceed"
    );
    assert_eq!(points(50_000), Some(6));
}

#[test]
fn cards_without_a_tail_are_read_too() {
    let calibration: Vec<f32> = (0..=100_u8).map(f32::from).collect();
    let scale = Scale::new(&calibration, None).unwrap();
    assert_eq!(scale.percentile(-1.0), 0.0);
    assert_eq!(scale.percentile(25.0), 0.25);
    assert!((scale.exceedance(100.0) - 0.001).abs() < 1e-12);
    assert!(scale.exceedance(120.0) < 0.001);
    assert!(scale.exceedance(f32::MAX) > 0.0);
    assert_eq!(scale.score_exceeded_by(0.1), 90.0);
    assert_eq!(Scale::new(&[], None), None);
    assert_eq!(Scale::new(&[1.0], None), None);
    assert_eq!(Scale::new(&[1.0, 0.5, 2.0], None), None);
    assert_eq!(Scale::new(&[1.0, f32::NAN], None), None);
}

#[test]
fn a_tail_that_does_not_fit_is_not_believed() {
    let calibration: Vec<f32> = (0..=100_u8).map(f32::from).collect();
    let without = Scale::new(&calibration, None);
    let tail = |points: &[[f64; 2]], scale, shape| CalibrationTail {
        rows: 1_000,
        points: points
            .iter()
            .map(|[share, score]| TailPoint {
                share: *share,
                score: *score as f32,
            })
            .collect(),
        scale,
        shape,
    };
    let with = |tail| Scale::new(&calibration, Some(&tail));
    assert_ne!(with(tail(&[[0.005, 99.5]], 1.0, 0.1)), without);
    for damaged in [
        tail(&[[0.005, 98.0]], 1.0, 0.1),
        tail(&[[0.02, 99.5]], 1.0, 0.1),
        tail(&[[0.0, 99.5]], 1.0, 0.1),
        tail(&[[0.005, 99.5], [0.005, 99.6]], 1.0, 0.1),
        tail(&[[0.005, f64::INFINITY]], 1.0, 0.1),
        tail(&[], 0.0, 0.1),
        tail(&[], f32::NAN, 0.1),
        tail(&[], 1.0, -0.5),
        tail(&[], 1.0, f32::NAN),
    ] {
        assert_eq!(with(damaged), without);
    }
}

#[test]
fn a_threshold_has_forms() {
    let check = |text: &str, expected: Rule| {
        let rule: Rule = text.parse().unwrap();
        assert_eq!(rule, expected, "{text}");
        assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule, "{rule}");
    };
    check("0.62", Rule::Score(0.62));
    check(" -3 ", Rule::Score(-3.0));
    check("10/day", Rule::PerDay(10.0));
    check("0.5 /day", Rule::PerDay(0.5));
    check("fpr:0.001", Rule::Rate(0.001));
    check("fpr: 0.5%", Rule::Rate(0.005));
    check("1%", Rule::Rate(0.01));
    check("p99.9", Rule::Percentile(99.9));
    check("card", Rule::Card);
    check("off", Rule::Off);
}

#[test]
fn what_is_no_threshold_is_refused() {
    let check = |text: &str, expected: &str| {
        let message = text.parse::<Rule>().unwrap_err().to_string();
        assert!(message.contains(expected), "{text}: {message}");
    };
    for text in [
        "", "x", "10/week", "nan", "inf", "1e300", "fpr:", "p", "%", "/day", "ten/day",
    ] {
        check(text, "10/day");
    }
    check("0/day", "alerts per day must be");
    check("-1/day", "alerts per day must be");
    check("fpr:0", "above 0 and at most 0.5");
    check("60%", "above 0 and at most 0.5");
    check("p100", "at least 50 and below 100");
    check("p0.1", "at least 50 and below 100");
    check(&"9".repeat(1_000), "99");
}

#[test]
fn alerts_per_day_take_the_number_of_flows_a_day() {
    let scale = scale_of(&exponential(11_200));
    let rule = Rule::PerDay(10.0);
    let threshold = |flows| rule.threshold("d", None, Some(&scale), flows);
    // 10 of 10,000 are 1 in 1,000.
    assert_eq!(threshold(Some(10_000.0)).unwrap(), scale.score_exceeded_by(0.001));
    assert_eq!(
        threshold(Some(5.0)).unwrap(),
        scale.score_exceeded_by(0.5),
        "at most half of all"
    );
    assert!(
        threshold(None)
            .unwrap_err()
            .to_string()
            .contains("the number of flows a day")
    );
    assert!(threshold(Some(0.0)).is_err());
    let message = rule
        .threshold("d", None, None, Some(1.0))
        .unwrap_err()
        .to_string();
    assert!(message.contains("the card of d has none"), "{message}");
    assert_eq!(Rule::Off.threshold("d", None, None, None), Ok(f32::MAX));
    assert_eq!(Rule::Score(0.5).threshold("d", None, None, None), Ok(0.5));
    assert_eq!(
        Rule::Card.threshold("d", None, None, None),
        Ok(f32::MAX),
        "no card, no threshold"
    );
}

#[test]
fn severity_follows_the_scale() {
    let of_share = |share: f64| severity(Some(-libm::log10(share)));
    assert_eq!(of_share(0.01), Severity::Low);
    assert_eq!(of_share(0.000_9), Severity::Medium);
    assert_eq!(of_share(0.000_09), Severity::High);
    assert_eq!(of_share(0.000_009), Severity::Critical);
    assert_eq!(severity(None), Severity::Low);
}

#[test]
fn one_detector_is_its_own_verdict_and_several_err_on_the_side_of_silence() {
    let check = |surprises: &[f64], expected: Option<f64>| {
        let found = fused::surprise(surprises.iter().copied());
        let is_near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-3,
            (found, expected) => found == expected,
        };
        assert!(is_near, "{surprises:?} give {found:?}, not {expected:?}");
    };
    check(&[], None);
    check(&[3.0], Some(3.0));
    check(&[4.0, 4.0], Some(3.566));
    check(&[6.0, 2.0], Some(3.566));
    check(&[0.1, 0.1], Some(0.0));
    assert_eq!(fused::threshold(0.001), 3.0);
    assert!((fused::exceedance(3.0) - 0.001).abs() < 1e-12);
}

/// Rows whose first columns hold these values.
fn rows(values: impl Iterator<Item = [f64; 2]>) -> Rows {
    let mut rows = Rows::new(&UNSW_NB15);
    let mut row = vec![0.0; UNSW_NB15.width()];
    for [dur, proto] in values {
        row[UNSW_NB15.index_of("dur").unwrap()] = dur;
        row[UNSW_NB15.index_of("proto").unwrap()] = proto;
        rows.push(&row);
    }
    rows
}

fn columns() -> Vec<String> {
    ["dur", "proto", "sbytes", "no such column"]
        .map(ToOwned::to_owned)
        .to_vec()
}

#[test]
fn what_was_trained_on_does_not_drift_and_what_is_new_does() {
    let usual = |row: u32| [f64::from(row % 97) / 10.0, f64::from(row % 3)];
    let training = rows((0..5_000).map(usual));
    let reference = drift::reference(&training, &columns(), Some(1e4));
    let [dur, proto, sbytes] = &reference.columns[..] else {
        panic!("{:?}", reference.columns);
    };
    assert_eq!((dur.edges.len(), dur.shares.len()), (10, 11));
    assert!(dur.edges.is_sorted_by(|one, next| one < next));
    assert_eq!((proto.terms.len(), proto.shares.len()), (3, 4));
    assert_eq!(
        (&sbytes.edges[..], &sbytes.shares[..]),
        (&[0.0][..], &[1.0, 0.0][..]),
        "a constant column"
    );

    let check = |flows: &Rows, expected: [bool; 3]| {
        let mut window = Window::new(&reference, &UNSW_NB15);
        flows.iter().for_each(|row| window.count(row));
        let found: Vec<f64> = window.columns().map(|(_, index)| index).collect();
        let is_large: Vec<bool> = found.iter().map(|index| *index > drift::LARGE).collect();
        assert_eq!(is_large, expected, "{found:?}");
        window.clear();
        assert!(window.columns().all(|(_, index)| index == 0.0), "nothing counted");
    };
    check(&training, [false; 3]);
    check(&rows((0..1_000).map(usual)), [false; 3]);
    check(
        &rows((0..1_000).map(|row| [f64::from(row), f64::from(row % 3)])),
        [true, false, false],
    );
    check(
        &rows((0..1_000).map(|row| [usual(row)[0], 7.0])),
        [false, true, false],
    );
}

#[test]
fn a_reference_that_makes_no_sense_is_left_out() {
    let training = rows((0..500).map(|row| [f64::from(row), f64::from(row % 3)]));
    let reference = drift::reference(&training, &columns(), None);
    let columns_of = |change: &dyn Fn(&mut netsage_package::ColumnDistribution)| {
        let mut damaged = reference.clone();
        change(&mut damaged.columns[0]);
        let mut window = Window::new(&damaged, &UNSW_NB15);
        training.iter().for_each(|row| window.count(row));
        window.columns().count()
    };
    assert_eq!(columns_of(&|_| {}), 3);
    assert_eq!(
        columns_of(&|column| column.column = "proto".to_owned()),
        2,
        "proto twice and no ends"
    );
    assert_eq!(columns_of(&|column| column.shares.clear()), 2);
    assert_eq!(columns_of(&|column| column.shares[0] = f32::NAN), 2);
    assert_eq!(columns_of(&|column| column.edges.clear()), 2);
    let elsewhere = Window::new(&reference, &FLOW_V1);
    assert_eq!(elsewhere.rows(), 0);
}

#[test]
fn the_score_drifts_when_its_percentiles_are_not_spread_evenly() {
    let training = rows((0..100).map(|row| [f64::from(row), 0.0]));
    let mut window = Window::new(&drift::reference(&training, &columns(), None), &UNSW_NB15);
    assert_eq!(window.score(), None);
    (0..1_000_u16).for_each(|row| window.count_score(f32::from(row) / 1_000.0));
    assert!(window.score().unwrap() < 1e-6);
    (0..1_000).for_each(|_| window.count_score(1.0));
    assert!(window.score().unwrap() > drift::LARGE);
    window.count_score(f32::NAN);
}

proptest! {
    #[test]
    fn the_scale_keeps_the_order(
        mut scores in prop::collection::vec(-1e3_f32..1e3, 20..400),
        ties in any::<bool>(),
        one in -1e4_f32..1e5,
        other in -1e4_f32..1e5,
    ) {
        if ties {
            scores.iter_mut().for_each(|score| *score = score.round() / 100.0);
        }
        scores.sort_by(f32::total_cmp);
        let scale = scale_of(&scores);
        let (low, high) = (one.min(other), one.max(other));
        prop_assert!(scale.exceedance(low) >= scale.exceedance(high));
        prop_assert!(scale.surprise(low) <= scale.surprise(high));
        // Strictly, wherever the two can be told apart on the way.
        if low >= scores[0] && high - low > 1.0 {
            prop_assert!(scale.surprise(low) < scale.surprise(high), "{low} and {high}");
        }
        prop_assert!((0.0..=1.0).contains(&scale.percentile(one)));
    }

    #[test]
    fn a_threshold_lets_no_more_pass_than_it_says(
        mut scores in prop::collection::vec(-1e3_f32..1e3, 20..400),
        share in 1e-6_f64..0.5,
    ) {
        scores.sort_by(f32::total_cmp);
        let scale = scale_of(&scores);
        let threshold = scale.score_exceeded_by(share);
        prop_assert!(threshold.is_finite());
        prop_assert!(scale.exceedance(threshold) <= share * 1.001 + 1e-6, "{threshold}");
    }

    #[test]
    fn any_calibration_is_read_or_refused(
        calibration in prop::collection::vec(any::<f32>(), 0..8),
        rows in any::<u64>(),
        points in prop::collection::vec((any::<f64>(), any::<f32>()), 0..4),
        scale in any::<f32>(),
        shape in any::<f32>(),
        score in any::<f32>(),
        share in any::<f64>(),
    ) {
        let points = points.into_iter().map(|(share, score)| TailPoint { share, score }).collect();
        let tail = CalibrationTail { rows, points, scale, shape };
        if let Some(scale) = Scale::new(&calibration, Some(&tail)) {
            let found = scale.exceedance(score);
            prop_assert!(found.is_nan() == score.is_nan() || (found > 0.0 && found <= 1.0), "{found}");
            prop_assert!(!scale.score_exceeded_by(share).is_nan() || share.is_nan());
        }
    }

    #[test]
    fn any_text_is_a_threshold_or_not(text in "\\PC{0,12}") {
        if let Ok(rule) = text.parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }

    #[test]
    fn equal_shares_have_no_index_and_no_index_is_negative(
        shares in prop::collection::vec(1_u32..1_000, 1..12),
        times in 1_u32..50,
        counts in prop::collection::vec(0_u32..1_000, 12),
    ) {
        let total: u32 = shares.iter().sum();
        let expected: Vec<f32> = shares.iter().map(|share| *share as f32 / total as f32).collect();
        let same: Vec<u32> = shares.iter().map(|share| share * times).collect();
        prop_assert!(drift::stability_index(&expected, &same).abs() < 1e-6);
        let index = drift::stability_index(&expected, &counts[..expected.len()]);
        prop_assert!(index >= 0.0 && index.is_finite());
    }

    #[test]
    fn every_value_has_a_bin(values in prop::collection::vec(any::<f64>(), 1..50), seen in any::<f64>()) {
        let training = rows(values.iter().map(|value| [*value, value.abs()]));
        let reference = drift::reference(&training, &columns(), None);
        for column in &reference.columns {
            let sum: f32 = column.shares.iter().sum();
            prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 0.01, "{:?}", column);
        }
        let mut window = Window::new(&reference, &UNSW_NB15);
        rows(std::iter::once([seen, seen])).iter().for_each(|row| window.count(row));
        prop_assert!(window.columns().all(|(_, index)| index.is_finite()));
    }
}
