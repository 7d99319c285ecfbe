//! How far the flows of a package are from what it was trained on.

use std::time::Duration;

use leptos::prelude::*;
use netsage_api_types::Drift;
use netsage_web::{format, judgement};

use crate::api::{Asked, Remote};
use crate::chart::drift::DriftBars;
use crate::common::moment;

/// How often it is asked for again.
const REFRESH: Duration = Duration::from_secs(5);

/// The picture of a package that scores.
#[component]
pub(super) fn DriftPanel(digest: String) -> impl IntoView {
    let asked = Asked::<Drift>::new();
    let path = format!("/detectors/{digest}/drift");
    let ask = move || asked.ask(path.clone());
    ask();
    if let Ok(timer) = set_interval_with_handle(ask, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    // Drawn anew only when there is something new to see.
    let shown = Memo::new(move |_| match asked.get() {
        Remote::Ready(drift) if drift.at.is_some() => Some(Ok(Drift { counting: 0, ..drift })),
        Remote::Ready(drift) => judgement::without_picture(&drift).map(Err),
        Remote::Failed(why) => Some(Err(why)),
        Remote::Loading => None,
    });
    let body = move || match shown.get() {
        None => ().into_any(),
        Some(Err(sentence)) => view! { <p class="muted">{sentence}</p> }.into_any(),
        Some(Ok(drift)) => {
            let of = format!(
                "Population stability of the last {} flows, {}: below {} the same distribution, above {} another.",
                format::count(u64::from(drift.flows)),
                drift.at.map(moment).unwrap_or_default(),
                drift.small,
                drift.large
            );
            view! { <p class="muted">{of}</p><DriftBars drift/> }.into_any()
        }
    };
    view! {
        <details class="drift-panel">
            <summary>"Drift"</summary>
            <section aria-label="Drift away from the training">{body}</section>
        </details>
    }
}
