//! Holds every call to the rules of access, before any route sees the call.
//!
//! Three rules, in this order:
//!
//! 1. There is exactly one `Host` header, it is well formed, and it names this server: a loopback name, the address that
//!    the call came to, or a name of the setting `allowed-host`. Otherwise a web page could reach the API through a name
//!    of its own that resolves to an address of this machine (DNS rebinding). See [`host`].
//! 2. A call other than GET, HEAD and OPTIONS that a browser sends must come from the dashboard itself: its `Origin`
//!    has the same host and port as the request. Programs send no `Origin`.
//! 3. Once a token is set, the call must bear it if the [`Permission`] of its route asks for it, or come from a browser
//!    that has exchanged the token for a session ([`session`]): streams of events and imports of modules cannot send a
//!    header. Who gives wrong tokens must wait, longer each time ([`attempts`]).

mod attempts;
mod host;
pub(super) mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use host::{AllowedHost, NotAHost};

use super::problem::ApiError;
use super::routes::{Permission, Permissions};
use super::state::AppState;
use crate::server::{Endpoints, Refusal, Refusals};
use attempts::Attempts;
use host::Authority;
use session::Sessions;

/// As whom a call was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Anybody: the server has no token, or the route needs none.
    Anyone,
    /// Who bears the token.
    Bearer,
    /// A browser, until its session ends.
    Session(Instant),
}

/// How requests are admitted.
pub(crate) struct Guard {
    /// Digest of the token: digests have one length, so that comparing them tells nothing about the token's.
    token: Option<[u8; 32]>,
    /// The ends of a call that no connection brought: in tests.
    otherwise: Endpoints,
    allowed: Vec<AllowedHost>,
    permissions: Permissions,
    sessions: Sessions,
    attempts: Attempts,
    refusals: Arc<Refusals>,
}

impl Guard {
    pub(crate) fn new(
        token: Option<&str>,
        listen: std::net::SocketAddr,
        allowed: Vec<AllowedHost>,
        permissions: Permissions,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self {
            token: token.map(digest),
            otherwise: Endpoints::new(listen.ip(), listen.ip()),
            allowed,
            permissions,
            sessions: Sessions::new(listen.port()),
            attempts: Attempts::default(),
            refusals,
        }
    }

    pub(crate) fn token_required(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// `route` is the path of the route that the call came to, if it came to one.
    fn admit(&self, call: &Call<'_>) -> Result<Caller, (Refusal, ApiError)> {
        let host = self.check_host(call)?;
        check_origin(call, host)?;
        match &self.token {
            Some(token)
                if self.permissions.of(call.method, call.route, call.uri.path()) == Permission::Token =>
            {
                self.check_token(call, token)
            }
            _ => Ok(Caller::Anyone),
        }
    }

    /// Gives the `Host` header.
    fn check_host<'a>(&self, call: &Call<'a>) -> Result<&'a str, (Refusal, ApiError)> {
        let bad = |detail: &str| {
            let error = ApiError::bad_request("bad-host", detail);
            (Refusal::BadHost, error)
        };
        let mut hosts = call.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(bad("a call has exactly one Host header"));
        };
        let host = host.to_str().unwrap_or_default();
        let Some(authority) = Authority::parse(host) else {
            return Err(bad(
                "the Host header is not a name or an address, with or without a port",
            ));
        };
        // A target that is a whole URL says again where the call is meant to go.
        if call
            .uri
            .authority()
            .is_some_and(|target| !target.as_str().eq_ignore_ascii_case(host))
        {
            return Err(bad(
                "the target of the call and its Host header name different servers",
            ));
        }
        if authority.is_of(call.ends.local) || self.allowed.iter().any(|allowed| allowed.is(&authority)) {
            return Ok(host);
        }
        let error = ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            "Forbidden",
            "the Host header does not name this server; call the address that it listens on, or allow the name with `--allowed-host`",
        );
        Err((Refusal::ForeignHost, error))
    }

    fn check_token(&self, call: &Call<'_>, expected: &[u8; 32]) -> Result<Caller, (Refusal, ApiError)> {
        let now = Instant::now();
        if let Some(ends) = self.sessions.of(call.headers, now) {
            return Ok(Caller::Session(ends));
        }
        let unauthorized = |detail: &str| {
            ApiError::new(StatusCode::UNAUTHORIZED, "token", "Token needed", detail)
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        };
        let Some(given) = bearer(call.headers) else {
            let error = unauthorized(
                "this server has a token; send it as `Authorization: Bearer TOKEN`, or sign in on the dashboard",
            );
            return Err((Refusal::NoToken, error));
        };
        let peer = call.ends.peer;
        if let Some(wait) = self.attempts.wait(peer, now) {
            let seconds = wait.as_secs() + 1;
            let error = ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "wait",
                "Too many wrong tokens",
                format!("wrong tokens came from this address; its tokens are looked at again in {seconds} s"),
            );
            return Err((
                Refusal::MustWait,
                error.with_header(header::RETRY_AFTER, seconds.into()),
            ));
        }
        if digest(given).ct_eq(expected).into() {
            self.attempts.right(peer);
            return Ok(Caller::Bearer);
        }
        self.attempts.wrong(peer, now);
        let error = unauthorized("the token is not the one that this server was started with");
        Err((Refusal::WrongToken, error))
    }
}

/// What the rules look at.
struct Call<'a> {
    method: &'a Method,
    uri: &'a Uri,
    /// The path of the route that the call came to, if it came to one.
    route: Option<&'a str>,
    headers: &'a HeaderMap,
    ends: Endpoints,
}

fn check_origin(call: &Call<'_>, host: &str) -> Result<(), (Refusal, ApiError)> {
    let reads = matches!(*call.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut origins = call.headers.get_all(header::ORIGIN).iter().filter(|_| !reads);
    let is_ours = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let schemes = ["http://", "https://"];
        let authority = schemes.iter().find_map(|scheme| origin.strip_prefix(scheme));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    if origins.all(is_ours) {
        return Ok(());
    }
    let error = ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign-origin",
        "Forbidden",
        "this call changes something and comes from a page of another origin",
    );
    Err((Refusal::ForeignOrigin, error))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The ends of a call.
fn ends(state: &AppState, request: &Request) -> Endpoints {
    let ends = request.extensions().get().copied();
    ends.unwrap_or(state.guard.otherwise)
}

/// The address that a call comes from.
pub(super) fn peer(state: &AppState, request: &Request) -> IpAddr {
    ends(state, request).peer
}

/// The middleware that applies [`Guard`].
pub(crate) async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let call = Call {
        method: request.method(),
        uri: request.uri(),
        route: request.extensions().get().map(MatchedPath::as_str),
        headers: request.headers(),
        ends: ends(&state, &request),
    };
    match state.guard.admit(&call) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err((refusal, error)) => {
            state.guard.refusals.count(refusal, call.ends.peer);
            error.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: (&str, &str) = ("host", "127.0.0.1:8080");

    fn guard(token: Option<&str>, allowed: &[&str]) -> Guard {
        let (_, _, permissions) = super::super::described(0);
        let allowed = allowed.iter().map(|name| name.parse().unwrap()).collect();
        let listen = "192.0.2.1:8080".parse().unwrap();
        Guard::new(token, listen, allowed, permissions, Arc::default())
    }

    fn admit(
        guard: &Guard,
        method: &Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Caller, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let uri: Uri = target.parse().unwrap();
        let call = Call {
            method,
            uri: &uri,
            route: Some(uri.path()),
            headers: &map,
            ends: guard.otherwise,
        };
        guard.admit(&call).map_err(|(refusal, _)| refusal)
    }

    #[test]
    fn one_host_header_names_this_server_with_a_token_and_without() {
        use Refusal::{BadHost, ForeignHost};
        let check = |target: &str, hosts: &[&str], expected: Result<(), Refusal>| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            for token in [None, Some("correct-horse")] {
                let guard = guard(token, &["netsage.example", "203.0.113.7"]);
                let found = admit(&guard, &Method::GET, target, &headers).map(drop);
                assert_eq!(found, expected, "{target} {hosts:?} {token:?}");
            }
        };
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "127.9.9.9",
            "192.0.2.1",
            "192.0.2.1:8080",
            "netsage.example",
            "NetSage.Example:443",
            "203.0.113.7",
        ] {
            check("/", &[host], Ok(()));
        }
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "netsage.example.evil.example",
            "192.0.2.2",
            "0.0.0.0",
            "[::]",
            "127.1",
            "0x7f000001",
            "localhost.",
        ] {
            check("/", &[host], Err(ForeignHost));
        }
        for host in [
            "",
            "[::1].evil.example",
            "[::1]evil",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[::1%25eth0]",
            "localhost:8080@evil.example",
            "user@localhost",
            "localhost:",
            "localhost:80:80",
            "localhost:99999",
            "localhost:+80",
            "localhost/",
            "localhost#",
            "localhost, evil.example",
            "local host",
            "löcalhost",
        ] {
            check("/", &[host], Err(BadHost));
        }
        check("/", &[], Err(BadHost));
        check("/", &["localhost", "localhost"], Err(BadHost));
        check("/", &["localhost", "evil.example"], Err(BadHost));
        check("http://localhost/", &["localhost"], Ok(()));
        check("http://evil.example/", &["localhost"], Err(BadHost));
        check("http://user@localhost/", &["localhost"], Err(BadHost));
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let guard = guard(None, &[]);
        let check = |origins: &[&str], expected: bool| {
            let origins = origins.iter().map(|origin| ("origin", *origin));
            let headers: Vec<_> = std::iter::once(HOST).chain(origins).collect();
            let found = admit(&guard, &Method::POST, "/api/v1/detectors", &headers);
            assert_eq!(found.is_ok(), expected, "{headers:?}");
        };
        check(&[], true);
        check(&["http://127.0.0.1:8080"], true);
        check(&["http://127.0.0.1:9090"], false);
        check(&["http://127.0.0.1"], false);
        check(&["https://evil.example"], false);
        check(&["null"], false);
        check(&["file://127.0.0.1:8080"], false);
        check(&["http://127.0.0.1:8080", "https://evil.example"], false);
    }

    #[test]
    fn a_token_once_set_is_needed_for_all_but_health_and_files() {
        let guard = guard(Some("correct-horse"), &[]);
        let check = |method: &Method, path: &str, token: Option<&str>, expected: Result<Caller, Refusal>| {
            let headers: Vec<_> = std::iter::once(HOST)
                .chain(token.map(|token| ("authorization", token)))
                .collect();
            assert_eq!(
                admit(&guard, method, path, &headers),
                expected,
                "{path} {token:?}"
            );
        };
        for path in [
            "/api/v1/alerts",
            "/api/v1/events",
            "/api/v1/openapi.json",
            "/metrics",
            "/api/v1/nothing",
        ] {
            check(&Method::GET, path, None, Err(Refusal::NoToken));
            check(
                &Method::GET,
                path,
                Some("Basic correct-horse"),
                Err(Refusal::NoToken),
            );
            check(
                &Method::GET,
                path,
                Some("Bearer wrong-horse"),
                Err(Refusal::WrongToken),
            );
            check(
                &Method::GET,
                path,
                Some("bearer correct-horse"),
                Ok(Caller::Bearer),
            );
        }
        for path in ["/", "/alerts", "/start.js", "/api/v1/health"] {
            check(&Method::GET, path, None, Ok(Caller::Anyone));
        }
        check(&Method::POST, "/", None, Err(Refusal::NoToken));
        check(&Method::POST, "/api/v1/session", None, Err(Refusal::NoToken));
        check(
            &Method::POST,
            "/api/v1/session",
            Some("Bearer correct-horse"),
            Ok(Caller::Bearer),
        );
    }

    #[test]
    fn a_session_stands_for_the_token_on_pages_of_this_server() {
        let guard = guard(Some("correct-horse"), &[]);
        let cookie = guard.sessions.begin(Instant::now(), false).unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let check = |method: &Method, headers: &[(&str, &str)], expected: bool| {
            let headers = [&[HOST], headers].concat();
            let found = admit(&guard, method, "/api/v1/alerts", &headers);
            assert_eq!(matches!(found, Ok(Caller::Session(_))), expected, "{headers:?}");
        };
        check(&Method::GET, &[("cookie", &cookie)], true);
        check(&Method::GET, &[("cookie", "a=b"), ("cookie", &cookie)], true);
        check(
            &Method::GET,
            &[("cookie", &cookie), ("sec-fetch-site", "same-origin")],
            true,
        );
        check(
            &Method::GET,
            &[("cookie", &cookie), ("sec-fetch-site", "same-site")],
            false,
        );
        check(
            &Method::GET,
            &[("cookie", &cookie), ("sec-fetch-site", "cross-site")],
            false,
        );
        check(
            &Method::POST,
            &[("cookie", &cookie), ("origin", "http://evil.example")],
            false,
        );
        check(&Method::GET, &[("cookie", &format!("{cookie}0"))], false);
        check(&Method::GET, &[("cookie", "netsage-session-8080=")], false);
    }
}
