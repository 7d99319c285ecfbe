//! Numbers and times as people read them.

/// A whole number with thin gaps every three digits, e.g. `1 234 567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number in at most five characters, e.g. `1.2 k`, for axes and tiles.
pub fn short(number: f64) -> String {
    const STEPS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match STEPS.into_iter().find(|(step, _)| number.abs() >= *step) {
        Some((step, suffix)) => format!("{} {suffix}", few(number / step)),
        None => few(number),
    }
}

fn few(number: f64) -> String {
    let digits = if number == number.trunc() || number.abs() >= 100.0 {
        0
    } else if number.abs() >= 1.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$}")
}

/// A size in bytes, e.g. `1.2 MB`.
pub fn bytes(size: u64) -> String {
    let size = size as f64;
    if size < 1e3 {
        format!("{size} B")
    } else {
        format!("{}B", short(size))
    }
}

/// A share as a percentage, e.g. `97.3 %`; a dash when there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A raw score with four decimals.
pub fn score(score: f32) -> String {
    format!("{score:.4}")
}

/// A time of day, `HH:MM` or with seconds. `local` is ms since the epoch with the local offset added.
pub fn clock(local: i64, seconds: bool) -> String {
    let in_day = local.div_euclid(1000).rem_euclid(86_400);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    if seconds {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else {
        format!("{hour:02}:{minute:02}")
    }
}

/// A day, `YYYY-MM-DD`. `local` is ms since the epoch with the local offset added.
pub fn day(local: i64) -> String {
    // Howard Hinnant's `civil_from_days`, in years that start in March.
    let days = local.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A length of time, e.g. `1 h 12 min`, `48 s`, `3 ms`. Takes ms.
pub fn duration(ms: i64) -> String {
    match ms {
        ..1000 => format!("{} ms", ms.max(0)),
        1000..60_000 => format!("{} s", few(ms as f64 / 1000.0)),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        3_600_000..86_400_000 => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{} d {} h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

/// A short time, e.g. `410 ns`, `4.1 µs`, `41 ms`. Takes ns.
pub fn short_time(ns: f64) -> String {
    const STEPS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let found = STEPS.into_iter().find(|(step, _)| ns >= *step);
    let (step, unit) = found.unwrap_or((1.0, "ns"));
    format!("{} {unit}", few(ns / step))
}

/// One of something, or several.
pub fn plural(number: u64, one: &str, several: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(short(1234.0), "1.2 k");
        assert_eq!(short(0.25), "0.25");
        assert_eq!(short(250_000.0), "250 k");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(3_210_000), "3.2 MB");
        assert_eq!(percent(Some(0.9734)), "97.3 %");
        assert_eq!(percent(None), "–");
        assert_eq!(plural(1, "flow", "flows"), "1 flow");
    }

    #[test]
    fn writes_times() {
        assert_eq!(clock(3_723_000, true), "01:02:03");
        assert_eq!(clock(-1000, false), "23:59");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400_000), "2000-02-29");
        assert_eq!(day(-86_400_000), "1969-12-31");
        assert_eq!(duration(72_000), "1 min 12 s");
        assert_eq!(duration(5), "5 ms");
        assert_eq!(duration(1500), "1.5 s");
        assert_eq!(short_time(410.0), "410 ns");
        assert_eq!(short_time(4_100.0), "4.1 µs");
        assert_eq!(short_time(41_900_000.0), "41.9 ms");
    }
}
