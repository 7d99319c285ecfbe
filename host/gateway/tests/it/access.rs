//! Who may call which route, and how an answer, a log line and a request are matched: the router itself, without a
//! network.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use netsage_api_types::Stage;
use netsage_gateway::api::{self, Service};
use netsage_gateway::config::{Resolved, Settings};
use netsage_gateway::outputs::{Outputs, Surroundings};
use netsage_gateway::pipeline::Counters;
use netsage_gateway::server::Refusals;
use netsage_lifecycle::{Lifecycle, LifecycleConfig, SetAside};
use netsage_messages::Wording;
use netsage_outputs::opening::Setting;
use netsage_outputs::receivers::webhook::AddressPolicy;
use netsage_outputs::{EventLog, News};
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::UNSW_NB15;
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "correct-horse-battery";
/// Largest upload that these servers take, bytes.
pub(crate) const UPLOAD_LIMIT: usize = 64;
/// Paths beside the documented ones: plain routes, the dashboard, and such that nothing answers.
const OTHER_PATHS: [&str; 15] = [
    "/",
    "/alerts",
    "/app.js",
    "/metrics",
    "/prometheus/api/v1/query",
    "/prometheus/api/v1/query_range",
    "/prometheus/api/v1/labels",
    "/prometheus/api/v1/label/__name__/values",
    "/prometheus/api/v1/status/buildinfo",
    "/prometheus/nothing",
    "/api",
    "/api/v1/openapi.json",
    "/api/v1/nothing",
    "/api/v1/score/",
    "/api/v1/alerts/00/pcap/",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// A server without detectors, over a store in a file.
pub(crate) struct Offline {
    folder: tempfile::TempDir,
    pub(crate) router: axum::Router,
    pub(crate) store: netsage_store::SharedStore,
    pub(crate) refusals: Arc<Refusals>,
}

/// No outputs yet, one of the settings file excepted, and what those that are set through the API are made with.
fn outputs(folder: &Path, store: &netsage_store::SharedStore) -> Arc<Outputs> {
    let settings = format!(
        "[output.archive]\ntype = \"file\"\npath = {:?}\n",
        folder.join("alerts.jsonl")
    );
    let settings = Settings::from_toml(Path::new("netsage.toml"), &settings).unwrap();
    let resolved = Resolved::new(Settings {
        data_dir: Some(folder.to_owned()),
        ..settings
    });
    let surroundings = Surroundings {
        setting: Setting {
            wording: Wording {
                product_version: "1".to_owned(),
                sensor: "tap".to_owned(),
                dashboard: None,
            },
            reach: AddressPolicy::Any,
        },
        data_dir: folder.to_owned(),
        webhook_networks: vec!["10.20.0.0/16".parse().unwrap()],
        store: Arc::clone(store),
        happened: Arc::new(EventLog::open(&folder.join("events.jsonl"), "00", News::default()).unwrap()),
        news: News::default(),
    };
    Arc::new(Outputs::start(&resolved.unwrap().outputs, surroundings, &SetAside::new(folder)).unwrap())
}

impl Offline {
    pub(crate) async fn new(token: Option<&str>, listen: &str) -> Self {
        LazyLock::force(&LOG);
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("store").display());
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let refusals = Arc::<Refusals>::default();
        let store = netsage_store::open(&store).await.unwrap();
        let service = Service {
            lifecycle: Lifecycle::open(LifecycleConfig::default(), runtime, &UNSW_NB15).unwrap(),
            rollout: Stage::Staged,
            store: Arc::clone(&store),
            counters: Arc::new(Counters::default()),
            condition: Arc::default(),
            events: netsage_gateway::Announcer::default(),
            source: "none".to_owned(),
            evidence: None,
            inbox: None,
            forwarder: None,
            senders: Arc::default(),
            records: netsage_sources::RecordOptions::default(),
            outputs: outputs(folder.path(), &store),
            token: token.map(str::to_owned),
            listen: listen.parse().unwrap(),
            allowed_hosts: Vec::new(),
            refusals: Arc::clone(&refusals),
            access_log: false,
            upload_limit: UPLOAD_LIMIT,
        };
        let router = api::router(service);
        Self {
            folder,
            router,
            store,
            refusals,
        }
    }

    /// The settings of the outputs that were set, as the data folder has them.
    pub(crate) fn outputs_set(&self) -> String {
        fs::read_to_string(self.folder.path().join("outputs/set.toml")).unwrap_or_default()
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in [&[("host", "127.0.0.1:8080")], headers].concat() {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Makes every later question to the store fail.
    fn break_store(&self) {
        let database = rusqlite::Connection::open(self.folder.path().join("store")).unwrap();
        let tables: Vec<String> = database
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for table in tables {
            database
                .execute_batch(&format!("DROP TABLE \"{table}\""))
                .unwrap();
        }
    }
}

/// The documented paths, with a value for each variable part.
fn documented_paths() -> Vec<String> {
    let document: Value = serde_json::from_str(&api::openapi_json().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap().keys();
    paths
        .map(|path| {
            let filled = path.split('/').map(|part| match part {
                "{step}" => "promote",
                part if part.starts_with('{') => "00",
                part => part,
            });
            filled.collect::<Vec<_>>().join("/")
        })
        .collect()
}

/// The rules of access in words of paths and methods, written without a look at the routes.
fn needs_token(method: &str, path: &str) -> bool {
    let is_open = path == "/api/v1/health"
        || !(["/api", "/prometheus"]
            .iter()
            .any(|start| path.starts_with(start))
            || path == "/metrics");
    !(is_open && matches!(method, "GET" | "HEAD" | "OPTIONS"))
}

fn request_id(response: &Response) -> String {
    let ids: Vec<_> = response.headers().get_all("x-request-id").iter().collect();
    assert_eq!(ids.len(), 1, "{response:?}");
    ids[0].to_str().unwrap().to_owned()
}

pub(crate) async fn json(response: Response) -> Value {
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn every_route_asks_for_the_token_it_declares_and_every_answer_has_an_id_of_its_own() {
    let paths = [documented_paths(), OTHER_PATHS.map(str::to_owned).to_vec()].concat();
    assert!(paths.len() > 25, "{paths:?}");
    let mut ids = BTreeSet::new();
    let mut calls = 0;
    for (token, listen) in [
        (None, "127.0.0.1:8080"),
        (Some(TOKEN), "127.0.0.1:8080"),
        (Some(TOKEN), "192.0.2.1:8080"),
    ] {
        let server = Offline::new(token, listen).await;
        for path in &paths {
            for method in METHODS {
                for given in [None, Some("wrong-horse-battery"), Some(TOKEN)] {
                    let bearer = given.map(|token| format!("Bearer {token}"));
                    let mut headers = vec![("x-request-id", "forged")];
                    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
                    let answer = server.call(method, path, &headers, b"").await;
                    let refused = token.is_some() && given != token && needs_token(method, path);
                    assert_eq!(
                        answer.status() == StatusCode::UNAUTHORIZED,
                        refused,
                        "{method} {path} with {given:?} at {listen}, token {token:?}: {}",
                        answer.status()
                    );
                    ids.insert(request_id(&answer));
                    calls += 1;
                }
            }
        }
    }
    assert!(!ids.contains("forged"));
    assert_eq!(ids.len(), calls);
}

/// What makes a router of axum, or adds a route to one.
const WAYS_TO_A_ROUTE: [&str; 7] = [
    "Router::new",
    "Router::default",
    "Router::with_openapi",
    ".route(",
    ".routes(",
    ".route_service(",
    ".nest",
];

/// The files below a folder that hold a way to a route.
fn with_a_way_to_a_route(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_a_way_to_a_route(&path));
        } else {
            let source = fs::read_to_string(&path).unwrap();
            found.extend(
                WAYS_TO_A_ROUTE
                    .iter()
                    .any(|way| source.contains(way))
                    .then_some(path),
            );
        }
    }
    found
}

/// `Routes::with` and `Routes::with_plain` take no route without a permission; nothing else adds one.
#[test]
fn no_route_is_added_outside_of_the_table_of_routes() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(with_a_way_to_a_route(&sources), [sources.join("api/routes.rs")]);
}

/// `security` of each operation says what the server does: the document in docs leaves open whether it has a token.
#[test]
fn the_document_says_which_operations_need_the_token() {
    let document: Value = serde_json::from_str(&api::openapi_json().unwrap()).unwrap();
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let needed = needs_token(&method.to_uppercase(), path);
            let schemes: &[&str] = if needed { &["", "token", "session"] } else { &[] };
            let declared = operation["security"].as_array().unwrap();
            let name = |way: &Value| {
                way.as_object()
                    .unwrap()
                    .keys()
                    .next()
                    .cloned()
                    .unwrap_or_default()
            };
            let names: Vec<String> = declared.iter().map(name).collect();
            assert_eq!(names, schemes, "{method} {path}");
            for refusal in ["401", "429"] {
                let is_described = operation["responses"].get(refusal).is_some();
                assert_eq!(is_described, needed, "{method} {path} {refusal}");
            }
        }
    }
}

#[tokio::test]
async fn every_kind_of_error_is_a_document_with_the_id_of_its_answer() {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    let foreign = [("origin", "http://evil.example")];
    for (method, path, headers, body, status) in [
        ("GET", "/api/v1/nothing", &[][..], &b""[..], 404),
        ("GET", "/api/v1/alerts/00", &[], b"", 404),
        ("DELETE", "/api/v1/health", &[], b"", 405),
        ("POST", "/api/v1/detectors", &[], &[0; 65], 413),
        ("POST", "/api/v1/detectors", &[], b"no package", 422),
        ("POST", "/api/v1/score", &[], b"{}", 415),
        ("POST", "/api/v1/score", &foreign, b"{}", 403),
    ] {
        let answer = server.call(method, path, headers, body).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let id = request_id(&answer);
        let document = json(answer).await;
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(document["request_id"], id, "{document}");
        assert!(!document["detail"].as_str().unwrap().contains(&id), "{document}");
    }
}

/// The errors that this program logs. One log for all tests: a span that a thread without a log meets first may stay
/// disabled for the log of another thread.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_internal_error_shows_its_id_and_its_log_line_the_cause() {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    server.break_store();
    let answer = server.call("GET", "/api/v1/flows?limit=3", &[], b"").await;

    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let id = request_id(&answer);
    let document = json(answer).await;
    let expected = serde_json::json!({
        "type": "urn:netsage:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": format!("the program could not do this; its log says why (request {id})"),
        "request_id": id,
    });
    assert_eq!(document, expected);

    let log = LOG.text();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("request failed") && line.contains(&id))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("one line is expected: {log}");
    };
    for part in ["method=GET", "path=\"/api/v1/flows\"", "cause=", "no such table"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}
