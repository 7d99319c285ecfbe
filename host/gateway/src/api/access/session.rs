//! Sessions of browsers: the dashboard exchanges the token once for a cookie, which streams of events, imports of modules
//! and every other call of the page then bear by themselves.
//!
//! Sessions are kept in memory, so that they end with the program, and [`LIFETIME`] after they began. A page cannot read
//! the cookie (`HttpOnly`), and pages of other sites cannot send it (`SameSite=Strict`). Pages of other servers on the
//! same host can, since cookies and sites know no ports; but their browser says so in `Sec-Fetch-Site`, and a call that
//! changes something bears their `Origin`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cookie::{Cookie, SameSite};

use super::{Caller, digest};
use crate::api::problem::ApiError;
use crate::api::state::AppState;

/// How long a session lasts.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions at a time; the one that began first goes first.
const MOST: usize = 64;

/// The sessions of browsers.
pub(super) struct Sessions {
    /// Name of the cookie, with the port: cookies are shared by all servers of a host.
    name: String,
    /// In the order in which they end.
    open: Mutex<VecDeque<Session>>,
}

struct Session {
    /// Of its secret.
    digest: [u8; 32],
    ends: Instant,
}

impl Sessions {
    pub(super) fn new(port: u16) -> Self {
        Self {
            name: format!("netsage-session-{port}"),
            open: Mutex::default(),
        }
    }

    /// Begins a session; gives its cookie.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn begin(&self, now: Instant, is_secure: bool) -> Result<HeaderValue, getrandom::Error> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret)?;
        let secret = secret
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let mut open = self.lock();
        open.retain(|session| session.ends > now);
        let surplus = (open.len() + 1).saturating_sub(MOST);
        open.drain(..surplus);
        open.push_back(Session {
            digest: digest(&secret),
            ends: now + LIFETIME,
        });
        Ok(self.cookie(&secret, LIFETIME, is_secure))
    }

    /// When the session ends whose cookie a call bears.
    pub(super) fn of(&self, headers: &HeaderMap, now: Instant) -> Option<Instant> {
        // Only these calls does a page of this server make, or a person who types an address.
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if !matches!(site, None | Some(b"same-origin" | b"none")) {
            return None;
        }
        let digests = self.digests(headers);
        let open = self.lock();
        let found = open
            .iter()
            .find(|session| session.ends > now && digests.contains(&session.digest));
        found.map(|session| session.ends)
    }

    /// Ends the session whose cookie a call bears; gives a cookie that makes the browser forget it.
    fn end(&self, headers: &HeaderMap) -> HeaderValue {
        let digests = self.digests(headers);
        self.lock().retain(|session| !digests.contains(&session.digest));
        self.cookie("", Duration::ZERO, false)
    }

    /// Digests of the secrets that a call bears: comparing digests tells nothing about secrets.
    fn digests(&self, headers: &HeaderMap) -> Vec<[u8; 32]> {
        let lines = headers.get_all(header::COOKIE).iter();
        let cookies = lines.flat_map(|line| Cookie::split_parse(line.to_str().unwrap_or_default()));
        let ours = cookies.flatten().filter(|cookie| cookie.name() == self.name);
        ours.map(|cookie| digest(cookie.value())).collect()
    }

    fn cookie(&self, value: &str, lifetime: Duration, is_secure: bool) -> HeaderValue {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name.as_str(), value))
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(is_secure)
            .path("/")
            .max_age(cookie::time::Duration::seconds(seconds))
            .build();
        HeaderValue::try_from(cookie.to_string()).expect("name and value are letters, digits and dashes")
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a session of a browser: the answer's cookie stands for the token that the call bears, for 12 hours or until
/// the program ends. Of a server without a token it sets no cookie.
#[utoipa::path(
    post,
    path = "/session",
    tag = "system",
    responses((status = 204, description = "The session has begun", headers(("set-cookie" = Option<String>, description = "The session's cookie"))))
)]
pub(crate) async fn post_session(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // A session does not prolong itself.
    if caller != Caller::Bearer {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let is_secure = origin.is_some_and(|origin| origin.starts_with(b"https://"));
    let cookie = state.guard.sessions.begin(Instant::now(), is_secure);
    let cookie = cookie.map_err(ApiError::internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Ends the session of a browser.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "system",
    responses((status = 204, description = "The session has ended"))
)]
pub(crate) async fn delete_session(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let forget = state.guard.sessions.end(&headers);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, forget)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(set_cookie: &HeaderValue) -> HeaderMap {
        let text = set_cookie.to_str().unwrap();
        let pair = text.split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())])
    }

    #[test]
    fn a_session_begins_and_ends() {
        let sessions = Sessions::new(8080);
        let now = Instant::now();
        let cookie = sessions.begin(now, true).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with("netsage-session-8080="), "{text}");
        for attribute in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=43200"] {
            assert!(text.split("; ").any(|part| part == attribute), "{text}");
        }
        let headers = headers(&cookie);
        assert_eq!(sessions.of(&headers, now), Some(now + LIFETIME));
        assert_eq!(sessions.of(&headers, now + LIFETIME), None);
        assert_eq!(Sessions::new(8080).of(&headers, now), None);
        assert!(sessions.end(&headers).to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(sessions.of(&headers, now), None);
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::new(1);
        let now = Instant::now();
        let first = sessions.begin(now, false).unwrap();
        let second = sessions.begin(now, false).unwrap();
        assert_ne!(first, second);
        for _ in 0..MOST - 1 {
            sessions.begin(now, false).unwrap();
        }
        assert_eq!(sessions.of(&headers(&first), now), None);
        assert!(sessions.of(&headers(&second), now).is_some());
        assert_eq!(sessions.lock().len(), MOST);
    }
}
