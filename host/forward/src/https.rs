//! Sends a spool to the inbox of a central, by `POST` of packed batches.
//!
//! An answer says of whom it is: 400, 413 and 422 of the messages, which are halved until the one is found that is not taken
//! and set aside; 401, 403, 404 and the like of the sender, which pauses and is told in health; 429, 5xx and none at all of
//! the moment. Whatever stands between both may answer too, so that a 400 that is no answer of a central is one of the sender.

use std::fs;
use std::io::{self, Write as _};
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::forwarder::Desk;
use crate::message::Message;
use crate::sender::HEADER;
use crate::spool::{Batch, Reader};

/// Records of a call, and about as many bytes before they are packed. A central names each of so many that it refuses.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;
/// How long is waited for records where there is none.
const WAIT: Duration = Duration::from_millis(200);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const MOST_ANSWER: u64 = 1 << 20;

/// A central and how it is spoken to.
#[derive(Debug, Clone, Default)]
pub struct HttpsOptions {
    /// Where flows are posted to: `https://HOST/api/v1/flows`, or `http` to an address of this machine.
    pub url: String,
    /// The file with the token that calls bear. It is read again when it has changed.
    pub token_file: Option<PathBuf>,
    /// The file with the certificates of those who may have signed the central's, in PEM; `None` for those that browsers trust.
    pub ca: Option<PathBuf>,
    /// The file with the certificate that this program shows, and those behind it, in PEM.
    pub certificate: Option<PathBuf>,
    /// The file with its key, in PEM; `None` where it stands beside the certificate.
    pub key: Option<PathBuf>,
}

/// Why a central cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsError {
    /// There is no such address.
    #[error("`{0}` is no address to post to; write https://HOST/api/v1/flows")]
    Url(String),
    /// Flows and the token would be readable on the way.
    #[error("`{0}` is not encrypted; write https://, or name an address of this machine, as 127.0.0.1")]
    Plain(String),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM", file.display())]
    Pem {
        /// Which one.
        file: PathBuf,
        /// What is missing.
        what: &'static str,
    },
}

impl HttpsOptions {
    /// Scheme and host, without what may be a secret.
    pub(crate) fn shown(&self) -> String {
        shown(&self.url)
    }

    /// Checks address and files.
    ///
    /// # Errors
    /// See [`HttpsError`].
    pub fn check(&self) -> Result<(), HttpsError> {
        let wrong = || HttpsError::Url(self.shown());
        let uri: Uri = self.url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback(host) => {}
            Some("http") => return Err(HttpsError::Plain(self.shown())),
            _ => return Err(wrong()),
        }
        self.token()?;
        self.agent().map(drop)
    }

    fn token(&self) -> Result<Option<String>, HttpsError> {
        let Some(file) = &self.token_file else {
            return Ok(None);
        };
        let token = String::from_utf8_lossy(&read(file)?).trim().to_owned();
        Ok((!token.is_empty()).then_some(token))
    }

    fn agent(&self) -> Result<Agent, HttpsError> {
        let mut tls = TlsConfig::builder();
        if let Some(file) = &self.ca {
            tls = tls.root_certs(RootCerts::from(certificates(file)?));
        }
        if let Some(file) = &self.certificate {
            let key_file = self.key.as_ref().unwrap_or(file);
            let key = PrivateKey::from_pem(&read(key_file)?).map_err(|_| HttpsError::Pem {
                file: key_file.clone(),
                what: "private key",
            })?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates(file)?, key)));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect could lead the token to somebody else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(CALL))
            .tls_config(tls.build())
            .build();
        Ok(config.new_agent())
    }

    /// When the files were changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [&self.ca, &self.certificate, &self.key];
        let changed = |file: &Option<PathBuf>| fs::metadata(file.as_ref()?).ok()?.modified().ok();
        files.into_iter().map(changed).collect()
    }
}

/// Scheme, host and port of an address.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn read(file: &Path) -> Result<Vec<u8>, HttpsError> {
    fs::read(file).map_err(|source| HttpsError::File {
        file: file.to_path_buf(),
        source,
    })
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, HttpsError> {
    let pem = read(file)?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(HttpsError::Pem {
            file: file.to_path_buf(),
            what: "certificate",
        });
    }
    Ok(found)
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// Everything is taken but these, by their places in the batch, with the reason.
    Taken(Vec<(usize, String)>),
    /// Too large as a whole.
    TooLarge(String),
    /// None of it can be used.
    Useless(String),
    /// This sender is not to send so.
    Refused(String),
    /// Not now.
    Later(String, Option<Duration>),
}

/// Judges an answer by its status, whether it is one of a central (`is_ours`), and its body.
fn judge(status: u16, is_ours: bool, asked: Option<Duration>, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default();
    let reason = match detail {
        "" => format!("the receiver answers {status}"),
        detail => format!("the receiver answers {status}: {detail}"),
    };
    match status {
        200..=299 => Answer::Taken(refusals(&body)),
        413 => Answer::TooLarge(reason),
        400 | 422 if is_ours => Answer::Useless(reason),
        408 | 425 | 429 | 500..=599 => Answer::Later(reason, asked),
        401 | 403 => Answer::Refused(format!(
            "{reason}; check `forward-token-file` and `forward-certificate`"
        )),
        404 | 405 => Answer::Refused(format!("{reason}; check the address in `forward`")),
        409 => Answer::Refused(format!("{reason}; the receiver is to be started with `--inbox`")),
        300..=399 => Answer::Refused(format!(
            "{reason}, a redirect, which is not followed; name the address that it leads to in `forward`"
        )),
        _ => Answer::Refused(reason),
    }
}

/// The records of a batch that a central has refused though it took others.
fn refusals(body: &Value) -> Vec<(usize, String)> {
    let list = body.get("refusals").and_then(Value::as_array);
    let refusal = |refusal: &Value| {
        let line = refusal.get("place")?.as_str()?.strip_prefix("line ")?;
        let place = line.parse::<usize>().ok()?.checked_sub(1)?;
        let reason = refusal
            .get("reason")
            .and_then(Value::as_str)
            .unwrap_or("no reason");
        Some((place, reason.to_owned()))
    };
    list.into_iter().flatten().filter_map(refusal).collect()
}

struct Sender<'a> {
    desk: &'a Desk,
    options: &'a HttpsOptions,
    agent: Option<Agent>,
    changed: Vec<Option<SystemTime>>,
    /// Records of a call, as many as the receiver was seen to take.
    most: usize,
    packed: Vec<u8>,
}

/// Sends until the desk says that it is over.
pub(crate) fn send(desk: &Desk, options: &HttpsOptions) {
    let mut reader = Reader::new(Arc::clone(&desk.spool));
    let mut batch = Batch::default();
    let mut sender = Sender {
        desk,
        options,
        agent: None,
        changed: Vec::new(),
        most: BATCH,
        packed: Vec::new(),
    };
    while !desk.is_over() {
        if let Err(error) = reader.next(&mut batch, sender.most, BATCH_BYTES) {
            desk.unread(&error);
        } else if batch.is_empty() {
            desk.spool.wait(WAIT);
        } else {
            sender.send(&batch);
        }
    }
}

impl Sender<'_> {
    /// Sends a batch, in halves where that must be, until it is taken or the desk says that it is over.
    fn send(&mut self, batch: &Batch) {
        // The first of them is at the end.
        let mut pieces = Vec::from_iter(iter::once(0..batch.len()));
        let mut largest = 0;
        while let Some(piece) = pieces.pop() {
            if self.desk.is_over() {
                return;
            }
            let records = piece.len();
            match self.post(batch, piece.clone()) {
                Answer::Taken(refused) => {
                    for (place, reason) in &refused {
                        if *place < records {
                            self.set_aside(batch, piece.start + place, reason);
                        }
                    }
                    largest = largest.max(records);
                    self.desk.taken(records.saturating_sub(refused.len()) as u64);
                    self.done(batch, &piece);
                }
                Answer::TooLarge(reason) | Answer::Useless(reason) if records == 1 => {
                    self.set_aside(batch, piece.start, &reason);
                    self.done(batch, &piece);
                }
                Answer::TooLarge(_) | Answer::Useless(_) => {
                    let middle = piece.start + records / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                }
                Answer::Refused(reason) => {
                    self.desk.failed(&reason, true, None);
                    pieces.push(piece);
                }
                Answer::Later(reason, asked) => {
                    self.desk.failed(&reason, false, asked);
                    pieces.push(piece);
                }
            }
        }
        self.most = if largest < batch.len() {
            largest.max(1)
        } else {
            self.most.saturating_mul(2).min(BATCH)
        };
    }

    fn done(&self, batch: &Batch, piece: &Range<usize>) {
        if let Some(mark) = piece.end.checked_sub(1).and_then(|last| batch.mark(last)) {
            self.desk.spool.sent(mark);
        }
    }

    fn set_aside(&self, batch: &Batch, place: usize, reason: &str) {
        self.desk.set_aside(Message::of(batch.text(place)).json, reason);
    }

    /// The client, made anew when its files have changed. While the new ones cannot be used the old client stays: a renewal
    /// writes one file after the other.
    fn agent(&mut self) -> Result<Agent, HttpsError> {
        let changed = self.options.changed();
        match &self.agent {
            Some(agent) if changed == self.changed => return Ok(agent.clone()),
            _ => {}
        }
        match (self.options.agent(), &self.agent) {
            (Ok(agent), _) => {
                self.changed = changed;
                self.agent = Some(agent.clone());
                Ok(agent)
            }
            (Err(_), Some(agent)) => Ok(agent.clone()),
            (Err(error), None) => Err(error),
        }
    }

    fn post(&mut self, batch: &Batch, piece: Range<usize>) -> Answer {
        let made = self.agent().and_then(|agent| Ok((agent, self.options.token()?)));
        let (agent, token) = match made {
            Ok(made) => made,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        if let Err(error) = self.pack(batch, piece) {
            return Answer::Later(format!("records cannot be packed: {error}"), None);
        }
        let mut request = agent
            .post(&self.options.url)
            .header("content-type", "application/gzip")
            .header(HEADER, self.desk.note().header());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = match request.send(&self.packed[..]) {
            Ok(response) => response,
            Err(error) => return Answer::Later(format!("the receiver does not answer: {error}"), None),
        };
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let asked = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let is_ours = header("content-type").is_some_and(|kind| kind.contains("json"));
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MOST_ANSWER).read_to_vec();
        match body {
            Ok(body) => judge(status, is_ours, asked.map(Duration::from_secs), &body),
            // Without the answer nobody knows which records were refused.
            Err(error) => Answer::Later(format!("the answer is cut off: {error}"), None),
        }
    }

    /// Packs records, one on each line.
    fn pack(&mut self, batch: &Batch, piece: Range<usize>) -> io::Result<()> {
        self.packed.clear();
        let mut packing = GzEncoder::new(&mut self.packed, Compression::fast());
        for place in piece {
            packing.write_all(Message::of(batch.text(place)).json)?;
            packing.write_all(b"\n")?;
        }
        packing.finish().map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_are_of_messages_of_the_sender_or_of_the_moment() {
        let check = |status, is_ours, body: &str, expected: &str| {
            let answer = judge(status, is_ours, Some(Duration::from_secs(7)), body.as_bytes());
            let found = match &answer {
                Answer::Taken(refused) => format!("taken {refused:?}"),
                Answer::TooLarge(_) => "too large".to_owned(),
                Answer::Useless(_) => "useless".to_owned(),
                Answer::Refused(_) => "refused".to_owned(),
                Answer::Later(_, asked) => format!("later {asked:?}"),
            };
            assert_eq!(found, expected, "{status}: {answer:?}");
        };
        check(202, true, r#"{"records":3}"#, "taken []");
        check(
            202,
            true,
            r#"{"records":1,"refusals":[{"place":"line 2","reason":"bad"},{"place":"element 1"}]}"#,
            r#"taken [(1, "bad")]"#,
        );
        check(200, false, "OK", "taken []");
        check(400, true, r#"{"detail":"no"}"#, "useless");
        check(
            400,
            false,
            "<html>No required SSL certificate was sent",
            "refused",
        );
        check(422, true, "{}", "useless");
        check(413, false, "<html>", "too large");
        for status in [301, 308, 401, 403, 404, 405, 409, 418] {
            check(status, true, "{}", "refused");
        }
        for status in [408, 429, 500, 502, 503] {
            check(status, false, "", "later Some(7s)");
        }
    }

    #[test]
    fn flows_go_encrypted_or_nowhere() {
        let check = |url: &str, expected: Option<&str>| {
            let options = HttpsOptions {
                url: url.to_owned(),
                ..HttpsOptions::default()
            };
            match (options.check(), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => {
                    let error = error.to_string();
                    assert!(error.contains(expected) && !error.contains("secret"), "{error}");
                }
                (found, _) => panic!("{url}: {found:?}"),
            }
        };
        check("https://central/api/v1/flows", None);
        check("http://127.0.0.1:8080/api/v1/flows", None);
        check("http://[::1]:8080/api/v1/flows", None);
        check("http://localhost/api/v1/flows", None);
        check("http://central/secret", Some("not encrypted"));
        check(
            "ftp://user:secret@central/secret",
            Some("`ftp://central` is no address"),
        );
        check("central", Some("is no address"));
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, "nothing").unwrap();
        let options = HttpsOptions {
            url: "https://central/".to_owned(),
            ..HttpsOptions::default()
        };
        let check = |options: HttpsOptions, expected: &str| {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("pem"), "{error}");
        };
        let missing = folder.path().join("missing.pem");
        check(
            HttpsOptions {
                ca: Some(file.clone()),
                ..options.clone()
            },
            "no certificate",
        );
        check(
            HttpsOptions {
                certificate: Some(file),
                ..options.clone()
            },
            "no private key",
        );
        check(
            HttpsOptions {
                token_file: Some(missing),
                ..options
            },
            "cannot read",
        );
    }
}
