//! The report: every number that programs get stands on the page that people get.

use netsage_api_types::DetectorRef;
use netsage_models::metrics::{Bootstrap, Distinct, Thresholds};
use netsage_models::report::{
    Columns, Condition, DataSummary, Judge, Kind, Outcome, Report, known_artefacts, shown, shown_count,
    shown_score,
};
use netsage_schema::{Rows, UNSW_NB15};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// A report on made-up scores, with everything that a report can have. Names hold what HTML gives a meaning.
fn report(samples: u32) -> Report {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let mut rows = Rows::new(&UNSW_NB15);
    let (mut attack, mut categories) = (Vec::new(), Vec::new());
    for row in 0..900 {
        let mut values = vec![0.0; UNSW_NB15.width()];
        values[0] = f64::from(random.random_range(0..400_u32));
        rows.push(&values);
        attack.push(row % 3 == 0);
        categories.push(
            ["Normal", "<Fuzzers> & \"co\"", "DoS"][if row % 3 == 0 { 1 + row % 2 } else { 0 }].to_owned(),
        );
    }
    let distinct = Distinct::of(&rows, &attack);
    let judge = Judge {
        attack: &attack,
        categories: Some(&categories),
        distinct: &distinct,
        bootstrap: Bootstrap { samples, seed: 3 },
        flows_per_day: 1_000_000.0,
    };
    let mut condition = |columns: Columns, shift: f32, scale: f32| -> Condition {
        let scores: Vec<f32> = attack
            .iter()
            .map(|&attack| (random.random::<f32>() + if attack { shift } else { 0.0 }) * scale)
            .collect();
        let thresholds = Thresholds {
            p95: Some(0.95 * scale),
            p99: Some(0.99 * scale),
            model: Some(scale),
        };
        let condition = judge.condition(columns, 40, &scores, thresholds).unwrap();
        Condition {
            rows_per_second: Some(123_456.0),
            ..condition
        }
    };
    let outcome = |name: &str, kind: Kind, conditions: Vec<Condition>| Outcome {
        name: name.to_owned(),
        kind,
        detector: (kind == Kind::Detector).then(|| DetectorRef {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            digest: "ab".repeat(32),
            generation: 0,
        }),
        about: "does <something> & more".to_owned(),
        steered: (kind == Kind::Detector).then(|| "the columns were chosen on dev".to_owned()),
        notes: vec!["a note".to_owned()],
        not_without_ttl: conditions
            .get(1)
            .is_none()
            .then(|| "it has no such columns".to_owned()),
        conditions,
    };
    let results = vec![
        outcome(
            "forest",
            Kind::Detector,
            vec![
                condition(Columns::All, 0.4, 1.0),
                condition(Columns::WithoutTtl, 0.3, 1e7),
            ],
        ),
        outcome(
            "fused mean",
            Kind::Fused,
            vec![condition(Columns::All, 0.5, 1e-6)],
        ),
        outcome(
            "Mahalanobis",
            Kind::Baseline,
            vec![condition(Columns::All, 0.1, 50.0)],
        ),
    ];
    Report {
        made_by: "netsage 0.1.0".to_owned(),
        date: "2026-11-21".to_owned(),
        command: "netsage evaluate <file> --detector 'a & b'".to_owned(),
        data: DataSummary {
            file: "dev.csv.gz".to_owned(),
            schema: "unsw-nb15@1".to_owned(),
            rows: rows.len(),
            attacks: 300,
            distinct_rows: distinct.rows.len(),
            distinct_attacks: distinct.select(&attack).iter().filter(|&&attack| attack).count(),
            with_both_labels: distinct.with_both_labels,
            categories: judge.category_rows(),
        },
        training: vec!["train.csv".to_owned()],
        bootstrap: judge.bootstrap,
        flows_per_day: judge.flows_per_day,
        artefacts: known_artefacts(&UNSW_NB15),
        results,
    }
}

/// Every number of a value as the page writes it, with its path.
fn numbers(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            let key = path
                .rsplit('/')
                .find(|part| part.parse::<u32>().is_err())
                .unwrap();
            let text = if key == "threshold" {
                shown_score(number as f32)
            } else if path.contains("false_alerts_per_day")
                || ["rows", "attacks", "reads", "rows_per_second", "generation"].contains(&key)
            {
                shown_count(number)
            } else {
                shown(number)
            };
            found.push((path.to_owned(), text));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                numbers(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                numbers(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The text of a page between tags, each piece on its own.
fn texts(html: &str) -> Vec<&str> {
    html.split('<')
        .filter_map(|part| part.split_once('>'))
        .flat_map(|(_, text)| text.split_whitespace())
        .map(|word| word.trim_end_matches([',', '.']))
        .collect()
}

#[test]
fn every_number_of_the_json_stands_on_the_page() {
    let report = report(20);
    let json = serde_json::to_value(&report).unwrap();
    let html = report.html();
    for (index, result) in json["results"].as_array().unwrap().iter().enumerate() {
        let section = html
            .split(&format!("<section id=\"result-{index}\">"))
            .nth(1)
            .unwrap();
        let section = section.split("</section>").next().unwrap();
        let shown_there = texts(section);
        let mut found = Vec::new();
        numbers(&result["conditions"], "", &mut found);
        assert!(found.len() > 100, "{} numbers", found.len());
        for (path, text) in found {
            // How many rows there are is a matter of the data and stands there.
            let whole = ["all/rows", "all/attacks", "distinct/rows", "distinct/attacks"];
            if whole.iter().any(|end| path.ends_with(end)) {
                assert!(html.contains(&text), "{path}: {text}");
                continue;
            }
            assert!(
                shown_there.contains(&text.as_str()),
                "result {index}{path}: {text} is not on the page"
            );
        }
    }
}

/// Checks that elements are closed in the order in which they were opened, and that no name escaped unescaped.
fn check_well_formed(html: &str) {
    let html = html.strip_prefix("<!DOCTYPE html>").unwrap();
    let mut open: Vec<&str> = Vec::new();
    let (before, rest) = html.split_once("<style>").unwrap();
    let (style, after) = rest.split_once("</style>").unwrap();
    assert!(!style.contains(['<', '&']));
    for part in before.split('<').chain(after.split('<')).skip(1) {
        let Some((tag, text)) = part.split_once('>') else {
            assert!(part.trim().is_empty(), "no tag: {part}");
            continue;
        };
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{entity}");
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing_elsewhere() {
    for samples in [0, 5] {
        let mut report = report(samples);
        check_well_formed(&report.html());
        // A report of nothing is still a page.
        report.results.clear();
        report.data.categories.clear();
        check_well_formed(&report.html());
    }
    let html = report(0).html();
    for foreign in ["<script", "http:", "https:", "url(", "@import", "src=", "href="] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.contains("&lt;something&gt; &amp; more"));
}

#[test]
fn the_table_and_the_document_show_the_same_figures() {
    let report = report(20);
    let (table, markdown) = (report.table(), report.markdown());
    let figures = &report.results[0].conditions[0].all;
    let evaluation = &figures.evaluation;
    let [low, high] = figures.intervals["auroc"];
    let cell = format!("{} ±{}", shown(evaluation.auroc), shown((high - low) / 2.0));
    assert!(table.contains(&cell), "{cell} is not in\n{table}");
    for (_, value) in evaluation.named() {
        assert!(table.contains(&shown(value)), "{value} is not in\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    let rows: Vec<&str> = markdown.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 1 + report.results.len());
    assert!(rows[1].starts_with("| `forest` (*) | ."), "{}", rows[1]);
    let columns = |row: &str| row.matches('|').count();
    assert!(
        rows.iter().all(|row| columns(row) == columns(rows[0])),
        "{markdown}"
    );
}
