//! Slack and Teams: what their readers may meet.

use netsage_api_types::Alert;
use netsage_messages::{Format, Message};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples::{
    alert, digest, full_alert, hostile_alert, hostile_event, is_hidden, leaves, message, wording,
};

fn only(format: Format, message: &Message) -> Value {
    let documents = format.documents(message, &wording(), usize::MAX).unwrap();
    assert_eq!(documents.len(), 1);
    serde_json::from_str(&documents[0]).unwrap()
}

#[test]
fn slack_gets_blocks_and_a_text_for_notifications() {
    let document = only(Format::Slack, &message(alert()));
    assert_eq!(
        document["text"],
        "high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22"
    );
    let blocks = document["blocks"].as_array().unwrap();
    assert_eq!(
        blocks[0],
        json!({ "type": "header", "text": { "type": "plain_text", "text": "high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22", "emoji": false } })
    );
    let fields: Vec<_> = blocks[1]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "Severity: high",
            "Kind: tcp/ssh",
            "Source: 192.0.2.1:40001",
            "Destination: 198.51.100.7:22",
            "Flows: 12",
            "Score: 0.93 (threshold 0.6)",
            "Detector: iforest 1.0.0",
            "Seen: 2026-01-05T09:00:00Z to 2026-01-05T09:01:01Z",
            "State: new",
            "Place: network office, sensor edge-1",
        ]
    );
    assert_eq!(
        blocks[2]["text"]["text"],
        "source_bytes 9000 B, typical 120 B (50 %)\nstate attempt, typical closed (25 %)"
    );
    assert_eq!(
        blocks[3]["elements"][0]["text"],
        "id 00112233445566778899aabbccddeeff revision 17"
    );
    assert_eq!(
        blocks[4]["text"]["text"],
        "<https://netsage.example/alerts?source=192.0.2.1&amp;network=office|Show the alerts of this source>"
    );
}

/// Limits of Slack: characters of texts, numbers of blocks and fields.
fn check_slack(document: &Value) -> Result<(), TestCaseError> {
    let blocks = document["blocks"].as_array().unwrap();
    prop_assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    let mut texts = vec![(&document["text"], 3_000)];
    for block in blocks {
        let most = match block["type"].as_str().unwrap() {
            "header" => 150,
            "section" | "context" => 3_000,
            other => return Err(TestCaseError::fail(format!("a block of the type {other}"))),
        };
        let fields = block["fields"].as_array().into_iter().flatten();
        prop_assert!(fields.clone().count() <= 10);
        let elements = block["elements"].as_array().into_iter().flatten();
        let objects = fields
            .map(|field| (field, 2_000))
            .chain(elements.map(|element| (element, 3_000)));
        for (object, most) in objects.chain(block.get("text").map(|text| (text, most))) {
            let is_own = object["type"] == "mrkdwn";
            let text = object["text"].as_str().unwrap();
            if is_own {
                let harmless = text.starts_with("<https://netsage.example/alerts?source=")
                    && text.matches('<').count() == 1;
                prop_assert!(harmless && object["verbatim"] == true, "{}", text);
            } else {
                prop_assert_eq!(&object["type"], "plain_text");
                texts.push((&object["text"], most));
            }
        }
    }
    for (text, most) in texts {
        let text = text.as_str().unwrap();
        prop_assert!(
            !text.is_empty() && text.chars().count() <= most,
            "{} of {}",
            text.len(),
            most
        );
        // No mention, no link, no line of a stranger: our own lines end in a line feed.
        prop_assert!(!text.contains(['<', '>', '@', '\r']), "{}", text);
        prop_assert!(!text.replace('\n', "").contains(is_hidden), "{}", text);
        let entities = text.match_indices('&').all(|(at, _)| {
            ["&amp;", "&lt;", "&gt;"]
                .iter()
                .any(|entity| text[at..].starts_with(entity))
        });
        prop_assert!(entities, "{}", text);
    }
    Ok(())
}

/// Line feeds in all texts.
fn line_feeds(document: &Value) -> usize {
    let texts = leaves(document).into_values().flatten();
    texts
        .filter_map(|text| text.as_str().map(|text| text.matches('\n').count()))
        .sum()
}

proptest! {
    #[test]
    fn slack_shows_what_strangers_write_and_does_nothing_else(alert in hostile_alert(), event in hostile_event()) {
        let document = only(Format::Slack, &message(alert));
        check_slack(&document)?;
        prop_assert_eq!(line_feeds(&document), 1, "one line between two contributions");
        let document = only(Format::Slack, &Message::Event(event));
        check_slack(&document)?;
        prop_assert_eq!(line_feeds(&document), 0);
    }

    #[test]
    fn teams_shows_what_strangers_write_and_does_nothing_else(alert in hostile_alert(), event in hostile_event()) {
        check_teams(&only(Format::Teams, &message(alert)))?;
        check_teams(&only(Format::Teams, &Message::Event(event)))?;
    }
}

#[test]
fn slack_takes_digests_of_any_length() {
    for count in [1, 30, 200, 1_000] {
        let digest = Message::Digest(digest(count));
        for document in Format::Slack.documents(&digest, &wording(), usize::MAX).unwrap() {
            check_slack(&serde_json::from_str(&document).unwrap()).unwrap();
        }
    }
    let named = Alert {
        kind: "&".repeat(3_000),
        source: "<".repeat(3_000),
        ..full_alert()
    };
    check_slack(&only(Format::Slack, &message(named.clone()))).unwrap();
    let mut long = digest(40);
    for message in &mut long.alerts {
        message.alert = Alert {
            id: message.alert.id.clone(),
            ..named.clone()
        };
    }
    for document in Format::Slack
        .documents(&Message::Digest(long), &wording(), usize::MAX)
        .unwrap()
    {
        check_slack(&serde_json::from_str(&document).unwrap()).unwrap();
    }
}

#[test]
fn teams_gets_a_card() {
    let document = only(Format::Teams, &message(alert()));
    assert_eq!(document["type"], "message");
    let attachment = &document["attachments"][0];
    assert_eq!(
        attachment["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.4"))
    );
    let text: Vec<_> = card["body"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| {
            block["inlines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| run["text"].as_str().unwrap())
                .collect::<String>()
        })
        .collect();
    assert_eq!(text[0], "high: tcp/ssh from 192.0.2.1 to 198.51.100.7:22");
    assert!(
        text.contains(&"Score: 0.93 (threshold 0.6)".to_owned()),
        "{text:?}"
    );
    assert!(
        text.contains(&"Driven by: source_bytes 9000 B, typical 120 B (50 %)".to_owned()),
        "{text:?}"
    );
    assert_eq!(
        text.last().unwrap(),
        "id 00112233445566778899aabbccddeeff revision 17"
    );
    let action = json!([{ "type": "Action.OpenUrl", "title": "Show the alerts of this source", "url": "https://netsage.example/alerts?source=192.0.2.1&network=office" }]);
    assert_eq!(card["actions"], action);
}

/// Text stands where no Markdown is read, and there are no mentions.
fn check_teams(document: &Value) -> Result<(), TestCaseError> {
    let card = &document["attachments"][0]["content"];
    prop_assert_eq!(&card["msteams"], &json!({ "width": "Full" }));
    for block in card["body"].as_array().unwrap() {
        prop_assert_eq!(&block["type"], "RichTextBlock");
        for run in block["inlines"].as_array().unwrap() {
            prop_assert_eq!(&run["type"], "TextRun");
            let text = run["text"].as_str().unwrap();
            prop_assert!(
                !text.contains(['<', '>', '@', '[', ']', '`']) && !text.contains(is_hidden),
                "{}",
                text
            );
        }
    }
    Ok(())
}
