//! The HTTP API under `/api/v1`, `/metrics`, `/prometheus`, and the dashboard.
//!
//! Goals: every answer is described by `openapi.json`, which is generated from this code; every error is a
//! problem document that says what to do; a client never reads what belongs in the log; nothing here blocks
//! a thread of the server (scoring and compiling go to threads of their own).
//!
//! One file per resource. [`routes`](mod@routes) puts the routes together, each with the permission that it needs, and [`access`]
//! holds calls to it. Every answer has the id of its request in the header `x-request-id`; [`problem`] writes it beside
//! the cause of an error into the log.

pub mod access;
pub mod access_log;
mod alerts;
mod browser;
mod dashboard;
mod detectors;
mod events;
mod evidence;
mod extract;
mod flows;
mod health;
mod metrics;
mod outputs;
mod overview;
mod partitions;
mod problem;
mod prometheus;
mod request_id;
mod routes;
mod score;
mod senders;
mod series;
mod state;
mod steps;
mod thresholds;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware;
use axum::{Router, routing};
use netsage_api_types::Stage;
use netsage_forward::Forwarder;
use netsage_lifecycle::Lifecycle;
use netsage_sources::RecordOptions;
use netsage_sources::stream::Inbox;
use netsage_store::Store;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::UtoipaMethodRouterExt as _;
use utoipa_axum::routes;

use crate::Announcer;
use crate::condition::Condition;
use crate::evidence::Evidence;
use crate::outputs::Outputs;
use crate::pipeline::Counters;
use crate::senders::Senders;
use crate::server::Refusals;
use access::{AllowedHost, Guard};
use routes::{Permission, Permissions, Routes};
use state::{AppState, Shared};

/// Largest body of a call other than an upload, bytes: 10,000 rows of 42 values fit.
const BODY_LIMIT: usize = 16 << 20;

/// Bodies of records that are read at the same time.
const INBOX_TURNS: usize = 2;

/// What a page of ours may load: its own files and its own WebAssembly, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'; \
    form-action 'self'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "NetSage",
        description = "Flows, alerts and detectors. Errors are `application/problem+json`. Every answer has the id of its request in the header `x-request-id`. Once the server has a token, all calls but `/health` must bear it: `Authorization: Bearer TOKEN`, or the cookie of a session.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(netsage_api_types::Problem))
)]
struct Description;

/// What the API serves.
pub struct Service {
    /// The detectors.
    pub lifecycle: Arc<Lifecycle>,
    /// How far an uploaded package goes by itself, unless it is told otherwise.
    pub rollout: Stage,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The counters of the pipeline.
    pub counters: Arc<Counters>,
    /// What is wrong now.
    pub condition: Arc<Condition>,
    /// Where the events of the event stream come from.
    pub events: Announcer,
    /// What the pipeline reads: a file name, an interface, or `none`.
    pub source: String,
    /// The packets kept, if they are.
    pub evidence: Option<Arc<Evidence>>,
    /// Where records wait that callers give, if they may.
    pub inbox: Option<Arc<Inbox>>,
    /// What empties the spool of a gateway that forwards.
    pub forwarder: Option<Arc<Forwarder>>,
    /// Who forwards flows to this program.
    pub senders: Arc<Senders>,
    /// How such records are read.
    pub records: RecordOptions,
    /// Token that calls must bear.
    pub token: Option<String>,
    /// The address it is bound to.
    pub listen: SocketAddr,
    /// What it may be called besides that address and loopback names.
    pub allowed_hosts: Vec<AllowedHost>,
    /// The outputs; the event stream, which the API feeds itself, is none of them.
    pub outputs: Arc<Outputs>,
    /// Where refused calls are counted.
    pub refusals: Arc<Refusals>,
    /// Whether each call is logged.
    pub access_log: bool,
    /// Largest upload, bytes.
    pub upload_limit: usize,
}

/// The API and the dashboard.
pub fn router(service: Service) -> Router {
    let (router, mut openapi, permissions) = described(service.upload_limit);
    routes::settle_security(&mut openapi, service.token.is_some());
    let guard = Guard::new(
        service.token.as_deref(),
        service.listen,
        service.allowed_hosts,
        permissions,
        service.refusals,
    );
    let state = AppState::new(Shared {
        guard,
        access_log: service.access_log,
        lifecycle: service.lifecycle,
        rollout: service.rollout,
        browser: browser::BrowserModules::default(),
        store: service.store,
        counters: service.counters,
        condition: service.condition,
        events: service.events,
        event_stream: Arc::default(),
        outputs: service.outputs,
        source: service.source,
        evidence: service.evidence,
        inbox: service.inbox,
        forwarder: service.forwarder,
        senders: service.senders,
        inbox_turns: Semaphore::new(INBOX_TURNS),
        records: service.records,
        started: Instant::now(),
        upload_limit: service.upload_limit,
        openapi,
    });
    let router = router
        .fallback(dashboard::serve)
        .method_not_allowed_fallback(dashboard::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), access::admit))
        .layer(middleware::from_fn(problem::write))
        .layer(middleware::from_fn_with_state(state.clone(), access_log::write))
        .layer(CompressionLayer::new().gzip(true))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ))
        .layer(fixed(
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ));
    request_id::on(router).with_state(state)
}

/// The OpenAPI document as JSON, as `docs/openapi.json` holds it.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    let (_, openapi, _) = described(0);
    openapi.to_pretty_json().map(|json| json + "\n")
}

/// Every route with its permission.
fn described(upload_limit: usize) -> (Router<AppState>, utoipa::openapi::OpenApi, Permissions) {
    use Permission::{Open, Token};
    let upload = routes!(detectors::post_detector).layer(DefaultBodyLimit::max(upload_limit));
    let routes = Routes::default()
        .with(Open, routes!(health::get_health))
        .with(
            Token,
            routes!(access::session::post_session, access::session::delete_session),
        )
        .with(Token, routes!(overview::get_overview))
        .with(Token, routes!(series::get_timeseries))
        .with(Token, routes!(alerts::list_alerts))
        .with(Token, routes!(alerts::get_alert))
        .with(Token, routes!(alerts::post_alert_state))
        .with(Token, routes!(evidence::get_alert_packets))
        .with(Token, routes!(flows::list_flows, flows::post_flows))
        .with(Token, routes!(senders::list_senders))
        .with(Token, routes!(partitions::post_skip))
        .with(Token, routes!(outputs::list_outputs))
        .with(Token, routes!(outputs::put_output, outputs::delete_output))
        .with(Token, routes!(outputs::post_output_test))
        .with(Token, routes!(outputs::post_output_resume))
        .with(Token, routes!(outputs::post_output_reopen))
        .with(Token, routes!(outputs::list_refused))
        .with(Token, routes!(outputs::post_output_repeat))
        .with(Token, routes!(detectors::list_detectors))
        .with(Token, upload)
        .with(Token, routes!(detectors::get_detector))
        .with(Token, routes!(steps::post_step))
        .with(Token, routes!(steps::get_history))
        .with(Token, routes!(steps::get_comparison))
        .with(Token, routes!(thresholds::get_drift))
        .with(Token, routes!(thresholds::list_thresholds))
        .with(Token, routes!(thresholds::get_threshold))
        .with(Token, routes!(thresholds::post_threshold))
        .with(Token, routes!(detectors::get_package))
        .with(Token, routes!(detectors::get_browser_file))
        .with(Token, routes!(score::post_score))
        .with(Token, routes!(events::get_events))
        .with_plain(Token, "/api/v1/openapi.json", routing::get(get_openapi))
        .with_plain(Token, "/metrics", routing::get(metrics::get_metrics));
    let (router, openapi, permissions) = as_prometheus(routes).finish(Description::openapi());
    (
        router.layer(DefaultBodyLimit::max(BODY_LIMIT)),
        openapi,
        permissions,
    )
}

/// The routes of [`prometheus`]; those of queries take a form as well.
fn as_prometheus(routes: Routes) -> Routes {
    use prometheus::{build_info, label_values, labels, metadata, query, query_range};
    let path = |name: &str| format!("/prometheus/api/v1/{name}");
    let token = Permission::Token;
    routes
        .with_plain(token, &path("query"), routing::get(query).post(query))
        .with_plain(
            token,
            &path("query_range"),
            routing::get(query_range).post(query_range),
        )
        .with_plain(token, &path("labels"), routing::get(labels).post(labels))
        .with_plain(token, &path("label/{name}/values"), routing::get(label_values))
        .with_plain(token, &path("metadata"), routing::get(metadata))
        .with_plain(token, &path("status/buildinfo"), routing::get(build_info))
}

async fn get_openapi(State(state): State<AppState>) -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(state.openapi.clone())
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}
