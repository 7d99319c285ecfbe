//! A webhook that was set through the API tries to reach what it must not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use netsage_messages::Wording;
use netsage_outputs::Output as _;
use netsage_outputs::receivers::webhook::{AddressPolicy, Resolve, Webhook, WebhookOptions};
use netsage_store::BoxFuture;
use netsage_testkit::http_receiver::{HttpReceiver, Manner};

use super::alerts;

/// Answers one look-up after the other with these addresses, and the last one from then on.
struct Names {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |list: &&[&str]| {
            list.iter()
                .map(|address| address.parse().expect("an address"))
                .collect()
        };
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(addresses).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::AcqRel);
            let mut answers = self.answers.lock().expect("sound");
            let answer = if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            };
            Ok(answer
                .into_iter()
                .map(|address| SocketAddr::new(address, port))
                .collect())
        })
    }
}

fn options(url: &str) -> WebhookOptions {
    toml::from_str(&format!("url = {url:?}\ntimeout = \"2s\"")).expect("options")
}

fn checked(allow: &[&str]) -> AddressPolicy {
    AddressPolicy::Checked {
        allow: allow
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect(),
        files: None,
    }
}

/// Why the webhook does not reach its receiver: at once, or when it posts.
async fn refusal(url: &str, allow: &[&str], names: Arc<Names>) -> Option<String> {
    let made = Webhook::with_resolver(&options(url), Wording::default(), checked(allow), names);
    match made {
        Err(error) => Some(error.to_string()),
        Ok(mut webhook) => webhook
            .deliver(&alerts(1))
            .await
            .err()
            .map(|error| error.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_program_can_reach_is_not_reached() {
    // Whatever lies on the loopback interface, as the API of the program itself.
    let inside = HttpReceiver::start();
    let port = inside.address().port();
    let nowhere = || Names::new(&[&["127.0.0.1"]]);
    let mut tries = 0;
    let mut check = async |url: String, names: Arc<Names>, expected: &str| {
        let refusal = refusal(&url, &[], names).await;
        let refusal = refusal.unwrap_or_else(|| panic!("{url} was reached"));
        assert!(refusal.contains(expected), "{url}: {refusal}");
        // A sentence, which shows no more than scheme and host.
        assert!(refusal.len() > 40 && !refusal.contains("tulip"), "{refusal}");
        assert_eq!((inside.connections(), inside.taken().len()), (0, 0), "{url}");
        tries += 1;
    };
    for (host, why) in [
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("127.0.0.1.", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f000001", "loopback"),
        ("0x7f.0.0.1", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("017700000001", "loopback"),
        ("127.0.0.2", "loopback"),
        ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", "loopback"),
        ("127\u{3002}0\u{3002}0\u{3002}1", "loopback"),
        ("%31%32%37.0.0.1", "loopback"),
        ("0.0.0.0", "of this host"),
        ("0", "of this host"),
        ("[::1]", "loopback"),
        ("[::]", "of this host"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("[::127.0.0.1]", "loopback"),
        ("[64:ff9b::7f00:1]", "loopback"),
        ("[64:ff9b:1::7f00:1]", "translation"),
        ("[2002:7f00:1::1]", "loopback"),
        ("[2001:0:7f00:1::]", "Teredo"),
        ("[fe80::1]", "link-local"),
        ("[fc00::1]", "private"),
        ("[ff02::1]", "multicast"),
        ("169.254.169.254", "link-local"),
        ("[::ffff:169.254.169.254]", "link-local"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "inner network"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
    ] {
        check(format!("http://{host}:{port}/tulip"), nowhere(), why).await;
    }
    // Names that lead there, alone or among others, whatever their addresses are.
    check(format!("http://localhost:{port}/tulip"), nowhere(), "loopback").await;
    check(
        format!("http://hooks.example.com:{port}/tulip"),
        nowhere(),
        "loopback",
    )
    .await;
    let mixed = Names::new(&[&["1.1.1.1", "127.0.0.1"]]);
    check(
        format!("http://hooks.example.com:{port}/tulip"),
        mixed,
        "loopback",
    )
    .await;
    let mapped = Names::new(&[&["::ffff:127.0.0.1"]]);
    check(
        format!("http://hooks.example.com:{port}/tulip"),
        mapped,
        "loopback",
    )
    .await;
    let metadata = Names::new(&[&["169.254.169.254"]]);
    check(
        "http://metadata.example.com/tulip".to_owned(),
        metadata,
        "link-local",
    )
    .await;
    let none = Names::new(&[&[]]);
    check(
        format!("http://hooks.example.com:{port}/tulip"),
        none,
        "no address",
    )
    .await;
    // Not an address of HTTP, or one with a user or a password.
    check("file:///etc/tulip".to_owned(), nowhere(), "`file`").await;
    check(format!("gopher://127.0.0.1:{port}/tulip"), nowhere(), "`gopher`").await;
    check("http://".to_owned(), nowhere(), "not a URL").await;
    check(
        "http://user:tulip@hooks.example.com/".to_owned(),
        nowhere(),
        "user or a password",
    )
    .await;
    check(
        "http://tulip@hooks.example.com/".to_owned(),
        nowhere(),
        "user or a password",
    )
    .await;
    check(
        format!("http://1.1.1.1:tulip@127.0.0.1:{port}/"),
        nowhere(),
        "user or a password",
    )
    .await;
    assert!(tries >= 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_points_inside_is_not_followed() {
    let inside = HttpReceiver::start();
    let outside = HttpReceiver::at(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), None);
    for status in [300, 301, 302, 303, 307, 308] {
        let lines: &'static str = Box::leak(format!("location: {}\r\n", inside.url()).into_boxed_str());
        outside.plan(Manner::Answers(status, lines, String::new()));
        let names = Names::new(&[&["127.0.0.2"]]);
        let url = format!("http://hooks.example.com:{}/hook", outside.address().port());
        let refusal = refusal(&url, &["127.0.0.2/32"], names)
            .await
            .expect("not followed");
        assert!(refusal.contains("points elsewhere"), "{refusal}");
    }
    assert_eq!(outside.requests(), 6);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_between_look_up_and_connection_leads_nowhere_else() {
    // Both listen at the same port: what the name leads to decides.
    let outside = HttpReceiver::at(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), None);
    let port = outside.address().port();
    let url = format!("http://hooks.example.com:{port}/hook");
    let inside = std::net::TcpListener::bind(("127.0.0.1", port));
    let names = Names::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let policy = checked(&["127.0.0.2/32"]);
    let mut webhook = Webhook::with_resolver(
        &options(&url),
        Wording::default(),
        policy,
        Arc::clone(&names) as _,
    )
    .expect("a webhook");
    webhook.deliver(&alerts(1)).await.expect("taken");
    // One look-up, and the connection goes where the check has been.
    assert_eq!(
        (names.asked.load(Ordering::Acquire), outside.taken().len()),
        (1, 1)
    );
    // The next connection looks the name up again, and is refused before it is made.
    outside.plan(Manner::Closes);
    let refusal = webhook
        .deliver(&alerts(1))
        .await
        .expect_err("refused")
        .to_string();
    assert!(refusal.contains("loopback"), "{refusal}");
    if let Ok(inside) = inside {
        inside.set_nonblocking(true).expect("a socket");
        assert!(inside.accept().is_err(), "nobody has connected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_are_not_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let inside = folder.path().join("token");
    for path in [outside.path(), &inside] {
        std::fs::write(path, "Bearer tulip").expect("a file");
    }
    let check = |path: &std::path::Path, files: Option<&std::path::Path>, expected: bool| {
        let text = format!("url = \"https://hooks.example.com/\"\nauthorization-file = {path:?}");
        let policy = AddressPolicy::Checked {
            allow: Vec::new(),
            files: files.map(Into::into),
        };
        let made = Webhook::new(
            &toml::from_str(&text).expect("options"),
            Wording::default(),
            policy,
        );
        assert_eq!(made.is_ok(), expected, "{path:?} {files:?}");
    };
    check(&inside, None, false);
    check(&inside, Some(folder.path()), true);
    check(outside.path(), Some(folder.path()), false);
    check(
        &folder
            .path()
            .join("../")
            .join(outside.path().file_name().expect("a name")),
        Some(folder.path()),
        false,
    );
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(outside.path(), &link).expect("a link");
    check(&link, Some(folder.path()), false);
}
