//! `docs/features.md` is written from the declarations.

use std::fmt::Write as _;
use std::{env, fs};

use netsage_schema::{Column, Kind, Schema, flow_v1, record_v1, reference};

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

#[test]
fn every_column_of_a_record_has_an_origin() {
    let named = record_v1::ORIGINS.iter().flat_map(|origin| origin.columns);
    let columns = record_v1::RECORD_V1.columns.iter().map(|column| &column.name);
    assert!(
        named.eq(columns.clone()),
        "the origins name other columns, or in another order"
    );
    assert!((25..=35).contains(&columns.len()));
    for origin in record_v1::ORIGINS {
        assert!(origin.of.iter().all(|of| !of.is_empty()), "{origin:?}");
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
    if *id == record_v1::RECORD_V1.id {
        text.push_str(&essay(include_str!("../../src/record_v1.rs")));
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
    if *id == record_v1::RECORD_V1.id {
        origins(text);
    }
}

/// The fields of each kind of record that the columns of `record-v1` come from.
fn origins(text: &mut String) {
    text.push_str(
        "\n### Where the columns come from\n\n\
         Numbers are those of information elements of IPFIX, which NetFlow v9 shares up to 127. \
         *Missing* means 0 and a 1 in the column `..._missing`.\n\n",
    );
    writeln!(text, "| columns | {} |", record_v1::METERS.join(" | ")).expect("a string takes any text");
    writeln!(text, "|---|{}", "---|".repeat(record_v1::METERS.len())).expect("a string takes any text");
    for origin in record_v1::ORIGINS {
        writeln!(
            text,
            "| `{}` | {} |",
            origin.columns.join("`, `"),
            origin.of.join(" | ")
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
