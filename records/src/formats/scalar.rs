//! Numbers, times and addresses, from text.

use std::net::IpAddr;
use std::str;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

/// Last microsecond that a time may be: the end of the year 9999.
pub(super) const LAST_US: i64 = 253_402_300_799_999_999;

pub(super) static TIMES: DateTimeParser = DateTimeParser::new();

/// A decimal number, exactly: `mantissa * 10^exponent`, negative or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

impl Decimal {
    /// Reads `-12.5e3` and simpler forms. Digits behind the 36th that matter to no unit of time are left out.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        /// 10^36 and a digit more fit into 128 bits.
        const MOST: u128 = 10_u128.pow(36);
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits_end = text
            .iter()
            .position(|byte| matches!(byte, b'e' | b'E'))
            .unwrap_or(text.len());
        let (digits, power) = text.split_at(digits_end);
        let (mut mantissa, mut exponent) = (0_u128, 0_i32);
        let (mut is_fraction, mut has_digit) = (false, false);
        for &byte in digits {
            match byte {
                b'0'..=b'9' if mantissa < MOST => {
                    mantissa = mantissa * 10 + u128::from(byte - b'0');
                    exponent -= i32::from(is_fraction);
                    has_digit = true;
                }
                b'0'..=b'9' if is_fraction => {}
                b'.' if has_digit && !is_fraction => is_fraction = true,
                _ => return None,
            }
        }
        if let Some((_, power)) = power.split_first() {
            let power = power.strip_prefix(b"+").unwrap_or(power);
            let power: i32 = str::from_utf8(power).ok()?.parse().ok()?;
            exponent = exponent.checked_add(power)?;
        }
        has_digit.then_some(Self {
            negative,
            mantissa,
            exponent,
        })
    }

    /// The number times `10^places` as a whole one, halves rounded away from 0.
    pub(super) fn scaled(self, places: i32) -> Option<i64> {
        let shift = self.exponent.checked_add(places)?;
        let power = 10_u128.checked_pow(shift.unsigned_abs());
        let size = if self.mantissa == 0 {
            0
        } else if shift >= 0 {
            i64::try_from(self.mantissa.checked_mul(power?)?).ok()?
        } else {
            match (u64::try_from(self.mantissa), power.map(u64::try_from)) {
                // The usual case; division of 128 bits is slow.
                (Ok(mantissa), Some(Ok(power))) => {
                    i64::try_from(mantissa / power + u64::from(mantissa % power >= power.div_ceil(2))).ok()?
                }
                (_, Some(_)) => {
                    let power = power?;
                    let rounded = self.mantissa / power + u128::from(self.mantissa % power >= power / 2);
                    i64::try_from(rounded).ok()?
                }
                (_, None) => 0,
            }
        };
        Some(if self.negative { -size } else { size })
    }

    /// The number where it is a whole one.
    fn whole(self) -> Option<i64> {
        let whole = self.scaled(0)?;
        let is_whole = self.exponent >= 0
            || self.mantissa
                == u128::from(whole.unsigned_abs())
                    .checked_mul(10_u128.checked_pow(self.exponent.unsigned_abs())?)?;
        is_whole.then_some(whole)
    }
}

/// A whole number of 0 or more; `7.0` is one too, as some programs write it.
pub(super) fn count(text: &[u8]) -> Option<u64> {
    if !text.is_empty() && text.len() < 20 && text.iter().all(u8::is_ascii_digit) {
        return Some(text.iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')));
    }
    u64::try_from(Decimal::read(text)?.whole()?).ok()
}

/// A port, as a number.
pub(super) fn port(text: &[u8]) -> Option<u16> {
    u16::try_from(count(text)?).ok()
}

/// An address; the zone of a link-local one (`fe80::1%eth0`) says nothing elsewhere and is left out.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = text.split(|&byte| byte == b'%').next()?;
    str::from_utf8(text).ok()?.parse().ok()
}

/// A duration in seconds, 0 or more, as microseconds.
pub(super) fn duration_us(text: &[u8]) -> Option<i64> {
    let us = Decimal::read(text)?.scaled(6)?;
    (0..=LAST_US).contains(&us).then_some(us)
}

/// A time as microseconds since the epoch: a number of seconds, milliseconds, microseconds or nanoseconds since the epoch,
/// told apart by its size, or a date with time, in `zone` unless the text says another.
pub(super) fn time_us(text: &[u8], zone: &TimeZone) -> Option<i64> {
    let us = match Decimal::read(text) {
        Some(number) => since_epoch_us(number)?,
        None => date_us(text, zone)?,
    };
    (0..=LAST_US).contains(&us).then_some(us)
}

/// The largest number that counts seconds: of the year 5138 in seconds, of March 1973 in milliseconds.
const MOST_SECONDS: i64 = 100_000_000_000;

fn since_epoch_us(number: Decimal) -> Option<i64> {
    let size = number.scaled(0)?;
    let unit = [(1, 6), (1_000, 3), (1_000_000, 0), (1_000_000_000, -3)];
    let (_, places) = unit.into_iter().find(|(unit, _)| size / unit < MOST_SECONDS)?;
    number.scaled(places)
}

/// A date with time as ISO 8601 and RFC 3339 have it, and with slashes, as Argus prints dates.
fn date_us(text: &[u8], zone: &TimeZone) -> Option<i64> {
    const LONGEST: usize = 40;
    // A date alone is no time, and a time alone would be read as a date of another form.
    let has_both =
        text.get(..4)?.iter().all(u8::is_ascii_digit) && matches!(text.get(10)?, b'T' | b't' | b' ');
    if text.len() > LONGEST || !has_both {
        return None;
    }
    let mut buffer = [0; LONGEST];
    let date = buffer.get_mut(..text.len())?;
    date.copy_from_slice(text);
    for place in [4, 7] {
        if let Some(byte @ b'/') = date.get_mut(place) {
            *byte = b'-';
        }
    }
    let time = match TIMES.parse_timestamp(&*date) {
        Ok(time) => time,
        // No zone is named.
        Err(_) => local(TIMES.parse_datetime(&*date).ok()?, zone)?,
    };
    let ns = time.as_nanosecond();
    i64::try_from((ns + 500).div_euclid(1_000)).ok()
}

/// A local time; of the two that are meant when clocks are set back the earlier one.
fn local(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(count(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("1712796", Some(1_712_796));
        check("9223372036854775807", Some(i64::MAX as u64));
        check("99999999999999999999999", None);
        check("12.0", Some(12));
        check("1.2e3", Some(1_200));
        for wrong in [
            "",
            "-",
            "-1",
            "1.5",
            "1 K",
            "0x10",
            "e",
            ".5",
            "1e999999999999",
            "1e-1",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn durations_are_rounded_to_microseconds() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration_us(text.as_bytes()), expected, "{text}");
        };
        check("0.000010", Some(10));
        check("0.20696377754211426", Some(206_964));
        check("9.5367431640625e-07", Some(1));
        check("4.9e-7", Some(0));
        check("0.0000005", Some(1));
        check("0.00000049999999999999999999999999999999999999999999", Some(0));
        check("1e-400", Some(0));
        check("3554", Some(3_554_000_000));
        check("1e400", None);
        check("-0.1", None);
        check("1.2.3", None);
        check("-", None);
    }

    #[test]
    fn times_are_microseconds_since_the_epoch() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(time_us(text.as_bytes(), &TimeZone::UTC), expected, "{text}");
        };
        check("19.981745", Some(19_981_745));
        check("1700828217.314165", Some(1_700_828_217_314_165));
        check("1700828217.3141654", Some(1_700_828_217_314_165));
        check("1700828217.3141655", Some(1_700_828_217_314_166));
        check("1700828217", Some(1_700_828_217_000_000));
        check("1700828217314", Some(1_700_828_217_314_000));
        check("1.700828217314165e9", Some(1_700_828_217_314_165));
        check("1700828217314165", Some(1_700_828_217_314_165));
        check("1700828217314165789", Some(1_700_828_217_314_166));
        for zone in ["Z", "+00:00", "-0000", "+00"] {
            check(
                &format!("2023-11-24T12:16:57.314165{zone}"),
                Some(1_700_828_217_314_165),
            );
        }
        for zone in ["+0200", "+02:00", "+02"] {
            check(
                &format!("2023-11-24T14:16:57.314165{zone}"),
                Some(1_700_828_217_314_165),
            );
        }
        for zone in ["-0330", "-03:30"] {
            check(
                &format!("2023-11-24T08:46:57.314165{zone}"),
                Some(1_700_828_217_314_165),
            );
        }
        check("2023-11-24T12:16:57", Some(1_700_828_217_000_000));
        check("2023-11-24T12:16:57.3141655Z", Some(1_700_828_217_314_166));
        check("2023/11/24 12:16:57.314165", Some(1_700_828_217_314_165));
        for wrong in [
            "",
            "-",
            "12:16:57.314165",
            "2023-11-24",
            "2023-13-24T12:16:57Z",
            "-5",
            "1e30",
            "99999-01-01T00:00:00Z",
            "2023-11-24T12:16:57.314165+99:99",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn local_times_are_those_of_a_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let check = |text: &str, expected: i64| {
            assert_eq!(time_us(text.as_bytes(), &zone), Some(expected), "{text}");
        };
        check("2023/11/24 14:16:57.314165", 1_700_828_217_314_165);
        // A zone in the text, or a time since the epoch, is another's word.
        check("2023-11-24T12:16:57.314165Z", 1_700_828_217_314_165);
        check("1700828217.314165", 1_700_828_217_314_165);
    }

    #[test]
    fn addresses_have_no_zone() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                address(text.as_bytes()),
                expected.map(|text| text.parse().unwrap()),
                "{text}"
            );
        };
        check("192.0.2.1", Some("192.0.2.1"));
        check("fe80::1%eth0", Some("fe80::1"));
        check("2001:db8::0:1", Some("2001:db8::1"));
        for wrong in [
            "",
            "-",
            "192.0.2",
            "00:00:00:00:00:00",
            "example.org",
            "192.0.2.1:80",
        ] {
            check(wrong, None);
        }
    }
}
