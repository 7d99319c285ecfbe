//! How serious a score is, by the scores of ordinary traffic.

use netsage_api_types::{ModelCard, Severity};

/// Margins above the threshold at which the next severity starts.
const MEDIUM_MARGIN: f32 = 0.2;
const HIGH_MARGIN: f32 = 0.5;

/// The severity of a score above its threshold.
///
/// The margin is how far the score lies beyond the threshold, in units of the distance from the median of
/// held-out ordinary rows to the threshold: scores have no scale of their own, and this gives them one.
///
/// * `medium` from a margin of 0.2,
/// * `high` from a margin of 0.5, or beyond every held-out ordinary row,
/// * `critical` when both hold,
/// * `low` otherwise, and always when the detector has no calibration.
pub fn severity(score: f32, threshold: f32, card: Option<&ModelCard>) -> Severity {
    let Some(calibration) = card.map(|card| card.calibration.as_slice()) else {
        return Severity::Low;
    };
    let (Some(&median), Some(&highest)) = (calibration.get(calibration.len() / 2), calibration.last()) else {
        return Severity::Low;
    };
    let unit = threshold - median;
    // A threshold at or below the median says nothing about scale.
    let margin = if unit > 0.0 {
        (score - threshold) / unit
    } else {
        0.0
    };
    match (margin >= HIGH_MARGIN, score > highest) {
        (true, true) => Severity::Critical,
        (true, false) | (false, true) => Severity::High,
        (false, false) if margin >= MEDIUM_MARGIN => Severity::Medium,
        (false, false) => Severity::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ordinary scores from 0 to 1, median 0.5.
    fn card() -> ModelCard {
        ModelCard {
            detector: None,
            training: None,
            name: None,
            schema: "unsw-nb15@1".to_owned(),
            data: String::new(),
            rows: 0,
            columns: Vec::new(),
            seed: 0,
            date: String::new(),
            threshold: 0.9,
            threshold_rule: String::new(),
            calibration: (0..=100u8).map(|step| f32::from(step) / 100.0).collect(),
            tail: None,
            baseline: None,
            figures: std::collections::BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_severity_needs_margin_and_rarity() {
        let check = |score, threshold, expected| {
            assert_eq!(
                severity(score, threshold, Some(&card())),
                expected,
                "{score} above {threshold}"
            );
        };
        check(0.91, 0.9, Severity::Low);
        check(0.99, 0.9, Severity::Medium);
        check(1.01, 0.9, Severity::High);
        check(1.2, 0.9, Severity::Critical);
        check(0.95, 0.6, Severity::High);
        check(0.7, 0.4, Severity::Low);
        assert_eq!(severity(9.0, 0.9, None), Severity::Low);
    }
}
