//! The dashboard: files built into the program, with the page for every address that is none of them.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::problem::ApiError;
use super::routes::is_of_the_api;
use super::state::AppState;
use crate::assets;

const PAGE: &str = "index.html";

/// Serves a file of the dashboard, or the page.
pub(crate) async fn serve(
    State(_): State<AppState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    if is_of_the_api(path) {
        return ApiError::not_found(format!(
            "there is no `{}` in this API; /api/v1/openapi.json lists it",
            uri.path()
        ))
        .into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed(method).await.into_response();
    }
    if assets::dashboard_file(PAGE).is_none() {
        return Html(format!(
            "<!doctype html><title>NetSage</title><p>The dashboard is missing: {}.</p>",
            assets::HOW_TO_BUILD
        ))
        .into_response();
    }
    if let Some(bytes) = assets::dashboard_file(path) {
        return file(path, bytes, &headers);
    }
    // A name with an extension is a file that is not there; anything else is a view of the page.
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return ApiError::not_found(format!("there is no file `{path}`")).into_response();
    }
    match assets::dashboard_file(PAGE) {
        Some(bytes) => file(PAGE, bytes, &headers),
        None => ApiError::not_found("the dashboard has no page").into_response(),
    }
}

/// The answer to a method that an address does not offer.
pub(crate) async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "Method not allowed",
        format!("this address does not offer {method}"),
    )
}

/// A digest of all files of the dashboard: they change together, with the program.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (path, bytes) in assets::dashboard() {
        hash.update(path.as_bytes());
        hash.update(Sha256::digest(bytes));
    }
    hex(&hash.finalize()[..12])
});

fn file(path: &str, bytes: &'static [u8], request: &HeaderMap) -> Response {
    cacheable(media_type(path), &VERSION, request, || bytes.into())
}

/// An answer that a browser may cache and must revalidate each time (`ETag`, `no-cache`). `tag` tells versions of the
/// content apart; `bytes` is only called when the browser does not have this version.
pub(super) fn cacheable(
    media_type: &'static str,
    tag: &str,
    request: &HeaderMap,
    bytes: impl FnOnce() -> axum::body::Bytes,
) -> Response {
    // Weak, because compression may change the bytes and not the meaning.
    let tag = format!("W/\"{tag}\"");
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(',')
                .any(|given| given.trim() == tag || given.trim() == "*")
        });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (
            [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))],
            bytes(),
        )
            .into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

pub(super) fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("csv") => "text/csv; charset=utf-8",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
