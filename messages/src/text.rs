//! Text from outside, made harmless.
//!
//! Names, addresses and sentences in a message may hold anything: line ends, marks that turn the direction of writing, the
//! syntax of the receiver. JSON of machines keeps every character ([`line`]); text for people shows characters that cannot
//! be seen ([`visible`]), and what a receiver takes for syntax is escaped by the receiver's rules, or, where no rules are
//! known, replaced by characters that look alike ([`plain`]).

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// Whether a character ends a line, changes how others are shown, or is not seen at all.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with each hidden character shown, as `⟨U+202E⟩`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_visible(&mut shown, character);
    }
    Cow::Owned(shown)
}

pub(crate) fn push_visible(into: &mut String, character: char) {
    if is_hidden(character) {
        // Writing to a `String` never fails.
        let _ = write!(into, "⟨U+{:04X}⟩", u32::from(character));
    } else {
        into.push(character);
    }
}

/// The text for a receiver of which it is not known what marks up: hidden characters are shown, and those that begin
/// markup, a mention or a link are replaced by characters that look alike. What is honest has none of them.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => plain.push('‹'),
            '>' => plain.push('›'),
            '@' => plain.push('＠'),
            '[' => plain.push('［'),
            ']' => plain.push('］'),
            '`' => plain.push('\''),
            other => push_visible(&mut plain, other),
        }
    }
    plain
}

/// At most `most` bytes of a text, of which the last are `…` where something was cut.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    const MARK: char = '…';
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most.saturating_sub(MARK.len_utf8()));
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push(MARK);
    Cow::Owned(short)
}

/// Escapes a text character by character and ends before it is longer than `most` bytes, so that no escape is cut in two.
pub(crate) fn escaped(text: &str, most: usize, escape: fn(char) -> Option<&'static str>) -> String {
    const MARK: char = '…';
    let mut out = String::with_capacity(text.len().min(most));
    // Where to go back to when the text turns out to be too long.
    let mut mark_at = 0;
    for character in text.chars() {
        match escape(character) {
            Some(escape) => out.push_str(escape),
            None => push_visible(&mut out, character),
        }
        if out.len() > most {
            out.truncate(mark_at);
            out.push(MARK);
            return out;
        }
        if out.len() + MARK.len_utf8() <= most {
            mark_at = out.len();
        }
    }
    out
}

/// HTML and XML, in text and in attributes.
pub(crate) fn escape_html(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// JSON in one line. Characters that some readers take for the end of a line, or that turn the direction of writing in a
/// terminal, are written as their numbers; a parser gives the same text.
pub(crate) fn line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("keys are text and nothing else can fail");
    // In JSON without spaces these characters stand in strings only.
    by_number(&json, is_hidden)
}

/// JSON of ASCII alone, for receivers that need to be told of anything else.
pub(crate) fn ascii(json: &str) -> String {
    by_number(json, |character| !character.is_ascii())
}

fn by_number(json: &str, is_meant: fn(char) -> bool) -> String {
    if !json.contains(is_meant) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_meant(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Percent-encoded for the query of an address.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
