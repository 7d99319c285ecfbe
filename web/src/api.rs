//! Calls to the host's API.

use std::sync::LazyLock;

use gloo_net::http::{Request, Response};
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{Page, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

/// Where the API is.
pub(crate) const BASE: &str = "/api/v1";
/// The status of a call that bears neither token nor session.
const UNAUTHORIZED: u16 = 401;

/// Of all pages: there is one host, and one session with it.
static LOCKED: LazyLock<ArcRwSignal<bool>> = LazyLock::new(|| ArcRwSignal::new(false));

/// The state of a request of a page.
#[derive(Clone, PartialEq)]
pub(crate) enum Remote<T> {
    /// The answer is not there yet.
    Loading,
    /// The answer.
    Ready(T),
    /// A sentence that says what went wrong.
    Failed(String),
}

/// Something asked of the host, perhaps again and again. The old answer stays on view until the new answer is there.
/// When answers overtake each other, only the answer to the last request counts.
pub(crate) struct Asked<T: 'static> {
    answer: RwSignal<Remote<T>>,
    turn: StoredValue<u32>,
}

impl<T> Clone for Asked<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Asked<T> {}

impl<T> Asked<T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self {
            answer: RwSignal::new(Remote::Loading),
            turn: StoredValue::new(0),
        }
    }

    /// Asks.
    pub(crate) fn ask(self, path: String) {
        let turn = self.begin();
        spawn_local(async move { self.finish(turn, get::<T>(&path).await) });
    }

    fn begin(self) -> u32 {
        let turn = self.turn.get_value().wrapping_add(1);
        self.turn.set_value(turn);
        turn
    }

    /// Whether the answer to a request still counts. The page may have been left in the meantime; then nobody wants it.
    fn wants(self, turn: u32) -> bool {
        self.turn.try_get_value() == Some(turn)
    }

    fn finish(self, turn: u32, answer: Result<T, String>) {
        if self.wants(turn) {
            self.answer
                .try_set(answer.map_or_else(Remote::Failed, Remote::Ready));
        }
    }

    /// Drops the answer, so that the page shows that it is loading.
    pub(crate) fn forget(self) {
        self.answer.set(Remote::Loading);
    }

    /// What is known.
    pub(crate) fn get(self) -> Remote<T> {
        self.answer.get()
    }
}

impl<T> Asked<Page<T>>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Asks for the first page of a listing that has what is looked for.
    pub(crate) fn look_for(
        self,
        path: impl Fn(Option<String>) -> String + 'static,
        has_it: impl Fn(&[T]) -> bool + 'static,
    ) {
        let turn = self.begin();
        spawn_local(async move {
            self.finish(turn, look_for(path, None, has_it, || self.wants(turn)).await);
        });
    }
}

/// Reads a listing from a cursor on, up to the first page that has what is looked for, or the last one. A page of a long
/// listing may be empty and still have a next one.
pub(crate) async fn look_for<T: DeserializeOwned>(
    path: impl Fn(Option<String>) -> String,
    mut cursor: Option<String>,
    has_it: impl Fn(&[T]) -> bool,
    is_wanted: impl Fn() -> bool,
) -> Result<Page<T>, String> {
    loop {
        let page = get::<Page<T>>(&path(cursor)).await?;
        if page.next.is_none() || has_it(&page.items) || !is_wanted() {
            return Ok(page);
        }
        cursor = page.next;
    }
}

/// Reads a resource.
///
/// # Errors
/// A sentence for the reader of the page; likewise in the functions below.
pub(crate) async fn get<T: DeserializeOwned>(path: &str) -> Result<T, String> {
    let response = Request::get(&format!("{BASE}{path}"))
        .send()
        .await
        .map_err(unreachable)?;
    answer(response).await
}

/// Reads a file.
pub(crate) async fn get_bytes(path: &str) -> Result<Vec<u8>, String> {
    let request = Request::get(&format!("{BASE}{path}"));
    let response = request.send().await.map_err(unreachable)?;
    if !response.ok() {
        return Err(problem(response).await);
    }
    response.binary().await.map_err(unreachable)
}

/// Posts JSON.
pub(crate) async fn post_json<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, String> {
    let request = Request::post(&format!("{BASE}{path}"));
    let request = request.json(body).map_err(|error| error.to_string())?;
    answer(request.send().await.map_err(unreachable)?).await
}

/// Posts a file as it is, or nothing.
pub(crate) async fn post_raw<T: DeserializeOwned>(
    path: &str,
    body: Option<&web_sys::File>,
) -> Result<T, String> {
    let request = Request::post(&format!("{BASE}{path}"));
    let response = match body {
        Some(file) => {
            let request = request.header("content-type", "application/wasm");
            let request = request
                .body(JsValue::from(file.clone()))
                .map_err(|error| error.to_string())?;
            request.send().await
        }
        None => request.send().await,
    };
    answer(response.map_err(unreachable)?).await
}

/// The text of a file that the user chose.
pub(crate) async fn text_of(file: &web_sys::File) -> Result<String, String> {
    let unreadable = |_| format!("{} cannot be read", file.name());
    let text = wasm_bindgen_futures::JsFuture::from(file.text())
        .await
        .map_err(unreadable)?;
    Ok(text.as_string().unwrap_or_default())
}

async fn answer<T: DeserializeOwned>(response: Response) -> Result<T, String> {
    if response.ok() {
        return response
            .json()
            .await
            .map_err(|error| format!("the host's answer cannot be read: {error}"));
    }
    Err(problem(response).await)
}

/// The message of an answer that is an error.
async fn problem(response: Response) -> String {
    let status = response.status();
    if status == UNAUTHORIZED {
        LOCKED.set(true);
    }
    match response.json::<Problem>().await {
        Ok(problem) => problem.detail,
        Err(_) => format!("the host answered with HTTP status {status}"),
    }
}

fn unreachable(_error: gloo_net::Error) -> String {
    "The host does not answer; is `netsage run` still running?".to_owned()
}

/// Exchanges the host's token for a session, which the browser keeps as a cookie that no script can read.
pub(crate) async fn sign_in(token: &str) -> Result<(), String> {
    let request = Request::post(&format!("{BASE}/session"));
    let request = request.header("authorization", &format!("Bearer {}", token.trim()));
    let response = request.send().await.map_err(unreachable)?;
    if response.ok() {
        return Ok(());
    }
    Err(problem(response).await)
}

/// Ends the session.
pub(crate) async fn sign_out() -> Result<(), String> {
    let request = Request::delete(&format!("{BASE}/session"));
    request.send().await.map(drop).map_err(unreachable)
}

/// Whether the host has refused a call for want of a session: the pages then wait for its token.
pub(crate) fn is_locked() -> bool {
    LOCKED.get()
}

/// `?name=value&...` of the values that are there.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| {
        let value = value.as_ref().filter(|value| !value.is_empty())?;
        Some(format!("{name}={}", js_sys::encode_uri_component(value)))
    });
    let given: Vec<String> = given.collect();
    if given.is_empty() {
        String::new()
    } else {
        format!("?{}", given.join("&"))
    }
}
