//! `docs/features.md` is written from the declarations.

use std::fmt::Write as _;
use std::{env, fs};

use netsage_schema::{Column, Kind, Schema, flow_v1, reference};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/features.md");

/// `NETSAGE_BLESS=1 cargo test -p netsage-schema features` writes the document anew.
#[test]
fn the_document_is_current() {
    let current = document();
    if env::var_os("NETSAGE_BLESS").is_some() {
        fs::write(PATH, &current).expect("docs/features.md can be written");
    }
    assert!(
        fs::read_to_string(PATH).is_ok_and(|written| written == current),
        "docs/features.md is not current: run with NETSAGE_BLESS=1 and look at the difference"
    );
}

#[test]
fn every_column_is_explained() {
    for schema in Schema::ALL {
        for column in schema.columns {
            for text in [column.definition, column.purpose] {
                assert!(
                    text.ends_with('.') && text.len() > 10,
                    "{}: {text:?}",
                    column.name
                );
            }
            assert!(!column.citation.is_empty(), "{}", column.name);
            if matches!(column.kind, Kind::Nominal(_) | Kind::Flag) {
                assert_eq!(column.unit, "", "{}", column.name);
            }
        }
    }
    for cited in reference::ALL {
        let is_used = (Schema::ALL.iter().flat_map(|schema| schema.columns))
            .any(|column| column.citation.contains(cited));
        assert!(
            is_used || *cited == &reference::RFC_6298,
            "{} is cited nowhere",
            cited.key
        );
    }
}

fn document() -> String {
    let mut text = String::from(
        "# Feature columns\n\n\
         Written from the declarations in `schema/src` by `NETSAGE_BLESS=1 cargo test -p netsage-schema features`; \
         a test holds it to them.\n\
         `netsage flows --schema NAME` prints these columns for any capture. Every value is finite and 0 or more.\n",
    );
    for schema in Schema::ALL {
        section(&mut text, schema);
    }
    text.push_str("\n## References\n\n");
    for reference in reference::ALL {
        writeln!(text, "- **{}**: {}", reference.key, reference.text).expect("a string takes any text");
    }
    text
}

fn section(text: &mut String, schema: &Schema) {
    let Schema {
        id,
        version,
        purpose,
        columns,
    } = schema;
    write!(
        text,
        "\n## `{id}`, version {version}\n\n{purpose}\n\n{} columns.\n\n",
        columns.len()
    )
    .expect("a string takes any text");
    if *id == flow_v1::FLOW_V1.id {
        text.push_str(&essay(include_str!("../../src/flow_v1.rs")));
    }
    text.push_str(
        "| column | unit | kind | definition | what it is for | source |\n|---|---|---|---|---|---|\n",
    );
    for column in *columns {
        let sources: Vec<_> = column.citation.iter().map(|reference| reference.key).collect();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            column.name,
            column.unit,
            kind(column),
            column.definition,
            column.purpose,
            sources.join(", ")
        )
        .expect("a string takes any text");
    }
}

/// What the documentation of a module says after its first line, one level of headings deeper, and the meaning
/// of the terms of its states.
fn essay(source: &str) -> String {
    let comment = |prefix: &'static str| {
        source
            .lines()
            .skip_while(move |line| !line.starts_with(prefix))
            .take_while(move |line| line.starts_with(prefix))
            .map(move |line| {
                line.strip_prefix(prefix)
                    .expect("taken by its prefix")
                    .trim_start()
            })
    };
    let mut text = String::new();
    for line in comment("//!").skip(2) {
        text.push_str(if line.starts_with('#') { "##" } else { "" });
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("\n### The terms of `state`\n");
    for line in comment("///") {
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

fn kind(column: &Column) -> String {
    match column.kind {
        Kind::Nominal(vocabulary) => format!("term of `{}`", vocabulary.id),
        Kind::Count => "count".to_owned(),
        Kind::Continuous => "number".to_owned(),
        Kind::Flag => "0 or 1".to_owned(),
    }
}
