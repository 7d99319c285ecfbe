//! Stores of earlier versions are opened, answer as they did, and take more. `examples/write_fixture.rs` made them; a folder
//! has the name of the commit whose program wrote it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use netsage_api_types::{AlertQuery, FlowQuery};
use netsage_store::{MAX_CHANGES, SharedStore, StoreOptions};
use netsage_testkit::backends::{Place, mongodb, sqlite};
use netsage_testkit::sample::{hits, traffic};
use serde_json::Value;

use crate::suite::record;

/// The commits whose stores are kept.
const WRITTEN_BY: [&str; 2] = ["d8d5847", "d7093e8"];

fn fixture(commit: &str, file: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(commit).join(file)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("the fixture");
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).expect("unpacked");
    bytes
}

/// What was recorded years ago is kept.
fn options() -> StoreOptions {
    let years = Duration::from_secs(60 * 365 * 24 * 3_600);
    StoreOptions {
        flow_retention: years,
        alert_retention: years,
        ..StoreOptions::default()
    }
}

/// Fields that later versions added are no difference.
fn has_all(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or(&Value::Null);
                has_all(found, expected, &format!("{place}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
                has_all(found, expected, &format!("{place}[{number}]"));
            }
        }
        // A score has 32 bits; what more a text says of it depends on who reads that.
        (Value::Number(found), Value::Number(expected)) if expected.is_f64() => {
            let bits = |number: &serde_json::Number| number.as_f64().map(|number| number as f32);
            assert_eq!(bits(found), bits(expected), "{place}");
        }
        // The state of an alert was changed at another moment in each of the two stores.
        _ if place.ends_with(".changed_at") => assert_eq!(found.is_null(), expected.is_null(), "{place}"),
        _ => assert_eq!(found, expected, "{place}"),
    }
}

async fn answers(store: &SharedStore) -> Value {
    let flows = FlowQuery {
        limit: Some(500),
        ..FlowQuery::default()
    };
    let changes = store.changes(0, MAX_CHANGES).await.expect("changes").items;
    let steps = store.overview(60_000, 500).await.expect("overview").points;
    serde_json::json!({
        "alerts": store.alerts(&AlertQuery::default()).await.expect("alerts").items,
        "flows": store.flows(&flows).await.expect("flows").items,
        "changed": changes.iter().map(|change| &change.alert.id).collect::<Vec<_>>(),
        "flows_in_steps": steps.iter().map(|step| step.flows).sum::<u64>(),
        "alerted_in_steps": steps.iter().map(|step| step.alerted).sum::<u64>(),
    })
}

async fn check(place: &Place, commit: &str) {
    let expected = std::fs::read(fixture(commit, "answers.json")).expect("the answers");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let store = place.open_with(&options()).await.expect("the store opens");
    let mut found = answers(&store).await;
    // Alerts of one delivery got their revisions in no order that lasts.
    let mut expected = expected;
    for answers in [&mut found, &mut expected] {
        if let Some(ids) = answers["changed"].as_array_mut() {
            assert!(ids.len() > 10);
            ids.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
        }
    }
    has_all(&found, &expected, commit);
    let place_of_output = store.position("output:a").await.expect("a position");
    assert_eq!(place_of_output.as_deref(), Some(&b"a place"[..]));
    // What is there is known, and what is new is added.
    assert!(record(&store, &traffic(0, 60)).await.is_empty());
    let more = traffic(1_000, 40);
    record(&store, &more).await;
    let after = answers(&store).await;
    let sum = |answers: &Value, key: &str| answers[key].as_u64().expect("a count");
    assert_eq!(
        sum(&after, "flows_in_steps"),
        sum(&expected, "flows_in_steps") + 40
    );
    assert_eq!(
        sum(&after, "alerted_in_steps"),
        sum(&expected, "alerted_in_steps") + hits(&more)
    );
    let alerts = |answers: &Value, key: &str, value: &str| {
        let alerts = answers["alerts"].as_array().expect("alerts").iter();
        alerts.filter(|alert| alert[key] == value).count()
    };
    assert_eq!(alerts(&after, "state", "closed"), 1);
    drop(store);
    let store = place.open_with(&options()).await.expect("the store opens again");
    assert_eq!(answers(&store).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_earlier_versions_are_opened() {
    for commit in WRITTEN_BY {
        let place = sqlite();
        let path = place.url.trim_start_matches("sqlite:");
        std::fs::write(path, unpacked(&fixture(commit, "sqlite.db.gz"))).expect("written");
        check(&place, commit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn databases_of_earlier_versions_are_opened() {
    for commit in WRITTEN_BY {
        let place = match mongodb() {
            Ok(place) => place,
            Err(reason) => return eprintln!("skipped: {reason}"),
        };
        let collections = unpacked(&fixture(commit, "mongodb.bson.gz"));
        let collections = Document::from_reader(collections.as_slice()).expect("a document");
        let client = Client::with_uri_str(&place.url).await.expect("a client");
        let database = client.default_database().expect("the URL names one");
        for (name, content) in &collections {
            let content = content.as_document().expect("a collection");
            let indexes: Vec<&Document> = content
                .get_array("indexes")
                .expect("indexes")
                .iter()
                .filter_map(|index| index.as_document())
                .filter(|index| !index.get_str("name").is_ok_and(|name| name == "_id_"))
                .collect();
            let documents = content.get_array("documents").expect("documents");
            let documents = documents.iter().filter_map(|document| document.as_document());
            if !indexes.is_empty() {
                let made = database.run_command(doc! { "createIndexes": name, "indexes": indexes });
                made.await.expect("the indexes");
            }
            let documents: Vec<&Document> = documents.collect();
            if !documents.is_empty() {
                let collection = database.collection::<Document>(name);
                collection.insert_many(documents).await.expect("the documents");
            }
        }
        check(&place, commit).await;
        let flows = database.collection::<Document>("flows");
        let names = flows.list_index_names().await.expect("the indexes");
        assert!(!names.contains(&"end_1_alerted_1".to_owned()), "{names:?}");
    }
}
