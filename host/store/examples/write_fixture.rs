//! Writes a small store of each kind as this version of the program makes them, and what is to be read from them: the
//! fixtures that later versions must open, see `tests/it/migrations.rs`. Run before a change of the tables or documents, in
//! a clone at the version whose stores are to be kept:
//! `cargo run --release -p netsage-store --example write_fixture -- FOLDER`
//!
//! `FOLDER/sqlite.db.gz` is a file; `FOLDER/mongodb.bson.gz` a document with the content and the indexes of each
//! collection; `FOLDER/answers.json` what both stores answer.
#![allow(clippy::print_stderr)]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use netsage_api_types::{AlertQuery, AlertState, FlowQuery, StateChange};
use netsage_store::{MAX_CHANGES, SharedStore};
use netsage_testkit::backends::{self, Place};
use netsage_testkit::sample::{Sample, T0, batch, flow, traffic};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).ok_or("name the folder to write to")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    let place = backends::sqlite();
    let answers = write(&place.open().await).await?;
    let file = place.url.trim_start_matches("sqlite:");
    pack(&folder.join("sqlite.db.gz"), &fs::read(file)?)?;
    fs::write(
        folder.join("answers.json"),
        format!("{}\n", serde_json::to_string_pretty(&answers)?),
    )?;
    match backends::mongodb() {
        Ok(place) => {
            write(&place.open().await).await?;
            pack(&folder.join("mongodb.bson.gz"), &dump(&place).await?.to_vec()?)?;
        }
        Err(reason) => eprintln!("skipped: MongoDB: {reason}"),
    }
    Ok(())
}

/// Alerts of sources, one of a target that many sources hit, alerts that were merged into that one, one that is closed.
async fn write(store: &SharedStore) -> Outcome<Value> {
    store.record(&[Arc::new(batch(&traffic(0, 60)))]).await?;
    let on_one_target: Vec<Sample> = (100..120)
        .map(|number| {
            let mut sample = flow(number, &format!("10.1.0.{number}"), T0 + 7_200_000, 0.8);
            sample.flow.destination_port = 443;
            sample
        })
        .collect();
    for flows in on_one_target.chunks(8) {
        store.record(&[Arc::new(batch(flows))]).await?;
    }
    let close = StateChange {
        state: AlertState::Closed,
        by: "a person".to_owned(),
    };
    let alerts = store.alerts(&AlertQuery::default()).await?.items;
    let last = alerts.last().ok_or("there is no alert")?;
    store.change_state(&last.id, &close).await?;
    store.save_position("output:a", b"a place").await?;
    let flows = FlowQuery {
        limit: Some(500),
        ..FlowQuery::default()
    };
    let changes = store.changes(0, MAX_CHANGES).await?.items;
    let steps = store.overview(60_000, 500).await?.points;
    Ok(json!({
        "alerts": store.alerts(&AlertQuery::default()).await?.items,
        "flows": store.flows(&flows).await?.items,
        "changed": changes.iter().map(|change| &change.alert.id).collect::<Vec<_>>(),
        "flows_in_steps": steps.iter().map(|step| step.flows).sum::<u64>(),
        "alerted_in_steps": steps.iter().map(|step| step.alerted).sum::<u64>(),
    }))
}

/// Each collection with its documents and indexes.
async fn dump(place: &Place) -> Outcome<Document> {
    let client = Client::with_uri_str(&place.url).await?;
    let database = client.default_database().ok_or("the URL names no database")?;
    let mut all = Document::new();
    for name in database.list_collection_names().await? {
        let collection = database.collection::<Document>(&name);
        let documents: Vec<Document> = collection.find(doc! {}).await?.try_collect().await?;
        let listed = database.run_command(doc! { "listIndexes": &name }).await?;
        let indexes = listed.get_document("cursor")?.get_array("firstBatch")?.clone();
        let documents: Vec<Bson> = documents.into_iter().map(Bson::from).collect();
        all.insert(name, doc! { "documents": documents, "indexes": indexes });
    }
    Ok(all)
}

fn pack(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut packed = GzEncoder::new(File::create(path)?, Compression::best());
    packed.write_all(bytes)?;
    packed.finish()?.sync_all()?;
    Ok(())
}
