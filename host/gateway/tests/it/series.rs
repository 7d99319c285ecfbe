//! Time series by `/api/v1/timeseries`, and as a Prometheus answers for them.

use std::sync::Arc;

use netsage_testkit::sample::{T0, batch, flow};
use serde_json::{Value, json};

use crate::access::{Offline, TOKEN, json};

/// A server whose store has five flows and three alerts.
async fn filled() -> Offline {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    let flows = [
        flow(1, "10.0.0.1", T0 + 500, 0.7),
        flow(2, "10.0.0.1", T0 + 1_500, 0.95),
        flow(3, "10.0.0.2", T0 + 20_500, 0.7),
        flow(4, "10.0.0.3", T0 + 20_500, 0.7),
        flow(5, "10.0.0.4", T0 + 59_999, 0.1),
    ];
    server.store.record(&[Arc::new(batch(&flows))]).await.unwrap();
    server
}

async fn get(server: &Offline, path: &str) -> (u16, Value) {
    let answer = server.call("GET", path, &[], b"").await;
    (answer.status().as_u16(), json(answer).await)
}

#[tokio::test]
async fn series_are_given_in_steps() {
    let server = filled().await;
    let check = async |query: &str, expected: Value| {
        let (until, path) = (T0 + 60_000, format!("/api/v1/timeseries?{query}"));
        let (status, answer) = get(&server, &format!("{path}&since={T0}&until={until}")).await;
        assert_eq!(status, 200, "{query}: {answer}");
        assert_eq!(answer["since"], T0, "{query}");
        let series = answer["series"].as_array().unwrap().iter();
        let found = series.map(|series| json!([series["labels"], series["values"]]));
        assert_eq!(Value::Array(found.collect()), expected, "{query}");
    };
    check("name=netsage_store_flows", json!([[{}, [5]]])).await;
    check("name=netsage_store_flows&step=20000", json!([[{}, [2, 2, 1]]])).await;
    check(
        "name=netsage_store_flow_bytes&step=15000",
        json!([[{}, [6_800, 6_800, 3_400]]]),
    )
    .await;
    check("name=netsage_store_alerts_begun&by=", json!([[{}, [3]]])).await;
    check(
        "name=netsage_store_alerts_begun&by=severity&step=20000",
        json!([[{ "severity": "critical" }, [1, 0, 0]], [{ "severity": "medium" }, [0, 2, 0]]]),
    )
    .await;
    check(
        "name=netsage_store_alerts_begun&by=&severity=medium&network=",
        json!([[{}, [2]]]),
    )
    .await;
    check(
        "name=netsage_store_alerts_begun&by=severity&detector=nobody",
        json!([]),
    )
    .await;
    for (query, said) in [
        ("", "name"),
        ("name=nothing", "nothing"),
        ("name=netsage_store_flows&step=0", "`step`"),
        ("name=netsage_store_flows&by=severity", "no labels"),
        ("name=netsage_store_alerts_begun&by=source", "no such label"),
        ("name=netsage_store_flows&since=5&until=5", "`since`"),
        ("name=netsage_store_flows&since=0&until=999999999999", "steps"),
        ("name=netsage_store_flows&unknown=1", "unknown"),
    ] {
        let (status, answer) = get(&server, &format!("/api/v1/timeseries?{query}")).await;
        assert_eq!(status, 400, "{query}: {answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{query}: {detail}");
    }
}

const BASE: &str = "/prometheus/api/v1";

/// An expression as an address has it.
fn escaped(text: &str) -> String {
    let signs = text.bytes();
    signs.map(|sign| format!("%{sign:02X}")).collect()
}

#[tokio::test]
async fn a_range_is_answered_as_prometheus_does() {
    let server = filled().await;
    let start = T0 / 1000;
    let check = async |query: &str, step: &str, expected: Value| {
        let end = start + 60;
        let asked = format!("query={}&start={start}&end={end}&step={step}", escaped(query));
        let (status, answer) = get(&server, &format!("{BASE}/query_range?{asked}")).await;
        assert_eq!(status, 200, "{query}: {answer}");
        let wanted = json!({ "status": "success", "data": { "resultType": "matrix", "result": expected } });
        assert_eq!(answer, wanted, "{query}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let posted = server
            .call("POST", &format!("{BASE}/query_range"), &form, asked.as_bytes())
            .await;
        assert_eq!(json(posted).await, wanted, "{query}, as a form");
    };
    // A value counts the step that ends at its time.
    let name = json!({ "__name__": "netsage_store_flows" });
    check(
        "netsage_store_flows",
        "20",
        json!([{ "metric": name, "values": [
            [start, "0"], [start + 20, "2"], [start + 40, "2"], [start + 60, "1"],
        ] }]),
    )
    .await;
    // A step of the store is a multiple of 10 s, so that there are fewer points.
    check(
        "netsage_store_flows",
        "25s",
        json!([{ "metric": name, "values": [[start, "0"], [start + 30, "4"], [start + 60, "1"]] }]),
    )
    .await;
    let labels = |severity: &str| {
        json!({
            "__name__": "netsage_store_alerts_begun", "detector": "iforest", "severity": severity, "state": "new",
        })
    };
    check(
        "netsage_store_alerts_begun{severity=~\"critical|low\"}",
        "1m",
        json!([{ "metric": labels("critical"), "values": [[start, "0"], [start + 60, "1"]] }]),
    )
    .await;
    check(
        "sum by (severity) (netsage_store_alerts_begun)",
        "1m",
        json!([
            { "metric": { "severity": "critical" }, "values": [[start, "0"], [start + 60, "1"]] },
            { "metric": { "severity": "medium" }, "values": [[start, "0"], [start + 60, "2"]] },
        ]),
    )
    .await;
    check("up", "1m", json!([])).await;
    check(
        "1+1",
        "1m",
        json!([{ "metric": {}, "values": [[start, "2"], [start + 60, "2"]] }]),
    )
    .await;
}

#[tokio::test]
async fn one_time_is_answered_as_prometheus_does() {
    let server = filled().await;
    let check = async |query: &str, expected: Value| {
        let time = T0 / 1000 + 60;
        let path = format!("{BASE}/query?query={}&time={time}", escaped(query));
        assert_eq!(
            get(&server, &path).await,
            (200, json!({ "status": "success", "data": expected }))
        );
    };
    let time = T0 / 1000 + 60;
    // What Grafana asks to see whether a source is one.
    check("1+1", json!({ "resultType": "scalar", "result": [time, "2"] })).await;
    check(
        "sum(netsage_store_alerts_begun)",
        json!({ "resultType": "vector", "result": [{ "metric": {}, "value": [time, "3"] }] }),
    )
    .await;
    check("up", json!({ "resultType": "vector", "result": [] })).await;
}

#[tokio::test]
async fn names_labels_and_values_are_listed() {
    let server = filled().await;
    let check = async |path: &str, expected: Value| {
        let answer = get(&server, &format!("{BASE}/{path}")).await;
        assert_eq!(
            answer,
            (200, json!({ "status": "success", "data": expected })),
            "{path}"
        );
    };
    check(
        "labels",
        json!(["__name__", "detector", "network", "severity", "state"]),
    )
    .await;
    let names = json!([
        "netsage_store_alerts_begun",
        "netsage_store_flow_bytes",
        "netsage_store_flow_packets",
        "netsage_store_flow_sources",
        "netsage_store_flows",
        "netsage_store_flows_alerted",
    ]);
    check("label/__name__/values", names).await;
    check("label/severity/values", json!(["critical", "medium"])).await;
    check("label/detector/values?start=0&end=1", json!([])).await;
    check("label/detector/values", json!(["iforest"])).await;
    check("label/network/values", json!([])).await;
    check("label/job/values", json!([])).await;
    check(
        "metadata?metric=netsage_store_flows",
        json!({ "netsage_store_flows": [{ "type": "gauge", "help": "Flows that ended in a step", "unit": "" }] }),
    )
    .await;
    let (status, build) = get(&server, &format!("{BASE}/status/buildinfo")).await;
    assert_eq!((status, &build["data"]["application"]), (200, &json!("NetSage")));
}

#[tokio::test]
async fn errors_are_those_of_prometheus() {
    let server = filled().await;
    let check = async |path: &str, status: u16, kind: &str, said: &str| {
        let (found, answer) = get(&server, &format!("{BASE}/{path}")).await;
        assert_eq!(
            (found, &answer["errorType"]),
            (status, &json!(kind)),
            "{path}: {answer}"
        );
        assert_eq!(answer["status"], "error");
        assert!(
            answer["error"].as_str().unwrap().contains(said),
            "{path}: {answer}"
        );
    };
    check("query", 400, "bad_data", "`query` is missing").await;
    check("query?query=rate(a[5m])", 400, "bad_data", "plain selector").await;
    check("query?query=1&time=now", 400, "bad_data", "`time`").await;
    check(
        "query_range?query=1&start=0&end=1",
        400,
        "bad_data",
        "`step` is missing",
    )
    .await;
    check(
        "query_range?query=1&start=0&end=1&step=0",
        400,
        "bad_data",
        "`step`",
    )
    .await;
    check(
        "query_range?query=1&start=2&end=1&step=1",
        400,
        "bad_data",
        "before",
    )
    .await;
    check(
        "query_range?query=1&start=0&end=11000&step=1",
        400,
        "bad_data",
        "11000 points",
    )
    .await;
    let form = [("content-type", "text/plain")];
    let answer = server
        .call("POST", &format!("{BASE}/query"), &form, b"query=1")
        .await;
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(json(answer).await["errorType"], "bad_data");
    // Who needs the token learns so before anything is looked at.
    let closed = Offline::new(Some(TOKEN), "192.0.2.1:8080").await;
    for path in ["query?query=1", "nothing"] {
        let answer = closed.call("GET", &format!("{BASE}/{path}"), &[], b"").await;
        assert_eq!(answer.status().as_u16(), 401, "{path}");
    }
}
