//! Teams: an Adaptive Card in a message, as the webhooks of Workflows take it.
//!
//! Text stands in runs of a `RichTextBlock`, where no Markdown is read: a `TextBlock` would make links of it. Mentions need
//! an entity, of which there is none.

use serde_json::{Value, json};

use crate::documents::{Part, Told, Write};
use crate::shorten::Shortened;
use crate::text::{cut, line, plain};
use crate::{Event, Message, Wording, words};

/// Bytes of a message: Teams takes 28 KB.
const MESSAGE: usize = 28_000;
/// Bytes of a text.
const TEXT: usize = 2_000;
/// Contributions that are shown.
const CONTRIBUTIONS: usize = 5;

/// Writes JSON for Teams.
#[derive(Debug)]
pub(crate) struct Teams;

impl Write for Teams {
    fn name(&self) -> &'static str {
        "teams"
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
        let mut body = vec![title(&words::title(alert))];
        body.extend(
            words::facts(message)
                .iter()
                .map(|(name, value)| fact(name, value)),
        );
        let shown = alert.contributions.iter().take(CONTRIBUTIONS);
        body.extend(shown.map(|shown| fact("Driven by", &words::contribution(shown))));
        body.push(footer(&alert.id, message.revision, told.shortened));
        whole(&body, words::link(alert, wording).as_deref())
    }

    fn part(&self, part: &Part<'_>, _: &Wording) -> String {
        let mut body = vec![
            title(&words::digest_title(part)),
            paragraph(&words::digest_span(part)),
        ];
        // Ids are at the ends of entries, which are bounded but for ids.
        let entries = part
            .alerts
            .iter()
            .map(|message| block(&[run(&words::entry(message), usize::MAX)]));
        body.extend(entries);
        body.push(footer(&part.id(), part.revision(), part.shortened));
        whole(&body, None)
    }

    fn event(&self, event: &Event, shortened: Shortened, _: &Wording) -> String {
        let mut body = vec![title(&words::event_title(event))];
        if !event.text.is_empty() {
            body.push(paragraph(&event.text));
        }
        body.push(footer(&event.id(), event.number, shortened));
        whole(&body, None)
    }

    fn test(&self, number: u64, _: &Wording) -> String {
        let id = Message::Test(number).id();
        whole(
            &[paragraph(words::TEST), footer(&id, 0, Shortened::default())],
            None,
        )
    }
}

fn whole(body: &[Value], link: Option<&str>) -> String {
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(link) = link {
        card["actions"] =
            json!([{ "type": "Action.OpenUrl", "title": "Show the alerts of this source", "url": link }]);
    }
    line(&json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    }))
}

fn run(text: &str, most: usize) -> Value {
    json!({ "type": "TextRun", "text": plain(&cut(text, most)) })
}

fn block(runs: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

fn title(text: &str) -> Value {
    let mut run = run(text, TEXT);
    run["weight"] = "Bolder".into();
    run["size"] = "Large".into();
    block(&[run])
}

fn paragraph(text: &str) -> Value {
    block(&[run(text, TEXT)])
}

fn fact(name: &str, value: &str) -> Value {
    let mut name = run(&format!("{name}: "), TEXT);
    name["weight"] = "Bolder".into();
    block(&[name, run(value, TEXT)])
}

/// By what a repeat is known, and what was left out.
fn footer(id: &str, revision: u64, shortened: Shortened) -> Value {
    let mut text = format!("id {id} revision {revision}");
    if let Some(note) = shortened.note() {
        text.push_str(", ");
        text.push_str(&note);
    }
    let mut run = run(&text, usize::MAX);
    run["isSubtle"] = true.into();
    run["size"] = "Small".into();
    block(&[run])
}
