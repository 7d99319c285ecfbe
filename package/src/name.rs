//! The rules for names and versions, of detectors and of the cards that rename them.

/// Whether a text can be the name of a detector: 1 to 64 of a-z, 0-9 and `-`.
pub fn is_detector_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether a text is a semantic version: `1.2.3`, optionally followed by `-` or `+` and letters, digits, dots, hyphens
/// and pluses; at most 64 bytes.
pub fn is_semantic_version(text: &str) -> bool {
    let (core, suffix) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && suffix.len() != 1
        && suffix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{is_detector_name, is_semantic_version};

    #[test]
    fn names() {
        let check = |text: &str, expected: bool| assert_eq!(is_detector_name(text), expected, "{text:?}");
        check("iforest", true);
        check("half-space-trees-2", true);
        check(&"x".repeat(64), true);
        check(&"x".repeat(65), false);
        check("", false);
        check("Forest", false);
        check("a b", false);
        check("../x", false);
    }

    #[test]
    fn versions() {
        let check = |text: &str, expected: bool| assert_eq!(is_semantic_version(text), expected, "{text:?}");
        check("1.0.0", true);
        check("10.20.30-rc.1+build-5", true);
        check("1.0", false);
        check("1.0.0-", false);
        check("1..0", false);
        check("a.b.c", false);
        check("1.0.0 ", false);
        check("", false);
        check(&format!("1.0.0-{}", "x".repeat(60)), false);
    }
}
