//! What lies in deploy/ for Prometheus, Alertmanager, Grafana and a composed stack, checked by their own tools.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::tools::{deploy, has, run};

/// A copy of a folder, which a test may add to.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

#[test]
fn promtool_takes_config_rules_and_their_unit_tests() {
    if !has("promtool") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&deploy().join("prometheus"), folder.path());
    fs::write(folder.path().join("netsage-token"), "token\n").unwrap();
    run(
        folder.path(),
        "promtool",
        &["check", "config", "--lint-fatal", "prometheus.yml"],
    );
    run(
        folder.path(),
        "promtool",
        &["check", "rules", "--lint-fatal", "netsage.rules.yml"],
    );
    run(folder.path(), "promtool", &["test", "rules", "netsage.test.yml"]);
}

#[test]
fn every_alert_has_a_unit_test_that_it_fires_in() {
    let read = |name: &str| fs::read_to_string(deploy().join("prometheus").join(name)).unwrap();
    let (rules, tests) = (read("netsage.rules.yml"), read("netsage.test.yml"));
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 9);
    for alert in alerts {
        // In the tests that expect alerts, the name stands on a line of its own.
        let expects = tests
            .lines()
            .any(|line| line.trim() == format!("alertname: {alert}"));
        assert!(
            expects,
            "{alert} has no unit test in netsage.test.yml that it fires in"
        );
    }
}

#[test]
fn amtool_takes_the_routes() {
    if !has("amtool") {
        return;
    }
    let file = deploy().join("prometheus/alertmanager.yml");
    let file = file.to_str().unwrap();
    run(&deploy(), "amtool", &["check-config", file]);
    let check = |labels: &[&str], expected: &str| {
        let config = format!("--config.file={file}");
        let arguments = [&["config", "routes", "test", &config][..], labels].concat();
        // A warning may stand beside it.
        let said = run(&deploy(), "amtool", &arguments);
        assert!(said.lines().any(|line| line == expected), "{labels:?}: {said}");
    };
    check(&["alertname=NetsageLoss", "severity=critical"], "on-call");
    check(&["alertname=NetsageDrift", "severity=warning"], "analysts");
    check(&["alertname=NetsageRollback", "severity=warning"], "analysts");
    check(&["alertname=NetsageLag", "severity=warning"], "operators");
}

#[test]
fn docker_compose_takes_the_stack() {
    if !has("docker-compose") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&deploy(), &folder.path().join("deploy"));
    fs::write(folder.path().join("deploy/netsage-token"), "token\n").unwrap();
    let said = run(
        folder.path(),
        "docker-compose",
        &["-f", "deploy/compose.yaml", "config"],
    );
    for service in [
        "kafka:",
        "mongodb:",
        "scorer-1:",
        "scorer-2:",
        "producer:",
        "prometheus:",
        "grafana:",
    ] {
        assert!(
            said.lines().any(|line| line.trim() == service),
            "{service} in {said}"
        );
    }
}

/// The dashboards, as they lie in deploy/.
pub(crate) fn dashboards() -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(deploy().join("grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    files.into_iter().map(read).collect()
}

/// Each query of a dashboard: the title of its panel, the uid of its data source, and the expression.
pub(crate) fn queries(dashboard: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(|target| {
                (
                    text(&panel["title"]),
                    text(&target["datasource"]["uid"]),
                    text(&target["expr"]),
                )
            })
        })
        .collect()
}

/// The names of metrics in a text.
pub(crate) fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | ':');
    let words = text.split(|sign| !is_part(sign));
    let names = words.filter(|word| word.starts_with("netsage_") || word.starts_with("netsage:"));
    names.map(str::to_owned).collect()
}

#[test]
fn dashboards_are_those_that_grafanas_builders_make() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["package.json", "package-lock.json", "build.mjs"] {
        fs::copy(deploy().join("grafana").join(name), folder.path().join(name)).unwrap();
    }
    let npm = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder.path())
        .output();
    match npm {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return eprintln!(
                "skipped: npm does not give Grafana's SDK: {}",
                said.lines().last().unwrap_or("")
            );
        }
        Err(error) => return eprintln!("skipped: npm: {error}"),
    }
    run(folder.path(), "node", &["build.mjs", "dashboards"]);
    let mut made = 0;
    for entry in fs::read_dir(folder.path().join("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let kept = deploy()
            .join("grafana/dashboards")
            .join(path.file_name().unwrap());
        let (built, kept) = (
            fs::read_to_string(&path).unwrap(),
            fs::read_to_string(&kept).unwrap_or_default(),
        );
        assert!(
            built == kept,
            "{path:?} is another one; run `npm ci && npm run build` in deploy/grafana"
        );
        made += 1;
    }
    assert_eq!(made, dashboards().len());
}

#[test]
fn dashboards_name_the_data_sources_that_are_provisioned() {
    let sources = fs::read_to_string(deploy().join("grafana/provisioning/datasources/netsage.yaml")).unwrap();
    let uids: Vec<&str> = sources
        .lines()
        .filter_map(|line| line.trim().strip_prefix("uid: "))
        .collect();
    let config = fs::read_to_string(deploy().join("prometheus/prometheus.yml")).unwrap();
    let interval = config
        .lines()
        .find_map(|line| line.trim().strip_prefix("scrape_interval: "))
        .unwrap();
    assert!(
        sources.contains(&format!("timeInterval: {interval}")),
        "{interval}"
    );
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 3);
    for dashboard in &dashboards {
        let queries = queries(dashboard);
        assert!(queries.len() > 8, "{}", dashboard["title"]);
        for (panel, uid, _) in queries {
            assert!(uids.contains(&uid.as_str()), "{panel}: {uid}");
        }
    }
}
