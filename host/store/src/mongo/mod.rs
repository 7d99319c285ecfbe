//! The store on a MongoDB server (8.0 or later).
//!
//! Works without transactions, which a single server does not have. Flows are inserted, and updated where their id is there;
//! see `flows`. What is counted and what alerts follow from it are documents that are replaced only at the version that was
//! read; see `counting`. The change of an alert gets a revision afterwards; see `revisions`. So a delivery may break off
//! between any two of its requests, also where nobody knows whether the last one was taken: delivered again, it completes
//! what is there.
//!
//! Writes are acknowledged by a majority of the servers, and whoever writes reads from the primary: what a delivery has
//! seen and what it has written outlives a failover.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{
    Acknowledgment, ClientOptions, IndexOptions, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Cursor, Database, IndexModel};
use netsage_alerts::{AlertLimits, AlertWindow};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};

use crate::changes::check_position;
use crate::reads::{LONGEST_READ, Reads};
use crate::record::{check_batch, check_change};
use crate::{
    BoxFuture, Changes, FlowBatchRecord, Store, StoreError, StoreOptions, StoreOverview, StoreSeries,
    StoreSeriesQuery,
};

mod alerts;
mod counting;
mod documents;
mod flows;
mod listing;
mod overview;
mod positions;
mod purge;
mod revisions;
mod room;
mod series;

use counting::Facts;
use documents::{AlertDocument, FlowDocument};
use purge::{Purge, Purging};
use room::{HELD_BACK, NextLook};

/// Version of the documents' form, kept in the collection `meta`. Databases of version 3 are brought up to date; those of
/// earlier versions, which no release wrote, are refused.
const SCHEMA_VERSION: i64 = 4;

/// The first version that has the marks of flows that are held back in a collection of their own; before it the flows had
/// them.
const MARKS_APART: i64 = 4;

/// Version of the wire protocol that MongoDB 8.0 speaks, the first with writes to several collections in one request.
const LEAST_WIRE_VERSION: i64 = 25;

/// How long to look for a server, unless the URL says otherwise.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that one request of a write is waited for: a delivery has many, and a slow server may take its time for
/// each, yet one that is there and does not answer must not hold up whoever writes for good.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// How long servers wait for a majority of them, unless the URL says otherwise: shorter, so that they say what is missing.
const MAJORITY_TIMEOUT: Duration = Duration::from_secs(8);

/// Most ids of one condition: a server may compare each document that it finds with each of them.
const IDS_AT_ONCE: usize = 128;

/// The collections of what is counted, which goes by its own time as alerts do.
const COUNTED: [&str; 6] = ["parts", "raised", "targets", "cells", "cell_versions", "merging"];

/// The collection of flows that are counted and not kept.
const COUNTED_ONLY: &str = "counted_only";

/// A store on a server.
pub(crate) struct MongoStore {
    client: Client,
    database: Database,
    flows: Collection<FlowDocument>,
    alerts: Collection<AlertDocument>,
    /// One document per flow counted in a part of an alert; its `_id` is the part's and the flow's, so it is there once.
    alert_flows: Collection<Document>,
    facts: Facts,
    reading: Reading,
    options: StoreOptions,
    purge: Purge,
    /// `None` until the store is open.
    purging: Option<Purging>,
    next_look: NextLook,
}

/// What is read beside recording, over connections of its own.
struct Reading {
    reads: Reads,
    database: Database,
    flows: Collection<FlowDocument>,
    alerts: Collection<AlertDocument>,
}

impl MongoStore {
    pub(crate) async fn open(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let bad_url = |error: Error| StoreError::BadUrl {
            reason: error.kind.to_string(),
        };
        let mut client_options = ClientOptions::parse(url).await.map_err(bad_url)?;
        client_options
            .app_name
            .get_or_insert_with(|| "netsage".to_owned());
        client_options
            .server_selection_timeout
            .get_or_insert(SERVER_TIMEOUT);
        client_options.connect_timeout.get_or_insert(SERVER_TIMEOUT);
        let server = client_options
            .hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let name = client_options
            .default_database
            .clone()
            .unwrap_or_else(|| "netsage".to_owned());
        let reading = Client::with_options(client_options.clone())
            .map_err(bad_url)?
            .database(&name);
        write_safely(&mut client_options)?;
        let client = Client::with_options(client_options).map_err(bad_url)?;
        let database = client.database(&name);
        let hello =
            database
                .run_command(doc! { "hello": 1 })
                .await
                .map_err(|error| StoreError::Unreachable {
                    server: server.clone(),
                    reason: match *error.kind {
                        ErrorKind::ServerSelection { .. } => "no server was found in time".to_owned(),
                        _ => error.kind.to_string(),
                    },
                })?;
        check_server(&server, &hello)?;
        let mut store = Self {
            purge: Purge::new(&database, options),
            purging: None,
            flows: database.collection("flows"),
            alerts: database.collection("alerts"),
            alert_flows: database.collection("alert_flows"),
            facts: Facts::new(&database),
            client,
            database,
            reading: Reading {
                reads: Reads::new(),
                flows: reading.collection("flows"),
                alerts: reading.collection("alerts"),
                database: reading,
            },
            options,
            next_look: NextLook::now(),
        };
        store.check_version().await?;
        store.create_ledger().await?;
        store.drop_old_indexes().await?;
        store.create_indexes().await?;
        store.purging = Some(store.purge.clone().begin());
        Ok(store)
    }

    /// Reads once it is this read's turn, for a bounded time.
    async fn read<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let _turn = self.reading.reads.admit().await?;
        // The server gives a slow read up by itself; this is for one that hangs.
        in_time(LONGEST_READ + Duration::from_secs(1), read).await
    }

    async fn check_version(&self) -> Result<(), StoreError> {
        self.begin("schema", doc! { "version": SCHEMA_VERSION })
            .await
            .map_err(StoreError::mongo("write the schema version"))?;
        let written = self
            .meta()
            .find_one(doc! { "_id": "schema" })
            .await
            .map_err(StoreError::mongo("read the schema version"))?;
        let version = written
            .as_ref()
            .and_then(|document| documents::integer(document, "version"));
        let place = || format!("the database `{}`", self.database.name());
        match version {
            Some(found) if found > SCHEMA_VERSION => Err(StoreError::Newer {
                place: place(),
                found,
                known: SCHEMA_VERSION,
            }),
            Some(found) if found < MARKS_APART - 1 => Err(StoreError::Older {
                place: place(),
                found,
                oldest: MARKS_APART - 1,
            }),
            Some(found) if found < MARKS_APART => self.part_marks().await,
            Some(_) => Ok(()),
            None => Err(StoreError::Damaged {
                detail: "the collection `meta` has no schema version".to_owned(),
            }),
        }
    }

    /// Brings a database of the version before [`MARKS_APART`] up to date. Broken off, or done by several programs at one
    /// moment, it comes to the same.
    async fn part_marks(&self) -> Result<(), StoreError> {
        /// Ids in memory.
        const MARKS_AT_ONCE: usize = 1_000;
        let action = "bring the store up to date";
        let flows = self.flows.clone_with_type::<Document>();
        let marked = flows.find(doc! { "held_back": true });
        let mut marked = marked
            .projection(doc! { "_id": 1 })
            .await
            .map_err(StoreError::mongo(action))?
            .try_chunks(MARKS_AT_ONCE);
        while let Some(some) = marked.next().await {
            let some = some.map_err(|broken_off| StoreError::mongo(action)(broken_off.1))?;
            let ids: Vec<String> = some
                .iter()
                .filter_map(|flow| flow.get_str("_id").ok().map(ToOwned::to_owned))
                .collect();
            self.mark_held_back(&ids).await?;
        }
        self.meta()
            .update_one(
                doc! { "_id": "schema", "version": MARKS_APART - 1 },
                doc! { "$set": { "version": MARKS_APART } },
            )
            .await
            .map(drop)
            .map_err(StoreError::mongo(action))
    }

    /// Writes a document of `meta` into a database that does not have it yet. Of several programs that do so at one
    /// moment the first one wins, and the others find its document.
    async fn begin(&self, id: &str, fields: Document) -> Result<(), Error> {
        let written = self
            .meta()
            .update_one(doc! { "_id": id }, doc! { "$setOnInsert": fields })
            .upsert(true)
            .await;
        match written {
            Err(error) if !is_duplicate_key(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn meta(&self) -> Collection<Document> {
        self.database.collection("meta")
    }

    /// Drops the indexes that earlier programs made and nothing needs any more.
    async fn drop_old_indexes(&self) -> Result<(), StoreError> {
        /// `IndexNotFound` and `NamespaceNotFound`.
        const NOT_THERE: [i32; 2] = [27, 26];
        let of_flows = [
            "end_-1__id_-1",
            "end_1_alerted_1",
            "held_back_1_end_1",
            "held_back",
        ];
        let of_flows = of_flows.map(|name| ("flows", name));
        for (collection, name) in of_flows.into_iter().chain([("alerts", "last_seen_-1__id_-1")]) {
            match self
                .database
                .collection::<Document>(collection)
                .drop_index(name)
                .await
            {
                Err(error) if !matches!(error.kind.as_ref(), ErrorKind::Command(command) if NOT_THERE.contains(&command.code)) =>
                {
                    return Err(StoreError::mongo("drop an index that is not needed any more")(
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn create_indexes(&self) -> Result<(), StoreError> {
        let index = |keys: Document| IndexModel::builder().keys(keys).build();
        // A listing begins with one of its conditions (see `asked` in `alerts`), and always has one of the state.
        self.alerts
            .create_indexes([
                index(doc! { "state": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "source": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "kind": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "detector.name": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "severity_rank": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "revision": 1 }),
                // Time series of alerts, with all that tells them apart.
                index(doc! {
                    "first_seen": 1, "severity": 1, "state": 1, "detector.name": 1, "network": 1,
                }),
                index(doc! { "cell": 1, "state": 1, "touched": 1 }),
                // Few alerts have the field at a time.
                IndexModel::builder()
                    .keys(doc! { "pending": 1 })
                    .options(IndexOptions::builder().sparse(true).build())
                    .build(),
            ])
            .await
            .map_err(StoreError::mongo("create the indexes of alerts"))?;
        // With the one of its time each of them costs about as much as the flow itself, so flows have no other.
        self.flows
            .create_indexes([
                // Listings, and the time axis, with all that it needs, so that it is read from the index alone. What goes
                // first when room is needed.
                index(doc! { "end": -1, "_id": -1, "alerted": 1 }),
                // Listings of one source.
                index(doc! { "source": 1, "end": -1, "_id": -1 }),
            ])
            .await
            .map_err(StoreError::mongo("create the indexes of flows"))?;
        let facts: [(&str, Document); 5] = [
            ("parts", doc! { "cell": 1, "target": 1 }),
            ("parts", doc! { "alert": 1, "score": -1, "best_flow": 1 }),
            ("raised", doc! { "cell": 1, "_id": 1 }),
            ("targets", doc! { "cell": 1 }),
            ("merging", doc! { "target": 1 }),
        ];
        for (collection, keys) in facts {
            self.database
                .collection::<Document>(collection)
                .create_index(index(keys))
                .await
                .map_err(StoreError::mongo("create the indexes of what is counted"))?;
        }
        let StoreOptions {
            flow_retention,
            alert_retention,
            ..
        } = self.options;
        self.create_ttl_index("flows", "recorded", flow_retention).await?;
        self.create_ttl_index(COUNTED_ONLY, "recorded", flow_retention)
            .await?;
        self.create_ttl_index(HELD_BACK, "recorded", flow_retention)
            .await?;
        self.create_ttl_index("alerts", "touched", alert_retention)
            .await?;
        self.create_ttl_index("alert_flows", "noted", alert_retention)
            .await?;
        for collection in COUNTED {
            self.create_ttl_index(collection, "touched", alert_retention)
                .await?;
        }
        Ok(())
    }

    /// Makes the server delete documents by itself, counted from the time in `key`. An index that is there with
    /// another time is changed.
    async fn create_ttl_index(&self, collection: &str, key: &str, ttl: Duration) -> Result<(), StoreError> {
        let name = format!("{collection}_past_their_time");
        // The most that a server takes, 68 years.
        let seconds = i32::try_from(ttl.as_secs()).unwrap_or(i32::MAX);
        let options = IndexOptions::builder()
            .name(name.clone())
            .expire_after(Duration::from_secs(u64::from(seconds.unsigned_abs())))
            .build();
        let index = IndexModel::builder()
            .keys(doc! { key: 1 })
            .options(options)
            .build();
        let created = self
            .database
            .collection::<Document>(collection)
            .create_index(index)
            .await;
        let Err(error) = created else { return Ok(()) };
        // IndexOptionsConflict and IndexKeySpecsConflict.
        if !matches!(error.kind.as_ref(), ErrorKind::Command(command) if matches!(command.code, 85 | 86)) {
            return Err(StoreError::mongo("create an index that deletes what is old")(
                error,
            ));
        }
        self.database
            .run_command(doc! {
                "collMod": collection,
                "index": { "name": name, "expireAfterSeconds": seconds },
            })
            .await
            .map(|_| ())
            .map_err(StoreError::mongo("change how long something is kept"))
    }
}

/// Makes a client write so that what was acknowledged lasts; what it reads for that it reads from the primary.
fn write_safely(options: &mut ClientOptions) -> Result<(), StoreError> {
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    let concern = options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().build());
    match concern.w.get_or_insert(Acknowledgment::Majority) {
        Acknowledgment::Nodes(0) => Err(StoreError::BadUrl {
            reason: "with w=0 nobody would know what the server has taken".to_owned(),
        }),
        _ => {
            concern.w_timeout.get_or_insert(MAJORITY_TIMEOUT);
            Ok(())
        }
    }
}

/// The answer to a request, as the server gives it.
async fn answered<T>(
    request: impl IntoFuture<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, StoreError> {
    let answer = tokio::time::timeout(LONGEST_ANSWER, request.into_future()).await;
    answer.map_err(|_| StoreError::NoAnswer {
        seconds: LONGEST_ANSWER.as_secs(),
    })
}

/// The answer to a request; `action` says what was being done, where it fails.
async fn answer<T>(
    action: &'static str,
    request: impl IntoFuture<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    answered(request).await?.map_err(StoreError::mongo(action))
}

/// All documents that a request finds.
async fn all_of<T, R>(action: &'static str, request: R) -> Result<Vec<T>, StoreError>
where
    T: serde::de::DeserializeOwned + Unpin + Send + Sync,
    R: IntoFuture<Output = Result<Cursor<T>, Error>>,
{
    let mut cursor = answer(action, request).await?;
    let mut documents = Vec::new();
    while let Some(document) = answer(action, cursor.try_next()).await? {
        documents.push(document);
    }
    Ok(documents)
}

/// Gives up what takes longer. Whatever was written until then is whole, and may be written again.
async fn in_time<T>(
    longest: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let seconds = longest.as_secs();
    let done = tokio::time::timeout(longest, work).await;
    done.unwrap_or(Err(StoreError::NoAnswer { seconds }))
}

/// Refuses a server that lacks a feature this store needs, by the answer to `hello`.
fn check_server(server: &str, hello: &Document) -> Result<(), StoreError> {
    match documents::integer(hello, "maxWireVersion") {
        Some(version) if version >= LEAST_WIRE_VERSION => Ok(()),
        _ => Err(StoreError::OldServer {
            server: server.to_owned(),
        }),
    }
}

/// `DuplicateKey`.
const DUPLICATE_KEY: i32 = 11000;

/// Whether a write failed only because what it would insert is there.
fn is_duplicate_key(error: &Error) -> bool {
    use mongodb::error::WriteFailure;
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => places_of_duplicates(error).is_some(),
    }
}

/// Which documents an insert of many left out, where it did so only because they are there, and inserted all others.
fn places_of_duplicates(error: &Error) -> Option<Vec<usize>> {
    let ErrorKind::InsertMany(error) = error.kind.as_ref() else {
        return None;
    };
    let errors = error.write_errors.as_deref().unwrap_or_default();
    let is_all = error.write_concern_error.is_none()
        && !errors.is_empty()
        && errors.iter().all(|error| error.code == DUPLICATE_KEY);
    is_all.then(|| errors.iter().map(|error| error.index).collect())
}

impl Store for MongoStore {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // Not one of the reads: it tells of the server, however much is read from it.
        Box::pin(in_time(LONGEST_READ, async {
            self.reading
                .database
                .run_command(doc! { "ping": 1 })
                .await
                .map(drop)
                .map_err(StoreError::mongo("reach the server"))
        }))
    }

    fn alert_window(&self) -> AlertWindow {
        self.options.alert_window
    }

    fn alert_limits(&self) -> AlertLimits {
        self.options.alert_limits
    }

    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>> {
        Box::pin(async move {
            batches.iter().try_for_each(|batch| check_batch(batch))?;
            // Flows first: an alert never speaks of a flow that is not there yet.
            self.record_flows(batches).await?;
            let recorded = self.record_hits(batches).await?;
            self.mark_held_back(&recorded.held_back).await?;
            let changed = recorded.into_changed();
            if !changed.is_empty() {
                self.number_changes().await?;
            }
            self.make_room().await?;
            Ok(changed)
        })
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        Box::pin(self.read(self.list_alerts(query)))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        Box::pin(self.read(self.find_alert(id)))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        Box::pin(async move {
            check_change(change)?;
            let changed = self.set_state(id, change).await?;
            if changed.is_some() {
                self.number_changes().await?;
            }
            Ok(changed)
        })
    }

    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>> {
        Box::pin(self.read(self.read_changes(after, limit)))
    }

    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(self.read(self.read_position(name)))
    }

    fn shared_secret<'a>(
        &'a self,
        name: &'a str,
        fresh: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(self.keep_secret(name, fresh))
    }

    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            check_position(name, position)?;
            self.write_position(name, position).await
        })
    }

    fn swap_position<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            check_position(name, position)?;
            self.replace_position(name, expected, position).await
        })
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        Box::pin(self.read(self.list_flows(query)))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        Box::pin(self.read(self.read_overview(step_ms, max_points)))
    }

    fn series<'a>(
        &'a self,
        query: &'a StoreSeriesQuery,
    ) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>> {
        Box::pin(self.read(self.read_series(query)))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.purge.run())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_are_of_a_majority_unless_the_url_says_otherwise() {
        let check = async |options: &str, expected: Acknowledgment, timeout: u64| {
            let url = format!("mongodb://a,b,c/d?replicaSet=r&{options}");
            let mut options = ClientOptions::parse(&url).await.expect("a URL");
            write_safely(&mut options).expect("taken");
            let concern = options.write_concern.expect("a write concern");
            assert_eq!(concern.w, Some(expected), "{url}");
            assert_eq!(concern.w_timeout, Some(Duration::from_millis(timeout)), "{url}");
            let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
            assert_eq!(options.selection_criteria, Some(primary), "{url}");
        };
        check("retryWrites=true", Acknowledgment::Majority, 8_000).await;
        check("journal=true", Acknowledgment::Majority, 8_000).await;
        check("w=1&readPreference=secondary", Acknowledgment::Nodes(1), 8_000).await;
        check("w=3&wtimeoutMS=500", Acknowledgment::Nodes(3), 500).await;
        let mut none = ClientOptions::parse("mongodb://a/d?w=0").await.expect("a URL");
        let error = write_safely(&mut none).expect_err("refused").to_string();
        assert!(error.contains("w=0"), "{error}");
    }

    #[test]
    fn a_server_before_8_0_is_refused() {
        assert!(check_server("h:1", &doc! { "maxWireVersion": 25 }).is_ok());
        assert!(check_server("h:1", &doc! { "maxWireVersion": 27_i64 }).is_ok());
        for old in [doc! { "maxWireVersion": 21 }, doc! {}] {
            let error = check_server("h:1", &old).expect_err("too old").to_string();
            assert!(error.contains("h:1") && error.contains("8.0"), "{error}");
        }
    }
}
