//! Syslog, with rsyslog and syslog-ng at the other end.

use std::fs;

use netsage_messages::syslog::Sender;
use netsage_messages::{Format, Message};
use netsage_outputs::receivers::syslog::{Syslog, SyslogOptions};
use netsage_outputs::{Failure, Output as _};
use netsage_testkit::proxy::Proxy;
use netsage_testkit::syslog::{Program, Received, SyslogServer, Transport};

use super::{alert, alerts, all_arrive, feed, feed_with_kills, hostile, unavailable, until, wording};

const STREAMS: [Transport; 4] = [
    Transport::Tcp,
    Transport::Lines,
    Transport::Tls,
    Transport::MutualTls,
];

/// A receiver, or why there is none.
pub(super) fn server(program: Program) -> Option<SyslogServer> {
    SyslogServer::start(program)
        .map_err(|reason| eprintln!("skipped: {program:?}: {reason}"))
        .ok()
}

/// Settings by which a server is reached, at `place` in place of its own where that is given.
pub(super) fn options(
    server: &SyslogServer,
    transport: Transport,
    place: Option<&str>,
    more: &str,
) -> SyslogOptions {
    let usual = server.place(transport);
    let place = place.unwrap_or(&usual);
    let certificates = server.certificates();
    let (scheme, files) = match transport {
        Transport::Udp => ("udp", String::new()),
        Transport::Tcp => ("tcp", String::new()),
        Transport::Lines => ("tcp", "framing = \"lf\"\n".to_owned()),
        Transport::Tls => (
            "tls",
            format!("ca-file = {:?}\n", certificates.certificate("authority")),
        ),
        Transport::MutualTls => (
            "tls",
            format!(
                "ca-file = {:?}\ncertificate-file = {:?}\nkey-file = {:?}\n",
                certificates.certificate("authority"),
                certificates.certificate("client"),
                certificates.key("client"),
            ),
        ),
    };
    toml::from_str(&format!(
        "address = \"{scheme}://{place}\"\nhost-name = \"tower\"\n{files}{more}"
    ))
    .unwrap()
}

pub(super) fn output(options: &SyslogOptions) -> Syslog {
    Syslog::new(options, wording()).unwrap()
}

/// The text of each message of this program.
pub(super) fn texts(server: &SyslogServer) -> Vec<String> {
    let received = server.received().into_iter();
    let own = received.filter(|received| received.program == "netsage");
    own.map(|received| received.text).collect()
}

/// The same, without what was cut off. With octet counting a receiver knows what is not whole, and drops it; with line feeds it
/// takes that for a message.
fn whole_texts(server: &SyslogServer, transport: Transport) -> Vec<String> {
    let mut texts = texts(server);
    if transport == Transport::Lines {
        texts.retain(|text| serde_json::from_str::<serde_json::Value>(text).is_ok());
    }
    texts
}

/// What a receiver has to make of a message.
fn expected(message: &Message, format: Format, max_bytes: usize) -> Vec<Received> {
    let sender = Sender {
        hostname: "tower".to_owned(),
        app_name: "netsage".to_owned(),
        process_id: Some(std::process::id()),
        facility: "authpriv".parse().unwrap(),
        clock: netsage_messages::syslog::Clock::Trusted,
        enterprise: Some(32_473),
    };
    let lines = netsage_messages::syslog::lines(message, format, &wording(), &sender, max_bytes).unwrap();
    let severity = match message {
        Message::Alert(message) => 5 - message.alert.severity as u8,
        Message::Event(_) => 4,
        Message::Digest(_) | Message::Test(_) => 6,
    };
    let read = |line: &String| {
        let (header, text) = line.split_once("] ").unwrap();
        Received {
            priority: (10 * 8 + severity).to_string(),
            host: "tower".to_owned(),
            program: "netsage".to_owned(),
            kind: message.kind().to_owned(),
            data: format!("[{}]", header.split_once('[').unwrap().1),
            text: text.trim_start_matches('\u{feff}').to_owned(),
        }
    };
    lines.iter().map(read).collect()
}

async fn strangers_forge_nothing(program: Program) {
    let Some(server) = server(program) else { return };
    let all = [Transport::Udp].into_iter().chain(STREAMS);
    let mut so_far = 0;
    for transport in all {
        for format in [Format::Json, Format::Cef] {
            let more = format!(
                "format = \"{format}\"\nfacility = \"authpriv\"\nenterprise = 32473\nmax-bytes = 8192"
            );
            let mut output = output(&options(&server, transport, None, &more));
            let messages = hostile();
            let failures = feed(&mut output, &messages, |_| ()).await;
            assert_eq!(failures, [], "{transport:?} {format}");
            output.close().await;
            let expected: Vec<Received> = messages
                .iter()
                .flat_map(|one| expected(one, format, 8_192))
                .collect();
            let found = until(&format!("{transport:?} {format} by {program:?}"), || {
                let received = server.received().split_off(so_far);
                (received.len() >= expected.len()).then_some(received)
            })
            .await;
            so_far += found.len();
            // Two datagrams may pass each other.
            let sorted = |mut all: Vec<Received>| {
                all.sort_by(|one, other| one.text.cmp(&other.text));
                all
            };
            let (found, expected) = (sorted(found), sorted(expected));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{transport:?} {format} by {program:?}");
            }
            assert_eq!(found.len(), expected.len());
        }
    }
}

#[tokio::test]
async fn strangers_forge_nothing_in_rsyslog() {
    strangers_forge_nothing(Program::Rsyslog).await;
}

#[tokio::test]
async fn strangers_forge_nothing_in_syslog_ng() {
    strangers_forge_nothing(Program::SyslogNg).await;
}

/// A thousand alerts over connections that break in the middle of messages, to a receiver that is held up, ended and started
/// again, from a program that is killed three times.
async fn everything_arrives_over_broken_connections(program: Program) {
    for transport in STREAMS {
        let Some(mut server) = server(program) else { return };
        let proxy = Proxy::of_bytes(&server.place(transport));
        let address = proxy.address();
        // More than can be under way: the buffers of two connections, at some 600 bytes a message.
        let options = options(&server, transport, Some(&address), "resend = 10000");
        let messages = alerts(0..1_000);
        let mut sender = output(&options);
        let mut round = 0;
        let failures = feed(&mut sender, &messages[..600], |taken| {
            round += 1;
            match round {
                1 => proxy.cut_after(10_007),
                3 => proxy.cut_after(70_001),
                5 => {
                    server.end(false);
                    server.start_again().unwrap();
                }
                7 => server.hold(true),
                8 => server.hold(false),
                9 if taken < 600 => proxy.cut(),
                _ => {}
            }
        })
        .await;
        server.hold(false);
        assert!(failures.iter().all(unavailable), "{failures:?}");
        // The last of them may be lost with the connection until something more is sent.
        feed(&mut sender, &messages[600..601], |_| ()).await;
        all_arrive(&messages[..601], || whole_texts(&server, transport)).await;
        feed_with_kills(|| output(&options), &messages[601..], 3).await;
        all_arrive(&messages, || whole_texts(&server, transport)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_at_rsyslog_over_broken_connections() {
    everything_arrives_over_broken_connections(Program::Rsyslog).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_at_syslog_ng_over_broken_connections() {
    everything_arrives_over_broken_connections(Program::SyslogNg).await;
}

/// What a receiver had not read when it was killed is lost, but for the last `resend` messages.
#[tokio::test]
async fn the_last_messages_are_sent_again() {
    let Some(mut server) = server(Program::Rsyslog) else {
        return;
    };
    let mut output = output(&options(&server, Transport::Tcp, None, "resend = 5"));
    let messages = alerts(0..21);
    feed(&mut output, &messages[..1], |_| ()).await;
    all_arrive(&messages[..1], || texts(&server)).await;
    server.hold(true);
    for message in &messages[1..20] {
        output.deliver(std::slice::from_ref(message)).await.unwrap();
    }
    server.end(true);
    server.start_again().unwrap();
    feed(&mut output, &messages[20..], |_| ()).await;
    let kept: Vec<Message> = [&messages[..1], &messages[15..]].concat();
    all_arrive(&kept, || texts(&server)).await;
}

#[tokio::test]
async fn a_receiver_that_has_closed_is_noticed_before_the_first_write() {
    let Some(mut server) = server(Program::Rsyslog) else {
        return;
    };
    let mut output = output(&options(&server, Transport::Tcp, None, "resend = 0"));
    let messages = alerts(0..2);
    feed(&mut output, &messages[..1], |_| ()).await;
    all_arrive(&messages[..1], || texts(&server)).await;
    server.end(false);
    server.start_again().unwrap();
    // Nothing is sent again: it arrives only if it does not go to the connection that is gone.
    output.deliver(&messages[1..]).await.unwrap();
    all_arrive(&messages, || texts(&server)).await;
}

#[tokio::test]
async fn datagrams_to_nobody_are_noticed_sometimes_and_too_long_ones_always() {
    let Some(mut server) = server(Program::Rsyslog) else {
        return;
    };
    let mut output = output(&options(&server, Transport::Udp, None, "max-bytes = 1000000"));
    server.end(false);
    let messages = alerts(0..1);
    let mut failures = 0;
    for _ in 0..100 {
        failures += usize::from(output.deliver(&messages).await.is_err());
    }
    assert!(failures > 0);
    server.start_again().unwrap();
    feed(&mut output, &messages, |_| ()).await;
    all_arrive(&messages, || texts(&server)).await;
    let long = alert(3, &"x".repeat(200_000));
    let undelivered = output.deliver(&[messages[0].clone(), long]).await.unwrap_err();
    assert_eq!(undelivered.taken, 1);
    assert!(
        matches!(undelivered.failure, Failure::Refused(_)),
        "{undelivered:?}"
    );
}

async fn only_whom_the_settings_trust_is_talked_to(program: Program) {
    let Some(server) = server(program) else { return };
    let certificates = server.certificates();
    certificates
        .sign("stranger", "impostor", "DNS:sensor.example")
        .unwrap();
    let messages = alerts(0..1);
    let check = async |text: &str, is_refusal: bool, reason: &str| {
        let options: SyslogOptions = toml::from_str(text).unwrap();
        let mut output = output(&options);
        let failure = output.deliver(&messages).await.unwrap_err().failure;
        let said = failure.to_string();
        assert!(said.contains(reason), "{program:?} {text}: {said}");
        assert_eq!(!unavailable(&failure), is_refusal, "{program:?} {text}: {said}");
    };
    let (tls, mutual) = (server.place(Transport::Tls), server.place(Transport::MutualTls));
    let port = tls.split_once(':').unwrap().1;
    let (authority, stranger) = (
        certificates.certificate("authority"),
        certificates.certificate("stranger"),
    );
    check(
        &format!("address = \"tls://{tls}\"\nca-file = {stranger:?}"),
        false,
        "invalid peer certificate",
    )
    .await;
    // The certificate is of the address, and of no name.
    check(
        &format!("address = \"tls://localhost:{port}\"\nca-file = {authority:?}"),
        false,
        "not valid for name",
    )
    .await;
    check(
        &format!(
            "address = \"tls://{mutual}\"\nca-file = {authority:?}\ncertificate-file = {:?}\nkey-file = {:?}",
            certificates.certificate("impostor"),
            certificates.key("impostor"),
        ),
        true,
        "certificate-file",
    )
    .await;
    check(
        &format!("address = \"tls://{mutual}\"\nca-file = {authority:?}"),
        true,
        "certificate-file",
    )
    .await;
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn only_whom_the_settings_trust_is_talked_to_by_rsyslog() {
    only_whom_the_settings_trust_is_talked_to(Program::Rsyslog).await;
}

#[tokio::test]
async fn only_whom_the_settings_trust_is_talked_to_by_syslog_ng() {
    only_whom_the_settings_trust_is_talked_to(Program::SyslogNg).await;
}

/// Certificate and key are written one after the other: in between, the old pair serves.
#[tokio::test]
async fn a_renewed_certificate_is_taken_once_its_key_is_there() {
    let Some(mut server) = server(Program::Rsyslog) else {
        return;
    };
    let certificates = server.certificates();
    certificates
        .sign("stranger", "impostor", "DNS:sensor.example")
        .unwrap();
    let (certificate, key) = (certificates.file("own.pem"), certificates.file("own.key"));
    let take = |from: &std::path::Path, to: &std::path::Path| fs::copy(from, to).map(|_| ()).unwrap();
    take(&certificates.certificate("client"), &certificate);
    take(&certificates.key("client"), &key);
    let text = format!(
        "address = \"tls://{}\"\nca-file = {:?}\ncertificate-file = {certificate:?}\nkey-file = {key:?}",
        server.place(Transport::MutualTls),
        certificates.certificate("authority"),
    );
    let (new_certificate, new_key) = (certificates.certificate("impostor"), certificates.key("impostor"));
    let mut output = output(&toml::from_str(&text).unwrap());
    let messages = alerts(0..4);
    feed(&mut output, &messages[..1], |_| ()).await;
    take(&new_certificate, &certificate);
    server.end(false);
    server.start_again().unwrap();
    feed(&mut output, &messages[1..2], |_| ()).await;
    all_arrive(&messages[..2], || texts(&server)).await;
    // With both of an authority that the receiver does not trust.
    take(&new_key, &key);
    server.end(false);
    server.start_again().unwrap();
    let failure = output.deliver(&messages[2..3]).await.unwrap_err().failure;
    assert!(matches!(failure, Failure::SenderRefused(_)), "{failure}");
}

#[test]
fn settings_are_checked() {
    let check = |text: &str, expected: &str| {
        let options: Result<SyslogOptions, _> = toml::from_str(text);
        let error = match options {
            Ok(options) => Syslog::new(&options, wording()).err().unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{text}: {error}");
    };
    let with = |more: &str| format!("address = \"tcp://log.example\"\n{more}");
    check("", "address");
    check("address = \"log.example\"", "udp://, tcp://, tls://");
    check("address = \"tcp://\"", "no host");
    check(&with("ca-file = \"a\""), "tls://");
    check(&with("resend = 10001"), "`resend`");
    check(&with("max-bytes = 100"), "`max-bytes`");
    check(&with("host-name = \"a b\""), "`host-name`");
    check(&with("facility = \"local8\""), "local8");
    check(&with("framing = \"none\""), "octet-counting");
    check(&with("format = \"slack\""), "webhooks");
    check(&with("format = \"html\""), "html");
    check(&with("port = 1"), "port");
    check(
        "address = \"tls://log.example\"\nca-file = \"/no/such/file\"",
        "/no/such/file",
    );
    check(
        "address = \"tls://log.example\"\nkey-file = \"/no/such/file\"",
        "belong together",
    );
}
