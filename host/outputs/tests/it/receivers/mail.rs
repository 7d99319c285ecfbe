//! Mail to a real SMTP server, which fails in every way that SMTP has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netsage_api_types::Alert;
use netsage_messages::{Message, Wording};
use netsage_outputs::receivers::mail::MailOutput;
use netsage_outputs::{Output, Undelivered};
use netsage_store::BoxFuture;
use netsage_testkit::backends::{mongodb, sqlite};
use netsage_testkit::certificates::Certificates;
use netsage_testkit::mail_server::{Access, Mail, MailServer};

use serde_json::json;

use super::contract::{Fed, Receiver};
use super::{Outcome, alerts, deliver, digest, hostile};
use crate::contract::keeps_the_contract;

const PLAIN: &str = "tls = \"none\"\ntimeout = \"2s\"";

/// A server; `None`, and said so, where there is none.
fn start(access: Access) -> Option<MailServer> {
    let started = MailServer::start(access);
    started.map_err(|why| eprintln!("skipped: {why}")).ok()
}

fn output(server: &str, more: &str) -> MailOutput {
    let usual = "from = \"NetSage <netsage@example.com>\"\n";
    let to = if more.contains("to = ") {
        ""
    } else {
        "to = [\"soc@example.com\"]\n"
    };
    let options = toml::from_str(&format!("server = {server:?}\n{usual}{to}{more}")).expect("options");
    MailOutput::new(&options, Wording::default()).expect("an e-mail output")
}

/// A server of mail in the contract suite. A mail lists the ids and revisions of its alerts; what stands behind these is known
/// from what was handed over.
struct Mails {
    server: MailServer,
    handed_over: Arc<Mutex<BTreeMap<(String, u64), Alert>>>,
}

/// An output that notes what it is handed.
struct Noting {
    output: MailOutput,
    handed_over: Arc<Mutex<BTreeMap<(String, u64), Alert>>>,
}

impl Output for Noting {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        let mut handed_over = self.handed_over.lock().unwrap();
        for message in messages {
            if let Message::Alert(alert) = message {
                handed_over.insert((message.id(), alert.revision), alert.alert.clone());
            }
        }
        drop(handed_over);
        self.output.deliver(messages)
    }
}

impl Receiver for Mails {
    fn output(&self) -> Box<dyn Output> {
        Box::new(Noting {
            output: output(&self.server.address(), PLAIN),
            handed_over: Arc::clone(&self.handed_over),
        })
    }

    fn block(&mut self, is_blocked: bool) {
        self.server
            .set(if is_blocked { "mail 451 4.3.0 later" } else { "" });
    }

    fn documents(&self) -> Vec<Vec<u8>> {
        let handed_over = self.handed_over.lock().unwrap();
        let mut documents = Vec::new();
        for mail in self.server.taken() {
            // The oddest stands first in a mail, and all of them come at once.
            let mut of_mail: Vec<_> = mail.listed().into_iter().collect();
            of_mail.sort_unstable_by_key(|(_, revision)| *revision);
            documents.extend(of_mail.into_iter().map(|key| {
                let alert = &handed_over[&key];
                serde_json::to_vec(&json!({ "revision": key.1, "alert": alert })).expect("JSON")
            }));
        }
        documents
    }
}

fn mails() -> Fed<Mails> {
    Fed::new(Mails {
        server: MailServer::start(Access::default()).expect("a server like the first"),
        handed_over: Arc::default(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_keep_the_contract_on_sqlite() {
    if start(Access::default()).is_some() {
        keeps_the_contract(mails, || Ok(sqlite())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_keep_the_contract_on_mongodb() {
    if start(Access::default()).is_some() {
        keeps_the_contract(mails, mongodb).await;
    }
}

/// The ids and revisions that mails list.
fn listed(mails: &[Mail]) -> BTreeSet<(String, u64)> {
    mails.iter().flat_map(Mail::listed).collect()
}

fn expected(messages: &[Message]) -> BTreeSet<(String, u64)> {
    messages
        .iter()
        .map(|message| (message.id(), message.revision()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_arrives_through_every_fault_and_three_kills() {
    let Some(mut server) = start(Access::default()) else {
        return;
    };
    let messages = alerts(1_000);
    let faults = [
        "mail 451 4.3.0 later",
        "rcpt 450 4.2.1 greylisted",
        "data 451 4.3.0 later",
        "data 421 4.3.2 closing",
        "cuts",
        "loses-answer",
        "slow",
    ];
    let address = server.address();
    let mut done = 0;
    let mut kills = vec![200, 400, 600];
    let mut faults = faults.into_iter();
    while done < messages.len() {
        // As a program that starts: all that it knows is what was acknowledged.
        let mut output = output(&address, "tls = \"none\"\ntimeout = \"1s\"");
        let page = &messages[done..(done + 100).min(messages.len())];
        if kills.first().is_some_and(|at| done >= *at) {
            kills.remove(0);
            server.set("slow");
            let killed =
                tokio::time::timeout(Duration::from_millis(100), deliver(&mut output, page, |_| {})).await;
            assert!(killed.is_err(), "nothing was acknowledged");
            server.set("");
            continue;
        }
        if done == 700 {
            server.stop();
            assert!(output.deliver(page).await.is_err(), "nobody listens");
            server.restart();
        }
        if let Some(fault) = faults.next() {
            server.set(fault);
            let failed = output.deliver(page).await;
            assert!(failed.is_err(), "{fault}");
            server.set("");
        }
        let outcome = deliver(&mut output, page, |_| {}).await;
        assert_eq!((outcome.refused.len(), outcome.sender_refused), (0, None));
        done += outcome.done;
    }
    assert!(kills.is_empty() && faults.next().is_none());
    let mails = server.taken();
    assert_eq!(listed(&mails), expected(&messages));
    assert!(mails.len() > 10, "a lost answer makes a repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_mail_to_all_with_the_oddest_first() {
    let Some(server) = start(Access::default()) else {
        return;
    };
    let more = format!(
        "{PLAIN}\nhello-name = \"gate.example.com\"\nto = [\"a@example.com\", \"B <b@example.com>\"]"
    );
    let mut messages = alerts(30);
    for (number, message) in (0_u8..).zip(&mut messages) {
        let Message::Alert(message) = message else {
            continue;
        };
        message.alert.score = 0.5 + f32::from(number % 7) / 20.0;
    }
    output(&server.address(), &more)
        .deliver(&messages)
        .await
        .expect("taken");
    let mails = server.taken();
    let [mail] = &mails[..] else {
        panic!("{} mails", mails.len())
    };
    assert_eq!((mail.hello.as_str(), mail.tls), ("gate.example.com", false));
    assert_eq!(mail.from, "netsage@example.com");
    assert_eq!(mail.to, ["a@example.com", "b@example.com"]);
    assert_eq!(listed(&mails), expected(&messages));
    // The seventh has the highest score, by its place the first.
    let text = mail.unquoted();
    let place = |message: &Message| text.find(&message.id()).expect("listed");
    assert!(
        messages
            .iter()
            .all(|message| place(&messages[6]) <= place(message)),
        "{text}"
    );
    assert!(
        mail.content.split("\r\n").all(|line| line.len() <= 78),
        "short lines"
    );
    assert!(
        mail.content
            .contains("Content-Transfer-Encoding: quoted-printable")
    );
}

async fn outcome(server: &MailServer, manner: &str, messages: &[Message]) -> Outcome {
    server.set(manner);
    let mut output = output(&server.address(), PLAIN);
    let outcome = deliver(&mut output, messages, |_| {});
    let outcome = tokio::time::timeout(Duration::from_secs(1), outcome).await;
    server.set("");
    outcome.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_concern_the_sender_or_a_message() {
    let Some(server) = start(Access::default()) else {
        return;
    };
    // (left out, whether the sender is refused, whether all are done with)
    let check = async |manner: &str, expected: (usize, bool, bool)| {
        let found = outcome(&server, manner, &alerts(2)).await;
        let found = (
            found.refused.len(),
            found.sender_refused.is_some(),
            found.done == 2,
        );
        assert_eq!(found, expected, "{manner}");
    };
    check("", (0, false, true)).await;
    check("data 554 5.6.0 not this", (2, false, true)).await;
    check("data 552 5.3.4 too large", (2, false, true)).await;
    check("data 530 5.7.0 log in first", (0, true, false)).await;
    check("mail 553 5.1.8 who are you", (0, true, false)).await;
    check("mail 530 5.7.0 log in first", (0, true, false)).await;
    check("rcpt 550 5.1.1 no such user", (0, true, false)).await;
    check("rcpt 450 4.2.1 later", (0, false, false)).await;
    check("data 451 4.3.0 later", (0, false, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unknown_recipient_does_not_keep_the_others_from_their_mail() {
    let Some(server) = start(Access::default()) else {
        return;
    };
    server.set("nobody gone@example.com");
    let more = format!("{PLAIN}\nto = [\"gone@example.com\", \"soc@example.com\"]");
    output(&server.address(), &more)
        .deliver(&alerts(1))
        .await
        .expect("taken");
    assert_eq!(server.taken()[0].to, ["soc@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_too_large_becomes_several() {
    let Some(server) = start(Access::default()) else {
        return;
    };
    server.set("most 30000");
    let messages = [digest(60), alerts(1).remove(0)];
    let found = deliver(&mut output(&server.address(), PLAIN), &messages, |_| {}).await;
    assert_eq!((found.done, found.refused.len()), (2, 0), "{found:?}");
    let mails = server.taken();
    assert!(mails.len() > 2, "{}", mails.len());
    assert_eq!(listed(&mails), expected(&alerts(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_login_are_kept_to() {
    let certificates = match Certificates::new() {
        Ok(certificates) => certificates,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    let set_password = |text: &str| std::fs::write(&password, text).expect("a file");
    set_password("tulip");
    let ca = |name: &str| format!("ca-file = {:?}", certificates.certificate(name));
    let login = format!("user = \"gate\"\npassword-file = {password:?}");
    for kind in ["starttls", "implicit"] {
        let access = Access {
            tls: Some((
                kind,
                certificates.certificate("server"),
                certificates.key("server"),
            )),
            login: Some(("gate", "tulip")),
        };
        let Some(server) = start(access) else { return };
        let tls = format!("tls = {kind:?}\ntimeout = \"5s\"");
        let check = async |more: &[&str], expected: &str| {
            let delivered = output(&server.address(), &format!("{tls}\n{}", more.join("\n")))
                .deliver(&alerts(1))
                .await;
            let found = delivered
                .err()
                .map_or_else(|| "taken".to_owned(), |error| error.to_string());
            assert!(found.contains(expected), "{kind} {more:?}: {found}");
            assert!(!found.contains("tulip"), "{found}");
        };
        check(&[&ca("authority"), &login], "taken").await;
        check(&[&ca("stranger"), &login], "not available").await;
        check(&[&login], "not available").await;
        check(&[&ca("authority")], "refuses this sender").await;
        set_password("wrong");
        check(&[&ca("authority"), &login], "refuses this sender").await;
        set_password("tulip");
        let mails = server.taken();
        assert_eq!(
            mails.iter().map(|mail| mail.tls).collect::<Vec<_>>(),
            [true],
            "{kind}"
        );
    }
    // A server that offers no TLS gets nothing.
    let Some(server) = start(Access::default()) else {
        return;
    };
    let mut output = output(&server.address(), &format!("{}\n{login}", ca("authority")));
    let error = output.deliver(&alerts(1)).await.expect_err("no TLS").to_string();
    assert!(error.contains("STARTTLS"), "{error}");
    assert_eq!(server.taken(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_forges_no_header_and_ends_no_mail() {
    let Some(server) = start(Access::default()) else {
        return;
    };
    let mut message = hostile(1);
    if let Message::Alert(message) = &mut message {
        message.alert.kind += "\r\n.\r\nMAIL FROM:<evil@example.com>\r\nBcc: evil@example.com\r\n.";
    }
    let mut output = output(&server.address(), PLAIN);
    output.deliver(&[message]).await.expect("taken");
    output.deliver(&[hostile(2_000)]).await.expect("taken");
    let mails = server.taken();
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        let (head, _) = mail.content.split_once("\r\n\r\n").expect("a head");
        let known = [
            "From",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "To",
            "MIME-Version",
            "Content-Type",
        ];
        for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
            let name = line.split(':').next().expect("a name");
            assert!(known.contains(&name), "{line}");
        }
        assert!(mail.content.is_ascii() && mail.content.split("\r\n").all(|line| line.len() <= 998));
        assert!(!mail.content.replace("\r\n", "").contains(['\r', '\n', '\0']));
    }
}

/// The password is for its file, and a path is no secret.
#[test]
fn a_login_needs_its_file() {
    let options = "server = \"mail.example.com\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\nuser = \"gate\"\n";
    let check = |more: &str, expected: &str| {
        let options = toml::from_str(&format!("{options}{more}")).expect("options");
        let error = MailOutput::new(&options, Wording::default())
            .map(|_| ())
            .expect_err(more)
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("", "`password-file`");
    check(
        &format!("password-file = {:?}", Path::new("/does/not/exist")),
        "/does/not/exist",
    );
    check("password-file = \"/dev/null\"", "is empty");
}
