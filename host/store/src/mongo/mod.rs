//! The store on a MongoDB server (8.0 or later).
//!
//! Works without transactions, which a single server does not have. Flows are upserts by id. An alert is one
//! document, replaced only at the revision it was read at, and doubles as the log of what it has counted last; see
//! `alerts`.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, IndexOptions};
use mongodb::{Client, Collection, Database, IndexModel};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};

use crate::record::{check_batch, check_change};
use crate::{BoxFuture, FlowBatchRecord, Store, StoreError, StoreOptions, StoreOverview};

mod alerts;
mod documents;
mod flows;
mod overview;

use documents::{AlertDocument, FlowDocument};

/// Version of the documents' form, kept in the collection `meta`.
const SCHEMA_VERSION: i64 = 1;

/// How long to look for a server, unless the URL says otherwise.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

/// A store on a server.
pub(crate) struct MongoStore {
    client: Client,
    database: Database,
    flows: Collection<FlowDocument>,
    alerts: Collection<AlertDocument>,
    /// One document per flow counted in an alert; its `_id` is the alert's id and the flow's, so it is there once.
    alert_flows: Collection<Document>,
    options: StoreOptions,
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
        let client = Client::with_options(client_options).map_err(bad_url)?;
        let database = client.database(&name);
        database
            .run_command(doc! { "ping": 1 })
            .await
            .map_err(|error| match *error.kind {
                ErrorKind::ServerSelection { .. } => StoreError::Unreachable {
                    server,
                    reason: "no server within 5 seconds".to_owned(),
                },
                _ => StoreError::Unreachable {
                    server,
                    reason: error.kind.to_string(),
                },
            })?;
        let store = Self {
            flows: database.collection("flows"),
            alerts: database.collection("alerts"),
            alert_flows: database.collection("alert_flows"),
            client,
            database,
            options,
        };
        store.check_version().await?;
        store.create_indexes().await?;
        Ok(store)
    }

    async fn check_version(&self) -> Result<(), StoreError> {
        let failed = StoreError::mongo("read the schema version");
        let meta = self.database.collection::<Document>("meta");
        let written = meta
            .find_one_and_update(
                doc! { "_id": "schema" },
                doc! { "$setOnInsert": { "version": SCHEMA_VERSION } },
            )
            .upsert(true)
            .return_document(mongodb::options::ReturnDocument::After)
            .await
            .map_err(failed)?;
        let version = written
            .as_ref()
            .and_then(|document| documents::integer(document, "version"));
        match version {
            Some(found) if found > SCHEMA_VERSION => Err(StoreError::Newer {
                place: format!("the database `{}`", self.database.name()),
                found,
                known: SCHEMA_VERSION,
            }),
            Some(_) => Ok(()),
            None => Err(StoreError::Damaged {
                detail: "the collection `meta` has no schema version".to_owned(),
            }),
        }
    }

    async fn create_indexes(&self) -> Result<(), StoreError> {
        let index = |keys: Document| IndexModel::builder().keys(keys).build();
        self.alerts
            .create_indexes([
                index(doc! { "last_seen": -1, "_id": -1 }),
                index(doc! { "state": 1, "last_seen": -1, "_id": -1 }),
                index(doc! { "source": 1, "last_seen": -1, "_id": -1 }),
            ])
            .await
            .map_err(StoreError::mongo("create the indexes of alerts"))?;
        self.flows
            .create_indexes([
                index(doc! { "end": -1, "_id": -1 }),
                index(doc! { "source": 1, "end": -1, "_id": -1 }),
                // All that the time axis needs, so that it is read from the index alone.
                index(doc! { "end": 1, "alerted": 1 }),
            ])
            .await
            .map_err(StoreError::mongo("create the indexes of flows"))?;
        self.create_ttl_index().await
    }

    /// The server itself deletes flows that are past their time. An index that is there with another time is changed.
    async fn create_ttl_index(&self) -> Result<(), StoreError> {
        const NAME: &str = "flows_past_their_time";
        let options = IndexOptions::builder()
            .name(NAME.to_owned())
            .expire_after(self.options.flow_ttl)
            .build();
        let index = IndexModel::builder()
            .keys(doc! { "recorded": 1 })
            .options(options)
            .build();
        let Err(error) = self.flows.create_index(index).await else {
            return Ok(());
        };
        // IndexOptionsConflict and IndexKeySpecsConflict.
        if !matches!(error.kind.as_ref(), ErrorKind::Command(command) if matches!(command.code, 85 | 86)) {
            return Err(StoreError::mongo("create the index that deletes old flows")(
                error,
            ));
        }
        let seconds = i64::try_from(self.options.flow_ttl.as_secs()).unwrap_or(i64::MAX);
        self.database
            .run_command(doc! {
                "collMod": "flows",
                "index": { "name": NAME, "expireAfterSeconds": seconds },
            })
            .await
            .map(|_| ())
            .map_err(StoreError::mongo("change how long flows are kept"))
    }
}

/// Whether a write failed only because what it would insert is there.
fn is_duplicate_key(error: &Error) -> bool {
    use mongodb::error::WriteFailure;
    const DUPLICATE_KEY: i32 = 11000;
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(error) => {
            error.write_concern_error.is_none()
                && error
                    .write_errors
                    .as_ref()
                    .is_some_and(|errors| errors.iter().all(|error| error.code == DUPLICATE_KEY))
        }
        _ => false,
    }
}

impl Store for MongoStore {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.database
                .run_command(doc! { "ping": 1 })
                .await
                .map_err(StoreError::mongo("reach the server"))?;
            Ok(())
        })
    }

    fn record(&self, batch: FlowBatchRecord) -> BoxFuture<'_, Result<Vec<Alert>, StoreError>> {
        Box::pin(async move {
            check_batch(&batch)?;
            // Flows first: an alert never speaks of a flow that is not there yet.
            self.record_flows(&batch).await?;
            self.record_hits(&batch.hits).await
        })
    }

    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>> {
        Box::pin(self.list_alerts(query))
    }

    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        Box::pin(self.find_alert(id))
    }

    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>> {
        Box::pin(async move {
            check_change(change)?;
            self.set_state(id, change).await
        })
    }

    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>> {
        Box::pin(self.list_flows(query))
    }

    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>> {
        Box::pin(self.read_overview(step_ms, max_points))
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.purge_flows())
    }
}
