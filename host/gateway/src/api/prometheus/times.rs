//! Times and durations as Prometheus's API takes them.

use jiff::Timestamp;

use super::reply::Failure;

/// Latest and earliest time, ms since the epoch: so that no sum of two overflows.
const FARTHEST: f64 = 1e15;

/// Units of durations, ms.
const UNITS: [(&str, f64); 7] = [
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3_600e3),
    ("d", 86_400e3),
    ("w", 7.0 * 86_400e3),
    ("y", 365.0 * 86_400e3),
];

/// A time in ms since the epoch: seconds since the epoch, or as RFC 3339 has it.
pub(super) fn instant(name: &str, text: &str) -> Result<i64, Failure> {
    let milliseconds = match text.parse::<f64>() {
        Ok(seconds) => Some(seconds * 1e3),
        Err(_) => text
            .parse::<Timestamp>()
            .ok()
            .map(|time| time.as_millisecond() as f64),
    };
    match milliseconds {
        Some(time) if time.abs() <= FARTHEST => Ok(time.round() as i64),
        _ => Err(Failure::bad_data(format!(
            "`{name}` is no time; give seconds since 1970, or a time like 2026-01-31T12:00:00Z"
        ))),
    }
}

/// A duration above 0 in ms: seconds, or numbers with units, as `1h30m`.
pub(super) fn duration(name: &str, text: &str) -> Result<i64, Failure> {
    let milliseconds = match text.parse::<f64>() {
        Ok(seconds) => Some(seconds * 1e3),
        Err(_) => with_units(text),
    };
    match milliseconds.map(f64::round) {
        Some(duration) if (1.0..=FARTHEST).contains(&duration) => Ok(duration as i64),
        _ => Err(Failure::bad_data(format!(
            "`{name}` is no duration above 0; give seconds, or numbers with units, like 1m30s"
        ))),
    }
}

fn with_units(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|sign: char| !sign.is_ascii_lowercase())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * length;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(instant("time", text).ok(), expected, "{text}");
        };
        check("1700000000", Some(1_700_000_000_000));
        check("1700000000.1234", Some(1_700_000_000_123));
        check("-1", Some(-1_000));
        check("1e9", Some(1_000_000_000_000));
        check("2023-11-14T22:13:20Z", Some(1_700_000_000_000));
        check("2023-11-14T22:13:20.5+01:00", Some(1_699_996_400_500));
        for wrong in ["", "now", "NaN", "inf", "1e13", "12h"] {
            check(wrong, None);
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration("step", text).ok(), expected, "{text}");
        };
        check("15", Some(15_000));
        check("0.25", Some(250));
        check("1m", Some(60_000));
        check("1h30m5s7ms", Some(5_405_007));
        check("1y", Some(31_536_000_000));
        for wrong in [
            "",
            "0",
            "-5",
            "m",
            "5x",
            "5m3",
            "1 m",
            "NaN",
            "inf",
            "1e99",
            "99999999999999y",
        ] {
            check(wrong, None);
        }
    }
}
