//! One program with an output of each kind, which is killed again and again while the receivers come and go: every alert
//! arrives at each of them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netsage_testkit::http_receiver::{HttpReceiver, Manner};
use netsage_testkit::mail_server::{Access, MailServer};
use netsage_testkit::mosquitto::{Door, Mosquitto, Subscriber};
use netsage_testkit::recipe::Recipe;
use netsage_testkit::syslog::{Program, SyslogServer, Transport};
use serde_json::Value;

use super::support::{Home, PATIENCE, Server, packages_built};

/// How often the program is killed.
const KILLS: u64 = 3;
/// Lines that are sent again after a broken connection, at least as many as are handed over at once.
const RESEND: usize = 100;

/// Alerts in all; `NETSAGE_TEST_KILLED_ALERTS` asks for another number.
fn alerts() -> u64 {
    let given = std::env::var("NETSAGE_TEST_KILLED_ALERTS");
    given.map_or(300, |given| given.parse().expect("a number of alerts"))
}

/// What came: the id of an alert, its revision, and the alert itself where the receiver has it.
type Arrived = (String, u64, Option<Value>);

/// A receiver of one kind.
trait Receiver {
    /// What stands in its table of the settings file.
    fn table(&self) -> String;

    /// Takes nothing from now on, or takes everything again.
    fn fail(&mut self, fails: bool);

    /// Whatever came of alerts so far.
    fn arrived(&self) -> Vec<Arrived>;

    /// How many alerts may be missing in the end.
    fn may_miss(&self) -> usize {
        0
    }
}

/// The alert of a document in the project's own JSON; `None` for one of something else.
fn alert(document: &[u8]) -> Option<Arrived> {
    let document: Value = serde_json::from_slice(document).expect("JSON");
    let id = document["id"].as_str().filter(|_| document["kind"] == "alert")?;
    let (id, revision) = (id.to_owned(), document["revision"].as_u64()?);
    // What is around it names the address of the program, which is another one at each start.
    Some((id, revision, Some(document["alert"].clone())))
}

struct Posts(HttpReceiver);

impl Receiver for Posts {
    fn table(&self) -> String {
        format!("type = \"webhook\"\nurl = {:?}\n", self.0.url())
    }

    fn fail(&mut self, fails: bool) {
        self.0.set(match fails {
            true => Manner::Answers(500, "", String::new()),
            false => Manner::Takes("ok"),
        });
    }

    fn arrived(&self) -> Vec<Arrived> {
        let posts = self.0.taken().into_iter();
        posts.filter_map(|post| alert(&post.body)).collect()
    }
}

/// A file, whose folder is moved away and something else put in its place.
struct Lines(PathBuf);

impl Receiver for Lines {
    fn table(&self) -> String {
        format!("type = \"file\"\npath = {:?}\n", self.0.join("alerts.jsonl"))
    }

    fn fail(&mut self, fails: bool) {
        let aside = self.0.with_extension("aside");
        if fails {
            fs::rename(&self.0, &aside).unwrap();
            fs::write(&self.0, "").unwrap();
        } else {
            fs::remove_file(&self.0).unwrap();
            fs::rename(&aside, &self.0).unwrap();
        }
    }

    fn arrived(&self) -> Vec<Arrived> {
        let text = fs::read(self.0.join("alerts.jsonl")).unwrap_or_default();
        // A line that was cut off by a kill is ended at the next start.
        let lines = text.split(|byte| *byte == b'\n');
        let whole = lines.filter(|line| serde_json::from_slice::<Value>(line).is_ok());
        whole.filter_map(alert).collect()
    }
}

struct Mails(MailServer);

impl Receiver for Mails {
    fn table(&self) -> String {
        format!(
            "type = \"mail\"\nserver = {:?}\ntls = \"none\"\nfrom = \"netsage@example.com\"\nto = [\"soc@example.com\"]\n",
            self.0.address()
        )
    }

    fn fail(&mut self, fails: bool) {
        match fails {
            true => self.0.stop(),
            false => self.0.restart(),
        }
    }

    fn arrived(&self) -> Vec<Arrived> {
        let mails = self.0.taken().into_iter();
        let listed = mails.flat_map(|mail| mail.listed());
        listed.map(|(id, revision)| (id, revision, None)).collect()
    }
}

struct Logged(SyslogServer);

impl Receiver for Logged {
    fn table(&self) -> String {
        format!(
            "type = \"syslog\"\naddress = \"tcp://{}\"\nresend = {RESEND}\n",
            self.0.place(Transport::Tcp)
        )
    }

    fn fail(&mut self, fails: bool) {
        match fails {
            true => self.0.end(true),
            false => self.0.start_again().unwrap(),
        }
    }

    fn arrived(&self) -> Vec<Arrived> {
        let lines = self.0.received().into_iter();
        let own = lines.filter(|line| line.program == "netsage");
        own.filter_map(|line| alert(line.text.as_bytes())).collect()
    }

    /// Syslog acknowledges nothing: what was under way may be missing.
    fn may_miss(&self) -> usize {
        RESEND
    }
}

struct Published {
    broker: Mosquitto,
    subscriber: Subscriber,
}

impl Receiver for Published {
    fn table(&self) -> String {
        format!(
            "type = \"mqtt\"\naddress = \"mqtt://{}\"\n",
            self.broker.place(Door::Open)
        )
    }

    fn fail(&mut self, fails: bool) {
        match fails {
            true => self.broker.end(),
            false => self.broker.start_again().unwrap(),
        }
    }

    fn arrived(&self) -> Vec<Arrived> {
        let published = self.subscriber.published().into_iter();
        let documents = published.filter(|one| !one.topic.ends_with("/state"));
        documents
            .filter_map(|one| alert(one.payload.as_bytes()))
            .collect()
    }
}

#[cfg(feature = "kafka")]
mod by_topic {
    use netsage_testkit::kafka::KafkaServer;

    use super::{Arrived, Receiver, alert};

    pub(super) struct Topic {
        pub(super) broker: KafkaServer,
        pub(super) name: String,
        /// Whether the broker is away, which then cannot be asked.
        pub(super) is_away: bool,
    }

    impl Receiver for Topic {
        fn table(&self) -> String {
            format!(
                "type = \"kafka\"\nbrokers = {:?}\ntopic = {:?}\ntimeout = 2\n",
                self.broker.address(),
                self.name
            )
        }

        fn fail(&mut self, fails: bool) {
            self.is_away = fails;
            match fails {
                true => self.broker.kill(),
                false => self.broker.start_again().unwrap(),
            }
        }

        fn arrived(&self) -> Vec<Arrived> {
            if self.is_away {
                return Vec::new();
            }
            let messages = self.broker.messages(&self.name).into_iter();
            messages.filter_map(|(_, _, value)| alert(&value)).collect()
        }
    }
}

/// All receivers that can be had here, by their names; says which cannot.
fn receivers(home: &Home) -> Vec<(&'static str, Box<dyn Receiver>)> {
    let folder = home.path().join("alerts");
    fs::create_dir(&folder).unwrap();
    let mut receivers: Vec<(&str, Box<dyn Receiver>)> = vec![
        ("webhook", Box::new(Posts(HttpReceiver::start()))),
        ("file", Box::new(Lines(folder))),
    ];
    let mut add = |name, started: Result<Box<dyn Receiver>, String>| match started {
        Ok(receiver) => receivers.push((name, receiver)),
        Err(reason) => eprintln!("skipped: {name}: {reason}"),
    };
    add(
        "mail",
        MailServer::start(Access::default()).map(|server| Box::new(Mails(server)) as _),
    );
    add(
        "syslog",
        SyslogServer::start(Program::Rsyslog).map(|server| Box::new(Logged(server)) as _),
    );
    let published = Mosquitto::start().and_then(|broker| {
        let subscriber = broker.subscribe("reader")?;
        Ok(Box::new(Published { broker, subscriber }) as _)
    });
    add("mqtt", published);
    #[cfg(feature = "kafka")]
    add(
        "topic",
        netsage_testkit::kafka::KafkaServer::start().map(|broker| {
            let name = broker.topic("alerts", 1);
            Box::new(by_topic::Topic {
                broker,
                name,
                is_away: false,
            }) as _
        }),
    );
    receivers
}

/// A flow that is an alert of its own.
fn odd(number: u64) -> String {
    let start_us = 1_767_603_600_000_000 + number * 1_000;
    let end_us = start_us + 900_000;
    let [.., high, middle, low] = number.to_be_bytes();
    format!(
        "{{\"start_us\":{start_us},\"end_us\":{end_us},\"source\":\"10.{high}.{middle}.{low}\",\"destination\":\"172.{high}.{middle}.{low}\",\
         \"source_port\":40000,\"destination_port\":443,\"protocol\":\"tcp\",\"state\":\"closed\",\"source_packets\":9,\
         \"destination_packets\":11,\"source_bytes\":989,\"destination_bytes\":4580,\"uid\":\"C{number}\"}}\n"
    )
}

/// A detector that scores a flow by its duration.
fn detector() -> Vec<u8> {
    let recipe = Recipe {
        name: "long".to_owned(),
        schema: Some("record-v1@1"),
        columns: vec!["duration".to_owned()],
        ..Recipe::default()
    };
    recipe.package_with(b"model", None).bytes().to_vec()
}

fn start(home: &Home) -> Server {
    let arguments = "--records flows.json --follow --lateness 1s --detector long.wasm --threshold long=0.0001 \
                     --alert-limit none --alert-sources none --store store.sqlite --data-dir data";
    Server::start(home, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// What has arrived somewhere: the alerts, and how many messages were repeats, which are the same as the first.
fn arrived(name: &str, receiver: &dyn Receiver) -> (BTreeSet<String>, usize) {
    let mut known: BTreeMap<(String, u64), Option<Value>> = BTreeMap::new();
    let mut repeats = 0;
    for (id, revision, document) in receiver.arrived() {
        match known.entry((id, revision)) {
            Entry::Vacant(new) => drop(new.insert(document)),
            Entry::Occupied(first) => {
                assert_eq!(*first.get(), document, "{name}: a repeat is the same");
                repeats += 1;
            }
        }
    }
    (known.into_keys().map(|(id, _)| id).collect(), repeats)
}

fn count((name, receiver): &(&'static str, Box<dyn Receiver>)) -> usize {
    arrived(name, &**receiver).0.len()
}

/// Waits until something has happened that the program has a part in.
fn until(server: &Server, what: &str, mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        let outputs = || server.get("/api/v1/outputs").1;
        assert!(
            begin.elapsed() < PATIENCE,
            "waited in vain for {what}: {}",
            outputs()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The attempts of an output that have failed.
fn failures(server: &Server, name: &str) -> u64 {
    let outputs = server.get("/api/v1/outputs").1;
    let mut outputs = outputs.as_array().unwrap().iter();
    let output = outputs.find(|output| output["name"] == name).unwrap();
    output["failures"].as_u64().unwrap()
}

#[test]
fn every_alert_arrives_everywhere_though_the_program_is_killed() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut receivers = receivers(&home);
    let tables = receivers.iter().map(|(name, receiver)| {
        let table = receiver.table();
        format!("[output.{name}]\n{table}begin = \"first\"\n")
    });
    home.file("netsage.toml", tables.collect::<String>().as_bytes());
    home.file("long.wasm", &detector());
    let path = home.file("flows.json", b"");
    let mut written = 0;
    // The next of as many parts as there are before and between kills and after the last one.
    let mut write = || {
        let part = alerts().div_ceil(2 * KILLS + 1);
        let until = (written + part).min(alerts());
        let lines: String = (written..until).map(odd).collect();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        written = until;
        usize::try_from(written).unwrap()
    };
    let mut kills_within_a_part = 0;
    for round in 0..KILLS {
        // Each of the receivers is away once, and comes back while the program lives.
        let is_away = |place: usize| place as u64 % KILLS == round;
        let server = start(&home);
        let before: Vec<usize> = receivers.iter().map(count).collect();
        for (place, (_, receiver)) in receivers.iter_mut().enumerate() {
            if is_away(place) {
                receiver.fail(true);
            }
        }
        write();
        for (place, (name, receiver)) in receivers.iter_mut().enumerate() {
            if is_away(place) {
                until(&server, "a failure", || failures(&server, name) > 0);
                receiver.fail(false);
            }
        }
        for (place, (receiver, before)) in receivers.iter().zip(before).enumerate() {
            if is_away(place) {
                until(&server, "a receiver that is back", || count(receiver) > before);
            }
        }
        // The program is killed while it posts one alert after the other.
        let before = count(&receivers[0]);
        let all = write();
        until(&server, "a part of the alerts", || {
            count(&receivers[0]) > before + 5
        });
        server.kill();
        kills_within_a_part += usize::from(count(&receivers[0]) < all);
    }
    assert!(kills_within_a_part > 0, "no kill fell between two alerts");
    let all = write();
    let server = start(&home);
    let expected = || -> BTreeSet<String> {
        let alerts = server.all("/api/v1/alerts").into_iter();
        alerts
            .map(|alert| alert["id"].as_str().unwrap().to_owned())
            .collect()
    };
    server.wait("all alerts", |_| expected().len() == all);
    let expected = expected();
    let mut repeats_of_all = 0;
    for (name, receiver) in &receivers {
        let missing = || expected.difference(&arrived(name, &**receiver).0).count();
        until(&server, name, || missing() <= receiver.may_miss());
        let (_, repeats) = arrived(name, &**receiver);
        eprintln!(
            "{name}: {} of {all} alerts are missing, {repeats} repeats",
            missing()
        );
        repeats_of_all += repeats;
    }
    assert!(
        repeats_of_all > 0,
        "no kill fell between a message and its cursor"
    );
}
