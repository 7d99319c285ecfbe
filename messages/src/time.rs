//! Times as RFC 3339, in UTC.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// The year 0, ms since the epoch.
const FIRST_MS: i64 = -62_167_219_200_000;

/// With milliseconds. What lies outside of the years 0 to 9999 is moved to their ends.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    print(at_ms.max(FIRST_MS).saturating_mul(1_000), 3)
}

/// With microseconds, of a time in microseconds; as [`rfc3339`].
pub(crate) fn rfc3339_micros(at_us: i64) -> String {
    print(at_us.max(FIRST_MS.saturating_mul(1_000)), 6)
}

/// For people: with seconds.
pub(crate) fn moment(at_ms: i64) -> String {
    print(at_ms.max(FIRST_MS).saturating_mul(1_000), 0)
}

fn print(at_us: i64, digits: u8) -> String {
    let time = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::MAX);
    DateTimePrinter::new()
        .precision(Some(digits))
        .timestamp_to_string(&time)
}
