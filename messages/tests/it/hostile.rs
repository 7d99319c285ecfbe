//! Text of strangers adds no field to any document, and takes none away.

use std::collections::BTreeSet;

use netsage_api_types::Alert;
use netsage_messages::{Format, Message, Template};
use proptest::prelude::*;
use serde_json::Value;

use crate::samples::{
    event, full_alert, hostile_alert, hostile_event, hostile_text, leaves, message, with_texts, wording,
};

/// The paths of a document. How many elements a list has is told by its numbers elsewhere.
fn shape(document: &str) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(document).unwrap();
    leaves(&value).into_keys().collect()
}

/// An alert whose texts are harmless, and are no addresses either.
fn harmless() -> Alert {
    with_texts(full_alert(), &["x".to_owned()])
}

fn only(message: &Message, format: Format) -> String {
    let mut documents = format.documents(message, &wording(), usize::MAX).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

const FORMATS: [Format; 5] = [
    Format::Json,
    Format::Ecs,
    Format::Ocsf,
    Format::Slack,
    Format::Teams,
];

/// Documents of these two messages have the same fields, and as many values of each.
fn are_alike(one: &Message, other: &Message) -> Result<(), TestCaseError> {
    for format in FORMATS {
        let (one, other) = (only(one, format), only(other, format));
        prop_assert_eq!(shape(&one), shape(&other), "{}", format);
        let count = |document: &str| {
            let leaves = leaves(&serde_json::from_str(document).unwrap());
            leaves
                .into_iter()
                .map(|(path, values)| (path, values.len()))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(count(&one), count(&other), "{}", format);
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_alert_has_the_fields_of_any_other(alert in hostile_alert()) {
        are_alike(&message(alert), &message(harmless()))?;
    }

    #[test]
    fn an_event_has_the_fields_of_any_other(event in hostile_event()) {
        are_alike(&Message::Event(event), &Message::Event(self::event()))?;
    }

    /// A template stays the JSON that it is.
    #[test]
    fn a_template_keeps_its_members(alert in hostile_alert(), name in hostile_text()) {
        // Braces of what is no placeholder are doubled, in texts only.
        let written = name.replace('{', "{{").replace('}', "}}");
        let json = serde_json::json!({ name.clone(): "{alert.source}", "b": [7, null, { "c": "{title} | {text}" }], "written": written });
        let template = Template::parse(&json.to_string()).unwrap();
        let filled = template.fill(&message(alert), &wording(), usize::MAX).unwrap();
        prop_assert_eq!(filled.len(), 1);
        prop_assert_eq!(shape(&filled[0]), shape(&json.to_string()));
        let filled: Value = serde_json::from_str(&filled[0]).unwrap();
        prop_assert_eq!(filled["written"].as_str().unwrap(), name);
    }
}
