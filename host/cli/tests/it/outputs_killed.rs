//! One program with an output of each kind, which is killed again and again while the receivers come and go: every alert
//! arrives at each of them.

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
/// Lines that a syslog receiver may miss at each end of a connection: what the program sends again while it lives.
const RESEND: usize = 20;

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
    let document: Value = serde_json::from_slice(document).ok()?;
    let id = document["id"].as_str().filter(|_| document["kind"] == "alert")?;
    Some((
        id.to_owned(),
        document["revision"].as_u64()?,
        Some(document["alert"].clone()),
    ))
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
        text.split(|byte| *byte == b'\n').filter_map(alert).collect()
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

    /// Syslog acknowledges nothing: what was under way when the program was killed, or the receiver, is missing.
    fn may_miss(&self) -> usize {
        RESEND * (usize::try_from(KILLS).unwrap() + 1)
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
        published
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

/// The alerts that have arrived somewhere; a repeat is the same as the first.
fn ids(name: &str, receiver: &dyn Receiver) -> BTreeSet<String> {
    let mut known: BTreeMap<(String, u64), Option<Value>> = BTreeMap::new();
    for (id, revision, document) in receiver.arrived() {
        let first = known.entry((id, revision)).or_insert_with(|| document.clone());
        assert_eq!(*first, document, "{name}: a repeat is the same");
    }
    known.into_keys().map(|(id, _)| id).collect()
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
    let rounds = KILLS + 1;
    let mut written = 0;
    for round in 0..KILLS {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        let until = (round + 1) * alerts() / rounds;
        file.write_all((written..until).map(odd).collect::<String>().as_bytes())
            .unwrap();
        written = until;
        // Each of them is away once.
        let is_away = |place: usize| place as u64 % KILLS == round;
        let server = start(&home);
        for (_, (_, receiver)) in (0..).zip(&mut receivers).filter(|(place, _)| is_away(*place)) {
            receiver.fail(true);
        }
        // In the middle of a page, as one of those that are there sees it.
        let here = (0..).zip(&receivers).find(|(place, _)| !is_away(*place));
        let (_, (name, receiver)) = here.unwrap();
        let before = ids(name, &**receiver).len();
        let begin = Instant::now();
        while ids(name, &**receiver).len() < before + 10 {
            assert!(begin.elapsed() < PATIENCE, "{}", server.health());
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        for (_, (_, receiver)) in (0..).zip(&mut receivers).filter(|(place, _)| is_away(*place)) {
            receiver.fail(false);
        }
    }
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all((written..alerts()).map(odd).collect::<String>().as_bytes())
        .unwrap();
    let server = start(&home);
    let expected = || -> BTreeSet<String> {
        let alerts = server.all("/api/v1/alerts").into_iter();
        alerts
            .map(|alert| alert["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = usize::try_from(alerts()).unwrap();
    server.wait("all alerts", |_| expected().len() == all);
    let expected = expected();
    let mut repeated = 0;
    for (name, receiver) in &receivers {
        let begin = Instant::now();
        let missing = || expected.difference(&ids(name, &**receiver)).count();
        while missing() > receiver.may_miss() {
            assert!(
                begin.elapsed() < PATIENCE,
                "{name}: {} of {all} alerts are missing; {}",
                missing(),
                server.get("/api/v1/outputs").1
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let arrived = receiver.arrived().len();
        eprintln!(
            "{name}: {arrived} messages of {all} alerts, {} missing",
            missing()
        );
        repeated += arrived.saturating_sub(all);
    }
    assert!(repeated > 0, "no kill fell between a message and its cursor");
}
