//! Sensor: what this program reads and where it sends, and how far it is with each.

mod incoming;
mod outgoing;

use std::time::Duration;

use leptos::prelude::*;
use netsage_api_types::{Health, OutputInfo, SenderStatus};
use netsage_web::format;
use serde::de::DeserializeOwned;

use crate::api::{Asked, Remote};
use crate::common::{Notice, set_title};

/// How often the figures are asked for again; the host looks at its sources about as often.
const REFRESH: Duration = Duration::from_secs(2);

/// The page.
#[component]
pub(crate) fn Sensor() -> impl IntoView {
    set_title("Sensor");
    let health = Asked::<Health>::new();
    let senders = Asked::<Vec<SenderStatus>>::new();
    let outputs = Asked::<Vec<OutputInfo>>::new();
    let refresh = move || {
        health.ask("/health".to_owned());
        senders.ask("/senders".to_owned());
        outputs.ask("/outputs".to_owned());
    };
    refresh();
    if let Ok(timer) = set_interval_with_handle(refresh, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    let reading = move || match health.get() {
        Remote::Loading => {
            view! { <Notice kind="busy" title="Loading" text="Asking the host what it reads."/> }.into_any()
        }
        Remote::Failed(why) => {
            view! { <Notice kind="error" title="The sources cannot be shown" text=why/> }.into_any()
        }
        Remote::Ready(health) => incoming::parts(health).into_any(),
    };
    let forwarding = move || match health.get() {
        Remote::Ready(health) => health.forward.map(outgoing::forwarding),
        // Said above.
        Remote::Loading | Remote::Failed(_) => None,
    };
    view! {
        <div class="page-head">
            <h1>"Sensor"</h1>
            <p class="muted">"What this program reads, and where it sends; others of the same group read other partitions."</p>
        </div>
        {reading}
        {list(senders, "The senders cannot be shown", incoming::senders)}
        {forwarding}
        {list(outputs, "The outputs cannot be shown", outgoing::outputs)}
    }
}

/// What is shown of a list, once it is there: nothing of an empty one.
fn list<T, V>(asked: Asked<Vec<T>>, failed: &'static str, show: fn(Vec<T>) -> V) -> impl IntoView
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    move || match asked.get() {
        Remote::Ready(items) if !items.is_empty() => Some(show(items).into_any()),
        Remote::Failed(why) => Some(view! { <Notice kind="error" title=failed text=why/> }.into_any()),
        Remote::Ready(_) | Remote::Loading => None,
    }
}

/// A span that the host counts, ms.
fn span(ms: u64) -> String {
    format::duration(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// The head of a column.
struct Column {
    words: &'static str,
    /// What the words do not say, or nothing.
    meaning: &'static str,
    is_number: bool,
}

/// A column of words.
const fn text(words: &'static str) -> Column {
    Column {
        words,
        meaning: "",
        is_number: false,
    }
}

/// A column of numbers, and what they count where that needs saying.
const fn number(words: &'static str, meaning: &'static str) -> Column {
    Column {
        words,
        meaning,
        is_number: true,
    }
}

/// A table under its title.
fn table<V: IntoView>(title: String, columns: &[Column], rows: V) -> impl IntoView + use<V> {
    let head = |column: &Column| {
        let class = if column.is_number { "number" } else { "" };
        view! { <th scope="col" class=class title=column.meaning>{column.words}</th> }
    };
    let heads = columns.iter().map(head).collect_view();
    view! {
        <section class="group" aria-label=title>
            <h2>{title.clone()}</h2>
            <div class="table-wrap"><table>
                <thead><tr>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table></div>
        </section>
    }
}
