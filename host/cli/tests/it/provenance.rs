//! Network and sensor of flows, through the program: what has no name is as it was, and what has one is apart.

use serde_json::Value;

use super::support::{Home, Server, packages_built};

/// What an alert is of, and what the detector said.
fn outline(alert: &Value) -> String {
    ["source", "kind", "count", "score", "first_seen", "contributions"]
        .map(|field| alert[field].to_string())
        .join(" ")
}

fn outlines(alerts: &[Value]) -> Vec<String> {
    let mut outlines: Vec<String> = alerts.iter().map(outline).collect();
    outlines.sort();
    outlines
}

#[test]
fn a_capture_of_two_networks_has_two_of_everything() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let capture = home.capture(3_000);
    let replay = ["--pcap", capture.to_str().unwrap()];
    let mut server = Server::start(&home, &replay);
    server.wait_until_finished();
    let (alerts, flows) = (server.all("/api/v1/alerts"), server.all("/api/v1/flows"));
    assert!(!alerts.is_empty());
    for one in alerts.iter().chain(&flows) {
        let says = |field: &str| one.get(field).is_some();
        assert!(!says("network") && !says("sensor") && !says("late"), "{one}");
    }
    server.kill();

    server = Server::start(
        &home,
        &[&replay[..], &["--network", "branch", "--sensor", "tap"]].concat(),
    );
    server.wait_until_finished();
    let named = server.all("/api/v1/alerts?network=branch");
    assert_eq!(outlines(&named), outlines(&alerts));
    let flows_named = server.all("/api/v1/flows?sensor=tap");
    assert_eq!(flows_named.len(), flows.len());
    for one in named.iter().chain(&flows_named) {
        assert_eq!(
            (&one["network"], &one["sensor"]),
            (&"branch".into(), &"tap".into())
        );
    }
    // The others are what they were, to the bit.
    assert_eq!(server.all("/api/v1/alerts?network="), alerts);
    assert_eq!(server.all("/api/v1/flows?network=&sensor="), flows);
    assert_eq!(
        server.all("/api/v1/alerts?sensor=tap&network="),
        Vec::<Value>::new()
    );
}
