//! What the handlers share.

use std::sync::Arc;
use std::time::Instant;

use netsage_api_types::Stage;
use netsage_forward::Forwarder;
use netsage_lifecycle::Lifecycle;
use netsage_outputs::OutputCounters;
use netsage_sources::RecordOptions;
use netsage_sources::stream::Inbox;
use netsage_store::Store;
use tokio::sync::Semaphore;
use utoipa::openapi::OpenApi;

use super::access::Guard;
use super::browser::BrowserModules;
use crate::Announcer;
use crate::condition::Condition;
use crate::evidence::Evidence;
use crate::outputs::Outputs;
use crate::pipeline::Counters;
use crate::senders::Senders;

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// How far an uploaded package goes by itself.
    pub(crate) rollout: Stage,
    pub(crate) browser: BrowserModules,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) condition: Arc<Condition>,
    pub(crate) events: Announcer,
    /// What the alerts of the event stream count.
    pub(crate) event_stream: Arc<OutputCounters>,
    /// The other outputs.
    pub(crate) outputs: Arc<Outputs>,
    pub(crate) guard: Guard,
    /// Whether each call is logged.
    pub(crate) access_log: bool,
    /// A file name, an interface, or `none`.
    pub(crate) source: String,
    pub(crate) evidence: Option<Arc<Evidence>>,
    pub(crate) inbox: Option<Arc<Inbox>>,
    pub(crate) forwarder: Option<Arc<Forwarder>>,
    pub(crate) senders: Arc<Senders>,
    /// Whoever reads records for the inbox has one.
    pub(crate) inbox_turns: Semaphore,
    pub(crate) records: RecordOptions,
    pub(crate) started: Instant,
    pub(crate) upload_limit: usize,
    pub(crate) openapi: OpenApi,
}

impl AppState {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
