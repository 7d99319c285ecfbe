//! The card of one package: its stage, its counters, its possible steps.

use leptos::prelude::*;
use netsage_api_types::{DetectorInfo, Stage};
use netsage_package::ModelCard;
use netsage_web::format;
use netsage_web::life::{self, Place, Stop};

use super::Shared;
use super::comparison::Candidate;
use super::drift::DriftPanel;
use super::history::OwnHistory;
use super::steps::Steps;
use crate::common::moment;

/// The card of one package; its figures follow the host.
#[component]
pub(super) fn PackageCard(digest: String) -> impl IntoView {
    let Shared { known, entries, .. } = expect_context::<Shared>();
    let wanted = digest.clone();
    let info = Memo::new(move |_| {
        known.with(|list| list.iter().find(|info| info.detector.digest == wanted).cloned())
    });
    // Parts of their own, so that what did not change is not drawn anew under somebody's pointer or focus.
    let part = move |text: fn(&DetectorInfo) -> String| {
        move || info.with(|info| info.as_ref().map(text).unwrap_or_default())
    };
    let stage = Memo::new(move |_| info.with(|info| info.as_ref().map_or(Stage::Staged, |info| info.stage)));
    let track = Memo::new(move |_| {
        info.with(|info| entries.with(|entries| info.as_ref().map(|info| life::track(info, entries))))
            .unwrap_or_default()
    });
    let under_way = Memo::new(move |_| info.with(|info| info.as_ref().and_then(|info| info.under_way)));
    let about = Memo::new(move |_| {
        info.with(|info| {
            info.as_ref().map(|info| {
                let abilities = match (info.explains, info.learns) {
                    (true, true) => "explains, learns",
                    (true, false) => "explains",
                    (false, true) => "learns",
                    (false, false) => "",
                };
                (info.summary.clone(), abilities)
            })
        })
    });
    let card = Memo::new(move |_| info.with(|info| info.as_ref().and_then(|info| info.card.clone())));
    let is_candidate = Memo::new(move |_| matches!(stage.get(), Stage::Shadow | Stage::Canary));
    let scores = Memo::new(move |_| matches!(stage.get(), Stage::Shadow | Stage::Canary | Stage::Active));
    let of_drift = digest.clone();
    let short_digest: String = digest.chars().take(16).collect();
    let (of_comparison, of_steps, of_history) = (digest.clone(), digest.clone(), digest.clone());
    let identity = digest.clone();
    view! {
        <article class="panel detector" class:active=move || stage.get() == Stage::Active data-digest=identity
            aria-label=part(|info| format!("{} {}", info.detector.name, info.detector.version))>
            <header>
                <h3>{part(title)}" "<small>{part(|info| info.detector.version.clone())}</small></h3>
                <span class=move || format!("state {}", stage.get().name())>{part(standing)}</span>
            </header>
            {move || about.get().map(|(summary, abilities)| view! { <p>{summary}" "<span class="muted">{abilities}</span></p> })}
            <p class="muted digest" title=digest>"sha256 "<code>{short_digest}"…"</code></p>
            {move || view! { <Track stops=track.get()/> }}
            <p class="reason">{part(reason)}</p>
            {move || under_way.get().map(|step| view! { <p class="muted" role="status">"Under way: "{step.name()}" …"</p> })}
            <Show when=move || is_candidate.get()><Candidate digest=of_comparison.clone() stage/></Show>
            <Steps digest=of_steps info/>
            <dl class="facts">
                {fact("Rows on one core", part(rate))}
                {fact("Scored", part(|info| format::count(info.scored)))}
                {fact("Failed", part(|info| format::count(info.failed)))}
                {fact("Instances replaced", part(|info| format::count(info.replaced_instances)))}
                {fact("Explanations failed", part(|info| format::count(info.failed_explanations)))}
                {fact("Threshold", part(|info| info.threshold.map_or_else(|| "–".to_owned(), format::score)))}
                {fact("When it fails", part(|info| info.on_failure.name().to_owned()))}
                {fact("Columns", part(|info| info.columns.len().to_string()))}
                {fact("Size", part(|info| format::bytes(info.size)))}
                {fact("Licence", part(|info| info.licence.clone()))}
            </dl>
            <Show when=move || scores.get()><DriftPanel digest=of_drift.clone()/></Show>
            {move || card.get().map(model_card)}
            <OwnHistory digest=of_history/>
        </article>
    }
}

fn title(info: &DetectorInfo) -> String {
    if info.detector.name.is_empty() {
        "Not checked yet".to_owned()
    } else {
        info.detector.name.clone()
    }
}

/// The stage, with the share or the generation that belongs to it.
fn standing(info: &DetectorInfo) -> String {
    let share = info
        .share
        .map(|share| format!(" · {} % of the flows", share * 100.0));
    let generation = Some(info.detector.generation)
        .filter(|number| *number > 0)
        .map(|number| format!(" · generation {number}"));
    format!(
        "{}{}{}",
        info.stage.name(),
        share.unwrap_or_default(),
        generation.unwrap_or_default()
    )
}

/// The last reason, and where a rollback would lead.
fn reason(info: &DetectorInfo) -> String {
    let previous = info.previous.as_ref().map(|previous| {
        let digest: String = previous.digest.chars().take(8).collect();
        format!(
            " A rollback goes back to version {} ({digest}…).",
            previous.version
        )
    });
    let mut why = info.why.clone();
    if !why.is_empty() && !why.ends_with('.') {
        why.push('.');
    }
    format!("{why}{}", previous.unwrap_or_default())
}

/// The stages of a life as a line of stops. A list, so that it is read as one.
#[component]
fn Track(stops: Vec<Stop>) -> impl IntoView {
    let stops = stops.into_iter().map(|stop| {
        let name = stop.stage.name();
        let (class, state) = match stop.place {
            Place::Passed => ("passed", ""),
            Place::Now => ("now", " (now)"),
            Place::Ahead => ("ahead", " (not reached)"),
        };
        let current = (stop.place == Place::Now).then_some("step");
        let (time, why) = match stop.reached {
            Some((at, why)) if at > 0 => (moment(at), why),
            Some((_, why)) => (String::new(), why),
            None => (String::new(), String::new()),
        };
        let reason = why.clone();
        let (day, clock) = time
            .split_once(' ')
            .map_or((String::new(), String::new()), |(day, clock)| {
                (day.to_owned(), clock.to_owned())
            });
        view! {
            <li class=format!("{class} {name}") aria-current=current title=reason>
                <span class="stop">{name}<span class="visually-hidden">{state}</span></span>
                <time title=day>{clock}</time>
                <span class="visually-hidden">{why}</span>
            </li>
        }
    });
    view! { <ol class="track" aria-label="Life of this package">{stops.collect_view()}</ol> }
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
        <details class="model-card">
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
