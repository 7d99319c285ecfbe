//! A webhook against a receiver that fails in every way that HTTP has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use netsage_messages::{Message, Wording};
use netsage_outputs::Output;
use netsage_outputs::receivers::webhook::{AddressPolicy, Webhook, WebhookError, WebhookOptions};
use netsage_testkit::http_receiver::{HttpReceiver, Manner, Post};

use super::{Outcome, alert, alerts, deliver, digest, hostile};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn options(url: &str, more: &str) -> WebhookOptions {
    toml::from_str(&format!("url = \"{url}\"\n{more}")).expect("options")
}

fn webhook(url: &str, more: &str) -> Webhook {
    Webhook::new(&options(url, more), Wording::default(), AddressPolicy::Any).expect("a webhook")
}

/// The id and revision that each post names.
fn keys(posts: &[Post]) -> Vec<(String, u64)> {
    let key = |post: &Post| {
        let revision = post.header("x-netsage-revision").parse().expect("a revision");
        (post.header("x-netsage-id").to_owned(), revision)
    };
    posts.iter().map(key).collect()
}

fn expected(messages: &[Message]) -> BTreeSet<(String, u64)> {
    messages
        .iter()
        .map(|message| (message.id(), message.revision()))
        .collect()
}

/// Every message is there; a repeat is the same, in its key and in its body.
fn all_there(posts: &[Post], messages: &[Message]) {
    let keys = keys(posts);
    let found: BTreeSet<(String, u64)> = keys.iter().cloned().collect();
    assert_eq!(found, expected(messages));
    let mut bodies = BTreeMap::new();
    for (key, post) in keys.iter().zip(posts) {
        let (id, revision) = key;
        assert_eq!(post.header("idempotency-key"), format!("{id}.{revision}"));
        let body = bodies.entry(key).or_insert(&post.body);
        assert_eq!(*body, &post.body, "a repeat is the same");
    }
}

fn faults() -> Vec<Manner> {
    let answers = |status, lines, body: &str| Manner::Answers(status, lines, body.to_owned());
    vec![
        answers(500, "", "broken"),
        answers(429, "retry-after: 0\r\n", ""),
        answers(429, "", "{\"retry_after\": 0.001}"),
        answers(503, "retry-after: Tue, 14 Nov 2023 22:13:30 GMT\r\n", ""),
        answers(200, "", "{\"error\": \"the disk is full\"}"),
        Manner::CutsPost,
        Manner::Closes,
        Manner::LosesAnswer,
        Manner::CutsAnswer,
        Manner::Silent,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_arrives_through_every_fault_and_three_kills() {
    let mut receiver = HttpReceiver::start();
    let url = receiver.url();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a file");
    let more = format!("secret-file = {secret:?}\ntimeout = \"200ms\"");
    let messages = alerts(1_000);
    let mut done = 0;
    let mut faults = faults().into_iter().cycle();
    let mut kills = vec![300, 500, 700];
    while done < messages.len() {
        // As a program that starts: all that it knows is what was acknowledged.
        let mut output = webhook(&url, &more);
        let page = &messages[done..(done + 20).min(messages.len())];
        receiver.plan(faults.next().expect("they go round"));
        if kills.first().is_some_and(|at| done >= *at) {
            kills.remove(0);
            let before = receiver.requests();
            tokio::select! {
                _ = deliver(&mut output, page, |_| {}) => {}
                () = async {
                    while receiver.requests() < before + 5 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                } => {}
            }
            // Nothing of the page was acknowledged.
            continue;
        }
        if done % 200 == 100 {
            receiver.stop();
            let refused = output.deliver(page).await;
            assert!(refused.is_err(), "nobody listens");
            receiver.restart();
        }
        let outcome = deliver(&mut output, page, |_| {}).await;
        assert_eq!(outcome.refused, Vec::<String>::new());
        assert_eq!(outcome.sender_refused, None);
        done += outcome.done;
    }
    let posts = receiver.taken();
    all_there(&posts, &messages);
    assert!(posts.len() > messages.len(), "lost answers make repeats");
    assert!(kills.is_empty());
}

async fn outcome(receiver: &HttpReceiver, more: &str, planned: &[Manner], messages: &[Message]) -> Outcome {
    for manner in planned {
        receiver.plan(manner.clone());
    }
    deliver(&mut webhook(&receiver.url(), more), messages, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_is_told_by_header_and_body() {
    let receiver = HttpReceiver::start();
    let messages = alerts(1);
    let busy = |lines, body: &str| [Manner::Answers(429, lines, body.to_owned())];
    let check = async |planned: &[Manner], expected: u64| {
        let outcome = outcome(&receiver, "", planned, &messages).await;
        assert_eq!(outcome.rest, Some(Duration::from_millis(expected)));
        assert_eq!((outcome.done, outcome.unavailable), (1, 1));
    };
    check(&busy("retry-after: 7\r\n", ""), 7_000).await;
    check(&busy("Retry-After: Tue, 14 Nov 2023 22:13:30 GMT\r\n", ""), 0).await;
    check(&busy("", "{\"retry_after\": 1.5}"), 1_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_judged_by_status_body_and_format() {
    let receiver = HttpReceiver::start();
    let messages = alerts(3);
    let no = |status, body: &str| Manner::Answers(status, "", body.to_owned());
    let yes = Manner::Takes("ok");
    // Of three messages the second one meets the manner; (done, refused, unavailable, whether the sender is refused).
    let check = async |more: &str, manner: Manner, expected: (usize, usize, usize, bool)| {
        let answers = if more.contains("teams") { "1" } else { "ok" };
        receiver.set(Manner::Takes(answers));
        let found = outcome(
            &receiver,
            more,
            &[Manner::Takes(answers), manner.clone()],
            &messages,
        )
        .await;
        let refused = found.sender_refused.is_some();
        let found = (found.done, found.refused.len(), found.unavailable, refused);
        assert_eq!(found, expected, "{more} {manner:?}");
        receiver.set(yes.clone());
    };
    check("", no(500, ""), (3, 0, 1, false)).await;
    check("", no(400, "bad"), (3, 1, 0, false)).await;
    check("", no(422, "bad"), (3, 1, 0, false)).await;
    check("", no(401, ""), (1, 0, 0, true)).await;
    check("", no(403, ""), (1, 0, 0, true)).await;
    check("", no(404, ""), (1, 0, 0, true)).await;
    check(
        "",
        Manner::Answers(302, "location: /other\r\n", String::new()),
        (1, 0, 0, true),
    )
    .await;
    check("", no(200, "{\"success\": false}"), (3, 0, 1, false)).await;
    check(
        "format = \"slack\"",
        no(200, "{\"ok\": false, \"error\": \"ratelimited\"}"),
        (3, 0, 1, false),
    )
    .await;
    check(
        "format = \"slack\"",
        no(200, "{\"ok\": false, \"error\": \"invalid_auth\"}"),
        (1, 0, 0, true),
    )
    .await;
    check(
        "format = \"slack\"",
        no(200, "{\"ok\": false, \"error\": \"invalid_blocks\"}"),
        (3, 1, 0, false),
    )
    .await;
    let busy = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429";
    check("format = \"teams\"", no(200, busy), (3, 0, 1, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_goes_in_halves_and_then_shorter() {
    let receiver = HttpReceiver::start();
    let too_large = || Manner::Answers(413, "", String::new());
    // A batch: halved until it fits.
    let batch = "batch = 8";
    let found = outcome(&receiver, batch, &[too_large(), too_large()], &alerts(8)).await;
    assert_eq!((found.done, found.refused.len()), (8, 0));
    let sizes: Vec<usize> = receiver.taken().iter().map(|post| list(post).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 8);
    assert!(sizes[0] <= 2, "{sizes:?}");

    // A digest: more parts, each of fewer alerts, which list every id.
    let digests = HttpReceiver::start();
    let found = outcome(&digests, "", &[too_large()], &[digest(40)]).await;
    assert_eq!((found.done, found.refused.len()), (1, 0));
    assert!(digests.taken().len() > 1);
    let text: String = digests
        .taken()
        .iter()
        .map(|post| String::from_utf8_lossy(&post.body).into_owned())
        .collect();
    for number in 0..40 {
        assert!(text.contains(&alert(number).alert.id), "{number}");
    }

    // One alert: shortened, and set aside when that does not help.
    let one = HttpReceiver::start();
    let mut long = alert(0);
    let contribution = long.alert.contributions[0].clone();
    long.alert.contributions = vec![contribution; 64];
    let found = outcome(&one, "", &[too_large()], &[Message::Alert(long)]).await;
    assert_eq!((found.done, found.refused.len()), (1, 0));
    one.set(too_large());
    let found = outcome(&one, "", &[], &alerts(2)).await;
    assert_eq!((found.done, found.refused.len()), (2, 2));
}

fn list(post: &Post) -> Vec<serde_json::Value> {
    serde_json::from_slice(&post.body).expect("an array")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_message_of_a_batch_is_set_aside_alone() {
    let receiver = HttpReceiver::start();
    // Whatever holds the fourth alert is refused.
    let bad = alert(3).alert.id;
    let mut output = webhook(&receiver.url(), "batch = 8");
    let messages = alerts(8);
    let refuse = Manner::Answers(400, "", "no".to_owned());
    // 0 to 7, 0 to 3; 0 and 1 go; 2 to 5, 2 and 3; 2 goes; 3 and 4, 3.
    for is_taken in [false, false, true, false, false, true, false, false] {
        receiver.plan(if is_taken {
            Manner::Takes("ok")
        } else {
            refuse.clone()
        });
    }
    let found = deliver(&mut output, &messages, |_| {}).await;
    assert_eq!((found.done, found.refused), (8, vec![bad]));
    assert_eq!(
        receiver
            .taken()
            .iter()
            .map(|post| list(post).len())
            .sum::<usize>(),
        7
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_show_scheme_and_host_only() {
    let receiver = HttpReceiver::start();
    let secret_url = format!(
        "{}/services/T000/B000/tulip-harbour?key=juniper-lantern",
        receiver.url()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authorization");
    std::fs::write(&file, "Bearer marigold-lantern").expect("a file");
    let more = format!("authorization-file = {file:?}");
    let echo = format!("no such hook {secret_url} for Bearer marigold-lantern");
    for status in [400, 403, 500] {
        receiver.plan(Manner::Answers(status, "", echo.clone()));
        let mut output = webhook(&secret_url, &more);
        let reason = output
            .deliver(&alerts(1))
            .await
            .expect_err("not taken")
            .to_string();
        for secret in ["tulip", "juniper", "marigold", "T000/B000"] {
            assert!(!reason.contains(secret), "{reason}");
        }
        assert!(
            reason.contains(&format!("http://{}", receiver.address())),
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_read_again() {
    let receiver = HttpReceiver::start();
    let other = HttpReceiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let (url, token) = (file("url", &receiver.url()), file("token", "Bearer one"));
    let options =
        toml::from_str(&format!("url-file = {url:?}\nauthorization-file = {token:?}")).expect("options");
    let mut output = Webhook::new(&options, Wording::default(), AddressPolicy::Any).expect("a webhook");
    let mut post = async || output.deliver(&alerts(1)).await.expect("taken");
    post().await;
    file("token", "Bearer two");
    post().await;
    let tokens: Vec<String> = receiver
        .taken()
        .iter()
        .map(|post| post.header("authorization").to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer one", "Bearer two"]);
    // An address that is of no use leaves the one before in place.
    file("url", "not an address");
    post().await;
    assert_eq!(receiver.taken().len(), 3);
    file("url", &other.url());
    post().await;
    assert_eq!((receiver.taken().len(), other.taken().len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_forges_no_header_and_no_field() {
    let receiver = HttpReceiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let template = folder.path().join("template.json");
    std::fs::write(&template, r#"{"summary": "{title}", "source": "{alert.source}"}"#).expect("a file");
    let by_template = format!("template-file = {template:?}");
    for repeats in [1, 2_000] {
        for format in ["json", "ecs", "ocsf", "slack", "teams", "template"] {
            receiver.set(Manner::Takes(if format == "teams" { "1" } else { "ok" }));
            let more = match format {
                "template" => by_template.clone(),
                format => format!("format = \"{format}\""),
            };
            let found = outcome(&receiver, &more, &[], &[hostile(repeats)]).await;
            assert_eq!((found.done, found.refused.len()), (1, 0), "{format}: {found:?}");
            let posts = receiver.taken();
            let post = posts.last().expect("a post");
            assert_eq!(post.header("x-forged"), "", "{format}");
            let known = [
                "host",
                "user-agent",
                "content-type",
                "content-length",
                "idempotency-key",
            ];
            let known = known.into_iter().chain(["x-netsage-id", "x-netsage-revision"]);
            let known: BTreeSet<&str> = known.collect();
            let found: BTreeSet<&str> = post.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, known, "{format}");
            let body: serde_json::Value = serde_json::from_slice(&post.body).expect("one JSON value");
            assert!(body.is_object() && body.get("X-Forged").is_none(), "{format}");
        }
    }
}

#[test]
fn options_are_checked_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = folder.path().join("short");
    std::fs::write(&short, "short").expect("a file");
    let check = |text: &str, expected: &str| {
        let options = toml::from_str::<WebhookOptions>(text).map_err(|error| error.to_string());
        let made = options.and_then(|options| {
            Webhook::new(&options, Wording::default(), AddressPolicy::Any)
                .map_err(|error: WebhookError| error.to_string())
        });
        let error = made.map(|_| ()).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    };
    let url = "url = \"https://hooks.example.com/a\"";
    check("", "`url-file`");
    check(&format!("{url}\nurl-file = \"a\""), "`url-file`");
    check("url = \"tulip\"", "not a URL");
    check("url = \"ftp://hooks.example.com\"", "`ftp`");
    check("url-file = \"/does/not/exist\"", "cannot be read");
    check(&format!("{url}\nsecret-file = {short:?}"), "16 bytes");
    check(
        &format!("{url}\nca-file = \"/does/not/exist\""),
        "/does/not/exist",
    );
    check(&format!("{url}\ncertificate-file = {short:?}"), "key-file");
    check(&format!("{url}\ntemplate-file = {short:?}"), "template");
    check(&format!("{url}\nformat = \"xml\""), "no format");
    check(&format!("{url}\nformat = \"cef\""), "cef");
    check(&format!("{url}\nformat = \"slack\"\nbatch = 2"), "`batch`");
    check(&format!("{url}\ntimeout = \"1ms\""), "`timeout`");
    check(&format!("{url}\nbatch = 0"), "`batch`");
    check(&format!("{url}\nsecret = \"in the settings\""), "secret");
}

/// The example of the document checks what is sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_document_verifies_a_signature() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/outputs/webhook.md"));
    let page = page.expect("the document");
    let example = page
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    let receiver = HttpReceiver::start();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a file");
    let mut output = webhook(&receiver.url(), &format!("secret-file = {secret:?}"));
    output.deliver(&alerts(1)).await.expect("taken");
    let post = receiver.taken().remove(0);
    let body = folder.path().join("body");
    std::fs::write(&body, &post.body).expect("a file");
    let signature = post.header("x-netsage-signature");
    let check = |secret: &str, signature: &str, now: &str, expected: &str| {
        let program = format!(
            "{example}\nimport sys\nsecret, signature, body = sys.argv[1:4]\nnow = {now}\nprint(is_genuine(secret.encode(), signature, open(body, 'rb').read(), now))"
        );
        let output = Command::new("python3")
            .args(["-c", &program, secret, signature])
            .arg(&body)
            .output();
        let Ok(output) = output else {
            println!("skipped: python3 is not there");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.trim(),
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    check(SECRET, signature, "time.time()", "True");
    check(
        "another secret of thirty-two ...",
        signature,
        "time.time()",
        "False",
    );
    check(SECRET, signature, "time.time() + 3600", "False");
    check(SECRET, &signature.replace("t=1", "t=2"), "time.time()", "False");
    check(SECRET, "t=1", "time.time()", "False");
}
