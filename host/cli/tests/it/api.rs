//! The API of a running program: its errors, its rules of access.

use super::support::{Home, Server, packages_built};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn errors_are_problem_documents() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &["--upload-limit", "1"]);
    let check = |(status, body): (u16, serde_json::Value), expected: u16, kind: &str| {
        assert_eq!(status, expected, "{body}");
        assert_eq!(body["status"], expected, "{body}");
        assert_eq!(body["type"], format!("urn:netsage:problem:{kind}"), "{body}");
        assert!(!body["detail"].as_str().unwrap().is_empty());
    };
    check(server.get("/api/v1/nothing"), 404, "not-found");
    check(server.get("/api/v1/alerts/0123"), 404, "not-found");
    check(server.get("/api/v1/alerts?limit=many"), 400, "bad-request");
    check(server.get("/api/v1/alerts?severity=high"), 400, "bad-request");
    check(server.get("/api/v1/flows?sorce=10.0.0.1"), 400, "bad-request");
    check(server.get("/api/v1/overview?steps=9"), 400, "bad-request");
    check(server.get("/api/v1/alerts?cursor=nonsense"), 400, "bad-cursor");
    check(server.get("/api/v1/overview?points=0"), 400, "bad-request");
    check(server.post("/api/v1/health", b"", &[]), 405, "method");
    check(server.post("/api/v1/score", b"{}", &[]), 415, "media-type");
    check(server.post("/api/v1/score", b"{", &[JSON]), 400, "bad-request");
    check(server.post("/api/v1/score", b"{}", &[JSON]), 422, "bad-rows");
    check(
        server.post("/api/v1/score", br#"{"schema":"kdd","rows":[[1]]}"#, &[JSON]),
        422,
        "unknown-schema",
    );
    let foreign =
        serde_json::json!({"schema": "flow-v1", "rows": [vec![0; netsage_schema::FLOW_V1.width()]]});
    check(
        server.post("/api/v1/score", foreign.to_string().as_bytes(), &[JSON]),
        409,
        "other-schema",
    );
    check(
        server.post("/api/v1/score", br#"{"features":[1,2]}"#, &[JSON]),
        422,
        "bad-rows",
    );
    check(
        server.post("/api/v1/detectors", b"hello", &[]),
        422,
        "bad-package",
    );
    check(server.post("/api/v1/detectors", b"", &[]), 422, "bad-package");
    check(
        server.post("/api/v1/detectors", &vec![0; (1 << 20) + 1], &[]),
        413,
        "too-large",
    );
    check(
        server.post("/api/v1/detectors/00/promote", b"", &[]),
        404,
        "not-found",
    );
    check(
        server.get_with("/api/v1/alerts", ("host", "evil.example")),
        403,
        "foreign-host",
    );
    check(
        server.post("/api/v1/detectors", b"x", &[("origin", "http://evil.example")]),
        403,
        "foreign-origin",
    );
}

#[test]
fn a_token_guards_all_but_health() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &["--token", "correct-horse-battery"]);
    assert_eq!(server.health()["token_required"], true);
    assert_eq!(server.health()["problems"], serde_json::json!([]));
    let post = |headers: &[(&str, &str)]| server.post("/api/v1/detectors/00/promote", b"", headers).0;
    assert_eq!(post(&[]), 401);
    assert_eq!(post(&[("authorization", "Bearer wrong-horse-battery")]), 401);
    assert_eq!(post(&[("authorization", "Bearer correct-horse-battery")]), 404);
    assert_eq!(server.get("/api/v1/alerts").0, 401);
    let bearer = ("authorization", "Bearer correct-horse-battery");
    assert_eq!(server.get_with("/api/v1/alerts", bearer).0, 200);
}

#[test]
fn rows_are_scored_in_both_forms() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let mut row = vec![serde_json::json!(0.0); 42];
    row[1] = serde_json::json!("tcp");
    row[2] = serde_json::json!("http");
    row[3] = serde_json::json!("FIN");
    let score = |body: serde_json::Value| {
        let (status, answer) = server.post("/api/v1/score", body.to_string().as_bytes(), &[JSON]);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let many = score(serde_json::json!({"schema": "unsw-nb15", "rows": [row, row]}));
    let one = score(serde_json::json!({"features": row}));
    assert_eq!(many[0]["scores"].as_array().unwrap().len(), 2);
    assert_eq!(many[0]["scores"][0], one[0]["scores"][0]);
    assert_eq!(many[0]["detector"]["name"], "iforest");
    assert!(many[0]["threshold"].as_f64().unwrap() > 0.0);
}

#[test]
fn alerts_can_be_acknowledged_and_metrics_read() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(5_000);
    let server = Server::start(&home, &["--pcap", capture.to_str().unwrap()]);
    server.wait_until_finished();
    let (_, page) = server.get("/api/v1/alerts?limit=1&state=new");
    let alert = &page["items"][0];
    let id = alert["id"].as_str().expect("the capture holds attacks");
    assert!(!alert["contributions"].as_array().unwrap().is_empty(), "{alert}");
    assert_eq!(alert["schema"], "unsw-nb15@1");
    let change = br#"{"state":"acknowledged","by":"ada"}"#;
    let (status, changed) = server.post(&format!("/api/v1/alerts/{id}/state"), change, &[JSON]);
    assert_eq!(
        (status, &changed["state"], &changed["changed_by"]),
        (200, &"acknowledged".into(), &"ada".into())
    );
    let (_, metrics) = server.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    let flows = server.counter("flows");
    for expected in [
        format!("netsage_flows_total {flows}"),
        "netsage_packets_not_metered_total{reason=".to_owned(),
        "netsage_dropped_total{queue=\"scoring_flows\"} 0".to_owned(),
    ] {
        assert!(metrics.contains(&expected), "{expected} is not in\n{metrics}");
    }
    let (status, overview) = server.get("/api/v1/overview");
    assert_eq!(status, 200);
    assert!(
        !overview["points"].as_array().unwrap().is_empty()
            && !overview["top_sources"].as_array().unwrap().is_empty()
    );
}

#[test]
fn a_package_runs_in_the_browser_and_may_be_kept() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let (_, list) = server.get("/api/v1/detectors");
    let digest = list[0]["detector"]["digest"].as_str().unwrap();
    let module = format!("/api/v1/detectors/{digest}/browser/detector.js");
    assert_eq!(server.get(&module).0, 200);
    assert_eq!(
        server.header(&module, "content-type").as_deref(),
        Some("text/javascript; charset=utf-8")
    );
    let tag = server.header(&module, "etag").unwrap();
    assert_eq!(server.get_with(&module, ("if-none-match", &tag)).0, 304);
    assert!(
        server
            .header("/", "content-security-policy")
            .unwrap()
            .contains("'wasm-unsafe-eval'")
    );
    assert_eq!(
        server
            .get(&format!("/api/v1/detectors/{digest}/browser/other.js"))
            .0,
        404
    );
}
