//! Gateways that forward to a central, while what is between them fails.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use netsage_testkit::nginx::Nginx;
use rusqlite::Connection;
use serde_json::Value;

use super::support::{Home, PATIENCE, Server, free_address, packages_built, stderr, wait_for};

/// Flows a second of a feed.
const RATE: u64 = 2_000;
/// Seconds that the receiver is away in the ordinary suite; `NETSAGE_TEST_OUTAGE` asks for others.
const OUTAGE: u64 = 6;
const BEGIN_MS: u64 = 1_767_603_600_000;
const TOKEN: &str = "correct-horse-battery-staple";

fn outage() -> Duration {
    let seconds = std::env::var("NETSAGE_TEST_OUTAGE").map_or(OUTAGE, |given| given.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Starts `netsage run` with these arguments, parted as by a shell.
pub(crate) fn start(home: &Home, arguments: &str) -> Server {
    Server::start(home, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs `netsage run` with these arguments until it ends, which must be well.
pub(crate) fn run(home: &Home, arguments: &str) {
    let usual = ["run", "--listen", "127.0.0.1:0"];
    let output = home.run(
        &usual
            .into_iter()
            .chain(arguments.split_whitespace())
            .collect::<Vec<_>>(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A flow as JSON; what it says depends on its number alone.
fn flow(number: u64) -> String {
    let start_ms = BEGIN_MS + number;
    format!(
        "{{\"start_us\":{start_ms}000,\"end_us\":{start_ms}900,\"source\":\"10.1.0.{}\",\"destination\":\"192.0.2.{}\",\
         \"source_port\":40000,\"destination_port\":443,\"protocol\":\"tcp\",\"state\":\"closed\",\"source_packets\":9,\
         \"destination_packets\":11,\"source_bytes\":989,\"destination_bytes\":4580,\"uid\":\"C{number}\"}}\n",
        number % 200,
        number % 50,
    )
}

/// Appends flows to a file, so many a second, until it is told to stop. Gives how many.
fn feed(path: &Path, stop: &AtomicBool, written: &AtomicU64) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let begin = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let due = u64::try_from(begin.elapsed().as_millis()).unwrap() * RATE / 1_000;
        let from = written.load(Ordering::Relaxed);
        let lines: String = (from..due).map(flow).collect();
        file.write_all(lines.as_bytes()).unwrap();
        written.store(due.max(from), Ordering::Release);
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a feed, also after a panic.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The numbers of the flows in a store, each of which is there once.
fn stored(store: &Path) -> BTreeSet<u64> {
    let store = Connection::open(store).unwrap();
    let mut query = store.prepare("SELECT start_ms FROM flows").unwrap();
    let starts = query.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let mut numbers = BTreeSet::new();
    for start_ms in starts {
        let number = u64::try_from(start_ms.unwrap()).unwrap() - BEGIN_MS;
        assert!(numbers.insert(number), "flow {number} stands twice");
    }
    numbers
}

fn count(store: &Path) -> u64 {
    let store = Connection::open(store).unwrap();
    let counted = store.query_row("SELECT count(*) FROM flows", [], |row| row.get::<_, i64>(0));
    u64::try_from(counted.unwrap_or(0)).unwrap()
}

/// Waits for so many flows, for as long as more of them come.
fn wait_for_flows(store: &Path, flows: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < flows {
        let now = count(store);
        if now > seen {
            (seen, since) = (now, Instant::now());
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{seen} of {flows} flows are at the central"
        );
        // Counting many flows takes a while itself.
        thread::sleep(Duration::from_millis(200));
    }
}

fn forward(server: &Server) -> Value {
    server.health()["forward"].clone()
}

fn waiting(server: &Server) -> u64 {
    forward(server)["waiting"].as_u64().unwrap()
}

/// What there is between a gateway and its central.
trait Between {
    /// The flags of the gateway.
    fn flags(&self, home: &Home) -> String;
    fn down(&mut self);
    fn up(&mut self);
    /// Waits until the central has so many flows, and gives its home.
    fn central(&self, flows: u64) -> &Home;
}

/// A followed file is forwarded while the receiver is away and the gateway is killed twice: nothing is lost, and each flow is
/// once in the central's store.
fn check_outage(between: &mut dyn Between) {
    // Seven minutes of flows take 336 MB, which is more than the usual bound.
    const SPOOL: u64 = 512 << 20;
    let home = Home::new();
    let log = home.path().join("flows.json");
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let flags = between.flags(&home);
    let arguments = format!(
        "--records flows.json --follow --no-score --sensor tap-1 --network hq --lateness 0s --data-dir data \
         --forward-spool {}KiB {flags}",
        SPOOL >> 10
    );
    let start = || start(&home, &arguments);
    std::fs::write(&log, flow(0)).unwrap();
    written.store(1, Ordering::Relaxed);
    let server = thread::scope(|scope| {
        scope.spawn(|| feed(&log, &stop, &written));
        let _ends = Ends(&stop);
        let mut server = start();
        server.wait("the first flows", |server| {
            forward(server)["sent"].as_u64() > Some(0)
        });
        between.down();
        let begin = Instant::now();
        for part in 1..=2 {
            thread::sleep((outage() * part / 3).saturating_sub(begin.elapsed()));
            server.wait("flows that wait", |server| waiting(server) > 0);
            server.kill();
            server = start();
        }
        thread::sleep(outage().saturating_sub(begin.elapsed()));
        server.wait("the trouble in health", |server| {
            server.health()["problems"]
                .to_string()
                .contains("flows are not forwarded")
        });
        let bytes: u64 = std::fs::read_dir(home.path().join("data/forward"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= SPOOL + 4_096, "{bytes}");
        between.up();
        server
    });
    let flows = written.load(Ordering::Acquire);
    let central = between.central(flows);
    server.wait("an empty spool", |server| waiting(server) == 0);
    assert!(
        stored(&central.path().join("store.sqlite"))
            .into_iter()
            .eq(0..flows)
    );
    let health = forward(&server);
    assert_eq!(
        (&health["given_up"], &health["set_aside"]),
        (&0.into(), &0.into()),
        "{health}"
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child().id())).unwrap();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap_or_default();
    eprintln!(
        "{flows} flows, {} sent by the last run, {resident}",
        health["sent"]
    );
}

/// A central that takes flows by HTTP.
fn central(home: &Home) -> Server {
    start(
        home,
        &format!("--inbox 256MiB --lateness 0s --store store.sqlite --data-dir data --token {TOKEN}"),
    )
}

fn host(server: &Server) -> String {
    server.base.trim_start_matches("http://").to_owned()
}

struct ByHttps {
    home: Home,
    server: Server,
    nginx: Nginx,
}

impl Between for ByHttps {
    fn flags(&self, home: &Home) -> String {
        home.file("token", TOKEN.as_bytes());
        let file = |name| self.nginx.file(name).display().to_string();
        format!(
            "--forward {}/api/v1/flows --forward-token-file token --forward-ca {} --forward-certificate {} --forward-key {}",
            self.nginx.url(),
            file("authority.pem"),
            file("client.pem"),
            file("client.key")
        )
    }

    fn down(&mut self) {
        self.nginx.stop();
    }

    fn up(&mut self) {
        self.nginx.start_again().unwrap();
    }

    fn central(&self, flows: u64) -> &Home {
        let store = self.home.path().join("store.sqlite");
        wait_for_flows(&store, flows);
        let bearer = format!("Bearer {TOKEN}");
        let (_, senders) = self
            .server
            .get_with("/api/v1/senders", ("authorization", &bearer));
        let sender = &senders[0];
        assert_eq!(
            (&sender["sensor"], &sender["network"]),
            (&"tap-1".into(), &"hq".into()),
            "{senders}"
        );
        assert_eq!(sender["given_up"], 0);
        &self.home
    }
}

#[test]
fn an_outage_of_https_and_two_kills_lose_nothing() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let server = central(&home);
    match Nginx::start(&host(&server), true) {
        Ok(nginx) => check_outage(&mut ByHttps { home, server, nginx }),
        Err(reason) => eprintln!("skipped: no nginx: {reason}"),
    }
}

#[cfg(feature = "kafka")]
mod by_topic {
    use std::cell::OnceCell;

    use netsage_testkit::kafka::{KafkaServer, fresh};

    use super::*;

    struct ByTopic {
        broker: KafkaServer,
        topic: String,
        home: Home,
        server: OnceCell<Server>,
    }

    impl Between for ByTopic {
        fn flags(&self, _: &Home) -> String {
            // An outage is longer than the client waits for a message to be delivered.
            format!(
                "--forward kafka://{}/{} --forward-setting message.timeout.ms=2000",
                self.broker.address(),
                self.topic
            )
        }

        fn down(&mut self) {
            self.broker.kill();
        }

        fn up(&mut self) {
            self.broker.start_again().unwrap();
        }

        fn central(&self, flows: u64) -> &Home {
            let (address, group) = (self.broker.address(), fresh("central"));
            let arguments = format!(
                "--kafka {address} --topic {} --group {group} --lateness 0s --store store.sqlite --data-dir data",
                self.topic
            );
            let server = self.server.get_or_init(|| start(&self.home, &arguments));
            let store = self.home.path().join("store.sqlite");
            wait_for_flows(&store, flows);
            let senders = server.get("/api/v1/senders").1;
            assert_eq!(senders[0]["sensor"], "tap-1", "{senders}");
            &self.home
        }
    }

    #[test]
    fn an_outage_of_the_broker_and_two_kills_lose_nothing() {
        if !packages_built() {
            return;
        }
        // One of its own, since it is killed.
        match KafkaServer::start() {
            Ok(broker) => check_outage(&mut ByTopic {
                topic: broker.topic("forwarded", 4),
                broker,
                home: Home::new(),
                server: OnceCell::new(),
            }),
            Err(reason) => eprintln!("skipped: no Kafka: {reason}"),
        }
    }
}

#[test]
fn what_a_full_spool_gives_up_is_counted() {
    const FLOWS: u64 = 20_000;
    if !packages_built() {
        return;
    }
    let address = free_address();
    let (home, central_home) = (Home::new(), Home::new());
    let lines: String = (0..FLOWS).map(flow).collect();
    home.file("flows.json", lines.as_bytes());
    home.file("token", TOKEN.as_bytes());
    let url = format!("http://{address}/api/v1/flows");
    let arguments = format!(
        "--records flows.json --follow --no-score --lateness 0s --data-dir data --forward {url} --forward-spool 1MiB --forward-token-file token"
    );
    let taken = |server: &Server| server.counter("flows_scored");
    let mut server = start(&home, &arguments);
    server.wait("all flows", |server| taken(server) >= FLOWS);
    assert!(
        forward(&server)["given_up"].as_u64() > Some(0),
        "{}",
        forward(&server)
    );
    // Until the place in the file is kept.
    thread::sleep(Duration::from_millis(500));
    server.kill();
    server = start(&home, &arguments);
    // What was on its way to nobody when it had to leave is among them now.
    let given_up = forward(&server)["given_up"].as_u64().unwrap();
    assert_eq!(waiting(&server) + given_up, FLOWS, "{}", forward(&server));
    let arguments = format!(
        "run --listen {address} --inbox 64MiB --lateness 0s --store store.sqlite --data-dir data --token {TOKEN}"
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let central = Server::start_as(&central_home, &arguments);
    let store = central_home.path().join("store.sqlite");
    server.wait("an empty spool", |server| waiting(server) == 0);
    wait_for("the flows that are left", || count(&store) + given_up >= FLOWS);
    let stored = stored(&store);
    assert!(
        stored.iter().copied().eq(given_up..FLOWS),
        "{} stored",
        stored.len()
    );
    drop(central);
}

#[test]
fn a_sender_that_is_not_to_send_pauses_and_says_why() {
    if !packages_built() {
        return;
    }
    let (home, central_home) = (Home::new(), Home::new());
    let central = central(&central_home);
    let token = home.file("token", b"wrong-horse-battery-staple");
    home.file("flows.json", (0..100).map(flow).collect::<String>().as_bytes());
    let url = format!("{}/api/v1/flows", central.base);
    let server = start(
        &home,
        &format!(
            "--records flows.json --no-score --data-dir data --forward {url} --forward-token-file token"
        ),
    );
    server.wait("the refusal", |server| {
        let problems = server.health()["problems"].to_string();
        problems.contains("answers 401") && problems.contains("forward-token-file")
    });
    assert_eq!(
        (waiting(&server), &forward(&server)["set_aside"]),
        (100, &0.into())
    );
    // The file is read again.
    std::fs::write(token, TOKEN).unwrap();
    server.wait("an empty spool", |server| waiting(server) == 0);
    let metrics = String::from_utf8(server.bytes("/metrics", &[]).unwrap()).unwrap();
    assert!(metrics.contains("netsage_forward_sent_total 100"), "{metrics}");
    let store = central_home.path().join("store.sqlite");
    wait_for("the flows", || count(&store) == 100);
}

#[test]
fn a_file_is_forwarded_before_the_program_ends() {
    if !packages_built() {
        return;
    }
    let (home, central_home) = (Home::new(), Home::new());
    let central = central(&central_home);
    home.file("token", TOKEN.as_bytes());
    home.file("flows.json", (0..5_000).map(flow).collect::<String>().as_bytes());
    let url = format!("{}/api/v1/flows", central.base);
    let to = format!("--forward {url} --forward-token-file token");
    run(
        &home,
        &format!("--records flows.json --no-score --exit-when-done --data-dir data {to}"),
    );
    let store = central_home.path().join("store.sqlite");
    wait_for("the flows", || count(&store) == 5_000);
    assert!(
        !home.path().join("data/netsage.sqlite").exists(),
        "nothing is stored here"
    );
}

/// A capture is metered with rows of another schema and scored: both go along with the record.
#[test]
fn rows_and_scores_go_along() {
    if !packages_built() {
        return;
    }
    let (home, central_home) = (Home::new(), Home::new());
    let capture = home.capture(300);
    let central = central(&central_home);
    home.file("token", TOKEN.as_bytes());
    let url = format!("{}/api/v1/flows", central.base);
    let to = format!("--sensor tap-1 --forward {url} --forward-token-file token");
    let capture = capture.display();
    run(
        &home,
        &format!("--pcap {capture} --schema flow-v1 --exit-when-done --data-dir data {to}"),
    );
    let metered = count(&home.path().join("data/netsage.sqlite"));
    assert!(metered > 100);
    let store = central_home.path().join("store.sqlite");
    wait_for("the flows", || count(&store) == metered);
    for flow in central.all("/api/v1/flows") {
        let foreign = &flow["foreign"];
        assert!(
            foreign["row"]["schema"].as_str().unwrap().starts_with("flow-v1@"),
            "{flow}"
        );
        assert_eq!(
            foreign["row"]["values"].as_array().unwrap().len(),
            netsage_schema::FLOW_V1.width()
        );
        let of = |scores: &Value| {
            let scores = scores.as_array().unwrap().iter();
            scores
                .map(|score| score["detector"].to_string())
                .collect::<Vec<_>>()
        };
        // Those of the gateway beside those of the central.
        assert!(
            of(&foreign["scores"]).contains(&"\"iforest\"".to_owned()),
            "{flow}"
        );
        assert!(!flow["scores"].as_array().unwrap().is_empty(), "{flow}");
        assert_eq!(flow["sensor"], "tap-1");
    }
}
