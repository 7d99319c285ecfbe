//! Attempts on the API over a connection, byte by byte, each with the answer that it gets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use netsage_gateway::server::{self, Limits, Refusal, Refusals, TrustedProxies};
use tokio::net::TcpListener;

use crate::access::{Offline, TOKEN, UPLOAD_LIMIT};

/// Longer than any answer here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may say nothing to these servers.
const SILENCE: Duration = Duration::from_millis(300);

/// A server with a network.
struct Online {
    address: SocketAddr,
    refusals: Arc<Refusals>,
    _offline: Offline,
}

impl Online {
    async fn new(token: Option<&str>) -> Self {
        let limits = Limits {
            connections: 64,
            connections_per_peer: 16,
            bodies: 1 << 20,
            silence: SILENCE,
            trusted_proxies: TrustedProxies::default(),
        };
        Self::with(token, limits).await
    }

    async fn with(token: Option<&str>, limits: Limits) -> Self {
        let offline = Offline::new(token, "127.0.0.1:8080").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals = Arc::clone(&offline.refusals);
        let served = server::serve(
            listener,
            offline.router.clone(),
            limits,
            Arc::clone(&refusals),
            std::future::pending(),
        );
        tokio::spawn(served);
        Self {
            address,
            refusals,
            _offline: offline,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads what comes until the server closes the connection.
    async fn send(&self, bytes: Vec<u8>) -> String {
        let mut stream = self.connect();
        let exchange = move || {
            // The server may refuse before all is sent; the answer is read all the same.
            let _ = stream.write_all(&bytes);
            read_all(&mut stream)
        };
        tokio::task::spawn_blocking(exchange).await.unwrap()
    }

    fn count(&self, refusal: Refusal) -> u64 {
        let mut counts = self.refusals.counts();
        counts.find(|(counted, _)| *counted == refusal).unwrap().1
    }
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer takes nothing of it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 where the connection was closed without one.
fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).unwrap_or_default();
    code.parse().unwrap_or(0)
}

/// A call with headers and a body; `Connection: close` is added, so that the answer ends.
fn call(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend(format!("{header}\r\n").into_bytes());
    }
    if !body.is_empty() {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

fn get(target: &str, headers: &[&str]) -> Vec<u8> {
    call(&format!("GET {target}"), headers, b"")
}

fn post(target: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    call(
        &format!("POST {target}"),
        &[&["Host: localhost"], headers].concat(),
        body,
    )
}

const ALERTS: &str = "/api/v1/alerts";
const SCORE: &str = "/api/v1/score";
const DETECTORS: &str = "/api/v1/detectors";
const HOST: &str = "Host: localhost";
const JSON: &str = "Content-Type: application/json";

/// What is tried on a server without a token, and the status of the answer.
fn on_an_open_server() -> Vec<(&'static str, Vec<u8>, u16)> {
    let raw = |text: &str| text.as_bytes().to_vec();
    let large = vec![0; 4 << 20];
    let many_headers: Vec<String> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let many_headers: Vec<&str> = many_headers.iter().map(String::as_str).collect();
    vec![
        ("an ordinary call", get(ALERTS, &[HOST]), 200),
        // DNS rebinding and other confusions of hosts.
        ("rebinding", get(ALERTS, &["Host: evil.example"]), 403),
        (
            "rebinding of the health",
            get("/api/v1/health", &["Host: evil.example"]),
            403,
        ),
        ("rebinding of the page", get("/", &["Host: evil.example"]), 403),
        (
            "a name that begins as ours",
            get(ALERTS, &["Host: localhost.evil.example"]),
            403,
        ),
        (
            "a name that ends as ours",
            get(ALERTS, &["Host: evil-localhost"]),
            403,
        ),
        (
            "an address that is not ours",
            get(ALERTS, &["Host: 169.254.169.254"]),
            403,
        ),
        ("no address", get(ALERTS, &["Host: 0.0.0.0"]), 403),
        (
            "an address written as a number",
            get(ALERTS, &["Host: 2130706433"]),
            403,
        ),
        (
            "something behind an address",
            get(ALERTS, &["Host: [::1].evil.example"]),
            400,
        ),
        (
            "a user before a host",
            get(ALERTS, &["Host: localhost:9300@evil.example"]),
            400,
        ),
        ("two hosts", get(ALERTS, &[HOST, "Host: evil.example"]), 400),
        ("the same host twice", get(ALERTS, &[HOST, HOST]), 400),
        (
            "two hosts in one line",
            get(ALERTS, &["Host: localhost, evil.example"]),
            400,
        ),
        ("no host", get(ALERTS, &[]), 400),
        ("an empty host", get(ALERTS, &["Host:"]), 400),
        (
            "no host in HTTP/1.0",
            raw("GET /api/v1/alerts HTTP/1.0\r\n\r\n"),
            400,
        ),
        (
            "another host in the target",
            get("http://evil.example/api/v1/alerts", &[HOST]),
            400,
        ),
        (
            "a host that a proxy would name",
            get(
                ALERTS,
                &[
                    "Host: evil.example",
                    "X-Forwarded-Host: localhost",
                    "Forwarded: host=localhost",
                ],
            ),
            403,
        ),
        // Ways out of a folder.
        ("a path upwards", get("/../../etc/hosts.txt", &[HOST]), 404),
        (
            "a path upwards, in percent",
            get("/%2e%2e/%2e%2e/etc/hosts.txt", &[HOST]),
            404,
        ),
        (
            "a path upwards in an id",
            get("/api/v1/detectors/..%2f..%2fstore/package", &[HOST]),
            404,
        ),
        ("a zero byte in an id", get("/api/v1/alerts/%00", &[HOST]), 404),
        (
            "bytes that are no text in an id",
            get("/api/v1/alerts/%ff%fe", &[HOST]),
            400,
        ),
        (
            "a target without a path",
            get("//evil.example/start.js", &[HOST]),
            404,
        ),
        // Two readings of one message.
        (
            "a length and chunks",
            call(
                &format!("POST {SCORE}"),
                &[HOST, JSON, "Transfer-Encoding: chunked", "Content-Length: 6"],
                b"",
            )
            .into_iter()
            .chain(*b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
            .collect(),
            400,
        ),
        ("two lengths", post(SCORE, &["Content-Length: 5"], b"{}"), 400),
        (
            "a length with a sign",
            call(&format!("POST {SCORE}"), &[HOST, "Content-Length: +2"], b""),
            400,
        ),
        (
            "an unknown coding",
            post(SCORE, &["Transfer-Encoding: xchunked"], b""),
            400,
        ),
        (
            "chunks that are not last",
            post(SCORE, &["Transfer-Encoding: chunked, gzip"], b""),
            400,
        ),
        ("a space before a colon", get(ALERTS, &["Host : localhost"]), 400),
        (
            "a folded header",
            get(ALERTS, &["Host: localhost\r\n evil.example"]),
            400,
        ),
        (
            "a chunk longer than numbers are",
            [
                post(SCORE, &[JSON, "Transfer-Encoding: chunked"], b""),
                b"fffffffffffffffff\r\n".to_vec(),
            ]
            .concat(),
            400,
        ),
        // What is too much.
        (
            "a head of 100 KiB",
            get(ALERTS, &[HOST, &format!("X: {}", "x".repeat(100 << 10))]),
            431,
        ),
        (
            "200 headers",
            get(ALERTS, &[&[HOST], many_headers.as_slice()].concat()),
            431,
        ),
        (
            "a target of 70,000 characters",
            get(&format!("/{}", "x".repeat(70_000)), &[HOST]),
            431,
        ),
        (
            "brackets 100,000 deep",
            post(SCORE, &[JSON], "[".repeat(100_000).as_bytes()),
            400,
        ),
        (
            "an upload that is too large, sent to its end",
            post(DETECTORS, &[], &large),
            413,
        ),
        (
            "an upload that is too large, with a question first",
            call(
                &format!("POST {DETECTORS}"),
                &[HOST, "Expect: 100-continue", "Content-Length: 4194304"],
                b"",
            ),
            413,
        ),
        (
            "bodies for which there is no memory",
            post(SCORE, &[JSON], &vec![b' '; 2 << 20]),
            503,
        ),
        // What never comes.
        ("nothing", Vec::new(), 0),
        ("half a head", raw("GET / HTTP/1.1\r\nHost: loc"), 0),
        (
            "half a body",
            call(&format!("POST {DETECTORS}"), &[HOST, "Content-Length: 60"], b"")
                .into_iter()
                .chain(*b"half")
                .collect(),
            408,
        ),
        // What is no call of ours.
        (
            "a method that an address does not offer",
            post("/api/v1/health", &[], b""),
            405,
        ),
        ("TRACE", call("TRACE /", &[HOST], b""), 405),
        ("CONNECT", call("CONNECT evil.example:443", &[HOST], b""), 400),
        (
            "another method in a header",
            get(ALERTS, &[HOST, "X-HTTP-Method-Override: DELETE"]),
            200,
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            400,
        ),
        ("HTTP/2", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0),
        (
            "a line end in a parameter",
            get("/api/v1/alerts?cursor=%0d%0aSet-Cookie:%20a=b", &[HOST]),
            400,
        ),
        // Pages of others.
        (
            "a form of another origin",
            post(DETECTORS, &["Origin: http://evil.example"], b"x"),
            403,
        ),
        (
            "a form of no origin that has a name",
            post(DETECTORS, &["Origin: null"], b"x"),
            403,
        ),
        (
            "a page of another port",
            post(DETECTORS, &["Origin: http://localhost:1"], b"x"),
            403,
        ),
        (
            "another origin beside ours",
            post(
                DETECTORS,
                &["Origin: http://localhost", "Origin: http://evil.example"],
                b"x",
            ),
            403,
        ),
        (
            "JSON that says it is text",
            post(SCORE, &["Content-Type: text/plain"], b"{}"),
            415,
        ),
    ]
}

/// The same for a server with a token; in this order, since wrong tokens have consequences.
fn on_a_server_with_a_token(cookie: &str) -> Vec<(&'static str, Vec<u8>, u16)> {
    let cookie = format!("Cookie: {cookie}");
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let large = vec![0; 4 << 20];
    let mut attempts = vec![
        ("health", get("/api/v1/health", &[HOST]), 200),
        (
            "rebinding with the token",
            get(ALERTS, &["Host: evil.example", &bearer(TOKEN)]),
            403,
        ),
        ("reading without a token", get(ALERTS, &[HOST]), 401),
        ("events without a token", get("/api/v1/events", &[HOST]), 401),
        ("metrics without a token", get("/metrics", &[HOST]), 401),
        (
            "the document without a token",
            get("/api/v1/openapi.json", &[HOST]),
            401,
        ),
        (
            "what is not there, without a token",
            get("/api/v1/nothing", &[HOST]),
            401,
        ),
        (
            "a token in the target",
            get(&format!("{ALERTS}?token={TOKEN}"), &[HOST]),
            401,
        ),
        (
            "a token as a password",
            get(ALERTS, &[HOST, &format!("Authorization: Basic {TOKEN}")]),
            401,
        ),
        (
            "an upload without a token, sent to its end",
            post(DETECTORS, &[], &large),
            401,
        ),
        (
            "a session that is none",
            get(ALERTS, &[HOST, "Cookie: netsage-session-8080=0"]),
            401,
        ),
        ("a session", get(ALERTS, &[HOST, &cookie]), 200),
        (
            "a session from a page of another site",
            get(ALERTS, &[HOST, &cookie, "Sec-Fetch-Site: cross-site"]),
            401,
        ),
        (
            "a session from a page of another port",
            get(ALERTS, &[HOST, &cookie, "Sec-Fetch-Site: same-site"]),
            401,
        ),
        (
            "a write with a session from another origin",
            post(DETECTORS, &[&cookie, "Origin: http://evil.example"], b"x"),
            403,
        ),
        (
            "metrics with the token",
            get("/metrics", &[HOST, &bearer(TOKEN)]),
            200,
        ),
    ];
    let guess = || get(ALERTS, &[HOST, &bearer("wrong-horse-battery")]);
    attempts.extend((0..5).map(|_| ("a wrong token", guess(), 401)));
    attempts.extend([
        ("a wrong token too many", guess(), 429),
        (
            "the right token after them",
            get(ALERTS, &[HOST, &bearer(TOKEN)]),
            429,
        ),
        ("a session after them", get(ALERTS, &[HOST, &cookie]), 200),
    ]);
    attempts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_gets_its_answer() {
    let open = Online::new(None).await;
    let with_token = Online::new(Some(TOKEN)).await;
    let begun = with_token
        .send(post(
            "/api/v1/session",
            &[&format!("Authorization: Bearer {TOKEN}")],
            b"",
        ))
        .await;
    assert_eq!(status(&begun), 204, "{begun}");
    let cookie = begun
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let (of_open, of_token) = (on_an_open_server(), on_a_server_with_a_token(cookie));
    assert!(of_open.len() + of_token.len() >= 40);
    let mut wrong = Vec::new();
    for (server, attempts) in [(&open, of_open), (&with_token, of_token)] {
        for (what, bytes, expected) in attempts {
            let answer = server.send(bytes).await;
            println!("{what}: {}", status(&answer));
            if status(&answer) != expected
                || answer.contains("smuggled")
                || answer.contains("\r\nSet-Cookie: a=b")
            {
                wrong.push(format!("{what}: not {expected}: {answer:.200}"));
            }
        }
        // Whatever was tried, the next call is answered.
        assert_eq!(status(&server.send(get("/api/v1/health", &[HOST])).await), 200);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(open.count(Refusal::ForeignHost) >= 7 && open.count(Refusal::BadHead) >= 5);
    assert_eq!(open.count(Refusal::SlowBody), 1);
    assert_eq!(open.count(Refusal::SlowHead), 2);
    assert_eq!(open.count(Refusal::Bodies), 1);
    assert_eq!(
        (
            with_token.count(Refusal::WrongToken),
            with_token.count(Refusal::MustWait)
        ),
        (5, 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_keep_nobody_out() {
    let limits = Limits {
        connections: 8,
        connections_per_peer: 4,
        bodies: 1 << 20,
        silence: PATIENCE,
        trusted_proxies: TrustedProxies::default(),
    };
    let server = Online::with(None, limits).await;
    let mut idle: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
    for (number, stream) in idle.iter_mut().enumerate() {
        // One of those pushed out by now is closed.
        let _ = match number % 3 {
            0 => Ok(()),
            1 => stream.write_all(b"GET / HTTP/1.1\r\nHost: loc"),
            _ => stream.write_all(
                b"POST /api/v1/detectors HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\nhalf",
            ),
        };
    }
    for _ in 0..10 {
        let answer = server.send(get("/api/v1/health", &[HOST])).await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
    assert!(server.count(Refusal::PushedOut) >= 50 - 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_half_sent_bodies_take_bounded_memory() {
    let limits = Limits {
        connections: 64,
        connections_per_peer: 64,
        bodies: 4 * UPLOAD_LIMIT,
        silence: PATIENCE,
        trusted_proxies: TrustedProxies::default(),
    };
    let server = Online::with(None, limits).await;
    let head = format!(
        "POST /api/v1/detectors HTTP/1.1\r\nHost: localhost\r\nContent-Length: {UPLOAD_LIMIT}\r\n\r\n"
    );
    let half = vec![0; UPLOAD_LIMIT / 2];
    let mut streams: Vec<TcpStream> = (0..16).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&[head.as_bytes(), &half].concat()).unwrap();
    }
    // Of sixteen halves the memory of four whole bodies holds fewer than eight: the others are answered.
    while server.count(Refusal::Bodies) < 16 - 8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(streams);
    let junk = "0".repeat(UPLOAD_LIMIT);
    // Memory is given back as the server learns that the clients are gone.
    let whole = || server.send(post(DETECTORS, &[], junk.as_bytes()));
    let mut answer = whole().await;
    while status(&answer) == 503 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        answer = whole().await;
    }
    assert_eq!(status(&answer), 422, "{answer}");
}
