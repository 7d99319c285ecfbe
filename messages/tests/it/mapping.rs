//! The table of fields is what the code does, and what the page says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use netsage_messages::mapping::{COMPOSED, LEFT_OUT_OF_CEF, MAPPINGS};
use netsage_messages::syslog::{Clock, Facility, Sender, lines};
use netsage_messages::template::PLACEHOLDERS;
use netsage_messages::{AlertMessage, Format, Message};
use serde_json::{Value, json};

use crate::cef;
use crate::samples::{alert, event, full_alert, leaves, message, told, wording};

/// Fields of the message beside those of the alert.
const OF_MESSAGE: [&str; 2] = ["revision", "reason"];

#[test]
fn every_field_of_an_alert_is_in_the_table() {
    let alert = serde_json::to_value(full_alert()).unwrap();
    let fields: BTreeSet<_> = leaves(&alert).into_keys().collect();
    let table: BTreeSet<_> = MAPPINGS.iter().map(|mapping| mapping.field.to_owned()).collect();
    let of_message: BTreeSet<_> = OF_MESSAGE.iter().map(ToString::to_string).collect();
    let expected: BTreeSet<_> = fields.union(&of_message).cloned().collect();
    assert_eq!(table, expected);
    assert_eq!(table.len(), MAPPINGS.len(), "a field is there twice");
}

/// The sample has every field: one that is new and optional would not be seen otherwise.
#[test]
fn the_sample_has_every_field() {
    fn check<T: utoipa::PartialSchema>(path: &str, sample: &Value) {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let names: BTreeSet<_> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let there: BTreeSet<_> = sample.as_object().unwrap().keys().cloned().collect();
        assert_eq!(there, names, "{path}");
    }
    let alert = serde_json::to_value(full_alert()).unwrap();
    check::<netsage_api_types::Alert>("alert", &alert);
    check::<netsage_api_types::DetectorRef>("detector", &alert["detector"]);
    check::<netsage_api_types::Contribution>("contributions", &alert["contributions"][0]);
    check::<netsage_api_types::AlertSources>("sources", &alert["sources"]);
    check::<netsage_api_types::SourceScore>("sources.top", &alert["sources"]["top"][0]);
}

#[test]
fn only_cef_leaves_fields_out_and_says_so() {
    let left_out: BTreeSet<_> = LEFT_OUT_OF_CEF.iter().map(|(field, _)| *field).collect();
    for mapping in MAPPINGS {
        assert!(
            !mapping.ecs.is_empty() && !mapping.ocsf.is_empty(),
            "{}",
            mapping.field
        );
        assert_eq!(
            mapping.cef.is_empty(),
            left_out.contains(mapping.field),
            "{}",
            mapping.field
        );
    }
}

/// The alert's field with another value of its kind, in every element of a list.
fn change(message: &AlertMessage, field: &str) -> AlertMessage {
    fn other(field: &str, value: &Value) -> Value {
        match (field, value) {
            ("source" | "destination" | "sources.top[].source", _) => json!("2001:db8::77"),
            ("severity", _) => json!("low"),
            ("state", _) => json!("acknowledged"),
            ("kind", _) => json!("udp/dns"),
            (_, Value::String(text)) => json!(format!("{text}0")),
            (_, Value::Number(number)) => match number.as_i64() {
                Some(number) => json!(number + 1),
                None => json!(number.as_f64().unwrap() + 0.25),
            },
            (_, other) => panic!("{field} holds {other}"),
        }
    }
    fn walk(value: &mut Value, rest: &str, field: &str) {
        if let Some(rest) = rest.strip_prefix("[]") {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            for value in value.as_array_mut().unwrap() {
                walk(value, rest, field);
            }
            return;
        }
        if rest.is_empty() {
            *value = other(field, value);
            return;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        walk(&mut value[name], after.strip_prefix('.').unwrap_or(after), field);
    }
    let mut changed = message.clone();
    match field {
        "revision" => changed.revision += 1,
        "reason" => changed.reason = netsage_messages::Reason::Grown,
        field => {
            let mut alert = serde_json::to_value(&changed.alert).unwrap();
            walk(&mut alert, field, field);
            changed.alert = serde_json::from_value(alert).unwrap();
        }
    }
    assert_ne!(&changed, message, "{field}");
    changed
}

/// What a document says, by the names of its format.
fn fields(format: Format, message: &AlertMessage) -> BTreeMap<String, Vec<Value>> {
    let documents = format
        .documents(&Message::Alert(message.clone()), &wording(), usize::MAX)
        .unwrap();
    assert_eq!(documents.len(), 1);
    match format {
        Format::Cef => {
            let fields = cef::parse(&documents[0]).unwrap();
            fields
                .into_iter()
                .map(|(name, value)| (name, vec![Value::String(value)]))
                .collect()
        }
        _ => leaves(&serde_json::from_str(&documents[0]).unwrap()),
    }
}

/// Each field is changed in turn: what changes in a document is what the table names, and nothing else.
#[test]
fn the_table_is_what_the_code_does() {
    let message = told(full_alert());
    for mapping in MAPPINGS {
        let changed = change(&message, mapping.field);
        for (format, named) in [
            (Format::Ecs, mapping.ecs),
            (Format::Ocsf, mapping.ocsf),
            (Format::Cef, mapping.cef),
        ] {
            let (before, after) = (fields(format, &message), fields(format, &changed));
            let all: BTreeSet<_> = before.keys().chain(after.keys()).map(String::as_str).collect();
            let differ = all
                .into_iter()
                .filter(|name| before.get(*name) != after.get(*name));
            let differ: BTreeSet<_> = differ.filter(|name| !COMPOSED.contains(name)).collect();
            let named: BTreeSet<_> = named.iter().copied().collect();
            assert_eq!(differ, named, "{format}: {}", mapping.field);
        }
    }
}

/// `docs/messages.md` has both tables and the examples; `NETSAGE_BLESS=1` writes them.
#[test]
fn the_page_has_the_tables_and_examples() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/messages.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut expected = page.clone();
    for (name, part) in [
        ("json", json_example()),
        ("fields", field_table()),
        ("syslog", syslog_example()),
        ("placeholders", placeholder_table()),
    ] {
        expected = put(&expected, name, &part);
    }
    if std::env::var_os("NETSAGE_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(
        page == expected,
        "tables and examples of docs/messages.md are not those of the code: NETSAGE_BLESS=1 cargo test --release -p netsage-messages page"
    );
}

/// The page with this between the comments that name a table.
fn put(page: &str, name: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("the page has no {start}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("the page has no {end}"));
    format!("{before}{start}{table}{end}{after}")
}

fn json_example() -> String {
    let document = &Format::Json
        .documents(&message(alert()), &wording(), usize::MAX)
        .unwrap()[0];
    format!("```json\n{}\n```\n", laid_out(document))
}

/// JSON with its members in the order of the document, each in a line.
fn laid_out(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut is_escaped) = (String::new(), 0, false, false);
    let break_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    for character in json.chars() {
        match character {
            _ if in_text => {
                out.push(character);
                in_text = character != '"' || is_escaped;
                is_escaped = character == '\\' && !is_escaped;
            }
            '{' | '[' => {
                out.push(character);
                depth += 1;
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                out.push(other);
                in_text = other == '"';
            }
        }
    }
    assert_eq!(
        serde_json::from_str::<Value>(&out).unwrap(),
        serde_json::from_str::<Value>(json).unwrap()
    );
    out
}

fn syslog_example() -> String {
    let sender = Sender {
        hostname: "edge-0.example".into(),
        app_name: "netsage".into(),
        process_id: Some(4_711),
        facility: Facility::LOCAL0,
        clock: Clock::Trusted,
        enterprise: None,
    };
    let lines = lines(
        &Message::Event(event()),
        Format::Cef,
        &wording(),
        &sender,
        usize::MAX,
    )
    .unwrap();
    format!("```text\n{}\n```\n", lines[0])
}

fn field_table() -> String {
    let names = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            "left out".to_owned()
        } else {
            names.join(", ")
        }
    };
    let mut table = "| alert | ECS | type | OCSF | CEF |\n|---|---|---|---|---|\n".to_owned();
    for mapping in MAPPINGS {
        let row = [
            format!("`{}`", mapping.field),
            names(mapping.ecs),
            mapping.ecs_type.to_owned(),
            names(mapping.ocsf),
            names(mapping.cef),
        ];
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table.push('\n');
    for (field, why) in LEFT_OUT_OF_CEF {
        table.push_str(&format!("- CEF leaves out `{field}`: {why}.\n"));
    }
    table
}

fn placeholder_table() -> String {
    let mut table = "| placeholder | what is filled in |\n|---|---|\n".to_owned();
    for placeholder in PLACEHOLDERS {
        table.push_str(&format!(
            "| `{{{}}}` | {} |\n",
            placeholder.name, placeholder.about
        ));
    }
    table
}
