//! How serious a score is.

use netsage_api_types::Severity;

/// The surprise at which a severity begins: what 1 in 1,000, 10,000 and 100,000 ordinary flows exceed.
const MEDIUM: f64 = 3.0;
const HIGH: f64 = 4.0;
const CRITICAL: f64 = 5.0;

/// The severity of an alert by its surprise ([`crate::Scale::surprise`]), independent of the detector and the
/// threshold: `medium` where at most 1 in 1,000 ordinary flows exceed the score, `high` for 1 in 10,000, `critical` for
/// 1 in 100,000. Otherwise, and without a scale, the severity is `low`.
pub fn severity(surprise: Option<f64>) -> Severity {
    match surprise {
        Some(surprise) if surprise >= CRITICAL => Severity::Critical,
        Some(surprise) if surprise >= HIGH => Severity::High,
        Some(surprise) if surprise >= MEDIUM => Severity::Medium,
        _ => Severity::Low,
    }
}
