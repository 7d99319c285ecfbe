//! One connection to a receiver, kept between posts.
//!
//! The connections are made here and not by an HTTP client of a higher level, since nothing may stand between the check of
//! an address and the connection to that same address: a name is looked up once, each of its addresses is checked, and the
//! socket connects to one of those.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::address::{AddressError, AddressPolicy, Resolve, Shown};
use super::answer::Answer;
use crate::receivers::tls::is_refusal;

/// Most bytes of an answer's body that are read.
const LONGEST_BODY: usize = 64 << 10;

/// Most bytes of an answer's head.
const LONGEST_HEAD: usize = 64 << 10;

/// How long a connection may lie unused before another one is made: receivers and what stands before them close idle ones.
const LONGEST_IDLE: Duration = Duration::from_secs(20);

/// How long a connection is used at most, so that a receiver that has moved is found.
const LONGEST_USE: Duration = Duration::from_secs(300);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The address must not be reached.
    #[error(transparent)]
    Forbidden(#[from] AddressError),
    /// The receiver does not take the certificate that the webhook appears with, or none.
    #[error("{0}")]
    Stranger(String),
    /// What can be tried again.
    #[error("{0}")]
    Broken(String),
}

/// What is posted.
pub(super) struct Posted {
    /// Head without a body; the target is a path.
    pub(super) head: hyper::http::request::Parts,
    /// The body.
    pub(super) body: Bytes,
}

/// What makes and keeps the connection.
pub(super) struct Connector {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolve>,
    kept: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    origin: String,
    made: Instant,
    used: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    fn serves(&self, origin: &str) -> bool {
        self.origin == origin
            && !self.sender.is_closed()
            && self.used.elapsed() < LONGEST_IDLE
            && self.made.elapsed() < LONGEST_USE
    }
}

impl Connector {
    pub(super) fn new(policy: AddressPolicy, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            policy,
            resolver,
            kept: None,
        }
    }

    /// Has the next post connect anew.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Posts, and reads the answer. A connection that was kept and fails before an answer has come is made anew once: the
    /// receiver may have closed it while nothing was sent. The receiver then may get the post twice, and knows it by its key.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub(super) async fn post(
        &mut self,
        url: &Url,
        tls: &Arc<ClientConfig>,
        posted: &Posted,
    ) -> Result<Answer, NoAnswer> {
        let origin = url.origin().ascii_serialization();
        // Taken out: a future that is dropped in the middle of a post drops the connection too.
        if let Some(mut kept) = self.kept.take().filter(|kept| kept.serves(&origin))
            && let Ok(response) = send(&mut kept, posted).await
        {
            return self.finish(kept, response).await;
        }
        let mut connection = self.connect(url, tls, origin).await?;
        let response = send(&mut connection, posted).await;
        // With TLS 1.3 a receiver looks at the certificate after the greeting is over.
        let response = response.map_err(stranger_or("the connection broke before an answer"))?;
        self.finish(connection, response).await
    }

    async fn finish(
        &mut self,
        mut connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Answer, NoAnswer> {
        let retry_after = response.headers().get(RETRY_AFTER);
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: retry_after
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body: Vec::new(),
        };
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(broken("the answer broke off"))?;
            let Some(data) = frame.data_ref() else { continue };
            let room = LONGEST_BODY - answer.body.len();
            answer.body.extend(data.iter().take(room));
            if answer.body.len() == LONGEST_BODY {
                // What follows is not read, so the connection is of no further use.
                return Ok(answer);
            }
        }
        connection.used = Instant::now();
        self.kept = Some(connection);
        Ok(answer)
    }

    async fn connect(
        &self,
        url: &Url,
        tls: &Arc<ClientConfig>,
        origin: String,
    ) -> Result<Connection, NoAnswer> {
        let stream = self.reach(url).await?;
        // Posts are small and each is waited for.
        stream.set_nodelay(true).map_err(broken("the socket"))?;
        if url.scheme() != "https" {
            return open(stream, origin).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => {
                ServerName::try_from(name.to_owned()).map_err(broken("no name for TLS"))?
            }
            // Names no host in the greeting; the certificate has to be for the address.
            Some(Host::Ipv4(address)) => ServerName::IpAddress(std::net::IpAddr::V4(address).into()),
            Some(Host::Ipv6(address)) => ServerName::IpAddress(std::net::IpAddr::V6(address).into()),
            None => return Err(AddressError::NoUrl.into()),
        };
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        let stream = stream.map_err(stranger_or("TLS failed"))?;
        open(stream, origin).await
    }

    /// Looks the host up once, checks every address, and connects to one of these.
    async fn reach(&self, url: &Url) -> Result<TcpStream, NoAnswer> {
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Ipv6(address)) => vec![SocketAddr::from((address, port))],
            Some(Host::Domain(name)) => {
                let found = self.resolver.resolve(name, port).await;
                found.map_err(broken("the name of its host was not found"))?
            }
            None => return Err(AddressError::NoUrl.into()),
        };
        let shown = Shown::of(url);
        for address in &addresses {
            self.policy.check(&shown, address.ip())?;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name of its host has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(NoAnswer::Broken(format!("no connection: {last}")))
    }
}

async fn open<S>(stream: S, origin: String) -> Result<Connection, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken("no connection"))?;
    let driver = tokio::spawn(async move {
        // What breaks the connection is told to whoever waits for an answer.
        let _ = driver.await;
    });
    let now = Instant::now();
    Ok(Connection {
        sender,
        driver,
        origin,
        made: now,
        used: now,
    })
}

async fn send(connection: &mut Connection, posted: &Posted) -> Result<Response<Incoming>, hyper::Error> {
    connection.sender.ready().await?;
    let request = Request::from_parts(posted.head.clone(), Full::new(posted.body.clone()));
    connection.sender.send_request(request).await
}

/// Tells whether the receiver does not take the certificate that the webhook appears with, or none; otherwise what failed.
fn stranger_or<E: std::error::Error + 'static>(what: &'static str) -> impl Fn(E) -> NoAnswer {
    move |error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(beneath) = cause {
            if beneath.downcast_ref().is_some_and(is_refusal) {
                return NoAnswer::Stranger(format!(
                    "it does not take the certificate of this webhook, or wants one: {beneath}"
                ));
            }
            cause = beneath.source();
        }
        broken(what)(error)
    }
}

/// Says what failed, with the causes beneath, since the outermost alone says little.
fn broken<E: std::error::Error>(what: &'static str) -> impl Fn(E) -> NoAnswer {
    move |error| {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(beneath) = cause {
            let beneath_text = beneath.to_string();
            if !text.contains(&beneath_text) {
                text = format!("{text}: {beneath_text}");
            }
            cause = beneath.source();
        }
        NoAnswer::Broken(text)
    }
}
