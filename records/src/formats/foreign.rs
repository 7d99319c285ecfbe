//! What another program has made and said of a flow: its row of another schema, and scores.
//!
//! It is kept as text and shown, never computed with, so that a row of any schema and version comes through as it was sent.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest name, in characters.
pub(super) const LONGEST_NAME: usize = 128;
/// Most values of a row.
pub(super) const MOST_VALUES: usize = 512;
/// Most scores of a flow.
pub(super) const MOST_SCORES: usize = 64;
/// Longest text that is kept of both; longer ones are left out, so that what waits in memory is bounded.
const LONGEST_TEXT: usize = 4 << 10;

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    schema: std::borrow::Cow<'a, str>,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Score<'a> {
    #[serde(borrow)]
    detector: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    digest: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "score")]
    _score: f64,
    #[serde(rename = "threshold", default)]
    _threshold: Option<f64>,
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && is_short(text)
}

fn is_short(text: &str) -> bool {
    text.chars().take(LONGEST_NAME + 1).count() <= LONGEST_NAME
}

/// Whether this is a row.
pub(super) fn row(raw: &RawValue) -> Option<&RawValue> {
    let row: Row<'_> = serde_json::from_str(raw.get()).ok()?;
    (is_name(&row.schema) && row.values.len() <= MOST_VALUES).then_some(raw)
}

/// Whether these are scores.
pub(super) fn scores(raw: &RawValue) -> Option<&RawValue> {
    let scores: Vec<Score<'_>> = serde_json::from_str(raw.get()).ok()?;
    let is_score = |score: &Score<'_>| {
        let further = [&score.version, &score.digest].into_iter().flatten();
        is_name(&score.detector) && further.into_iter().all(|text| is_short(text))
    };
    (scores.len() <= MOST_SCORES && scores.iter().all(is_score)).then_some(raw)
}

/// Both as one object, on one line; `None` where there is neither.
pub(super) fn text(row: Option<&RawValue>, scores: Option<&RawValue>) -> Option<Arc<str>> {
    let mut text = String::new();
    for (name, raw) in [("row", row), ("scores", scores)] {
        let Some(raw) = raw else { continue };
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push('"');
        text.push_str(name);
        text.push_str("\":");
        push_compact(raw.get(), &mut text);
    }
    if text.is_empty() || text.len() > LONGEST_TEXT {
        return None;
    }
    text.push('}');
    Some(text.into())
}

/// Appends JSON without the white space between its tokens.
fn push_compact(json: &str, out: &mut String) {
    let (mut is_string, mut is_escaped) = (false, false);
    for character in json.chars() {
        if is_string {
            is_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            is_string = character == '"';
        }
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn text_is_compact_and_otherwise_as_it_was() {
        let check = |row: Option<&str>, scores: Option<&str>, expected: Option<&str>| {
            let raw =
                |text: Option<&str>| text.map(|text| serde_json::from_str::<Box<RawValue>>(text).unwrap());
            let (row, scores) = (raw(row), raw(scores));
            assert_eq!(text(row.as_deref(), scores.as_deref()).as_deref(), expected);
        };
        check(None, None, None);
        check(
            Some("{ \"schema\" : \"a b\\\" c\\\\\",\n \"values\": [1.50, 2e3] }"),
            None,
            Some(r#"{"row":{"schema":"a b\" c\\","values":[1.50,2e3]}}"#),
        );
        check(
            Some(r#"{"schema":"s"}"#),
            Some("[ ]"),
            Some(r#"{"row":{"schema":"s"},"scores":[]}"#),
        );
        let long = format!("[\"{}\"]", "x".repeat(LONGEST_TEXT));
        check(None, Some(&long), None);
    }
}
