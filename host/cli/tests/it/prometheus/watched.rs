//! A Prometheus watches programs with the rules of deploy/: one that is well, and others to which happens what each rule is
//! for. Every panel of the dashboards is asked for its data meanwhile.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netsage_testkit::datagrams::{Head, v5, v5_flow};
use netsage_testkit::kafka::KafkaServer;
use netsage_testkit::recipe::Recipe;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::files::{dashboards, metrics, queries};
use super::picture::{self, Panel};
use super::tools::{Tool, deploy, escaped, has, run};
use crate::kafka;
use crate::support::{Home, PATIENCE, Server, free_address, packages_built, stderr, wait_for};

/// What stands for the minutes and hours of the rules.
const WINDOW: &str = "15s";
/// What stands for the time that an alert waits before it fires.
const WAIT: &str = "5s";

/// The alerts that the troubles of a program with an exporter and an output must raise.
const PROVOKED: [&str; 10] = [
    "NetsageDown",
    "NetsageDrift",
    "NetsageLag",
    "NetsageLoss",
    "NetsageOutputLag",
    "NetsageRollback",
    "NetsageSilence",
    "NetsageSourceLoss",
    "NetsageStoreAway",
    "NetsageUnscored",
];

/// The rules with short times, so that a test can wait for them.
fn hastened(rules: &str) -> String {
    let mut hastened = String::new();
    for line in rules.lines() {
        let line = match line.split_once("for: ") {
            Some((before, _)) if before.trim().is_empty() => format!("{before}for: {WAIT}"),
            _ => {
                // Ranges are the only brackets with a digit behind them.
                let mut parts = line.split('[');
                let mut line = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let is_range = part.starts_with(|sign: char| sign.is_ascii_digit());
                    match part.split_once(']') {
                        Some((_, behind)) if is_range => line += &format!("[{WINDOW}]{behind}"),
                        _ => line += &format!("[{part}"),
                    }
                }
                line
            }
        };
        hastened += &line.replace("offset 10m", &format!("offset {WINDOW}"));
        hastened.push('\n');
    }
    hastened
}

/// A thread that goes on until the test ends.
struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Works every fifth of a second.
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                work();
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A program that is given a capture through a pipe: half of it at once, and a little more again and again.
fn well(home: &Home) -> (Server, Worker) {
    // Traffic as that of the training, with few attacks: nothing drifts.
    let made = home.run(&[
        "synth",
        "--out",
        "capture.pcap",
        "--flows",
        "12000",
        "--attack-share",
        "0.02",
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    let capture = fs::read(home.path().join("capture.pcap")).unwrap();
    let pipe = home.path().join("feed");
    run(home.path(), "mkfifo", &["feed"]);
    // For reading too, so that opening waits for nobody.
    let mut feed = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut sent = 0;
    let worker = Worker::start(move || {
        let step = if sent == 0 {
            capture.len() / 2
        } else {
            capture.len() / 2_000
        };
        let end = (sent + step).min(capture.len());
        feed.write_all(&capture[sent..end]).unwrap();
        sent = end;
    });
    let arguments = [
        "--pcap",
        "feed",
        "--schema",
        "flow-v1",
        "--detector",
        "iforest-flow-v1",
        "--threshold",
        "iforest=fpr:0.01",
    ];
    (Server::start(home, &arguments), worker)
}

/// An exporter of NetFlow v5, which can pass over sequence numbers.
struct Exporter {
    socket: UdpSocket,
    sequence: u32,
    port: u16,
}

impl Exporter {
    fn send(&mut self, datagrams: u32) {
        const RECORDS: u16 = 30;
        for _ in 0..datagrams {
            let records: Vec<Vec<u8>> = (0..RECORDS)
                .map(|number| {
                    self.port = self.port.wrapping_add(1).max(1_024);
                    let source = [10, 0, 0, number as u8];
                    v5_flow(source, [192, 0, 2, 7], (self.port, 443), 5, (90_000, 90_500))
                })
                .collect();
            let since = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            let head = Head {
                sequence: self.sequence,
                seconds: u32::try_from(since.as_secs()).unwrap(),
                ..Head::default()
            };
            self.sequence += u32::from(RECORDS);
            self.socket.send(&v5(&head, RECORDS, &records)).unwrap();
        }
    }
}

/// A package whose first column is its score; of `score` it is said what it does before.
fn package(artifact: &[u8], score: &'static str) -> Vec<u8> {
    let recipe = Recipe {
        name: "fragile".to_owned(),
        schema: Some("record-v1@1"),
        columns: vec!["duration".to_owned()],
        score,
        ..Recipe::default()
    };
    recipe.package_with(artifact, None).bytes().to_vec()
}

/// Brings a package and makes it the active one of its name.
fn activate(server: &Server, package: &[u8]) {
    let (status, answer) = server.bring("/api/v1/detectors", package);
    assert!(matches!(status, 200 | 201), "{answer}");
    let digest = answer["detector"]["digest"].as_str().unwrap().to_owned();
    server.wait("a warm package", |server| {
        server.get(&format!("/api/v1/detectors/{digest}")).1["stage"] == "warm"
    });
    let (status, answer) = server.post(&format!("/api/v1/detectors/{digest}/promote"), b"", &[]);
    assert_eq!(status, 200, "{answer}");
}

/// A Prometheus with the rules of deploy/, hastened, that watches programs under these names.
fn prometheus(folder: &Path, programs: &[(&str, &Server)], alertmanager: &Tool) -> Tool {
    let rules = fs::read_to_string(deploy().join("prometheus/netsage.rules.yml")).unwrap();
    fs::write(folder.join("netsage.rules.yml"), hastened(&rules)).unwrap();
    let targets = |base: &str| vec![base.trim_start_matches("http://").to_owned()];
    let watched: Vec<Value> = programs
        .iter()
        .map(|(name, server)| json!({ "targets": targets(&server.base), "labels": { "instance": name } }))
        .collect();
    // YAML takes JSON.
    let config = json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": ["netsage.rules.yml"],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": targets(&alertmanager.base) }] }] },
        "scrape_configs": [{ "job_name": "netsage", "static_configs": watched }],
    });
    fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    run(folder, "promtool", &["check", "config", "prometheus.yml"]);
    Tool::start(
        "prometheus",
        folder,
        &["--config.file=prometheus.yml", "--storage.tsdb.path=data"],
    )
}

/// The names of alerts that have fired so far, of one program.
fn fired(prometheus: &Tool, instance: &str) -> BTreeSet<String> {
    let query = format!("max_over_time(ALERTS{{alertstate=\"firing\",instance=\"{instance}\"}}[10m])");
    let series = prometheus.query(&query).into_iter();
    series
        .map(|series| series["metric"]["alertname"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_for_alert(prometheus: &Tool, instance: &str, name: &str) {
    wait_for(name, || {
        thread::sleep(Duration::from_millis(200));
        fired(prometheus, instance).contains(name)
    });
}

/// Holds the store of a program, as another process does that writes.
fn hold_store(home: &Home) -> Connection {
    let other = Connection::open(home.path().join("netsage/netsage.sqlite")).unwrap();
    other.busy_timeout(Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// A topic grows quicker than a program stores what stands in it; then its broker goes away.
fn trouble_with_broker(broker: &mut KafkaServer, topic: &str, fed: &Server, home: &Home, prometheus: &Tool) {
    let produce = |broker: &KafkaServer, count: i64| {
        let flows = kafka::flows(count).map(|(_, flow)| (0, flow));
        broker.produce(topic, &[], flows);
    };
    produce(broker, 2_000);
    fed.wait("stored flows of a topic", |server| {
        !kafka::lags(server).is_empty()
    });
    let _other = hold_store(home);
    produce(broker, 12_000);
    let lagging = std::time::Instant::now();
    while !fired(prometheus, "fed").contains("NetsagePartitionLag") {
        assert!(lagging.elapsed() < PATIENCE, "{}", fed.health());
        produce(broker, 100);
        thread::sleep(Duration::from_millis(500));
    }
    broker.kill();
    wait_for_alert(prometheus, "fed", "NetsageSourceAway");
}

/// Every panel has data: those of the store of the program itself, the others of Prometheus. With `NETSAGE_BLESS` they are
/// drawn into docs/.
fn check_panels(prometheus: &Tool, program: &Server) {
    let newest = |path: &str, of: &str| program.get(path).1["items"][0][of].as_i64().unwrap() / 1000;
    let (end, start) = (
        newest("/api/v1/flows?limit=1", "end") + 60,
        program_start(program),
    );
    let mut asked = 0;
    for dashboard in dashboards() {
        let title = dashboard["title"].as_str().unwrap();
        let mut panels = Vec::new();
        for panel in dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|panel| panel["type"] != "row")
        {
            let mut drawn = Panel::of(panel);
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                let place = format!("{title}: {}: {expression}", drawn.title);
                let query = escaped(
                    &expression
                        .replace("$__rate_interval", "10s")
                        .replace("$instance", ".*"),
                );
                let answer = if target["datasource"]["uid"] == "netsage-store" {
                    let range = format!("start={start}&end={end}&step=60");
                    program
                        .get(&format!("/prometheus/api/v1/query_range?query={query}&{range}"))
                        .1
                } else {
                    let now = prometheus.get("/api/v1/query?query=time()")["data"]["result"][0]
                        .as_f64()
                        .unwrap();
                    let range = format!("start={}&end={now}&step=1", now - 30.0);
                    prometheus.get(&format!("/api/v1/query_range?query={query}&{range}"))
                };
                assert_eq!(answer["status"], "success", "{place}: {answer}");
                let before = drawn.lines.len();
                drawn.add(target["legendFormat"].as_str().unwrap_or_default(), &answer);
                let has_data = drawn.lines[before..].iter().any(|line| !line.points.is_empty());
                assert!(has_data, "{place} has no data");
                asked += 1;
            }
            panels.push(drawn);
        }
        if std::env::var_os("NETSAGE_BLESS").is_some() {
            let file = format!("../docs/dashboards/{}.svg", dashboard["uid"].as_str().unwrap());
            fs::create_dir_all(deploy().join("../docs/dashboards")).unwrap();
            fs::write(deploy().join(file), picture::draw(title, &panels)).unwrap();
        }
    }
    assert!(asked > 50, "{asked} queries");
}

/// When the oldest flow of the store ended, s since the epoch.
fn program_start(program: &Server) -> i64 {
    let overview = program.get("/api/v1/overview?step=60000&points=2000").1;
    overview["points"][0]["time"].as_i64().unwrap() / 1000
}

/// Every metric that a dashboard or a rule names is there.
fn check_names(programs: &[&Server]) {
    let mut known = BTreeSet::new();
    for program in programs {
        let text = String::from_utf8(program.bytes("/metrics", &[]).unwrap()).unwrap();
        known.extend(metrics(&text));
    }
    let names = programs[0].get("/prometheus/api/v1/label/__name__/values").1;
    known.extend(
        names["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned()),
    );
    let rules = fs::read_to_string(deploy().join("prometheus/netsage.rules.yml")).unwrap();
    let records = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    known.extend(records.map(str::to_owned));
    let of_brokers = ["netsage_source_partition_lag"];
    let mut named = metrics(&rules);
    for dashboard in dashboards() {
        let expressions: Vec<String> = queries(&dashboard)
            .into_iter()
            .map(|(_, _, expression)| expression)
            .collect();
        named.extend(metrics(&expressions.join(" ")));
        named.extend(metrics(&dashboard["templating"].to_string()));
    }
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        assert!(
            known.contains(&name) || of_brokers.contains(&name.as_str()),
            "there is no metric {name}"
        );
    }
}

/// What `promtool` says of the metrics: nothing.
fn check_metrics(folder: &Path, program: &Server) {
    let text = program.bytes("/metrics", &[]).unwrap();
    fs::write(folder.join("metrics"), &text).unwrap();
    let said = run(folder, "sh", &["-c", "promtool check metrics < metrics"]);
    assert_eq!(said.trim(), "", "promtool check metrics");
    let text = String::from_utf8(text).unwrap();
    // Each family has a value.
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# TYPE ") {
            let next = lines.peek().copied().unwrap_or_default();
            assert!(!next.is_empty() && !next.starts_with('#'), "empty: {line}");
        }
    }
}

#[test]
fn every_panel_has_data_and_every_rule_fires_when_it_must() {
    if !packages_built() || !has("prometheus") || !has("promtool") || !has("prometheus-alertmanager") {
        return;
    }
    let (folder, healthy, sick) = (tempfile::tempdir().unwrap(), Home::new(), Home::new());
    let (well, _feed) = well(&healthy);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    socket.connect(address).unwrap();
    let mut exporter = Exporter {
        socket,
        sequence: 0,
        port: 1_024,
    };
    let nobody = free_address();
    let output = format!("[output.soc]\ntype = \"webhook\"\nurl = \"http://{nobody}/\"\n");
    sick.file("netsage.toml", output.as_bytes());
    let troubled = Server::start(
        &sick,
        &[
            "--threshold",
            "fragile=0.1",
            "--netflow",
            &address.to_string(),
            "--netflow-pairing",
            "0s",
            "--lateness",
            "1s",
            "--store-queue",
            "1024",
            "--drift-flows",
            "200",
            "--on-failure",
            "fragile=open",
        ],
    );
    let routes = deploy().join("prometheus/alertmanager.yml");
    fs::copy(routes, folder.path().join("alertmanager.yml")).unwrap();
    let alertmanager = Tool::start(
        "prometheus-alertmanager",
        folder.path(),
        &[
            "--config.file=alertmanager.yml",
            "--storage.path=alerts",
            "--cluster.listen-address=",
        ],
    );
    let fed_home = Home::new();
    let mut broker =
        KafkaServer::start().inspect_err(|reason| eprintln!("skipped: the rules of brokers: {reason}"));
    let fed = broker.as_ref().ok().map(|broker| {
        let topic = broker.topic("watched", 1);
        let server = Server::start(&fed_home, &["--kafka", &broker.address(), "--topic", &topic]);
        (topic, server)
    });
    let mut programs = vec![("well", &well), ("troubled", &troubled)];
    programs.extend(fed.iter().map(|(_, server)| ("fed", server)));
    let prometheus = prometheus(folder.path(), &programs, &alertmanager);

    // Flows that are unlike those of the training; then a version that fails, and is taken back.
    activate(&troubled, &package(b"one", ""));
    exporter.send(20);
    troubled.wait("flows", |server| server.counter("flows_scored") >= 400);
    wait_for_alert(&prometheus, "troubled", "NetsageDrift");
    activate(&troubled, &package(b"two", "unreachable"));
    let failed = std::time::Instant::now();
    while !fired(&prometheus, "troubled").contains("NetsageRollback") {
        assert!(failed.elapsed() < PATIENCE, "{}", troubled.log.lock().unwrap());
        exporter.send(5);
        thread::sleep(Duration::from_millis(300));
    }
    wait_for_alert(&prometheus, "troubled", "NetsageUnscored");
    check_panels(&prometheus, &well);
    for program in [&well, &troubled] {
        check_metrics(folder.path(), program);
    }
    check_names(&[&well, &troubled]);
    assert_eq!(fired(&prometheus, "well"), BTreeSet::new());

    // What an exporter sent and nobody received.
    exporter.sequence += 3_000;
    exporter.send(1);
    wait_for_alert(&prometheus, "troubled", "NetsageSourceLoss");

    // Another process holds the store, and more comes than may wait.
    let other = hold_store(&sick);
    let flood = std::time::Instant::now();
    while !fired(&prometheus, "troubled").contains("NetsageLoss") {
        assert!(flood.elapsed() < PATIENCE, "{}", troubled.health());
        exporter.send(10);
        thread::sleep(Duration::from_millis(100));
    }
    wait_for_alert(&prometheus, "troubled", "NetsageStoreAway");
    wait_for_alert(&prometheus, "troubled", "NetsageLag");
    wait_for_alert(&prometheus, "troubled", "NetsageSilence");
    drop(other);
    wait_for_alert(&prometheus, "troubled", "NetsageOutputLag");
    if let (Ok(broker), Some((topic, fed))) = (&mut broker, &fed) {
        trouble_with_broker(broker, topic, fed, &fed_home, &prometheus);
    }
    troubled.kill();
    wait_for_alert(&prometheus, "troubled", "NetsageDown");

    // Alertmanager has them, each by its route.
    wait_for("the alert of a program that is down", || {
        let alerts = alertmanager.get("/api/v2/alerts");
        alerts.as_array().unwrap().iter().any(|alert| {
            let is_it = alert["labels"]["alertname"] == "NetsageDown";
            is_it && alert["receivers"] == json!([{ "name": "on-call" }])
        })
    });
    let troubles = fired(&prometheus, "troubled");
    assert_eq!(troubles, PROVOKED.map(str::to_owned).into());
    assert_eq!(fired(&prometheus, "well"), BTreeSet::new());
}

#[test]
fn rules_are_hastened() {
    let rules = "  expr: increase(a{b=~\"[a-z]\"}[10m]) + min_over_time(c[1d] offset 10m)\n  for: 2m\n  summary: wait for: it\n";
    let expected = "  expr: increase(a{b=~\"[a-z]\"}[15s]) + min_over_time(c[15s] offset 15s)\n  for: 5s\n  summary: wait for: it\n";
    assert_eq!(hastened(rules), expected);
}
