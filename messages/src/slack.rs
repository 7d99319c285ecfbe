//! Slack's incoming webhooks: blocks, and a text for notifications.
//!
//! Values stand in plain text, where Slack reads no markup; `&`, `<` and `>` are escaped as Slack asks, and `@` is replaced,
//! since receivers that speak Slack's JSON make mentions of it.

use serde_json::{Value, json};

use crate::documents::{Part, Told, Write};
use crate::shorten::Shortened;
use crate::text::{escaped, line};
use crate::{Event, Message, Wording, words};

/// Bytes of a message: Slack takes 40,000 characters.
const MESSAGE: usize = 40_000;
/// Bytes of the title: 150 characters.
const TITLE: usize = 150;
/// Bytes of the text of a block: 3,000 characters.
const BLOCK: usize = 3_000;
/// Bytes of a field: 2,000 characters; less, since ten of them stand in a block.
const FIELD: usize = 600;
/// Contributions that are shown.
const CONTRIBUTIONS: usize = 5;

/// Writes JSON for Slack.
#[derive(Debug)]
pub(crate) struct Slack;

impl Write for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn most(&self) -> usize {
        MESSAGE
    }

    fn writes_digests(&self) -> bool {
        true
    }

    fn alert(&self, told: &Told<'_>, wording: &Wording) -> String {
        let message = told.message;
        let alert = &message.alert;
        let title = words::title(alert);
        let facts = words::facts(message);
        let fields: Vec<_> = facts
            .iter()
            .map(|(name, value)| plain(&format!("{name}: {value}"), FIELD))
            .collect();
        let mut blocks = vec![header(&title), json!({ "type": "section", "fields": fields })];
        let shown = alert.contributions.iter().take(CONTRIBUTIONS);
        let contributions: Vec<_> = shown.map(words::contribution).collect();
        if !contributions.is_empty() {
            blocks.push(section_of(&joined(&contributions)));
        }
        blocks.push(context(&alert.id, message.revision, told.shortened));
        if let Some(link) = words::link(alert, wording) {
            blocks.push(linked(&link));
        }
        whole(&title, &blocks)
    }

    fn part(&self, part: &Part<'_>, _: &Wording) -> String {
        let title = words::digest_title(part);
        let mut blocks = vec![header(&title)];
        // Lines are gathered as they will stand: escaped.
        let mut gathered = escape(&words::digest_span(part), BLOCK);
        for message in part.alerts {
            let entry = escape_keeping_end(&words::entry(message));
            if gathered.len() + 1 + entry.len() > BLOCK {
                blocks.push(section_of(&std::mem::take(&mut gathered)));
            } else {
                gathered.push('\n');
            }
            gathered.push_str(&entry);
        }
        blocks.push(section_of(&gathered));
        blocks.push(context(&part.id(), part.revision(), part.shortened));
        whole(&title, &blocks)
    }

    fn event(&self, event: &Event, shortened: Shortened, _: &Wording) -> String {
        let title = words::event_title(event);
        let mut blocks = vec![header(&title)];
        if !event.text.is_empty() {
            blocks.push(section(&event.text));
        }
        blocks.push(context(&event.id(), event.number, shortened));
        whole(&title, &blocks)
    }

    fn test(&self, number: u64, _: &Wording) -> String {
        let id = Message::Test(number).id();
        whole(
            words::TEST,
            &[section(words::TEST), context(&id, 0, Shortened::default())],
        )
    }
}

fn whole(title: &str, blocks: &[Value]) -> String {
    line(&json!({ "text": escape(title, BLOCK), "blocks": blocks }))
}

fn header(title: &str) -> Value {
    json!({ "type": "header", "text": plain(title, TITLE) })
}

/// A block of one text.
fn section(text: &str) -> Value {
    section_of(&escape(text, BLOCK))
}

/// Lines, escaped, as many as a block takes.
fn joined(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = escape(line, FIELD);
        if text.len() + 1 + line.len() > BLOCK {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// A block of text that is escaped already.
fn section_of(escaped: &str) -> Value {
    json!({ "type": "section", "text": { "type": "plain_text", "text": escaped, "emoji": false } })
}

/// By what a repeat is known, and what was left out.
fn context(id: &str, revision: u64, shortened: Shortened) -> Value {
    let mut text = format!("id {id} revision {revision}");
    if let Some(note) = shortened.note() {
        text.push_str(", ");
        text.push_str(&note);
    }
    json!({ "type": "context", "elements": [plain(&text, usize::MAX)] })
}

/// The one place with markup, of an address made by this program.
fn linked(link: &str) -> Value {
    let text = format!("<{}|Show the alerts of this source>", escape(link, BLOCK));
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn plain(text: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "text": escape(text, most), "emoji": false })
}

fn escape(text: &str, most: usize) -> String {
    escaped(text, most, escape_one)
}

/// A line whose end, the id, stays: the beginning is cut when the line is longer than a block.
fn escape_keeping_end(text: &str) -> String {
    let Some(end) = text.rfind(", id ") else {
        return escape(text, BLOCK);
    };
    let (start, end) = text.split_at(end);
    let end = escape(end, usize::MAX);
    let start = escape(start, BLOCK.saturating_sub(end.len() + 1));
    start + &end
}

fn escape_one(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '@' => Some("＠"),
        _ => None,
    }
}
