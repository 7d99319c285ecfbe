//! Settings of librdkafka by their names, as people write them.

/// The settings in a text of properties: one `name=value` a line, comments behind `#`.
///
/// # Errors
/// The number of the first line that is no setting, from 1. The line itself is not told: it may hold a password.
pub fn read_settings(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut settings = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        settings.push(pair(line).ok_or(number)?);
    }
    Ok(settings)
}

/// Name and value of `NAME=VALUE`; `None` where there is no name.
pub fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_line_by_line() {
        let check = |text: &str, expected: Result<&[(&str, &str)], usize>| {
            let owned = |settings: &[(&str, &str)]| {
                let settings = settings
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                settings.collect::<Vec<_>>()
            };
            assert_eq!(read_settings(text), expected.map(owned), "{text:?}");
        };
        check("", Ok(&[]));
        check("# a comment\n\n a = b=c \nd=", Ok(&[("a", "b=c"), ("d", "")]));
        check("a=b\nsecret", Err(2));
        check("=secret", Err(1));
    }
}
