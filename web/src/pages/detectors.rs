//! Detectors: what scores the flows, and how to bring in another.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{Activated, DetectorInfo, ModelCard, Stage};
use netsage_web::format;

use super::alert_detail::TokenField;
use crate::api::{self, Asked, Remote};
use crate::common::{Notice, set_title};
use crate::live::Live;

/// What the last action did: good or not, and a sentence.
type Outcome = RwSignal<Option<(bool, String)>>;

/// The packages as the host last listed them.
type Known = Memo<Vec<DetectorInfo>>;

/// What the page shows below the upload.
#[derive(Clone, PartialEq)]
enum View {
    Waiting,
    Failed(String),
    Empty,
    Cards,
}

/// The page.
#[component]
pub(crate) fn Detectors() -> impl IntoView {
    set_title("Detectors");
    let live = expect_context::<Live>();
    let detectors = Asked::<Vec<DetectorInfo>>::new();
    let outcome: Outcome = RwSignal::new(None);
    let refresh = move || detectors.ask("/detectors".to_owned());
    Effect::new(move |_| {
        live.detectors.track();
        refresh();
    });
    if let Ok(timer) = set_interval_with_handle(refresh, std::time::Duration::from_secs(5)) {
        on_cleanup(move || timer.clear());
    }
    let known = Memo::new(move |_| match detectors.get() {
        Remote::Ready(list) => list,
        _ => Vec::new(),
    });
    // Changes rarely, so that cards stay as they are (an open model card, the focus) while their figures move.
    let view = Memo::new(move |_| match detectors.get() {
        Remote::Loading => View::Waiting,
        Remote::Failed(why) => View::Failed(why),
        Remote::Ready(list) if list.is_empty() => View::Empty,
        Remote::Ready(_) => View::Cards,
    });
    let digests = move || {
        known.with(|list| {
            list.iter()
                .map(|info| info.detector.digest.clone())
                .collect::<Vec<_>>()
        })
    };
    let body = move || {
        match view.get() {
        View::Waiting => view! { <Notice kind="busy" title="Loading" text="Asking the host for its detectors."/> }.into_any(),
        View::Failed(why) => view! { <Notice kind="error" title="The detectors cannot be shown" text=why/> }.into_any(),
        View::Empty => view! {
            <Notice kind="empty" title="No detector" text="The host knows no detector package; add one above, or start it with --detector FILE."/>
        }
        .into_any(),
        View::Cards => view! {
            <div class="cards">
                <For each=digests key=Clone::clone let:digest>{card(digest, known, outcome, detectors)}</For>
            </div>
        }
        .into_any(),
    }
    };
    view! {
        <div class="page-head">
            <h1>"Detectors"</h1>
            <p class="muted">"A detector is a WebAssembly component without access to anything; its digest is its identity."</p>
        </div>
        <Upload outcome detectors/>
        <div role="status">
            {move || outcome.get().map(|(good, text)| {
                let class = if good { "outcome good" } else { "outcome bad" };
                view! { <p class=class>{text}</p> }
            })}
        </div>
        {body}
    }
}

#[component]
fn Upload(outcome: Outcome, detectors: Asked<Vec<DetectorInfo>>) -> impl IntoView {
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
            detectors.ask("/detectors".to_owned());
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

/// The card of one package; its figures follow `known`.
fn card(
    digest: String,
    known: Known,
    outcome: Outcome,
    detectors: Asked<Vec<DetectorInfo>>,
) -> impl IntoView {
    let wanted = digest.clone();
    let info = Memo::new(move |_| {
        known.with(|list| list.iter().find(|info| info.detector.digest == wanted).cloned())
    });
    let Some(first) = info.get_untracked() else {
        return ().into_any();
    };
    let is_active =
        Memo::new(move |_| info.with(|info| info.as_ref().is_some_and(|info| info.stage == Stage::Active)));
    let shown = digest.clone();
    let activate = Callback::new(move |()| {
        let path = format!("/detectors/{digest}/activate");
        spawn_local(async move {
            let answer = api::post_raw::<Activated>(&path, None).await;
            outcome.try_set(Some(match answer {
                Ok(Activated { active, replaced }) => {
                    let place = if replaced.is_some() {
                        ", in place of the one before it"
                    } else {
                        ""
                    };
                    (
                        true,
                        format!("{} {} scores now{place}.", active.name, active.version),
                    )
                }
                Err(why) => (false, format!("It was not activated: {why}")),
            }));
            detectors.ask("/detectors".to_owned());
        });
    });
    let threshold = first
        .card
        .as_ref()
        .map_or_else(|| "–".to_owned(), |card| format::score(card.threshold));
    let columns = first.columns.len().to_string();
    let size = format::bytes(first.size);
    let moving = move |text: fn(&DetectorInfo) -> String| {
        move || info.with(|info| info.as_ref().map(text).unwrap_or_default())
    };
    let abilities = match (first.explains, first.learns) {
        (true, true) => "explains, learns",
        (true, false) => "explains",
        (false, true) => "learns",
        (false, false) => "",
    };
    let short_digest: String = shown.chars().take(16).collect();
    view! {
        <article class="panel detector" class:active=is_active>
            <header>
                <h2>{first.detector.name}" "<small>{first.detector.version}</small></h2>
                <span class=move || if is_active.get() { "state active" } else { "state" }>
                    {move || if is_active.get() { "active" } else { "available" }}
                </span>
            </header>
            <p>{first.summary}" "<span class="muted">{abilities}</span></p>
            <p class="muted digest" title=shown>"sha256 "<code>{short_digest}"…"</code></p>
            <dl class="facts">
                {fact("Rows on one core", moving(rate))}
                {fact("Scored", moving(|info| format::count(info.scored)))}
                {fact("Failed", moving(|info| format::count(info.failed)))}
                {fact("Instances replaced", moving(|info| format::count(info.replaced_instances)))}
                {fact("Threshold", threshold)}
                {fact("Columns", columns)}
                {fact("Size", size)}
                {fact("Licence", first.licence)}
            </dl>
            {first.card.map(model_card)}
            <Show when=move || !is_active.get()>
                <button type="button" class="primary" on:click=move |_| activate.run(())>"Activate"</button>
            </Show>
        </article>
    }
    .into_any()
}

fn fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! { <div><dt>{name}</dt><dd>{value}</dd></div> }
}

fn rate(info: &DetectorInfo) -> String {
    info.nanoseconds_per_row.filter(|cost| *cost > 0.0).map_or_else(
        || "–".to_owned(),
        |cost| format!("{}/s", format::short(1e9 / cost)),
    )
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
