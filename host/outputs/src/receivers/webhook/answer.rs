//! What a receiver's answer means.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::Failure;

/// Longest time that a receiver is left alone because it asks for it.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// Most characters of an answer that are shown.
const SHOWN: usize = 200;

/// Errors by which receivers of Slack's kind say that it is the sender's turn to wait.
const BUSY: [&str; 4] = ["ratelimited", "rate_limited", "request_timeout", "internal_error"];

/// Errors by which they say that they do not want this message.
const UNWANTED: [&str; 7] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "msg_too_long",
    "msg_blocks_too_long",
    "no_text",
];

/// How a receiver says that it has taken a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// By its status; a JSON object with an error in it takes it back.
    Plain,
    /// With `ok`, as text or in a JSON object.
    Slack,
    /// With `1` or nothing; anything else is an error, whatever the status says.
    Teams,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its header `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// The beginning of its body.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Whether the message was taken. Reasons may hold what the receiver wrote.
    ///
    /// # Errors
    /// When it was not, what is to become of it.
    pub(super) fn judge(&self, style: Style, now: SystemTime) -> Result<(), Failure> {
        let reason = || self.reason();
        match self.status {
            200..=299 => self.judge_body(style, now),
            300..=399 => Err(Failure::SenderRefused(format!(
                "it answers with {} and points elsewhere, which is not followed; name the final address",
                self.status
            ))),
            // 413: too large; 414, 431: too large in another place.
            400 | 413 | 414 | 422 | 431 => Err(Failure::Refused(reason())),
            // A repeat while the first is under way, and whatever a later try may mend.
            408 | 409 | 421 | 423 | 425 | 429 => Err(self.unavailable(now)),
            401..=499 => Err(Failure::SenderRefused(reason())),
            _ => Err(self.unavailable(now)),
        }
    }

    /// Whether the post was refused because it is too large.
    pub(super) fn is_too_large(&self) -> bool {
        self.status == 413 || (self.status == 200 && says_too_large(&String::from_utf8_lossy(&self.body)))
    }

    fn judge_body(&self, style: Style, now: SystemTime) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        let json = serde_json::from_str::<Value>(text).ok();
        let is_taken = match style {
            Style::Plain => !json.as_ref().is_some_and(has_error),
            Style::Slack => match &json {
                Some(json @ Value::Object(_)) => !has_error(json) && says_yes(json),
                _ => text.is_empty() || text.eq_ignore_ascii_case("ok"),
            },
            Style::Teams => match &json {
                Some(json @ Value::Object(_)) => !has_error(json),
                _ => text.is_empty() || text == "1",
            },
        };
        if is_taken {
            return Ok(());
        }
        let error = json
            .as_ref()
            .and_then(|json| json.get("error"))
            .and_then(Value::as_str);
        match (style, error) {
            (Style::Slack, Some(error)) if UNWANTED.contains(&error) => Err(Failure::Refused(self.reason())),
            (Style::Slack, Some(error)) if !BUSY.contains(&error) => {
                Err(Failure::SenderRefused(self.reason()))
            }
            (Style::Teams, _) if says_too_large(text) => Err(Failure::Refused(self.reason())),
            _ => Err(self.unavailable(now)),
        }
    }

    fn unavailable(&self, now: SystemTime) -> Failure {
        Failure::Unavailable {
            reason: self.reason(),
            retry_after: self.rest(now),
        }
    }

    /// How long the receiver asks to be left alone, by header or body.
    fn rest(&self, now: SystemTime) -> Option<Duration> {
        let header = self
            .retry_after
            .as_deref()
            .and_then(|header| seconds_or_date(header, now));
        let in_body = || {
            let json: Value = serde_json::from_slice(&self.body).ok()?;
            ["", "/error", "/parameters"]
                .iter()
                .find_map(|place| json.pointer(place)?.get("retry_after"))
                .and_then(length_of_time)
        };
        header.or_else(in_body).map(|rest| rest.min(LONGEST_REST))
    }

    fn reason(&self) -> String {
        let excerpt = excerpt(&self.body);
        match excerpt.is_empty() {
            true => format!("it answers with {}", self.status),
            false => format!("it answers with {} and `{excerpt}`", self.status),
        }
    }
}

/// What Teams' older webhooks answer to a card that is too large.
fn says_too_large(text: &str) -> bool {
    text.contains("HTTP error 413") || text.contains("too large") || text.contains("too_long")
}

/// Whether a JSON object says that something went wrong.
fn has_error(json: &Value) -> bool {
    let is_false = |name: &str| json.get(name) == Some(&Value::Bool(false));
    let error = match json.get("error") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    let errors = match json.get("errors") {
        Some(Value::Bool(there_are)) => *there_are,
        Some(Value::Array(errors)) => !errors.is_empty(),
        _ => false,
    };
    is_false("ok") || is_false("success") || error || errors
}

fn says_yes(json: &Value) -> bool {
    ["ok", "success"]
        .iter()
        .any(|name| json.get(name) == Some(&Value::Bool(true)))
}

/// A length of time as JSON has it: seconds, as a number or as text.
fn length_of_time(value: &Value) -> Option<Duration> {
    let seconds = value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))?;
    Duration::try_from_secs_f64(seconds.min(LONGEST_REST.as_secs_f64())).ok()
}

/// A length of time as the header has it: whole seconds, or the date at which the rest ends.
fn seconds_or_date(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    // A date that has passed asks for nothing.
    Some(date.duration_since(now).unwrap_or_default())
}

/// The beginning of a body on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain = text.trim().chars().map(|letter| match letter {
        letter if letter.is_control() || letter == '`' => ' ',
        letter => letter,
    });
    plain.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn answer(status: u16, retry_after: &str, body: &str) -> Answer {
        Answer {
            status,
            retry_after: (!retry_after.is_empty()).then(|| retry_after.to_owned()),
            body: body.as_bytes().to_vec(),
        }
    }

    fn judged(style: Style, answer: &Answer) -> String {
        match answer.judge(style, SystemTime::UNIX_EPOCH + NOW) {
            Ok(()) => "taken".to_owned(),
            Err(Failure::Refused(_)) => "refused".to_owned(),
            Err(Failure::SenderRefused(_)) => "sender refused".to_owned(),
            Err(Failure::Gone) => "gone".to_owned(),
            Err(Failure::Unavailable { retry_after, .. }) => {
                let rest =
                    retry_after.map_or_else(|| "soon".to_owned(), |rest| format!("{}ms", rest.as_millis()));
                format!("unavailable, {rest}")
            }
        }
    }

    #[test]
    fn statuses_are_judged() {
        let check = |status: u16, expected: &str| {
            assert_eq!(
                judged(Style::Plain, &answer(status, "", "")),
                expected,
                "{status}"
            );
        };
        for status in [200, 201, 202, 204] {
            check(status, "taken");
        }
        for status in [400, 413, 414, 422, 431] {
            check(status, "refused");
        }
        for status in [301, 302, 307, 308, 401, 402, 403, 404, 405, 407, 410, 415] {
            check(status, "sender refused");
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 599] {
            check(status, "unavailable, soon");
        }
    }

    #[test]
    fn a_rest_stands_in_header_or_body() {
        let check = |status: u16, header: &str, body: &str, expected: &str| {
            assert_eq!(
                judged(Style::Plain, &answer(status, header, body)),
                expected,
                "{header} {body}"
            );
        };
        check(429, "7", "", "unavailable, 7000ms");
        check(503, " 7 ", "", "unavailable, 7000ms");
        // Ten seconds after NOW.
        check(429, "Tue, 14 Nov 2023 22:13:30 GMT", "", "unavailable, 10000ms");
        check(429, "Tue, 14 Nov 2023 22:00:00 GMT", "", "unavailable, 0ms");
        check(429, "soon", "", "unavailable, soon");
        check(429, "-1", "", "unavailable, soon");
        check(429, "", r#"{"retry_after": 1.25}"#, "unavailable, 1250ms");
        check(429, "", r#"{"retry_after": "3"}"#, "unavailable, 3000ms");
        check(
            429,
            "",
            r#"{"ok": false, "parameters": {"retry_after": 4}}"#,
            "unavailable, 4000ms",
        );
        check(429, "", r#"{"error": {"retry_after": 5}}"#, "unavailable, 5000ms");
        check(429, "2", r#"{"retry_after": 9}"#, "unavailable, 2000ms");
        check(429, "", r#"{"retry_after": -1}"#, "unavailable, soon");
        check(429, "", r#"{"retry_after": 1e300}"#, "unavailable, 86400000ms");
        check(429, "99999999999", "", "unavailable, 86400000ms");
        check(
            200,
            "",
            r#"{"ok": false, "retry_after": 6}"#,
            "unavailable, 6000ms",
        );
    }

    #[test]
    fn success_is_judged_by_the_body_too() {
        let check = |style: Style, body: &str, expected: &str| {
            assert_eq!(
                judged(style, &answer(200, "", body)),
                expected,
                "{style:?} {body}"
            );
        };
        check(Style::Plain, "", "taken");
        check(Style::Plain, "thank you", "taken");
        check(Style::Plain, r#"{"error": null, "errors": []}"#, "taken");
        check(Style::Plain, r#"{"errors": true}"#, "unavailable, soon");
        check(Style::Plain, r#"{"error": "full"}"#, "unavailable, soon");
        check(Style::Plain, r#"{"success": false}"#, "unavailable, soon");
        check(Style::Slack, "ok", "taken");
        check(Style::Slack, "OK\n", "taken");
        check(Style::Slack, "", "taken");
        check(Style::Slack, r#"{"ok": true}"#, "taken");
        check(Style::Slack, r#"{"success": true}"#, "taken");
        check(Style::Slack, "<html>Log in</html>", "unavailable, soon");
        check(Style::Slack, "{}", "unavailable, soon");
        check(
            Style::Slack,
            r#"{"ok": false, "error": "ratelimited"}"#,
            "unavailable, soon",
        );
        check(
            Style::Slack,
            r#"{"ok": false, "error": "invalid_blocks"}"#,
            "refused",
        );
        check(
            Style::Slack,
            r#"{"ok": false, "error": "invalid_auth"}"#,
            "sender refused",
        );
        check(Style::Teams, "1", "taken");
        check(Style::Teams, "", "taken");
        check(
            Style::Teams,
            "Microsoft Teams endpoint returned HTTP error 429 with ContextId x",
            "unavailable, soon",
        );
        check(
            Style::Teams,
            "Microsoft Teams endpoint returned HTTP error 413 with ContextId x",
            "refused",
        );
        check(Style::Teams, "429", "unavailable, soon");
    }

    #[test]
    fn an_answer_is_shown_on_one_short_line() {
        assert_eq!(excerpt(b" a\r\nb`c "), "a  b c");
        assert_eq!(excerpt("\u{e9}".repeat(900).as_bytes()).chars().count(), SHOWN);
    }
}
