//! The door: accepts connections and passes calls to the API, within limits that no caller can pass.
//!
//! Who connects is a stranger until the API has seen a token, so everything here is bounded before that: the number of
//! connections in all and for each peer ([`connections`]), the time for head and body of a call and the memory for all
//! bodies under way ([`bodies`]), and the time in which an answer is taken. A connection that waits for its client can
//! be pushed out by a new one, so that a thousand connections that say nothing do not keep out one that asks something.
//! Each refusal is counted by its [`Refusal`] and logged with the address of the peer, once in a stated time
//! ([`refusals`]).
//!
//! `axum::serve` offers none of these limits, so that [`serve`] drives hyper itself. What a call may do is the matter of
//! `api::access`.

mod bodies;
mod connections;
mod peer;
mod refusals;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

pub use bodies::BodyRefused;
pub(crate) use peer::group;
pub use peer::{Endpoints, TrustedProxies};
pub use refusals::{Refusal, Refusals};

use bodies::{Answer, IncomingBody};
use connections::{Connections, Slot};

/// Bytes of a head after which no more is read of it; the last reading may bring as many again.
pub const LARGEST_HEAD: usize = 32 << 10;
/// How long a client may take nothing of its answer.
pub const WRITE_TIME: Duration = Duration::from_secs(30);
/// Pause after the system could not accept a connection, e.g. for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at a time.
    pub connections: usize,
    /// Of these, connections of one peer; an IPv6 peer is its /64.
    pub connections_per_peer: usize,
    /// Bytes of the bodies of calls under way.
    pub bodies: usize,
    /// How long a client may take for the head of a call, say nothing between two calls, or pause within a body.
    pub silence: Duration,
    /// Proxies whose `X-Forwarded-For` is believed, and which have no limit of their own.
    pub trusted_proxies: TrustedProxies,
}

/// What all connections share.
struct Door {
    router: Router,
    connections: Arc<Connections>,
    bodies: Arc<Semaphore>,
    silence: Duration,
    trusted_proxies: TrustedProxies,
    refusals: Arc<Refusals>,
}

/// Serves a router until `stop` ends; then lets calls under way come to their end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    refusals: Arc<Refusals>,
    stop: impl Future<Output = ()>,
) {
    let door = Arc::new(Door {
        router,
        connections: Arc::new(Connections::new(limits.connections, limits.connections_per_peer)),
        bodies: Arc::new(Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS))),
        silence: limits.silence,
        trusted_proxies: limits.trusted_proxies,
        refusals,
    });
    let (stopping, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            // Ended tasks are taken out as they end, so that the set holds open connections only.
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => door.accept(stream, &mut tasks, &stopped),
            Err(error) => {
                door.refusals.cannot_accept(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(stopped);
    // Nobody listens any more where every connection has ended.
    let _ = stopping.send(());
    while tasks.join_next().await.is_some() {}
}

impl Door {
    fn accept(self: &Arc<Self>, stream: TcpStream, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<()>) {
        // A peer that is gone already has no address.
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
            return;
        };
        let ends = Endpoints::new(peer.ip(), local.ip());
        let is_limited = !self.trusted_proxies.contains(ends.peer);
        match self.connections.admit(ends.peer, is_limited) {
            Ok((slot, pushed_out)) => {
                if let Some(peer) = pushed_out {
                    self.refusals.count(Refusal::PushedOut, peer);
                }
                tasks.spawn(Arc::clone(self).converse(stream, ends, slot, stopped.clone()));
            }
            Err(refusal) => self.refusals.count(refusal, ends.peer),
        }
    }

    /// Answers the calls of one connection until its end.
    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        ends: Endpoints,
        slot: Slot,
        mut stopped: watch::Receiver<()>,
    ) {
        let slot = Arc::new(slot);
        // Answers are short or are streams of events: neither shall wait for more to send.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIME));
        let service = service_fn({
            let (door, slot) = (Arc::clone(&self), Arc::clone(&slot));
            move |request| {
                let (door, slot) = (Arc::clone(&door), Arc::clone(&slot));
                async move { Ok::<_, Infallible>(door.call(request, ends, slot).await) }
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.silence)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = slot.pushed_out() => return,
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = slot.pushed_out() => return,
                }
            }
        };
        let Err(error) = ended else { return };
        if error.is_parse() || error.is_parse_too_large() {
            self.refusals.count(Refusal::BadHead, ends.peer);
        } else if error.is_timeout() && slot.calls() == 0 {
            self.refusals.count(Refusal::SlowHead, ends.peer);
        }
    }

    async fn call(&self, request: Request<Incoming>, ends: Endpoints, slot: Arc<Slot>) -> Response<Answer> {
        slot.begin_call();
        let (mut parts, incoming) = request.into_parts();
        let ends = self.trusted_proxies.resolve(ends, &parts.headers);
        parts.extensions.insert(ends);
        let (body, rest) = IncomingBody::new(incoming, &self.bodies, self.silence, &slot);
        let waits_for_permission = parts.headers.contains_key(header::EXPECT);
        let request = Request::from_parts(parts, Body::new(body));
        let Ok(mut response) = self.router.clone().oneshot(request).await;
        if let Some(refused) = rest.refused() {
            self.refusals.count(refused.refusal(), ends.peer);
        }
        // A client that was told to wait sends nothing more; any other first sends everything, then reads.
        if !(waits_for_permission && rest.is_untouched() || rest.drain().await) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        slot.answer_begins();
        response.map(|body| Answer::new(body, slot))
    }
}
