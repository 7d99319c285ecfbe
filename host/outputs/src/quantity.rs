//! Sizes and lengths of time as people write them: `64MiB`, `30s`. Settings of outputs have them, and so have those of a
//! gateway.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// Names of units with what each is worth, the largest first.
type Units = [(&'static str, u64)];

const BYTES: &Units = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

const MILLISECONDS: &Units = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A number of bytes, written as a whole number and a unit: B, kB, MB, GB (powers of 1,000) or KiB, MiB, GiB.
/// The case of the unit does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(pub usize);

/// A length of time, written as a whole number and a unit: ms, s, min, h or d. The case of the unit does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size; write a whole number and a unit, e.g. 64MiB, 512KiB or 1GiB")]
pub struct NotASize(String);

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time; write a whole number and a unit, e.g. 500ms, 30s, 10min, 2h or 1d")]
pub struct NotATime(String);

/// Reads a whole number and a unit, in the smallest unit.
fn read(text: &str, units: &Units) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let (_, worth) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*worth)
}

/// Writes a number in the largest unit that divides it; nothing is written in the smallest.
fn write(formatter: &mut fmt::Formatter<'_>, number: u64, units: &Units) -> fmt::Result {
    let divides = |worth: u64| worth == 1 || number != 0 && number.is_multiple_of(worth);
    let (name, worth) = units
        .iter()
        .find(|(_, worth)| divides(*worth))
        .expect("the smallest unit is worth one");
    write!(formatter, "{}{name}", number / worth)
}

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = read(text, BYTES).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| NotASize(text.to_owned()))
    }
}

impl FromStr for Time {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = read(text, MILLISECONDS).map(Duration::from_millis);
        time.map(Self).ok_or_else(|| NotATime(text.to_owned()))
    }
}

impl TryFrom<String> for ByteSize {
    type Error = NotASize;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Time {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(formatter, self.0 as u64, BYTES)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write(formatter, milliseconds, MILLISECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(cases: &[(&str, T, &str)])
    where
        T: FromStr<Err: fmt::Debug> + fmt::Display + fmt::Debug + PartialEq,
    {
        for (text, expected, printed) in cases {
            let read: T = text.parse().unwrap();
            assert_eq!((&read, read.to_string().as_str()), (expected, *printed), "{text}");
        }
    }

    #[test]
    fn quantities_are_read_and_printed() {
        check(&[
            ("64MiB", ByteSize(64 << 20), "64MiB"),
            ("64 mib", ByteSize(64 << 20), "64MiB"),
            ("1GB", ByteSize(1_000_000_000), "1GB"),
            ("1536KiB", ByteSize(1536 << 10), "1536KiB"),
            ("7B", ByteSize(7), "7B"),
            ("0B", ByteSize(0), "0B"),
        ]);
        let time = |milliseconds| Time(Duration::from_millis(milliseconds));
        check(&[
            ("30s", time(30_000), "30s"),
            ("90 s", time(90_000), "90s"),
            ("120s", time(120_000), "2min"),
            ("500ms", time(500), "500ms"),
            ("24h", time(86_400_000), "1d"),
            ("0s", time(0), "0ms"),
        ]);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            "64",
            "MiB",
            "-1MiB",
            "1.5GiB",
            "1TiB",
            "99999999999999999999B",
            "18446744073709551615GiB",
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(NotASize(text.to_owned())));
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1m",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(text.parse::<Time>(), Err(NotATime(text.to_owned())));
        }
    }
}
