//! Numbers as the table and the pages write them.

/// A figure between 0 and 1, or an end of its interval.
pub fn shown(value: f64) -> String {
    format!("{value:.4}")
}

/// A number of things, in groups of three digits.
pub fn shown_count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A raw score, of any magnitude.
pub fn shown_score(value: f32) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (0.001..100_000.0).contains(&magnitude) {
        format!("{value:.4}")
    } else if value.is_finite() {
        format!("{value:.3e}")
    } else {
        // Below every score.
        "none".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let check = |value: f64, expected: &str| assert_eq!(shown_count(value), expected);
        check(0.0, "0");
        check(999.4, "999");
        check(41_166.0, "41,166");
        check(-1_234_567.0, "-1,234,567");
    }

    #[test]
    fn scores_of_any_magnitude_are_readable() {
        let check = |value: f32, expected: &str| assert_eq!(shown_score(value), expected);
        check(0.635_933, "0.6359");
        check(0.0, "0.0000");
        check(1.5e-7, "1.500e-7");
        check(2.5e9, "2.500e9");
        check(f32::NEG_INFINITY, "none");
    }
}
