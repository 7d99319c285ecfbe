//! Detectors: what scores the flows, and how to bring in another.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{Activated, DetectorInfo, DetectorStatus, ModelCard};
use netsage_web::format;

use super::alert_detail::TokenField;
use crate::api::{self, Remote};
use crate::common::Notice;
use crate::live::Live;

/// What the last action did: good or not, and a sentence.
type Outcome = RwSignal<Option<(bool, String)>>;

/// The page.
#[component]
pub(crate) fn Detectors() -> impl IntoView {
    let live = expect_context::<Live>();
    let detectors = RwSignal::new(Remote::<Vec<DetectorInfo>>::Loading);
    let outcome: Outcome = RwSignal::new(None);
    Effect::new(move |_| {
        live.detectors.track();
        api::load(detectors, "/detectors".to_owned());
    });
    let refresh = move || api::load(detectors, "/detectors".to_owned());
    if let Ok(timer) = set_interval_with_handle(refresh, std::time::Duration::from_secs(5)) {
        on_cleanup(move || timer.clear());
    }
    let body = move || {
        match detectors.get() {
        Remote::Loading => view! { <Notice kind="busy" title="Loading" text="Asking the host for its detectors."/> }.into_any(),
        Remote::Failed(why) => view! { <Notice kind="error" title="The detectors cannot be shown" text=why/> }.into_any(),
        Remote::Ready(list) if list.is_empty() => view! {
            <Notice kind="empty" title="No detector" text="The host knows no detector package; add one above, or start it with --detector FILE."/>
        }
        .into_any(),
        Remote::Ready(list) => {
            let cards = list.into_iter().map(|detector| card(detector, outcome, detectors)).collect_view();
            view! { <div class="cards">{cards}</div> }.into_any()
        }
    }
    };
    view! {
        <div class="page-head">
            <h1>"Detectors"</h1>
            <p class="muted">"A detector is a WebAssembly component without access to anything; its digest is its identity."</p>
        </div>
        <Upload outcome detectors/>
        {move || outcome.get().map(|(good, text)| {
            let class = if good { "outcome good" } else { "outcome bad" };
            view! { <p class=class role="status">{text}</p> }
        })}
        {body}
    }
}

#[component]
fn Upload(outcome: Outcome, detectors: RwSignal<Remote<Vec<DetectorInfo>>>) -> impl IntoView {
    let over = RwSignal::new(false);
    let input = NodeRef::<html::Input>::new();
    let send = move |file: web_sys::File| {
        outcome.set(Some((true, format!("Checking {} …", file.name()))));
        spawn_local(async move {
            let answer = api::post_raw::<DetectorInfo>("/detectors", Some(&file)).await;
            outcome.try_set(Some(match answer {
                Ok(info) => (
                    true,
                    format!(
                        "{} {} is known now; activate it below.",
                        info.detector.name, info.detector.version
                    ),
                ),
                Err(why) => (false, format!("{} was refused: {why}", file.name())),
            }));
            api::load(detectors, "/detectors".to_owned());
        });
    };
    let picked = move |_| {
        let Some(input) = input.get() else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            send(file);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    let dropped = move |event: web_sys::DragEvent| {
        event.prevent_default();
        over.set(false);
        let files = event.data_transfer().and_then(|data| data.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            send(file);
        }
    };
    view! {
        <div class="upload" class:over=over on:drop=dropped on:dragleave=move |_| over.set(false)
            on:dragover=move |event| { event.prevent_default(); over.set(true); }>
            <label class="button">"Add a package"
                <input type="file" name="package" accept=".wasm" class="visually-hidden" node_ref=input on:change=picked/>
            </label>
            <span class="muted">"or drop a file made with "<code>"netsage detector pack"</code>" here"</span>
            <TokenField/>
        </div>
    }
}

fn card(
    info: DetectorInfo,
    outcome: Outcome,
    detectors: RwSignal<Remote<Vec<DetectorInfo>>>,
) -> impl IntoView {
    let active = info.status == DetectorStatus::Active;
    let digest = info.detector.digest.clone();
    let activate = move |_| {
        let path = format!("/detectors/{digest}/activate");
        spawn_local(async move {
            let answer = api::post_raw::<Activated>(&path, None).await;
            outcome.try_set(Some(match answer {
                Ok(Activated {
                    active,
                    replaced: Some(_),
                }) => (
                    true,
                    format!(
                        "{} {} scores now, in place of the one before it.",
                        active.name, active.version
                    ),
                ),
                Ok(Activated {
                    active,
                    replaced: None,
                }) => (true, format!("{} {} scores now.", active.name, active.version)),
                Err(why) => (false, format!("It was not activated: {why}")),
            }));
            api::load(detectors, "/detectors".to_owned());
        });
    };
    let rate = info.nanoseconds_per_row.filter(|cost| *cost > 0.0);
    let rate = rate.map_or_else(
        || "–".to_owned(),
        |cost| format!("{}/s", format::short(1e9 / cost)),
    );
    let short_digest: String = info.detector.digest.chars().take(16).collect();
    let threshold = info
        .card
        .as_ref()
        .map_or_else(|| "–".to_owned(), |card| format::score(card.threshold));
    let facts = [
        ("Rows on one core", rate),
        ("Scored", format::count(info.scored)),
        ("Failed", format::count(info.failed)),
        ("Instances replaced", format::count(info.replaced_instances)),
        ("Threshold", threshold),
        ("Columns", info.columns.len().to_string()),
        ("Size", format::bytes(info.size)),
        ("Licence", info.licence),
    ];
    let facts = facts
        .into_iter()
        .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> });
    let abilities = match (info.explains, info.learns) {
        (true, true) => "explains, learns",
        (true, false) => "explains",
        (false, true) => "learns",
        (false, false) => "",
    };
    view! {
        <article class="panel detector" class:active=active>
            <header>
                <h2>{info.detector.name}" "<small>{info.detector.version}</small></h2>
                <span class=if active { "state active" } else { "state" }>{if active { "active" } else { "available" }}</span>
            </header>
            <p>{info.summary}" "<span class="muted">{abilities}</span></p>
            <p class="muted digest" title=info.detector.digest>"sha256 "<code>{short_digest}"…"</code></p>
            <dl class="facts">{facts.collect_view()}</dl>
            {info.card.map(model_card)}
            {(!active).then(|| view! { <button type="button" class="primary" on:click=activate>"Activate"</button> })}
        </article>
    }
}

fn model_card(card: ModelCard) -> impl IntoView {
    let figures = card.figures.into_iter().map(|(name, value)| {
        view! { <div><dt>{name.replace('_', " ")}</dt><dd>{format!("{value:.4}")}</dd></div> }
    });
    let notes = card
        .notes
        .into_iter()
        .map(|note| view! { <li>{note}</li> })
        .collect_view();
    view! {
        <details>
            <summary>"Model card"</summary>
            <p>{card.data}</p>
            <p class="muted">
                {format::plural(card.rows, "training row", "training rows")}", "{card.schema}", seed "{card.seed}", "{card.date}
            </p>
            <p class="muted">{card.threshold_rule}</p>
            <dl class="facts">{figures.collect_view()}</dl>
            <ul class="notes">{notes}</ul>
        </details>
    }
}
