//! Holds every call to the rules of access, before any route sees the call.
//!
//! Three rules, in this order:
//!
//! 1. Bound to loopback and without a token, the `Host` header must name this machine. Otherwise a web page
//!    could reach the API through a name of its own that resolves to 127.0.0.1 (DNS rebinding).
//! 2. A call other than GET, HEAD and OPTIONS that a browser sends must come from the dashboard itself: its `Origin`
//!    has the same host and port as the request. Programs send no `Origin`.
//! 3. Once a token is set, the call must bear it if the [`Permission`] of its route asks for it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::ApiError;
use super::routes::{Permission, Permissions};
use super::state::AppState;

/// Most that is read of a refused body: more than a package may have.
const SWALLOWED_BYTES: usize = 64 << 20;

/// Longest that a refused body is read.
const SWALLOWED_FOR: Duration = Duration::from_secs(5);

/// How requests are admitted.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// Digest of the token: digests have one length, so that comparing them tells nothing about the token's.
    token: Option<[u8; 32]>,
    loopback: bool,
    permissions: Permissions,
}

impl Guard {
    pub(crate) fn new(token: Option<&str>, loopback: bool, permissions: Permissions) -> Self {
        Self {
            token: token.map(|token| Sha256::digest(token.as_bytes()).into()),
            loopback,
            permissions,
        }
    }

    pub(crate) fn token_required(&self) -> bool {
        self.token.is_some()
    }

    /// `route` is the path of the route that the call came to, if it came to one.
    fn admit(&self, method: &Method, route: Option<&str>, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        if self.loopback && self.token.is_none() && !is_this_machine(host) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "foreign-host",
                "Forbidden",
                "the Host header does not name this machine; call 127.0.0.1 or localhost, or set a token to use another name",
            ));
        }
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if let Some(origin) = headers.get(header::ORIGIN).filter(|_| !reads) {
            let origin = origin.to_str().unwrap_or_default();
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            if authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host)) {
                return Err(ApiError::new(
                    StatusCode::FORBIDDEN,
                    "foreign-origin",
                    "Forbidden",
                    "this call changes something and comes from a page of another origin",
                ));
            }
        }
        self.check_token(headers, self.permissions.of(method, route))
    }

    fn check_token(&self, headers: &HeaderMap, permission: Permission) -> Result<(), ApiError> {
        let (Some(expected), Some(reason)) = (&self.token, permission.reason()) else {
            return Ok(());
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let right = given.is_some_and(|token| {
            let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            bool::from(digest.ct_eq(expected))
        });
        if right {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "token",
            "Token needed",
            match given {
                Some(_) => "the token is not the one that this server was started with".to_owned(),
                None => format!("{reason}; send the server's token as `Authorization: Bearer TOKEN`"),
            },
        ))
    }
}

/// Whether a `Host` header names the loopback interface.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The middleware that applies [`Guard`].
pub(crate) async fn admit(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let route = request.extensions().get::<MatchedPath>();
    let admitted = state.guard.admit(
        request.method(),
        route.map(MatchedPath::as_str),
        request.headers(),
    );
    if let Err(error) = admitted {
        tracing::warn!("request refused");
        swallow(request.into_body()).await;
        return Err(error);
    }
    Ok(next.run(request).await)
}

/// Reads and drops the rest of a refused request: a connection that closes while the caller writes loses the answer,
/// and "broken pipe" does not tell the caller that the token was wrong.
///
/// Ends after [`SWALLOWED_BYTES`] or [`SWALLOWED_FOR`].
async fn swallow(body: Body) {
    let mut pieces = body.into_data_stream();
    let mut left = SWALLOWED_BYTES;
    let reading = async {
        while let Some(Ok(bytes)) = pieces.next().await {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Who is slower than this gets the answer, or the closed connection.
    let _ = tokio::time::timeout(SWALLOWED_FOR, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(guard: &Guard, method: &Method, route: &str, headers: &[(&str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<header::HeaderName>().unwrap(),
                    value.parse::<header::HeaderValue>().unwrap(),
                )
            })
            .collect();
        guard.admit(method, Some(route), &headers).is_ok()
    }

    #[test]
    fn only_this_machine_is_a_host_without_a_token() {
        let guard = Guard::new(None, true, Permissions::default());
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("[::1]:8080", true),
            ("127.9.9.9", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(
                admits(&guard, &Method::GET, "/api/v1/alerts", &[("host", host)]),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let guard = Guard::new(None, true, Permissions::default());
        for (origin, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.0.0.1:9090", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let headers = [("host", "127.0.0.1:8080"), ("origin", origin)];
            assert_eq!(
                admits(&guard, &Method::POST, "/api/v1/detectors", &headers),
                expected,
                "{origin}"
            );
        }
    }

    #[test]
    fn a_token_once_set_is_needed_to_change_something_and_for_packets() {
        let (_, _, permissions) = super::super::described(0);
        let guard = Guard::new(Some("correct-horse"), false, permissions);
        let host = ("host", "netsage.example");
        let post = |headers: &[_]| admits(&guard, &Method::POST, "/api/v1/detectors", headers);
        assert!(!post(&[host]));
        assert!(!post(&[host, ("authorization", "Bearer wrong-horse")]));
        assert!(!post(&[host, ("authorization", "Basic correct-horse")]));
        assert!(post(&[host, ("authorization", "Bearer correct-horse")]));
        assert!(post(&[host, ("authorization", "bearer correct-horse")]));
        assert!(admits(&guard, &Method::GET, "/api/v1/alerts", &[host]));
        assert!(admits(&guard, &Method::POST, "/api/v1/score", &[host]));
        let packets = |headers: &[_]| admits(&guard, &Method::GET, "/api/v1/alerts/{id}/pcap", headers);
        assert!(!packets(&[host]));
        assert!(packets(&[host, ("authorization", "Bearer correct-horse")]));
    }
}
